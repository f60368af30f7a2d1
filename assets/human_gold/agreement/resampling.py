"""Intervals over prompt clusters: the bootstrap of sums, and Wilson's interval of a share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass

import numpy as np

MIN_CLUSTERS = 20
"""An interval over fewer prompt clusters is not given (design, the tables, Splits)."""

Interval = tuple[float, float]
_CHUNK = 4_000_000


@dataclass(frozen=True)
class Share:
    """A share of answers.

    Attributes:
        hits, num: the share is hits / num.
        rate: None where num is 0.
        num_clusters: prompt clusters of the num answers.
        interval: 95 % (see `share_of`); None under `MIN_CLUSTERS` clusters.
    """

    hits: int
    num: int
    rate: float | None
    num_clusters: int
    interval: Interval | None

    def as_dict(self) -> dict:
        """Plain form for manifests and reports."""
        return asdict(self)


def share_of(hits: np.ndarray, clusters: np.ndarray) -> Share:
    """A share with Wilson's 95 % interval, whose number of answers is the effective one.

    Answers on one prompt are alike, so they count for less: the effective number is the one at which a simple random
    sample would have the variance that the sums over clusters have. It is at most the number of answers. Where all
    answers are equal that variance says nothing, and each cluster counts as one answer. Wilson's form, other than a
    percentile bootstrap, keeps a width at 0 and at 1; Student's quantile allows for few clusters.

    Args:
        hits: bool [n].
        clusters: int [n], the prompt cluster of each.
    """
    num = len(hits)
    _, codes = np.unique(clusters, return_inverse=True)
    num_clusters = int(codes.max()) + 1 if num else 0
    if not num:
        return Share(0, 0, None, 0, None)
    rate = float(np.mean(hits))
    if num_clusters < MIN_CLUSTERS:
        return Share(int(np.sum(hits)), num, rate, num_clusters, None)
    if rate in (0.0, 1.0):
        effective = float(num_clusters)
    else:
        by_cluster = np.bincount(codes, weights=hits - rate)
        variance = num_clusters / (num_clusters - 1) * float(np.sum(by_cluster**2)) / num**2
        effective = min(float(num), rate * (1 - rate) / variance) if variance > 0 else float(num)
    from scipy.stats import t

    return Share(
        int(np.sum(hits)), num, rate, num_clusters, wilson(rate, effective, float(t.ppf(0.975, num_clusters - 1)))
    )


def wilson(rate: float, num: float, quantile: float = 1.959964) -> Interval:
    """Wilson's score interval of a share of `num` answers, which need not be a whole number.

    >>> [round(x, 3) for x in wilson(0.8, 10)]
    [0.49, 0.943]
    """
    shrink = 1 + quantile**2 / num
    centre = (rate + quantile**2 / (2 * num)) / shrink
    half = quantile / shrink * np.sqrt(rate * (1 - rate) / num + quantile**2 / (4 * num**2))
    return max(0.0, float(centre - half)), min(1.0, float(centre + half))


def resampled_sums(sums: np.ndarray, seed: int, num_bootstrap: int) -> np.ndarray:
    """Sums over resamples of the clusters, [num_bootstrap, columns].

    Clusters with the same sums are interchangeable, so how often each kind is drawn is multinomial over kinds: the
    same distribution as drawing clusters, in a fraction of the time where most clusters are one pair.

    Args:
        sums: [clusters, columns].
    """
    kinds, count = np.unique(sums, axis=0, return_counts=True)
    generator = np.random.default_rng(seed)
    rows = max(1, _CHUNK // max(1, len(kinds)))
    parts = []
    for start in range(0, num_bootstrap, rows):
        size = min(rows, num_bootstrap - start)
        parts.append(generator.multinomial(len(sums), count / len(sums), size=size) @ kinds)
    return np.vstack(parts)


def sums_by_cluster(values: np.ndarray, clusters: np.ndarray) -> np.ndarray:
    """Rows of `values` [n, columns] added up by cluster, [clusters, columns]."""
    _, codes = np.unique(clusters, return_inverse=True)
    size = int(codes.max()) + 1 if len(codes) else 0
    return np.stack([np.bincount(codes, weights=column, minlength=size) for column in values.T], axis=1)


def bootstrap_interval(
    drawn: np.ndarray, statistic: Callable[[np.ndarray], np.ndarray], *, least_defined: float = 0.95
) -> Interval | None:
    """95 % percentile interval of a statistic of resampled sums.

    A resample may leave the statistic undefined (NaN), as when all its verdicts are equal. Where that happens to more
    than `1 - least_defined` of the resamples there is no interval.
    """
    values = statistic(drawn)
    defined = np.isfinite(values)
    if defined.mean() < least_defined:
        return None
    low, high = np.quantile(values[defined], [0.025, 0.975])
    return float(low), float(high)
