"""Drift: whether a judge has become worse since the round before, by more than chance explains."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from assets.llm_annotated.votes import SIDES, JudgeVerdict
from evaluation.intervals import compare_paired, estimate_accuracy


@dataclass(frozen=True)
class Drift:
    """One judge in two rounds.

    Attributes:
        judge: its name; the version may have changed, which is what this is to find.
        num_labels: gold pairs compared: those with a side in both rounds, or where there are too few, of each round.
        num_clusters: prompt clusters of these.
        paired: whether the two rounds are compared on the same pairs.
        before, now: accuracy.
        difference: now less before; interval: 95 %, None over too few clusters.
        drifted: it fell by more than is allowed, and the interval excludes 0.
    """

    judge: str
    num_labels: int
    num_clusters: int
    paired: bool
    before: float
    now: float
    difference: float
    interval: tuple[float, float] | None
    drifted: bool


def measure_drift(
    judge: str,
    now: Mapping[str, JudgeVerdict],
    before: Mapping[str, JudgeVerdict],
    gold: Mapping[str, str],
    cluster_of: Mapping[str, str],
    *,
    max_drift: float,
    min_labels: int,
) -> Drift | None:
    """Compare a judge with itself, on the pairs that both rounds share where there are enough of them.

    Args:
        now, before: verdicts on gold dev.
        gold: side by pair, as gold stands now: for both rounds, so that a corrected label is no drift.
        max_drift: largest fall of accuracy that is no drift.
        min_labels: fewer shared pairs are not compared; the two rounds then are, as if of different pairs.

    Returns:
        None where a round has no pair with a side.
    """
    right_now, right_before = (
        {p: float(v.verdict == gold[p]) for p, v in sorted(one.items()) if v.verdict in SIDES and p in gold}
        for one in (now, before)
    )
    if not right_now or not right_before:
        return None
    shared = sorted(right_now.keys() & right_before.keys())
    if len(shared) >= min_labels:
        clusters = [cluster_of[pair] for pair in shared]
        first, second = [right_now[p] for p in shared], [right_before[p] for p in shared]
        found = compare_paired(first, second, clusters, seed=0).difference
        difference, interval, num_clusters = found.value or 0.0, found.ci95, found.num_clusters
        means = sum(second) / len(shared), sum(first) / len(shared)
        num_labels = len(shared)
    else:
        one, other = (
            estimate_accuracy(list(right.values()), [cluster_of.get(p, p) for p in right], seed=0)
            for right in (right_now, right_before)
        )
        assert one.value is not None
        assert other.value is not None
        means, difference = (other.value, one.value), one.value - other.value
        num_labels, num_clusters = min(one.n, other.n), min(one.num_clusters, other.num_clusters)
        interval = None
        if one.ci95 and other.ci95:
            half = math.hypot(one.ci95[1] - one.ci95[0], other.ci95[1] - other.ci95[0]) / 2
            interval = difference - half, difference + half
    drifted = difference < -max_drift and interval is not None and interval[1] < 0
    return Drift(
        judge, num_labels, num_clusters, len(shared) >= min_labels, means[0], means[1], difference, interval, drifted
    )
