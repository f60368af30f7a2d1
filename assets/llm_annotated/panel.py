"""Panel: how several judges' verdicts on one pair become one, tier by tier, and how that is fitted on gold dev."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import combinations

from assets.llm_annotated.calibration import fit_temperature
from assets.llm_annotated.judge_measures import compare_judges
from assets.llm_annotated.settings import VotingSettings
from assets.llm_annotated.votes import SIDES, JudgeVerdict, PanelVerdict, merge_judges, panel_log_odds
from assets.llm_annotated.weighing import ASSUMED_ACCURACY, ASSUMED_CORRELATION, shrunk_accuracy, weigh

Verdicts = Mapping[str, Mapping[str, JudgeVerdict]]
"""By judge and pair."""


@dataclass(frozen=True)
class PanelModel:
    """What the panel knows of its judges.

    Attributes:
        accuracies: by used judge: measured on gold dev and shrunk, or assumed.
        correlations: of the errors of two judges, measured and shrunk; an absent pair is taken at
            `ASSUMED_CORRELATION`.
        tiers: by used judge, from 0.
        temperatures: by tier: of the verdicts that the judges up to this tier come to; 1 leaves them as they are.
        num_labels: by tier, gold pairs that its temperature was fitted on; 0 where it was not.
        min_confidence: below it the panel is undecided, and the next tier is asked.
    """

    accuracies: Mapping[str, float]
    correlations: Mapping[frozenset[str], float] = field(default_factory=dict)
    tiers: Mapping[str, int] = field(default_factory=dict)
    temperatures: Mapping[int, float] = field(default_factory=dict)
    num_labels: Mapping[int, int] = field(default_factory=dict)
    min_confidence: float = 0.5
    _known: dict[frozenset[str], dict[str, float]] = field(default_factory=dict, compare=False, repr=False)

    def tier_of(self, judge: str) -> int:
        """0 unless it says otherwise."""
        return self.tiers.get(judge, 0)

    @property
    def steps(self) -> tuple[int, ...]:
        """The tiers that have a judge, in the order they are asked in."""
        return tuple(sorted({self.tier_of(judge) for judge in self.accuracies}))

    def weights(self, judges: Collection[str] | None = None) -> dict[str, float]:
        """Weights of a panel of these judges alone, by default of all: who is absent shares no errors."""
        names = frozenset(self.accuracies if judges is None else judges)
        if names not in self._known:
            correlations = {
                frozenset(two): self.correlations.get(frozenset(two), ASSUMED_CORRELATION)
                for two in combinations(sorted(names), 2)
            }
            self._known[names] = weigh({name: self.accuracies[name] for name in names}, correlations)
        return self._known[names]

    def weights_of(self, given: Mapping[str, JudgeVerdict]) -> dict[str, float]:
        """Weights on one pair, by judge that answered: those without a side weigh nothing and take nothing away."""
        sided = [name for name, verdict in given.items() if verdict.verdict in SIDES]
        return dict.fromkeys(given, 0.0) | self.weights(sided)

    def merge(self, given: Mapping[str, JudgeVerdict], tier: int = 0) -> PanelVerdict:
        """One pair's verdict from those of the judges up to this tier.

        Raises:
            ValueError: nobody gave a verdict.
        """
        return merge_judges(
            given,
            self.weights_of(given),
            min_confidence=self.min_confidence,
            temperature=self.temperatures.get(tier, 1.0),
        )

    def walk(self, given: Mapping[str, JudgeVerdict]) -> tuple[PanelVerdict, int]:
        """The verdict of the cascade on one pair where every judge's verdict is known, and the last tier it needed.

        Raises:
            ValueError: nobody gave a verdict.
        """
        found = None
        for step in self.steps:
            if so_far := up_to(self, given, step):
                found = self.merge(so_far, step), step
                if found[0].verdict != "undecided":
                    break
        if found is None:
            raise ValueError("a panel without verdicts has none of its own")
        return found

    def as_dict(self) -> dict:
        """Plain form for the manifest."""
        return {
            "accuracies": dict(self.accuracies),
            "correlations": [[*sorted(two), value] for two, value in self.correlations.items()],
            "tiers": dict(self.tiers),
            "temperatures": {str(tier): value for tier, value in self.temperatures.items()},
            "num_labels": {str(tier): value for tier, value in self.num_labels.items()},
            "min_confidence": self.min_confidence,
        }

    @classmethod
    def from_dict(cls, stored: Mapping) -> PanelModel:
        """Back from a manifest."""
        return cls(
            accuracies=stored["accuracies"],
            correlations={frozenset(two): value for *two, value in stored["correlations"]},
            tiers=stored["tiers"],
            temperatures={int(tier): value for tier, value in stored["temperatures"].items()},
            num_labels={int(tier): value for tier, value in stored["num_labels"].items()},
            min_confidence=stored["min_confidence"],
        )


def fit_panel(
    verdicts: Verdicts,
    gold: Mapping[str, str],
    voting: VotingSettings,
    *,
    measured: Collection[str],
    assumed: Collection[str] = (),
    tiers: Mapping[str, int] | None = None,
    min_labels: int | None = None,
) -> PanelModel:
    """Accuracies, shared errors and temperatures of the used judges, from their verdicts on gold.

    With `voting.weights: equal` every judge is taken at the assumed accuracy.

    Args:
        verdicts: of the used judges at least, on the gold pairs.
        gold: side by pair.
        measured: judges whose accuracy on gold is taken.
        assumed: judges with too few labels, taken at `ASSUMED_ACCURACY`.
        tiers: by judge; 0 where it is absent.
        min_labels: fewer give neither a correlation nor a temperature; by default those that qualify a judge.
    """
    enough = voting.min_labels_to_qualify if min_labels is None else min_labels
    shrinkage = voting.shrinkage_labels
    accuracies = dict.fromkeys(sorted({*measured, *assumed}), ASSUMED_ACCURACY)
    correlations: dict[frozenset[str], float] = {}
    if voting.weights == "measured":
        for name in measured:
            sides = {p: v.verdict for p, v in verdicts[name].items() if p in gold and v.verdict in SIDES}
            num_right = sum(side == gold[pair] for pair, side in sides.items())
            accuracies[name] = shrunk_accuracy(num_right, len(sides), shrinkage)
        for a, b in combinations(sorted(measured), 2):
            both = compare_judges(a, verdicts[a], b, verdicts[b], gold)
            if both.error_correlation is not None and both.num_labels >= enough:
                # Shrunk like the accuracies, towards independence.
                correlations[frozenset((a, b))] = (
                    both.error_correlation * both.num_labels / (both.num_labels + shrinkage)
                )
    model = PanelModel(
        accuracies,
        correlations,
        {name: (tiers or {}).get(name, 0) for name in accuracies},
        min_confidence=voting.min_confidence,
    )
    return _with_temperatures(model, verdicts, gold, enough) if voting.calibrate else model


def _with_temperatures(model: PanelModel, verdicts: Verdicts, gold: Mapping[str, str], enough: int) -> PanelModel:
    """A temperature per tier, each fitted on the gold pairs that reach it: those the tiers before leave undecided."""
    temperatures: dict[int, float] = {}
    num_labels: dict[int, int] = {}
    open_pairs, last = sorted(gold), 1.0
    for step in model.steps:
        given = {pair: up_to(model, verdicts_on(verdicts, pair, model.accuracies), step) for pair in open_pairs}
        margins = [signed_log_odds(model, of_pair, gold[pair]) for pair, of_pair in given.items() if of_pair]
        if len(margins) >= enough:
            last, num_labels[step] = fit_temperature(margins), len(margins)
        temperatures[step] = last
        model = replace(model, temperatures=dict(temperatures), num_labels=dict(num_labels))
        open_pairs = [p for p in open_pairs if not given[p] or model.merge(given[p], step).verdict == "undecided"]
    return model


def signed_log_odds(model: PanelModel, given: Mapping[str, JudgeVerdict], side: str) -> float:
    """Log-odds of one side before any temperature."""
    log_odds = panel_log_odds(given, model.weights_of(given))
    return log_odds if side == "1" else -log_odds


def verdicts_on(verdicts: Verdicts, pair: str, judges: Collection[str]) -> dict[str, JudgeVerdict]:
    """What these judges say of one pair."""
    return {name: verdicts[name][pair] for name in sorted(judges) if pair in verdicts.get(name, {})}


def up_to(model: PanelModel, given: Mapping[str, JudgeVerdict], step: int) -> dict[str, JudgeVerdict]:
    """Of one pair's verdicts, those of the judges up to a tier."""
    return {name: verdict for name, verdict in given.items() if model.tier_of(name) <= step}


def cross_fit(
    fit: Callable[[Mapping[str, str]], PanelModel],
    gold: Mapping[str, str],
    cluster_of: Mapping[str, str],
    num_folds: int,
) -> Sequence[tuple[PanelModel, list[str]]]:
    """Models fitted without a fold's prompt clusters, each with the fold's pairs.

    A panel measured on the labels that it was fitted on would look better, and better calibrated, than it is. Clusters
    are dealt out in the order of a hash, so that folds have like numbers of them.
    """
    from assets.chance import rank_key

    clusters = sorted({cluster_of[pair] for pair in gold}, key=lambda cluster: rank_key("calibration fold", cluster))
    fold_of = {cluster: place % num_folds for place, cluster in enumerate(clusters)}
    found = []
    for fold in range(num_folds):
        inside = [pair for pair in sorted(gold) if fold_of[cluster_of[pair]] == fold]
        rest = {pair: side for pair, side in gold.items() if fold_of[cluster_of[pair]] != fold}
        if inside and rest:
            found.append((fit(rest), inside))
    return found
