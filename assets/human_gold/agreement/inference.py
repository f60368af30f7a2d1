"""Inference of the crowd model: truths and people's rates in turn, until they rest."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from assets.human_gold.agreement.information import own_sizes

# Pseudo-counts of what people are like before anything is known: right on four of five pairs that have a better side,
# on four of five ties; one pair in ten a tie. Worth few labels: they matter to a crowd of few labels only.
PRIOR_SIDED = np.array([8.0, 1.5, 0.5])
PRIOR_TIE = np.array([4.0, 1.0])
PRIOR_TIE_RATE = np.array([1.0, 9.0])
_STRENGTHS = 2.0 ** np.arange(1, 10.01, 0.5)
# The strength of the prior is itself unknown: about 20 labels, within a factor of about 3.
_LOG_STRENGTH_MEAN, _LOG_STRENGTH_SD = np.log(20.0), 1.2
_FIRST_STRENGTH = 16.0
# Largest change of a probability at which the truths are at rest; a rougher one while the strength is still looked for.
_TOLERANCE, _ROUGHLY = 1e-6, 1e-4
_MAX_ITERATIONS = 2_000
_MAX_STRENGTHS, _SAME_STRENGTH = 12, 0.05


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


class Votes:
    """Decided votes: parallel arrays of pair, person and verdict (0, 1, 2 for 1, 2, tie)."""

    def __init__(self, pair: np.ndarray, person: np.ndarray, verdict: np.ndarray, num_pairs: int, num_people: int):
        self.pair, self.person, self.verdict = pair, person, verdict
        self.num_pairs, self.num_people = num_pairs, num_people
        self.num_by_person = np.bincount(person, minlength=num_people)
        self.voted_pairs = np.flatnonzero(np.bincount(pair, minlength=num_pairs))
        self.of_tie = verdict == 2
        # What a vote is under each truth: column of right, wrong_side, missed for truths 1 and 2; seen or not for tie.
        self._under_1 = np.array([0, 1, 2])[verdict]
        self._under_2 = np.array([1, 0, 2])[verdict]
        self._under_tie = np.array([1, 1, 0])[verdict]

    def shares(self) -> np.ndarray:
        """Shares of the votes by pair, evened out a little; a pair without a decided vote is anything."""
        flat = np.bincount(self.pair * 3 + self.verdict, minlength=3 * self.num_pairs).reshape(self.num_pairs, 3) + 0.1
        return flat / flat.sum(axis=1, keepdims=True)

    def counts(self, posterior: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Expected counts by person: right, wrong side, missed, [people, 3]; tie seen and not, [people, 2]."""
        key = self.person * 3 + self.verdict
        q = posterior[self.pair]
        by = np.stack([np.bincount(key, weights=column, minlength=3 * self.num_people) for column in q.T], axis=1)
        by = by.reshape(self.num_people, 3, 3)
        sided = np.stack([by[:, 0, 0] + by[:, 1, 1], by[:, 0, 1] + by[:, 1, 0], by[:, 2, 0] + by[:, 2, 1]], axis=1)
        return sided, np.stack([by[:, 2, 2], by[:, 0, 2] + by[:, 1, 2]], axis=1)

    def log_likelihood(self, posterior: np.ndarray, rates: Rates) -> np.ndarray:
        """Log-probability of each vote under each truth, [votes, 3], by what the person's other votes say of them.

        A vote must not vouch for itself: with three votes to a person, it would turn a guess into a certainty.
        """
        q_1, q_2, q_tie = np.ascontiguousarray(posterior.T)[:, self.pair]
        is_sided = q_1 + q_2
        num_sided = rates.sided_size[self.person] - is_sided
        num_tie = rates.tie_size[self.person] - q_tie
        # Counts with the prior's, flat: the column of a vote is its person's first one and its kind.
        prior_and_sided = (rates.sided * rates.sided_size[:, None]).ravel()
        prior_and_tie = (rates.tie * rates.tie_size[:, None]).ravel()
        found = np.empty((3, len(self.pair)))
        found[0] = prior_and_sided[self.person * 3 + self._under_1] - np.where(self.of_tie, is_sided, q_1)
        found[1] = prior_and_sided[self.person * 3 + self._under_2] - np.where(self.of_tie, is_sided, q_2)
        found[:2] /= num_sided
        # Not seeing a tie is saying a side, each equally likely.
        found[2] = (
            (prior_and_tie[self.person * 2 + self._under_tie] - q_tie) * np.where(self.of_tie, 1.0, 0.5) / num_tie
        )
        # A difference of sums may fall short of the prior by rounding, never below a part of it.
        return np.log(np.maximum(found, 1e-9)).T

    def log_joint(self, likelihood: np.ndarray, tie_rate: float) -> np.ndarray:
        """Log-probability of each pair's votes and truth, [pairs, 3]."""
        side = np.log((1 - tie_rate) / 2)
        summed = [np.bincount(self.pair, weights=column, minlength=self.num_pairs) for column in likelihood.T]
        return np.stack(summed, axis=1) + np.array([side, side, np.log(tie_rate)])

    def leave_one_out(self, posterior: np.ndarray, rates: Rates) -> np.ndarray:
        """Posterior of each vote's pair without the vote, [votes, 3]."""
        likelihood = self.log_likelihood(posterior, rates)
        return normalised(self.log_joint(likelihood, rates.tie_rate)[self.pair] - likelihood)


def fit(votes: Votes) -> tuple[Rates, np.ndarray, int, bool]:
    """Truths and rates at a fixed strength of the prior, then the strength, until it stays.

    Returns:
        The rates, the posterior [pairs, 3], the iterations of the last strength, and whether they came to rest.
    """
    posterior = votes.shares()
    strengths = (_FIRST_STRENGTH, _FIRST_STRENGTH)
    for _ in range(_MAX_STRENGTHS):
        posterior, _, _ = _settle(votes, posterior, strengths, _ROUGHLY)
        rates = rates_of(votes, posterior, strengths)
        sided, tie = own_sizes(votes, posterior, rates)
        before, strengths = (
            strengths,
            (
                _strength(rates.sided, rates.sided_mean, sided, rates.sided_strength),
                _strength(rates.tie, rates.tie_mean, tie, rates.tie_strength),
            ),
        )
        if np.allclose(strengths, before, rtol=_SAME_STRENGTH):
            break
    posterior, iterations, converged = _settle(votes, posterior, strengths, _TOLERANCE)
    return rates_of(votes, posterior, strengths), posterior, iterations, converged


def _settle(
    votes: Votes, posterior: np.ndarray, strengths: tuple[float, float], tolerance: float
) -> tuple[np.ndarray, int, bool]:
    for iteration in range(1, _MAX_ITERATIONS + 1):
        rates = rates_of(votes, posterior, strengths)
        updated = normalised(votes.log_joint(votes.log_likelihood(posterior, rates), rates.tie_rate))
        change = float(np.abs(updated - posterior).max(initial=0.0))
        posterior = updated
        if change < tolerance:
            return posterior, iteration, True
    return posterior, _MAX_ITERATIONS, False


def rates_of(votes: Votes, posterior: np.ndarray, strengths: tuple[float, float]) -> Rates:
    """People's rates given the truths: expected counts, pulled towards those of all people."""
    sided, tie = votes.counts(posterior)
    sided_mean, tie_mean = _mean(sided, PRIOR_SIDED), _mean(tie, PRIOR_TIE)
    ties = float(posterior[votes.voted_pairs, 2].sum())
    return Rates(
        sided=_shrunk(sided, sided_mean, strengths[0]),
        tie=_shrunk(tie, tie_mean, strengths[1]),
        tie_rate=float((ties + PRIOR_TIE_RATE[0]) / (len(votes.voted_pairs) + PRIOR_TIE_RATE.sum())),
        sided_mean=sided_mean,
        tie_mean=tie_mean,
        sided_strength=strengths[0],
        tie_strength=strengths[1],
        sided_size=sided.sum(axis=1) + strengths[0],
        tie_size=tie.sum(axis=1) + strengths[1],
    )


def normalised(log_joint: np.ndarray) -> np.ndarray:
    """Rows as probabilities."""
    if not len(log_joint):
        return np.zeros((0, 3))
    shifted = np.exp(log_joint - log_joint.max(axis=1, keepdims=True))
    return shifted / shifted.sum(axis=1, keepdims=True)


def _mean(counts: np.ndarray, prior: np.ndarray) -> np.ndarray:
    total = counts.sum(axis=0) + prior
    return total / total.sum()


def _shrunk(counts: np.ndarray, mean: np.ndarray, strength: float) -> np.ndarray:
    pulled = counts + strength * mean
    return pulled / pulled.sum(axis=1, keepdims=True)


def _strength(estimates: np.ndarray, mean: np.ndarray, size: np.ndarray, strength: float) -> float:
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
