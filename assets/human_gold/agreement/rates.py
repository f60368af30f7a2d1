"""People's rates in the crowd model: expected counts, pulled towards those of all people."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

# Pseudo-counts of what people are like before anything is known: right on four of five pairs that have a better side,
# on four of five ties; one pair in ten a tie. Worth few labels: they matter to a crowd of few labels only.
PRIOR_SIDED = np.array([8.0, 1.5, 0.5])
PRIOR_TIE = np.array([4.0, 1.0])
PRIOR_TIE_RATE = np.array([1.0, 9.0])
LEAST_TIE_SEEN = 0.5
"""What a tie is: a pair on which people say tie at least as often as not.

Without this the third truth becomes a drawer for contested pairs on which nobody says tie: on a real crowd (simpeval,
4 % of the votes a tie) it took 30 % of the pairs.
"""

_STRENGTHS = 2.0 ** np.arange(1, 10.01, 0.5)
# The strength of the prior is itself unknown: about 20 labels, within a factor of about 3.
_LOG_STRENGTH_MEAN, _LOG_STRENGTH_SD = np.log(20.0), 1.2
FIRST_STRENGTH = 16.0


@dataclass(frozen=True)
class Rates:
    """How people err.

    Attributes:
        sided: [people, 3], right, wrong_side, missed; rows sum to 1.
        tie: [people, 2], tie seen and not seen.
        tie_rate: share of pairs that are true ties.
        sided_mean, tie_mean: the same of all people together.
        sided_strength, tie_strength: labels that the prior around the mean is worth.
        sided_size, tie_size: [people], expected answers on sided pairs and ties, with the prior's.
        tie_lift: log-odds by which tie seen stands above what the counts say (see `LEAST_TIE_SEEN`).
    """

    sided: np.ndarray
    tie: np.ndarray
    tie_rate: float
    sided_mean: np.ndarray
    tie_mean: np.ndarray
    sided_strength: float
    tie_strength: float
    sided_size: np.ndarray
    tie_size: np.ndarray
    tie_lift: float


def rates_of(
    sided: np.ndarray, tie: np.ndarray, num_ties: float, num_pairs: int, strengths: tuple[float, float]
) -> Rates:
    """Rates given the expected counts.

    Args:
        sided: right, wrong side, missed by person, [people, 3]; tie: tie seen and not, [people, 2].
        num_ties: expected true ties among the `num_pairs` pairs with a vote.
        strengths: of the priors of sided pairs and ties.
    """
    sided_mean, tie_mean = _mean(sided, PRIOR_SIDED), _mean(tie, PRIOR_TIE)
    seen, weights = _shrunk(tie, tie_mean, strengths[1])[:, 0], tie.sum(axis=1)
    lift = _least_lift(np.append(seen, tie_mean[0]), np.append(weights, PRIOR_TIE.sum()))
    seen, mean_seen = lifted(seen, lift), float(lifted(tie_mean[:1], lift)[0])
    return Rates(
        sided=_shrunk(sided, sided_mean, strengths[0]),
        tie=np.stack([seen, 1 - seen], axis=1),
        tie_rate=float((num_ties + PRIOR_TIE_RATE[0]) / (num_pairs + PRIOR_TIE_RATE.sum())),
        sided_mean=sided_mean,
        tie_mean=np.array([mean_seen, 1 - mean_seen]),
        sided_strength=strengths[0],
        tie_strength=strengths[1],
        sided_size=sided.sum(axis=1) + strengths[0],
        tie_size=weights + strengths[1],
        tie_lift=lift,
    )


def lifted(shares: np.ndarray, by: float) -> np.ndarray:
    """Shares whose log-odds are raised by as much."""
    if by == 0:
        return shares
    odds = shares * np.exp(by)
    return odds / (1 - shares + odds)


def strength_of(estimates: np.ndarray, mean: np.ndarray, size: np.ndarray, strength: float) -> float:
    """The strength of the prior under which people's estimates differ as much as they do.

    People differ by mean (1 - mean) / (strength + 1), and how strong the prior is is itself unsure: the strength given
    back is the one at which they differ as much as on average over what is believed of it.

    An estimate's distance from the mean, freed of the pull of the strength it was made with, varies by the person's own
    sampling error, mean (1 - mean) / size, and by how people differ, mean (1 - mean) / (strength + 1). Expected counts
    themselves would not do: where the truth is unsure they make all people look alike.

    Args:
        estimates: [people, rates], made with `strength`.
        size: effective number of answers behind each, [people, rates].
    """
    away = (estimates - mean) * (1 + strength / size)
    scores = []
    for tried in _STRENGTHS:
        variance = mean * (1 - mean) * (1 / size + 1 / (tried + 1))
        # Rates of a row sum to one: one of them is not free.
        free = (estimates.shape[1] - 1) / estimates.shape[1]
        likelihood = -0.5 * free * float((np.log(variance) + away**2 / variance).sum())
        scores.append(likelihood - 0.5 * ((np.log(tried) - _LOG_STRENGTH_MEAN) / _LOG_STRENGTH_SD) ** 2)
    belief = np.exp(np.array(scores) - max(scores))
    return float(belief.sum() / (belief / (_STRENGTHS + 1)).sum() - 1)


def _least_lift(seen: np.ndarray, weights: np.ndarray) -> float:
    """The least raise of everyone's log-odds, 0 or more, at which ties are seen `LEAST_TIE_SEEN` of the time."""
    low, high = 0.0, 30.0
    if np.average(seen, weights=weights) >= LEAST_TIE_SEEN:
        return low
    for _ in range(60):
        middle = (low + high) / 2
        short = np.average(lifted(seen, middle), weights=weights) < LEAST_TIE_SEEN
        low, high = (middle, high) if short else (low, middle)
    return high


def _mean(counts: np.ndarray, prior: np.ndarray) -> np.ndarray:
    total = counts.sum(axis=0) + prior
    return total / total.sum()


def _shrunk(counts: np.ndarray, mean: np.ndarray, strength: float) -> np.ndarray:
    pulled = counts + strength * mean
    return pulled / pulled.sum(axis=1, keepdims=True)
