"""Two people at a time: Cohen's kappa on the pairs that both labelled."""

from __future__ import annotations

from dataclasses import asdict, dataclass

import numpy as np

from assets.human_gold.agreement.coefficients import NUM_VALUES, cohen_kappa
from assets.human_gold.agreement.resampling import (
    MIN_CLUSTERS,
    Interval,
    bootstrap_interval,
    resampled_sums,
    sums_by_cluster,
)
from assets.human_gold.agreement.votes import Answers


@dataclass(frozen=True)
class PairOfPeople:
    """Two people on the pairs that both decided.

    Attributes:
        first, second: names, in order.
        num_shared: pairs that both gave 1, 2 or tie on; num_clusters prompt clusters of them.
        raw_rate: share with equal verdicts.
        kappa: Cohen's; None where both gave one and the same verdict throughout.
        interval, raw_interval: 95 %, bootstrap over prompt clusters; None under `MIN_CLUSTERS` clusters.
        table: verdicts of the first (rows) by those of the second (columns) in order 1, 2, tie.
    """

    first: str
    second: str
    num_shared: int
    num_clusters: int
    raw_rate: float
    raw_interval: Interval | None
    kappa: float | None
    interval: Interval | None
    table: tuple[tuple[int, ...], ...]

    def as_dict(self) -> dict:
        """Plain form for manifests and reports."""
        return asdict(self)

    def row(self) -> dict:
        """One row of a table."""
        row = asdict(self)
        row.pop("table")
        for name, interval in (("raw", row.pop("raw_interval")), ("kappa", row.pop("interval"))):
            row[f"{name}_low"], row[f"{name}_high"] = interval or (None, None)
        return row


@dataclass(frozen=True)
class PairsOfPeople:
    """All pairs of people with enough in common.

    Attributes:
        pairs: by names.
        num_left_out: pairs of people who share fewer pairs than asked for, and at least one.
    """

    pairs: tuple[PairOfPeople, ...]
    num_left_out: int


def measure_pairs_of_people(
    labels: Answers, *, seed: int, num_bootstrap: int, min_shared: int = MIN_CLUSTERS
) -> PairsOfPeople:
    """Cohen's kappa of every two people who share at least `min_shared` pairs; the others are counted."""
    decided = labels.where(labels.decided)
    one, two = _together(decided.pair, decided.person)
    key = decided.person[one] * len(labels.people) + decided.person[two]
    order = np.argsort(key, kind="stable")
    keys, starts = np.unique(key[order], return_index=True)
    ends = np.append(starts[1:], len(order))
    found, num_left_out = [], 0
    for code, start, end in zip(keys, starts, ends[: len(keys)], strict=True):
        rows = order[start:end]
        if len(rows) < min_shared:
            num_left_out += 1
            continue
        cell = decided.verdict[one[rows]] * NUM_VALUES + decided.verdict[two[rows]]
        first, second = divmod(int(code), len(labels.people))
        found.append(
            _pair(labels.people[first], labels.people[second], cell, decided.cluster[one[rows]], seed, num_bootstrap)
        )
    return PairsOfPeople(tuple(found), num_left_out)


def _pair(first: str, second: str, cell: np.ndarray, clusters: np.ndarray, seed: int, num: int) -> PairOfPeople:
    tables = np.eye(NUM_VALUES**2)[cell]
    table = tables.sum(axis=0)
    by_cluster = sums_by_cluster(tables, clusters)
    interval = raw_interval = None
    if len(by_cluster) >= MIN_CLUSTERS:
        drawn = resampled_sums(by_cluster, seed, num)
        interval, raw_interval = bootstrap_interval(drawn, cohen_kappa), bootstrap_interval(drawn, _equal)
    kappa = float(cohen_kappa(table))
    return PairOfPeople(
        first=first,
        second=second,
        num_shared=len(cell),
        num_clusters=len(by_cluster),
        raw_rate=float(_equal(table)),
        raw_interval=raw_interval,
        kappa=kappa if np.isfinite(kappa) else None,
        interval=interval,
        table=tuple(tuple(int(n) for n in row) for row in table.reshape(NUM_VALUES, NUM_VALUES)),
    )


def _equal(tables: np.ndarray) -> np.ndarray:
    return tables[..., :: NUM_VALUES + 1].sum(axis=-1) / tables.sum(axis=-1)


def _together(pair: np.ndarray, person: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Rows of every two labels of one pair, the person of the lower code first."""
    order = np.lexsort((person, pair))
    sorted_pair = pair[order]
    first, second = [], []
    for apart in range(1, int(np.bincount(pair).max(initial=0)) if len(pair) else 0):
        same = np.flatnonzero(sorted_pair[apart:] == sorted_pair[:-apart])
        first.append(order[same])
        second.append(order[same + apart])
    nothing = np.zeros(0, dtype=np.int64)
    return np.concatenate([nothing, *first]), np.concatenate([nothing, *second])
