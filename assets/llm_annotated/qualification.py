"""Qualification: what each judge is worth on gold dev, and therefore whether and how much it counts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import combinations

import pyarrow as pa

from assets.errors import ContractError
from assets.llm_annotated.asking import Asked, ask, requests_table
from assets.llm_annotated.judge_measures import (
    JudgePair,
    compare_judges,
    order_consistency,
    position_bias,
    self_consistency,
    wilson_interval,
)
from assets.llm_annotated.judging import Judge
from assets.llm_annotated.settings import VotingSettings
from assets.llm_annotated.votes import SIDES
from assets.llm_annotated.weighing import ASSUMED_ACCURACY, shrunk_accuracy, weigh

# A bias is flagged when it is this large and its 95 % interval excludes 0.
_NOTABLE_BIAS = 0.05
# So many equal verdicts on gold that holds both sides happen to a judge of 75 % less than once in a thousand times.
_NUM_CONSTANT = 10


@dataclass(frozen=True)
class JudgeQualification:
    """One judge on gold dev.

    Attributes:
        judge, judge_version, simulated: as in its label events.
        num_gold: gold pairs asked about; num_answered of them brought any verdict.
        num_labels: of these, pairs on which the judge has a side: what accuracy is measured on.
        num_clusters: prompt clusters of these.
        accuracy: share of `num_labels` that agree with gold; None without any.
        interval: 95 % (`judge_measures.wilson_interval`); None over too few clusters.
        position_bias: share of calls that chose the response shown first, minus 0.5; None for one order only.
        position_bias_interval: 95 %.
        self_consistency: equal verdicts among repetitions of the same call; None without any.
        order_consistency: equal verdicts of the two display orders; None for one order only.
        num_calls, usd: what the qualification cost.
        weight: log-odds the judge counts with; 0 when it is not used.
        weight_from: "measured", "assumed" (too few labels) or "not_used".
        used: whether the judge annotates.
        flags: below_bar, constant_verdict, mostly_undecided, position_bias, too_few_labels.
        why: the reason for `used`, one sentence.
    """

    judge: str
    judge_version: str
    simulated: bool
    num_gold: int
    num_answered: int
    num_labels: int
    num_clusters: int
    accuracy: float | None
    interval: tuple[float, float] | None
    position_bias: float | None
    position_bias_interval: tuple[float, float] | None
    self_consistency: float | None
    order_consistency: float | None
    num_calls: int
    usd: float
    weight: float
    weight_from: str
    used: bool
    flags: tuple[str, ...]
    why: str


@dataclass(frozen=True)
class Qualification:
    """All judges on gold dev.

    Attributes:
        judges: in the order given.
        pairs: agreement and shared errors, for every two judges.
        requests: contract `judge_requests`: the calls that were made.
    """

    judges: tuple[JudgeQualification, ...]
    pairs: tuple[JudgePair, ...]
    requests: pa.Table

    @property
    def weights(self) -> dict[str, float]:
        """Weight of every judge that is used, by name."""
        return {j.judge: j.weight for j in self.judges if j.used}

    @property
    def weighting(self) -> str:
        """How the weights came about: measured, equal (too few labels for any), mixed, or none (no judge used)."""
        kinds = {j.weight_from for j in self.judges if j.used}
        if not kinds:
            return "none"
        return "mixed" if len(kinds) > 1 else {"measured": "measured", "assumed": "equal"}[kinds.pop()]

    def rows(self) -> list[dict]:
        """Rows of the contract `judge_qualification`."""
        return [
            {
                "judge": j.judge,
                "judge_version": j.judge_version,
                "simulated": j.simulated,
                "num_labels": j.num_labels,
                "accuracy": j.accuracy,
                "low": j.interval[0] if j.interval else None,
                "high": j.interval[1] if j.interval else None,
                "position_bias": j.position_bias,
                "self_consistency": j.self_consistency,
                "usd": j.usd,
                "weight": j.weight,
                "used": j.used,
                "why": j.why,
            }
            for j in self.judges
        ]

    def as_dict(self) -> dict:
        """Plain form for manifests and reports."""
        return {
            "weighting": self.weighting,
            "judges": [asdict(judge) for judge in self.judges],
            "pairs": [asdict(pair) for pair in self.pairs],
        }


def qualify(
    judges: Sequence[Judge],
    gold_dev: pa.Table,
    voting: VotingSettings,
    *,
    batch: str = "qualification",
    examples: Mapping[str, Sequence[str]] | None = None,
) -> Qualification:
    """Ask every judge about gold dev, exactly as it is asked when it annotates, and decide who is used.

    A judge is not used when its accuracy is below the bar, when it gives one verdict whatever it is shown, or
    when it has no side on most of the pairs it answered. A judge with a side on too few gold pairs to be measured
    is used at an assumed accuracy, and the result says so.

    Args:
        judges: providers with different names.
        gold_dev: contract `gold` (pair_id, prompt_cluster_id, split and verdict are read); dev split only.
        voting: votes per order, bar, shrinkage.
        examples: few-shot gold pairs by pair.

    Raises:
        ContractError: gold of another split, which must never weigh a judge, or two judges of one name.
    """
    rows = gold_dev.select(["pair_id", "prompt_cluster_id", "split", "verdict"]).to_pylist()
    if wrong := sorted({row["split"] for row in rows} - {"dev"}):
        raise ContractError(
            f"Judges are qualified on gold dev alone, and the rows given include {wrong[0]}.", todo="filter by split"
        )
    if len({judge.name for judge in judges}) < len(judges):
        raise ContractError("Two judges have the same name.", where="judges", todo="name them apart")
    gold = {row["pair_id"]: row["verdict"] for row in rows if row["verdict"] in SIDES}
    cluster_of = {row["pair_id"]: row["prompt_cluster_id"] for row in rows}
    asked = [
        ask(judge, gold, votes_per_order=voting.votes_per_order, batch=batch, examples=examples) for judge in judges
    ]
    measured = [_measure(one, gold, cluster_of, voting) for one in asked]
    pairs = tuple(
        compare_judges(a.judge.name, a.verdicts, b.judge.name, b.verdicts, gold) for a, b in combinations(asked, 2)
    )
    return Qualification(_weigh(measured, pairs, voting), pairs, requests_table(asked))


def _measure(
    asked: Asked, gold: Mapping[str, str], cluster_of: Mapping[str, str], voting: VotingSettings
) -> JudgeQualification:
    """Everything but the weight."""
    verdicts = asked.verdicts
    sides = {pair: v.verdict for pair, v in sorted(verdicts.items()) if v.verdict in SIDES}
    right = [side == gold[pair] for pair, side in sides.items()]
    clusters = [cluster_of[pair] for pair in sides]
    accuracy = sum(right) / len(right) if right else None
    bias = position_bias(asked.votes.values())

    flags = []
    if len(sides) >= _NUM_CONSTANT and len(set(sides.values())) == 1 and len({gold[p] for p in sides}) == 2:
        flags.append("constant_verdict")
    enough = voting.min_labels_to_qualify
    if len(sides) < enough:
        mute = len(verdicts) >= enough and len(sides) < len(verdicts) / 2
        flags.append("mostly_undecided" if mute else "too_few_labels")
    elif accuracy is not None and accuracy < voting.min_accuracy:
        flags.append("below_bar")
    if bias and abs(bias.value) >= _NOTABLE_BIAS and not bias.interval[0] <= 0 <= bias.interval[1]:
        flags.append("position_bias")

    used = not {"constant_verdict", "mostly_undecided", "below_bar"} & set(flags)
    return JudgeQualification(
        judge=asked.judge.name,
        judge_version=asked.judge.version,
        simulated=asked.judge.simulated,
        num_gold=len(gold),
        num_answered=len(verdicts),
        num_labels=len(sides),
        num_clusters=len(set(clusters)),
        accuracy=accuracy,
        interval=wilson_interval(right, clusters),
        position_bias=bias.value if bias else None,
        position_bias_interval=bias.interval if bias else None,
        self_consistency=self_consistency(asked.votes.values()),
        order_consistency=order_consistency(verdicts.values()),
        num_calls=len(asked.requests),
        usd=asked.usd,
        weight=0.0,
        weight_from="not_used" if not used else "assumed" if "too_few_labels" in flags else "measured",
        used=used,
        flags=tuple(flags),
        why=_why(flags, sides, len(verdicts), accuracy, voting),
    )


def _weigh(
    measured: Sequence[JudgeQualification], pairs: Sequence[JudgePair], voting: VotingSettings
) -> tuple[JudgeQualification, ...]:
    accuracies = {}
    for judge in measured:
        if judge.weight_from == "assumed":
            accuracies[judge.judge] = ASSUMED_ACCURACY
        elif judge.used and judge.accuracy is not None:
            num_right = judge.accuracy * judge.num_labels
            accuracies[judge.judge] = shrunk_accuracy(num_right, judge.num_labels, voting.shrinkage_labels)
    correlations = {
        # Shrunk like the accuracies, towards independence.
        frozenset((p.judge_a, p.judge_b)): p.error_correlation * p.num_labels / (p.num_labels + voting.shrinkage_labels)
        for p in pairs
        if p.error_correlation is not None and p.num_labels >= voting.min_labels_to_qualify
    }
    weights = weigh(accuracies, correlations)
    return tuple(replace(judge, weight=weights.get(judge.judge, 0.0)) for judge in measured)


def _why(
    flags: Sequence[str],
    sides: Mapping[str, str],
    num_answered: int,
    accuracy: float | None,
    voting: VotingSettings,
) -> str:
    share = "none" if accuracy is None else f"{accuracy:.3f}"
    if "constant_verdict" in flags:
        return f"Not used: it says {next(iter(sides.values()))!r} on all {len(sides)} pairs, and gold says both."
    if "mostly_undecided" in flags:
        return (
            f"Not used: it has a side on {len(sides)} of {num_answered} answered gold pairs, less than half "
            f"and fewer than {voting.min_labels_to_qualify}."
        )
    if "below_bar" in flags:
        return f"Not used: accuracy {share} on {len(sides)} labels is below the bar of {voting.min_accuracy:g}."
    if "too_few_labels" in flags:
        return (
            f"Used at an assumed accuracy of {ASSUMED_ACCURACY:g}: it has a side on {len(sides)} gold pairs, "
            f"fewer than {voting.min_labels_to_qualify}."
        )
    note = " It prefers the response shown first." if "position_bias" in flags else ""
    return f"Used: accuracy {share} on {len(sides)} labels reaches the bar of {voting.min_accuracy:g}.{note}"
