"""Calibration: whether a confidence is the share that is right, and the temperature that makes it so."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

NUM_BINS = 10
"""Bins of equal width, of confidences from 0.5 to 1."""

_NUM_DRAWS = 1_000
# Standard deviation of log-temperature before anything is seen: wide, but a panel without an error on gold dev does
# not become infinitely sure.
_PRIOR_SD = 1.0
_LIMITS = (0.1, 20.0)


@dataclass(frozen=True)
class Bin:
    """Confidences that lie in one bin.

    Attributes:
        low, high: its ends; the last bin holds 1.
        num: labels in it.
        confidence: their mean confidence.
        accuracy: share of them that is right.
    """

    low: float
    high: float
    num: int
    confidence: float
    accuracy: float


@dataclass(frozen=True)
class Reliability:
    """Confidence against the share that is right.

    Attributes:
        num: labels it was taken over.
        ece: expected calibration error, mean |accuracy - confidence| of the bins by their share of labels; None
            without labels.
        ece_by_chance: what 95 % of perfectly calibrated judges with these confidences stay below on as many labels,
            taken as independent: an `ece` below it shows no miscalibration.
        bins: those with labels.
    """

    num: int
    ece: float | None
    ece_by_chance: float | None
    bins: tuple[Bin, ...]

    @property
    def is_calibrated(self) -> bool:
        """Whether chance explains the error; without labels nothing speaks against it."""
        return self.ece is None or self.ece_by_chance is None or self.ece <= self.ece_by_chance

    @classmethod
    def from_dict(cls, stored: dict) -> Reliability:
        """Back from a manifest."""
        return cls(**stored | {"bins": tuple(Bin(**one) for one in stored["bins"])})


def measure_reliability(confidences: Sequence[float], right: Sequence[bool]) -> Reliability:
    """Reliability of confidences, each in 0.5 to 1, against whether the verdict was right.

    >>> found = measure_reliability([0.9] * 10, [True] * 6 + [False] * 4)
    >>> round(found.ece, 3), found.bins[0].num
    (0.3, 10)
    """
    import numpy as np

    if not len(confidences):
        return Reliability(0, None, None, ())
    sure, hit = np.asarray(confidences, dtype=float), np.asarray(right, dtype=float)
    # Rounded: 0.8 is the lower end of a bin, whatever its last digit.
    place = np.minimum((np.round((sure - 0.5) * 2 * NUM_BINS, 9)).astype(int), NUM_BINS - 1)
    num = np.bincount(place, minlength=NUM_BINS)
    mean, share = (
        np.divide(np.bincount(place, weights=x, minlength=NUM_BINS), num, out=np.zeros(NUM_BINS), where=num > 0)
        for x in (sure, hit)
    )
    draws = np.random.default_rng(0).random((_NUM_DRAWS, len(sure))) < sure
    # Sum over a bin of (drawn right - confidence), for every draw at once.
    inside = place[:, None] == np.arange(NUM_BINS)
    by_chance = np.abs((draws - sure) @ inside).sum(axis=1) / len(sure)
    return Reliability(
        num=len(sure),
        ece=float((num * np.abs(share - mean)).sum() / len(sure)),
        ece_by_chance=float(np.quantile(by_chance, 0.95)),
        bins=tuple(
            Bin(
                low=0.5 + b / (2 * NUM_BINS),
                high=0.5 + (b + 1) / (2 * NUM_BINS),
                num=int(num[b]),
                confidence=float(mean[b]),
                accuracy=float(share[b]),
            )
            for b in range(NUM_BINS)
            if num[b]
        ),
    )


def fit_temperature(log_odds: Sequence[float]) -> float:
    """Temperature by which to divide log-odds so that they say how often they are right.

    The least cross-entropy, with a weak prior around 1.

    Args:
        log_odds: of the side that gold names; negative where the panel is wrong.
    """
    import numpy as np
    from scipy.optimize import minimize_scalar

    margins = np.asarray(log_odds, dtype=float)
    if not np.any(margins):
        return 1.0

    def loss(log_temperature: float) -> float:
        cross_entropy = np.logaddexp(0, -margins / math.exp(log_temperature)).sum()
        return float(cross_entropy + (log_temperature / _PRIOR_SD) ** 2 / 2)

    found = minimize_scalar(loss, bounds=(math.log(_LIMITS[0]), math.log(_LIMITS[1])), method="bounded")
    return math.exp(float(found.x))
