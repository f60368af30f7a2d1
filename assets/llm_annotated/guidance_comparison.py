"""Guidance comparison: the same judges on gold dev without examples, with random and with retrieved ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import pyarrow as pa

from assets.llm_annotated.cascade import JudgePlan
from assets.llm_annotated.gold_dev import verdicts_in_requests
from assets.llm_annotated.judge_slices import PairFacts
from assets.llm_annotated.judging import Judge, JudgeCall
from assets.llm_annotated.qualification import Qualification
from assets.llm_annotated.qualifying import qualify
from assets.llm_annotated.settings import VotingSettings
from assets.llm_annotated.votes import SIDES, JudgeVerdict
from evaluation.intervals import compare_paired, estimate_accuracy

WAYS: tuple[Literal["none", "random", "retrieved"], ...] = ("none", "random", "retrieved")
"""Ways of guidance, from nothing to the paper's."""

PANEL_ROW = "panel"


@dataclass(frozen=True)
class WayMeasure:
    """One judge, or the panel, under one way of guidance; a gold pair without a side counts as half right.

    Attributes:
        judge: name, or `PANEL_ROW`; way: of `WAYS`.
        accuracy, interval: 95 % over prompt clusters.
        num_pairs, num_clusters: gold pairs, the same for every way.
        usd: what it cost.
    """

    judge: str
    way: str
    accuracy: float
    interval: tuple[float, float] | None
    num_pairs: int
    num_clusters: int
    usd: float


@dataclass(frozen=True)
class WayDifference:
    """Two ways of guidance on the same pairs: `first` less `second`, paired, clustered by prompt."""

    judge: str
    first: str
    second: str
    difference: float
    interval: tuple[float, float] | None


@dataclass(frozen=True)
class GuidanceComparison:
    """All judges under all ways."""

    measures: tuple[WayMeasure, ...]
    differences: tuple[WayDifference, ...]
    by_way: Mapping[str, Qualification]


def compare_guidance(
    judges: Sequence[Judge],
    gold_dev: pa.Table,
    voting: VotingSettings,
    examples: Mapping[str, Mapping[str, Sequence[str]]],
    *,
    plans: Mapping[str, JudgePlan] | None = None,
    facts: Mapping[str, PairFacts] | None = None,
    batch: str = "guidance",
) -> GuidanceComparison:
    """Qualify the judges once per way and compare the ways pair by pair.

    Args:
        examples: by way, few-shot gold pairs by pair.
        batch: calls are paid under `batch-<way>`.
    """
    by_way = {
        way: qualify(judges, gold_dev, voting, batch=f"{batch}-{way}", examples=shown, plans=plans, facts=facts)
        for way, shown in examples.items()
    }
    rows = gold_dev.select(["pair_id", "prompt_cluster_id", "verdict"]).to_pylist()
    gold = {
        row["pair_id"]: row["verdict"] for row in sorted(rows, key=lambda r: r["pair_id"]) if row["verdict"] in SIDES
    }
    cluster_of = {row["pair_id"]: row["prompt_cluster_id"] for row in rows}
    clusters = [cluster_of[pair] for pair in gold]
    measures: list[WayMeasure] = []
    values: dict[tuple[str, str], list[float]] = {}
    for way, found in by_way.items():
        verdicts = verdicts_in_requests(found.requests)
        usd = {one.judge: one.usd for one in found.judges}
        for name in [judge.name for judge in judges] + [PANEL_ROW] * bool(found.panel.accuracies):
            if name == PANEL_ROW:
                right = [_panel_right(found, verdicts, pair, side) for pair, side in gold.items()]
            else:
                right = [_right(verdicts.get(name, {}).get(pair), side) for pair, side in gold.items()]
            estimate = estimate_accuracy(right, clusters, seed=0)
            if estimate.value is not None:
                values[name, way] = right
                cost = usd.get(name, sum(usd.values()))
                measures.append(
                    WayMeasure(name, way, estimate.value, estimate.ci95, estimate.n, estimate.num_clusters, cost)
                )
    differences = []
    for name in dict.fromkeys(one.judge for one in measures):
        for first, second in (("retrieved", "none"), ("random", "none"), ("retrieved", "random")):
            if (name, first) in values and (name, second) in values:
                found_one = compare_paired(values[name, first], values[name, second], clusters, seed=0).difference
                differences.append(WayDifference(name, first, second, found_one.value or 0.0, found_one.ci95))
    return GuidanceComparison(tuple(measures), tuple(differences), by_way)


def _right(verdict: JudgeVerdict | None, side: str) -> float:
    if verdict is None or verdict.verdict not in SIDES:
        return 0.5
    return float(verdict.verdict == side)


def _panel_right(found: Qualification, verdicts: Mapping, pair: str, side: str) -> float:
    given = {name: verdicts[name][pair] for name in found.panel.accuracies if pair in verdicts.get(name, {})}
    if not given:
        return 0.5
    merged, _ = found.panel.walk(given)
    return float(merged.verdict == side) if merged.verdict in SIDES else 0.5


def planned_calls(
    judge: Judge,
    pair_ids: Sequence[str],
    votes_per_order: int,
    examples: Mapping[str, Sequence[str]] | None = None,
) -> list[JudgeCall]:
    """The calls that asking a judge about these pairs would make, for an estimate of what they cost."""
    return [
        JudgeCall(pair, first, vote, tuple((examples or {}).get(pair, ())))
        for pair in sorted(set(pair_ids))
        for first, vote in judge.plan(pair, votes_per_order)
    ]
