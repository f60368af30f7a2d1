"""How much is known of people's rates where nobody knows the truth: effective numbers of answers.

With known truths a rate rests on as many answers as its person gave. Without them the score of a rate r of a row, its
count - r * all counts of the row, is itself uncertain, and its variance given the votes is the information that is
missing (Louis 1982).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from assets.human_gold.agreement.inference import Votes
    from assets.human_gold.agreement.rates import Rates

LEAST_KNOWN = 0.05
"""Effective answers are at least this share of the expected ones: below it Louis's difference is mostly noise."""

_SIDED = np.array([1.0, 1.0, 0.0])
_TIE = np.array([0.0, 0.0, 1.0])


def own_sizes(votes: Votes, posterior: np.ndarray, rates: Rates) -> tuple[np.ndarray, np.ndarray]:
    """Effective answers behind each rate of each person, the others' rates taken as known: [people, 3], [people, 2]."""
    q = posterior[votes.pair]
    found = []
    for hits, row, rate in zip(_hits(votes), (_SIDED, _TIE), (rates.sided, rates.tie), strict=True):
        num = np.bincount(votes.person, weights=q @ row, minlength=votes.num_people)
        sizes = []
        for k, hit in enumerate(hits):
            score = hit - rate[votes.person, k][:, None] * row
            variance = (q * score**2).sum(axis=1) - (q * score).sum(axis=1) ** 2
            lost = np.bincount(votes.person, weights=variance, minlength=votes.num_people)
            complete = num * rate[:, k] * (1 - rate[:, k])
            sizes.append(num * np.clip(1 - lost / np.maximum(complete, 1e-12), LEAST_KNOWN, 1.0) + 1e-9)
        found.append(np.stack(sizes, axis=1))
    return found[0], found[1]


def pooled_sizes(votes: Votes, posterior: np.ndarray, rates: Rates, prior: tuple[np.ndarray, ...]) -> tuple:
    """Effective answers behind the rates of all people together, prior included: [3] and [2].

    All votes on a pair are unsure at once, and rates of sided pairs, of ties and the share of ties are unsure together,
    so this takes the whole information matrix of the natural parameters of the four: right, wrong_side, tie seen, ties.

    Args:
        prior: pseudo-counts of the sided rates, of the tie rates and of the share of ties.
    """
    sided_hits, tie_hits = _hits(votes)
    sided, tie, ties = rates.sided_mean, rates.tie_mean, rates.tie_rate
    scores = [sided_hits[0] - sided[0] * _SIDED, sided_hits[1] - sided[1] * _SIDED, tie_hits[0] - tie[0] * _TIE]
    by_pair = [
        np.stack([np.bincount(votes.pair, weights=column, minlength=votes.num_pairs) for column in score.T], axis=1)
        for score in scores
    ]
    by_pair.append(np.broadcast_to(_TIE - ties, (votes.num_pairs, 3)))
    voted = votes.voted_pairs
    stacked, q = np.stack(by_pair, axis=2)[voted], posterior[voted]
    mean = np.einsum("pt,ptk->pk", q, stacked)
    lost = np.einsum("pt,ptk,ptl->kl", q, stacked, stacked) - mean.T @ mean
    num_sided = float((posterior[votes.pair] @ _SIDED).sum()) + prior[0].sum()
    num_tie = float((posterior[votes.pair] @ _TIE).sum()) + prior[1].sum()
    covariance = np.diag(sided) - np.outer(sided, sided)
    complete = np.zeros((4, 4))
    complete[:2, :2] = num_sided * covariance[:2, :2]
    complete[2, 2] = num_tie * tie[0] * tie[1]
    complete[3, 3] = (len(voted) + prior[2].sum()) * ties * (1 - ties)
    # What is lost is less than the whole: in units of the complete information no direction keeps less than the least.
    root = np.linalg.cholesky(complete)
    inverse = np.linalg.inv(root)
    values, vectors = np.linalg.eigh(np.eye(4) - inverse @ lost @ inverse.T)
    half = vectors / np.sqrt(np.clip(values, LEAST_KNOWN / 5, 1.0))
    variance = inverse.T @ half @ half.T @ inverse
    of_sided = np.diag(covariance[:, :2] @ variance[:2, :2] @ covariance[:2, :])
    of_tie = np.full(2, (tie[0] * tie[1]) ** 2 * variance[2, 2])
    return sided * (1 - sided) / of_sided, tie * (1 - tie) / of_tie


def answers_behind(
    votes: Votes, posterior: np.ndarray, rates: Rates, prior: tuple[np.ndarray, ...]
) -> tuple[np.ndarray, np.ndarray]:
    """How many answers each person's rates are worth, the prior around all people's mean included.

    People are unsure together: where the truth is unsure, all of them may be better or worse than they seem at once.
    The variance that all people's mean has beyond that of people known apart is added to each one's.

    Returns:
        For sided pairs [people, 3] and ties [people, 2].
    """
    found = []
    strengths = (rates.sided_strength, rates.tie_strength)
    pooled = pooled_sizes(votes, posterior, rates, prior)
    for sizes, together, weak, strength in zip(
        own_sizes(votes, posterior, rates), pooled, prior, strengths, strict=False
    ):
        shared = 1 / together[None] - 1 / (sizes.sum(axis=0, keepdims=True) + weak.sum())
        found.append(1 / (1 / (sizes + strength) + np.maximum(shared, 0.0)))
    return found[0], found[1]


def _hits(votes: Votes) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Which truths each vote would be right, wrong_side, missed under; and tie seen, not seen. [votes, 3] each."""
    own = np.arange(3) == votes.verdict[:, None]
    other = np.arange(3) == np.array([1, 0, 2])[votes.verdict][:, None]
    said_tie = votes.of_tie[:, None]
    return [own * _SIDED, other * _SIDED, said_tie * _SIDED], [said_tie * _TIE, ~said_tie * _TIE]
