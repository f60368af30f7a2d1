"""Judge measures: accuracy, position bias, consistency and shared errors, from votes and gold verdicts."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from assets.llm_annotated.votes import SIDES, JudgeVerdict, Vote

MIN_CLUSTERS = 20
"""An interval over fewer prompt clusters is not given (design, the tables, Splits)."""

_Z_95 = 1.959963984540054


@dataclass(frozen=True)
class PositionBias:
    """Preference for the response shown first.

    Attributes:
        value: share of calls that chose it, minus 0.5, each display order counting the same: -0.5 to 0.5.
        standard_error: over pairs.
    """

    value: float
    standard_error: float

    @property
    def interval(self) -> tuple[float, float]:
        """95 %, normal approximation."""
        return self.value - _Z_95 * self.standard_error, self.value + _Z_95 * self.standard_error


@dataclass(frozen=True)
class JudgePair:
    """Two judges on the pairs that both were asked about.

    Attributes:
        judge_a, judge_b: names, in alphabetical order.
        num_pairs: pairs on which both have a side.
        agreement_rate: share of these with the same side; None without any.
        num_labels: of these, pairs with a gold side.
        error_correlation: phi coefficient of their errors on gold; None when undefined.
    """

    judge_a: str
    judge_b: str
    num_pairs: int
    agreement_rate: float | None
    num_labels: int
    error_correlation: float | None


def wilson_interval(right: Sequence[bool], clusters: Sequence[str]) -> tuple[float, float] | None:
    """Wilson's 95 % interval of a share, with the sample size divided by the design effect of prompt clusters.

    The design effect is the cluster-robust variance over the binomial one, at least 1.

    Returns:
        Low and high; None over fewer than `MIN_CLUSTERS` clusters.
    """
    if len(set(clusters)) < MIN_CLUSTERS:
        return None
    from scipy.stats import binomtest

    n, share = len(right), sum(right) / len(right)
    binomial = share * (1 - share) * n
    by_cluster: dict[str, float] = defaultdict(float)
    for is_right, cluster in zip(right, clusters, strict=True):
        by_cluster[cluster] += is_right - share
    robust = sum(residual**2 for residual in by_cluster.values())
    effect = max(1.0, robust / binomial) if binomial else 1.0
    if effect == 1.0:
        interval = binomtest(sum(right), n).proportion_ci(method="wilson")
        return float(interval.low), float(interval.high)
    effective = n / effect
    middle = (share + _Z_95**2 / (2 * effective)) / (1 + _Z_95**2 / effective)
    half = _Z_95 * math.sqrt(share * (1 - share) / effective + _Z_95**2 / (4 * effective**2))
    half /= 1 + _Z_95**2 / effective
    return middle - half, middle + half


def position_bias(votes: Iterable[Sequence[Vote]]) -> PositionBias | None:
    """Position bias from the votes of each pair; None unless both display orders were asked.

    Within one order the share that chose the response shown first mixes bias with which response is better;
    the mean of both orders does not.
    """
    pairs = [[v for v in given if v.first_shown in (1, 2) and v.verdict in SIDES] for given in votes]
    num = {order: sum(v.first_shown == order for given in pairs for v in given) for order in (1, 2)}
    if not all(num.values()):
        return None
    mean = {
        order: sum(v.verdict == str(order) for given in pairs for v in given if v.first_shown == order) / num[order]
        for order in (1, 2)
    }
    variance = 0.0
    for given in pairs:
        influence = sum(
            ((v.verdict == str(v.first_shown)) - mean[v.first_shown]) / (2 * num[v.first_shown]) for v in given
        )
        variance += influence**2
    return PositionBias((mean[1] + mean[2]) / 2 - 0.5, math.sqrt(variance))


def calls_by_place(votes: Iterable[Sequence[Vote]]) -> tuple[int, int]:
    """Calls that named the response shown first, and all calls with a side; 0 and 0 unless both orders have as many.

    A judge asked much oftener in one order than in the other may name the first for being right.
    """
    named = [v for given in votes for v in given if v.first_shown in (1, 2) and v.verdict in SIDES]
    by_order = [sum(v.first_shown == order for v in named) for order in (1, 2)]
    if max(by_order) > 1.5 * min(by_order):
        return 0, 0
    return sum(v.verdict == str(v.first_shown) for v in named), len(named)


def self_consistency(votes: Iterable[Sequence[Vote]]) -> float | None:
    """Share of pairs of calls with the same question and order that got the same verdict; None without repeats."""
    same = total = 0
    for given in votes:
        by_order: dict[int, list[str]] = defaultdict(list)
        for vote in given:
            by_order[vote.first_shown].append(vote.verdict)
        for verdicts in by_order.values():
            for place, verdict in enumerate(verdicts):
                total += place
                same += verdicts[:place].count(verdict)
    return same / total if total else None


def order_consistency(verdicts: Iterable[JudgeVerdict]) -> float | None:
    """Share of pairs whose two display orders give the same verdict; None unless both were asked."""
    both = [v.first_shown_verdicts for v in verdicts if {1, 2} <= v.first_shown_verdicts.keys()]
    return sum(v[1] == v[2] for v in both) / len(both) if both else None


def compare_judges(
    name_a: str,
    verdicts_a: Mapping[str, JudgeVerdict],
    name_b: str,
    verdicts_b: Mapping[str, JudgeVerdict],
    gold: Mapping[str, str],
) -> JudgePair:
    """Agreement of two judges, and how their errors go together where gold names a side."""
    shared = sorted(
        pair
        for pair in verdicts_a.keys() & verdicts_b.keys()
        if verdicts_a[pair].verdict in SIDES and verdicts_b[pair].verdict in SIDES
    )
    equal = sum(verdicts_a[p].verdict == verdicts_b[p].verdict for p in shared)
    labelled = [p for p in shared if gold.get(p) in SIDES]
    errors_a = [verdicts_a[p].verdict != gold[p] for p in labelled]
    errors_b = [verdicts_b[p].verdict != gold[p] for p in labelled]
    return JudgePair(
        judge_a=name_a,
        judge_b=name_b,
        num_pairs=len(shared),
        agreement_rate=equal / len(shared) if shared else None,
        num_labels=len(labelled),
        error_correlation=phi_coefficient(errors_a, errors_b),
    )


def phi_coefficient(a: Sequence[bool], b: Sequence[bool]) -> float | None:
    """Correlation of two sequences of truth values; None when either never changes.

    >>> phi_coefficient([True, True, False, False], [True, True, False, False])
    1.0
    """
    n, num_a, num_b = len(a), sum(a), sum(b)
    if n == 0 or num_a in (0, n) or num_b in (0, n):
        return None
    both = sum(x and y for x, y in zip(a, b, strict=True))
    return (n * both - num_a * num_b) / math.sqrt(num_a * (n - num_a) * num_b * (n - num_b))
