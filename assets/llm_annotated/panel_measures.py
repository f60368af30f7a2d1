"""Panel measures: what merged verdicts are worth on gold dev, against a plain majority and the best single judge."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass, field

from assets.llm_annotated.calibration import Reliability, measure_reliability
from assets.llm_annotated.judge_measures import MIN_CLUSTERS, wilson_interval
from assets.llm_annotated.panel import PanelModel, Verdicts, cross_fit, fit_panel, signed_log_odds, up_to, verdicts_on
from assets.llm_annotated.settings import VotingSettings
from assets.llm_annotated.votes import SIDES, JudgeVerdict
from evaluation.intervals import compare_paired, estimate_accuracy

NUM_FOLDS = 5


@dataclass(frozen=True)
class Compared:
    """One way of merging on the same pairs; a pair without a side counts as half right.

    Attributes:
        name: "weighted panel" (every judge asked), "cascade" (dearer tiers only where needed), "plain majority" or
            "best single judge".
        accuracy, interval: 95 % over prompt clusters; None over too few.
        difference, difference_interval: the weighted panel's accuracy less this one's, paired.
    """

    name: str
    accuracy: float
    interval: tuple[float, float] | None
    difference: float | None = None
    difference_interval: tuple[float, float] | None = None


@dataclass(frozen=True)
class PanelMeasures:
    """The panel on gold dev, cross-fitted: nothing here was measured on labels that it was fitted on.

    Attributes:
        num_labels, num_clusters: gold pairs with any verdict of a used judge, and their prompt clusters.
        num_decided: of these, pairs on which the panel has a side.
        accuracy, interval: share of the decided that is right.
        raw, calibrated: reliability of every pair's leading side, before and after the temperatures.
        compared: ways of merging, on all pairs.
        cross_fitted: False where there is too little gold to divide; then reliabilities are of the fit itself.
    """

    num_labels: int
    num_clusters: int
    num_decided: int
    accuracy: float | None
    interval: tuple[float, float] | None
    raw: Reliability
    calibrated: Reliability
    compared: tuple[Compared, ...] = field(default=())
    cross_fitted: bool = True

    @classmethod
    def from_dict(cls, stored: dict) -> PanelMeasures:
        """Back from a manifest."""
        return cls(
            **stored
            | {
                "raw": Reliability.from_dict(stored["raw"]),
                "calibrated": Reliability.from_dict(stored["calibrated"]),
                "compared": tuple(Compared(**one) for one in stored["compared"]),
            }
        )

    def as_dict(self) -> dict:
        """Plain form for the manifest."""
        return asdict(self)


def measure_panel(
    model: PanelModel,
    verdicts: Verdicts,
    gold: Mapping[str, str],
    cluster_of: Mapping[str, str],
    voting: VotingSettings,
    *,
    measured: Collection[str],
    assumed: Collection[str],
) -> PanelMeasures:
    """Measure a fitted panel on the gold it was fitted on, by fitting it again without each fold's prompts.

    Args:
        model: as `fit_panel` made it of all gold.
        verdicts, gold, measured, assumed: as `fit_panel` took them.
        cluster_of: prompt cluster by gold pair.
    """
    used = sorted(model.accuracies)
    answered = {pair: side for pair, side in sorted(gold.items()) if verdicts_on(verdicts, pair, used)}
    clusters = [cluster_of[pair] for pair in answered]
    models = dict.fromkeys(answered, model)
    divided = len(set(clusters)) >= MIN_CLUSTERS
    if divided:
        enough = voting.min_labels_to_qualify * (NUM_FOLDS - 1) // NUM_FOLDS

        def fit(rest: Mapping[str, str]) -> PanelModel:
            return fit_panel(
                verdicts, rest, voting, measured=measured, assumed=assumed, tiers=model.tiers, min_labels=enough
            )

        for fitted, inside in cross_fit(fit, answered, cluster_of, NUM_FOLDS):
            models.update(dict.fromkeys(inside, fitted))
    given = {pair: verdicts_on(verdicts, pair, used) for pair in answered}
    merged = {pair: models[pair].walk(given[pair]) for pair in answered}
    sides = {pair: verdict.verdict for pair, (verdict, _) in merged.items() if verdict.verdict in SIDES}
    right = [side == gold[pair] for pair, side in sides.items()]
    raw, calibrated = _reliabilities(models, given, gold)
    return PanelMeasures(
        num_labels=len(answered),
        num_clusters=len(set(clusters)),
        num_decided=len(sides),
        accuracy=sum(right) / len(right) if right else None,
        interval=wilson_interval(right, [cluster_of[pair] for pair in sides]),
        raw=raw,
        calibrated=calibrated,
        compared=compare_ways(models, given, gold, clusters),
        cross_fitted=divided,
    )


def _reliabilities(
    models: Mapping[str, PanelModel], given: Mapping[str, Mapping[str, JudgeVerdict]], gold: Mapping[str, str]
) -> tuple[Reliability, Reliability]:
    """Of the leading side of every pair, undecided ones included: a confidence below the bar must be true as well."""
    confidences: dict[str, list[float]] = {"raw": [], "calibrated": []}
    right = []
    for pair, of_pair in given.items():
        model = models[pair]
        _, step = model.walk(of_pair)
        log_odds = signed_log_odds(model, up_to(model, of_pair, step), gold[pair])
        if log_odds:
            right.append(log_odds > 0)
            for name, temperature in (("raw", 1.0), ("calibrated", model.temperatures.get(step, 1.0))):
                confidences[name].append(1 / (1 + math.exp(-abs(log_odds) / temperature)))
    return measure_reliability(confidences["raw"], right), measure_reliability(confidences["calibrated"], right)


def compare_ways(
    models: Mapping[str, PanelModel],
    given: Mapping[str, Mapping[str, JudgeVerdict]],
    gold: Mapping[str, str],
    clusters: list[str],
) -> tuple[Compared, ...]:
    """The weighted panel, its cascade, a plain majority and the best single judge on the same pairs.

    The best single judge is the one that the pair's model holds to be the most accurate among those that answered
    every pair; so it is chosen without the pair's own label wherever the models were.

    Args:
        models: by pair, in the order of `clusters`.
        given: verdicts by pair and judge.
        gold: the right side.
    """
    if not given:
        return ()
    everywhere = sorted(set.intersection(*(set(of_pair) for of_pair in given.values())))
    values: dict[str, list[float]] = {
        name: [] for name in ("weighted panel", "cascade", "plain majority", "best single judge")
    }
    for pair, of_pair in given.items():
        model, sign = models[pair], 1 if gold[pair] == "1" else -1
        values["weighted panel"].append(_half(signed_log_odds(model, of_pair, gold[pair])))
        if len(model.steps) > 1:
            _, step = model.walk(of_pair)
            values["cascade"].append(_half(signed_log_odds(model, up_to(model, of_pair, step), gold[pair])))
        votes = [1 if v.verdict == "1" else -1 for v in of_pair.values() if v.verdict in SIDES]
        values["plain majority"].append(_half(sign * sum(votes)))
        if everywhere:
            best = of_pair[max(everywhere, key=lambda name: (model.accuracies[name], name))]
            lean = 2 * best.share_1 - 1 if best.verdict in SIDES else 0.0
            values["best single judge"].append(_half(sign * lean))
    found = []
    for name, of_way in values.items():
        if not of_way:
            continue
        estimate = estimate_accuracy(of_way, clusters, seed=0)
        assert estimate.value is not None
        against = compare_paired(values["weighted panel"], of_way, clusters, seed=0).difference
        mine = name == "weighted panel"
        found.append(
            Compared(
                name,
                estimate.value,
                estimate.ci95,
                None if mine else against.value,
                None if mine else against.ci95,
            )
        )
    return tuple(found)


def _half(margin: float) -> float:
    return 0.5 if margin == 0 else float(margin > 0)
