"""Coefficients of agreement: alpha, kappa and raw agreement from sums that add up over pairs.

Every statistic here is a function of sums, [..., columns], so that one call serves a table and a thousand resamples of
it. "undecided" is no value and never among the counts.
"""

from __future__ import annotations

import numpy as np

NUM_VALUES = 3


def unit_sums(counts: np.ndarray) -> np.ndarray:
    """What alpha and raw agreement need of each pair, [pairs, 3 + values].

    Args:
        counts: decided verdicts by pair and value, int [pairs, values].

    Returns:
        Columns: equal ordered pairs of verdicts over (verdicts - 1); equal ordered pairs; ordered pairs; then the
        counts. All zero for a pair with fewer than two verdicts, which no verdict can agree on.
    """
    votes = counts.sum(axis=1)
    usable = votes >= 2
    equal = (counts * (counts - 1)).sum(axis=1)
    return np.column_stack(
        [equal / np.maximum(votes - 1, 1) * usable, equal, votes * (votes - 1), counts * usable[:, None]]
    ).astype(float)


def alpha(sums: np.ndarray) -> np.ndarray:
    """Krippendorff's alpha, nominal, of sums of `unit_sums`; NaN where all verdicts are equal or there are none."""
    observed, values = sums[..., 0], sums[..., 3:]
    total = values.sum(axis=-1)
    expected = (total**2 - (values**2).sum(axis=-1)) / np.maximum(total - 1, 1)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(expected > 0, 1 - (total - observed) / expected, np.nan)


def raw(sums: np.ndarray) -> np.ndarray:
    """Share of pairs of verdicts on one pair that are equal, of sums of `unit_sums`; NaN without any."""
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(sums[..., 2] > 0, sums[..., 1] / sums[..., 2], np.nan)


def krippendorff_alpha(counts: np.ndarray) -> float | None:
    """Nominal alpha from verdict counts, int [pairs, values], by the krippendorff package; None where undefined."""
    units = counts[counts.sum(axis=1) >= 2]
    if np.count_nonzero(units.sum(axis=0)) < 2:
        return None
    import krippendorff

    return float(krippendorff.alpha(value_counts=units, level_of_measurement="nominal"))


def fleiss_sums(counts: np.ndarray, num_raters: int) -> np.ndarray:
    """What Fleiss' kappa needs of each pair, [pairs, 2 + values]: one, its agreement, its counts.

    All zero for a pair with another number of verdicts.
    """
    usable = counts.sum(axis=1) == num_raters
    agreement = (counts * (counts - 1)).sum(axis=1) / (num_raters * (num_raters - 1))
    return np.column_stack([np.ones(len(counts)), agreement, counts]) * usable[:, None]


def fleiss_kappa(sums: np.ndarray) -> np.ndarray:
    """Fleiss' kappa of sums of `fleiss_sums`; NaN where all verdicts are equal or there are none."""
    units, agreement, values = sums[..., 0], sums[..., 1], sums[..., 2:]
    with np.errstate(invalid="ignore", divide="ignore"):
        observed = agreement / units
        shares = values / values.sum(axis=-1, keepdims=True)
        expected = (shares**2).sum(axis=-1)
        return np.where(expected < 1, (observed - expected) / (1 - expected), np.nan)


def fleiss_raters(counts: np.ndarray) -> int | None:
    """The number of decided verdicts that most pairs have, of two or more; of equally many pairs the larger."""
    votes = counts.sum(axis=1)
    votes = votes[votes >= 2]
    if not len(votes):
        return None
    by_number = np.bincount(votes)
    return int(len(by_number) - 1 - np.argmax(by_number[::-1]))


def cohen_kappa(tables: np.ndarray) -> np.ndarray:
    """Cohen's kappa of tables of two people's verdicts, [..., values * values], row by row.

    NaN where both gave one and the same verdict throughout, or there is nothing.
    """
    size = int(np.sqrt(tables.shape[-1]))
    square = tables.reshape(*tables.shape[:-1], size, size)
    total = square.sum(axis=(-1, -2))
    with np.errstate(invalid="ignore", divide="ignore"):
        observed = np.trace(square, axis1=-2, axis2=-1) / total
        expected = (square.sum(axis=-1) * square.sum(axis=-2)).sum(axis=-1) / total**2
        return np.where(expected < 1, (observed - expected) / (1 - expected), np.nan)
