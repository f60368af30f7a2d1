"""The crowd model: what the true verdict of each pair probably is, and how each person errs.

Dawid and Skene's model (1979) with three changes that preference pairs ask for.

1. *The sides have no names.* Which response is 1 is decided by a hash of the text, so nothing about a person can
   depend on it. A person has four numbers in place of a 3 x 3 matrix: on a pair with a better side they name that side
   (`right`), the other one (`wrong_side`) or say tie (`missed`); on a true tie they say tie (`tie_seen`), or a side,
   each equally likely. Swapping the sides of any pairs then swaps their posteriors and changes nothing else, and a
   person who always says 1 has right = wrong_side, which is weight nothing.
2. *A person with few labels is not believed to be perfect.* Each person's numbers have a Dirichlet prior around those
   of all people, whose strength is estimated from how much people differ (empirical Bayes), and a vote is weighed by
   what the person's other votes say of them (collapsed inference), so that it does not vouch for itself.
3. *Undecided is no value.* It carries nothing here; a pair on which it has more than half of the votes is undecided.

A person who is wrong more often than right is inverted: their vote counts for the other side, once their labels show it
against the prior. Such a person is flagged where they are reported.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from assets.contracts import VERDICTS
from assets.human_gold.agreement.confusion import PersonConfusion, people_confusions
from assets.human_gold.agreement.inference import Votes, fit
from assets.human_gold.agreement.information import answers_behind
from assets.human_gold.agreement.rates import PRIOR_SIDED, PRIOR_TIE, PRIOR_TIE_RATE, Rates
from assets.human_gold.agreement.votes import UNDECIDED, Answers


@dataclass(frozen=True)
class Crowd:
    """What the crowd model found.

    Attributes:
        pair_ids: pairs with any vote, sorted; rows of the arrays below.
        clusters: prompt cluster of each.
        posterior: [pairs, 3], probability of 1, 2 and tie.
        num_votes: votes by pair, undecided ones included; num_undecided of them.
        people: everyone with a vote, by name.
        rates: as estimated, rows in order of `people`.
        num_iterations: of the last run of EM; converged: whether it came to rest within the limit.
        leave_one_out: [votes, 3], posterior of each decided vote's pair without that vote; `vote_rows` names the rows
            of the answers it was fitted on.
        pair_of_vote: row of each decided vote in `pair_ids`.
    """

    pair_ids: tuple[str, ...]
    clusters: np.ndarray
    posterior: np.ndarray
    num_votes: np.ndarray
    num_undecided: np.ndarray
    people: tuple[PersonConfusion, ...]
    rates: Rates
    num_iterations: int
    converged: bool
    leave_one_out: np.ndarray
    vote_rows: np.ndarray
    pair_of_vote: np.ndarray

    def verdicts(self) -> list[str | None]:
        """The aggregate verdict of each pair: 1, 2, tie, undecided, or None where two values are equally likely."""
        found: list[str | None] = [VERDICTS[code] if code >= 0 else None for code in leaders(self.posterior)]
        for row in np.flatnonzero(2 * self.num_undecided > self.num_votes):
            found[row] = VERDICTS[UNDECIDED]
        return found

    def rows(self) -> list[dict]:
        """One row per pair: pair_id, verdict, confidence, p_1, p_2, p_tie, num_votes, num_undecided, why_not.

        `confidence` is the verdict's posterior; None where there is no verdict of 1, 2 or tie. `why_not` then says
        people_undecided or people_disagree, as gold does.
        """
        rows = []
        for n, verdict in enumerate(self.verdicts()):
            p_1, p_2, p_tie = map(float, self.posterior[n])
            decided = verdict in VERDICTS[:UNDECIDED]
            rows.append(
                {
                    "pair_id": self.pair_ids[n],
                    "verdict": verdict if decided else None,
                    "confidence": float(self.posterior[n].max()) if decided else None,
                    "p_1": p_1,
                    "p_2": p_2,
                    "p_tie": p_tie,
                    "num_votes": int(self.num_votes[n]),
                    "num_undecided": int(self.num_undecided[n]),
                    "why_not": None if decided else "people_disagree" if verdict is None else "people_undecided",
                }
            )
        return rows


def leaders(scores: np.ndarray) -> np.ndarray:
    """Column of each row's one largest score; -1 where two are largest, up to rounding.

    >>> leaders(np.array([[2.0, 1.0, 0.0], [1.0, 1.0, 0.0]])).tolist()
    [0, -1]
    """
    if not len(scores):
        return np.zeros(0, dtype=np.int64)
    best = scores.max(axis=1)
    alone = (scores > best[:, None] - 1e-6).sum(axis=1) == 1
    return np.where(alone, scores.argmax(axis=1), -1)


def fit_crowd(labels: Answers) -> Crowd:
    """Fit the model to votes by EM, from the majority on; the same votes give the same numbers.

    Args:
        labels: votes, at most one per person and pair.
    """
    rows = np.flatnonzero(labels.decided)
    answered, pair_of_label = np.unique(labels.pair, return_inverse=True)
    voters, person_of_label = np.unique(labels.person, return_inverse=True)
    pair, person, verdict = pair_of_label[rows], person_of_label[rows], labels.verdict[rows]
    votes = Votes(pair, person, verdict, len(answered), len(voters))
    rates, posterior, iterations, converged = fit(votes)
    num_votes = np.bincount(pair_of_label, minlength=len(answered))
    num_undecided = num_votes - np.bincount(pair, minlength=len(answered))
    without = votes.leave_one_out(posterior, rates)
    people = people_confusions(
        [labels.people[code] for code in voters],
        labels.simulated[voters],
        votes.num_by_person,
        answers_behind(votes, posterior, rates, (PRIOR_SIDED, PRIOR_TIE, PRIOR_TIE_RATE)),
        rates,
    )
    return Crowd(
        pair_ids=tuple(labels.pair_ids[code] for code in answered),
        clusters=labels.cluster_of_pair[answered],
        posterior=posterior,
        num_votes=num_votes,
        num_undecided=num_undecided,
        people=people,
        rates=rates,
        num_iterations=iterations,
        converged=converged,
        leave_one_out=without,
        vote_rows=rows,
        pair_of_vote=pair,
    )
