"""Inference of the crowd model: truths and people's rates in turn, until they rest."""

from __future__ import annotations

import numpy as np

from assets.human_gold.agreement.information import own_sizes
from assets.human_gold.agreement.rates import FIRST_STRENGTH, Rates, lifted, rates_of, strength_of

# Largest change of a probability at which the truths are at rest; a rougher one while the strength is still looked for.
_TOLERANCE, _ROUGHLY = 1e-6, 1e-4
_MAX_ITERATIONS = 2_000
_MAX_STRENGTHS, _SAME_STRENGTH = 12, 0.05


class Votes:
    """Decided votes: parallel arrays of pair, person and verdict (0, 1, 2 for 1, 2, tie)."""

    def __init__(self, pair: np.ndarray, person: np.ndarray, verdict: np.ndarray, num_pairs: int, num_people: int):
        self.pair, self.person, self.verdict = pair, person, verdict
        self.num_pairs, self.num_people = num_pairs, num_people
        self.num_by_person = np.bincount(person, minlength=num_people)
        self.voted_pairs = np.flatnonzero(np.bincount(pair, minlength=num_pairs))
        self.of_tie = verdict == 2
        # What a vote is under truths 1 and 2: the column of right, wrong_side, missed.
        self._under_1 = np.array([0, 1, 2])[verdict]
        self._under_2 = np.array([1, 0, 2])[verdict]

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

    def rates(self, posterior: np.ndarray, strengths: tuple[float, float]) -> Rates:
        """People's rates given the truths."""
        num_ties = float(posterior[self.voted_pairs, 2].sum())
        return rates_of(*self.counts(posterior), num_ties, len(self.voted_pairs), strengths)

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
        prior_and_seen = lifted(rates.tie[:, 0], -rates.tie_lift) * rates.tie_size
        found = np.empty((3, len(self.pair)))
        found[0] = prior_and_sided[self.person * 3 + self._under_1] - np.where(self.of_tie, is_sided, q_1)
        found[1] = prior_and_sided[self.person * 3 + self._under_2] - np.where(self.of_tie, is_sided, q_2)
        found[:2] /= num_sided
        # Not seeing a tie is saying a side, each equally likely.
        seen = (prior_and_seen[self.person] - np.where(self.of_tie, q_tie, 0.0)) / num_tie
        seen = lifted(np.clip(seen, 1e-9, 1 - 1e-9), rates.tie_lift)
        found[2] = np.where(self.of_tie, seen, (1 - seen) / 2)
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
    strengths = (FIRST_STRENGTH, FIRST_STRENGTH)
    for _ in range(_MAX_STRENGTHS):
        posterior, _, _ = _settle(votes, posterior, strengths, _ROUGHLY)
        rates = votes.rates(posterior, strengths)
        sided, tie = own_sizes(votes, posterior, rates)
        before, strengths = (
            strengths,
            (
                strength_of(rates.sided, rates.sided_mean, sided, rates.sided_strength),
                strength_of(rates.tie, rates.tie_mean, tie, rates.tie_strength),
            ),
        )
        if np.allclose(strengths, before, rtol=_SAME_STRENGTH):
            break
    posterior, iterations, converged = _settle(votes, posterior, strengths, _TOLERANCE)
    return votes.rates(posterior, strengths), posterior, iterations, converged


def _settle(
    votes: Votes, posterior: np.ndarray, strengths: tuple[float, float], tolerance: float
) -> tuple[np.ndarray, int, bool]:
    for iteration in range(1, _MAX_ITERATIONS + 1):
        rates = votes.rates(posterior, strengths)
        updated = normalised(votes.log_joint(votes.log_likelihood(posterior, rates), rates.tie_rate))
        change = float(np.abs(updated - posterior).max(initial=0.0))
        posterior = updated
        if change < tolerance:
            return posterior, iteration, True
    return posterior, _MAX_ITERATIONS, False


def normalised(log_joint: np.ndarray) -> np.ndarray:
    """Rows as probabilities."""
    if not len(log_joint):
        return np.zeros((0, 3))
    shifted = np.exp(log_joint - log_joint.max(axis=1, keepdims=True))
    return shifted / shifted.sum(axis=1, keepdims=True)
