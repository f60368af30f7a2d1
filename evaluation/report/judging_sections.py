"""Judging sections: what the report shows of judges beyond their row in the table, one frozen model each."""

from __future__ import annotations

from pydantic import Field

from evaluation.report.sections import Count, Interval, Section, Share


class JudgeDetail(Section):
    """One judge on gold dev; biases are differences of shares, costs are dollars a pair asked about."""

    name: str
    simulated: bool
    tier: Count
    used: bool
    weight: float
    position_bias: float | None = None
    position_bias_ci95: Interval | None = None
    length_bias: float | None = None
    length_bias_ci95: Interval | None = None
    order_consistency: Share | None = None
    ece: float | None = None
    usd_per_pair: float = 0.0
    prompt_tokens_per_pair: float | None = None
    cached_rate: Share | None = None
    num_calls: Count = 0
    statuses: dict[str, Count] = Field(default_factory=dict)


class Reliability(Section):
    """Confidence against the share right: points are (mean confidence, share right, labels)."""

    name: str
    n: Count
    ece: float | None = None
    ece_by_chance: float | None = None
    points: tuple[tuple[float, float, Count], ...] = ()


class SliceRow(Section):
    """One part of gold dev: by judge, (share right, labels, interval)."""

    dimension: str
    part: str
    judges: dict[str, tuple[float, Count, Interval | None]]


class JudgePairRow(Section):
    """Two judges: share of equal sides, correlation of errors, on so many pairs."""

    first: str
    second: str
    agreement: Share | None = None
    error_correlation: float | None = None
    n: Count = 0


class Way(Section):
    """One way of getting labels on one set of pairs; `difference` is the first row's less this one's, paired."""

    name: str
    n: Count
    num_clusters: Count
    accuracy: Share | None
    ci95: Interval | None = None
    difference: float | None = None
    difference_ci95: Interval | None = None


class Spend(Section):
    """What one batch of judging cost, and what the cascade spared."""

    batch: str
    usd: dict[str, float]
    num_pairs: Count
    num_undecided: Count
    calls_spared: Count = 0
    usd_spared: float = 0.0
    over_budget: Count = 0
    no_verdict: dict[str, Count] = Field(default_factory=dict)


class DriftRow(Section):
    """One judge in this round and the one before."""

    judge: str
    before: Share
    now: Share
    difference: float
    ci95: Interval | None = None
    n: Count
    drifted: bool


class Judging(Section):
    """Everything about judges.

    Attributes:
        panel: ways of merging, on gold dev; silver: the same on pairs that judges labelled, against the known truth;
            guidance: guided and unguided on these, where it can be had without paying.
    """

    round: str
    weighting: str
    calibration: str
    judges: tuple[JudgeDetail, ...]
    reliability: tuple[Reliability, ...] = ()
    slices: tuple[SliceRow, ...] = ()
    pairs: tuple[JudgePairRow, ...] = ()
    panel: tuple[Way, ...] = ()
    silver: tuple[Way, ...] = ()
    guidance: tuple[Way, ...] = ()
    guidance_note: str = ""
    spend: tuple[Spend, ...] = ()
    drift: tuple[DriftRow, ...] = ()
