"""Votes: one judge's calls become its verdict, and the judges' verdicts become the panel's."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

SIDES = ("1", "2")


@dataclass(frozen=True)
class Vote:
    """One call's verdict, in canonical order.

    Attributes:
        first_shown: which response was shown first; 0 where nobody knows.
        vote: number of the repetition within the order.
        verdict: "1", "2", "tie" or "undecided".
        probability_1: of response 1 against response 2, where the judge gives it.
    """

    first_shown: int
    vote: int
    verdict: str
    probability_1: float | None = None


@dataclass(frozen=True)
class JudgeVerdict:
    """One judge on one pair.

    Attributes:
        verdict: "1", "2", "tie" or "undecided".
        confidence: share of the (order-balanced) votes behind the verdict, 0.5 to 1 for a side.
        share_1: order-balanced mean of the votes for response 1: 1, 0, a half for a tie, and where the judge gives
            log-probabilities, their probability of response 1 in place of 1 or 0.
        first_shown_verdicts: the verdict of each display order alone, by which response it showed first.
        num_votes: calls that brought a verdict.
    """

    verdict: str
    confidence: float
    share_1: float
    first_shown_verdicts: Mapping[int, str]
    num_votes: int


@dataclass(frozen=True)
class PanelVerdict:
    """All judges on one pair.

    Attributes:
        verdict: "1", "2", "tie" or "undecided"; an undecided pair is neither silver nor training data.
        confidence: probability of the leading side under the weights, 0.5 to 1; of a tie the mean share of tie votes.
        num_judges: judges that gave any verdict.
        agreement: share of these whose verdict is the panel's; None when the panel is undecided.
    """

    verdict: str
    confidence: float
    num_judges: int
    agreement: float | None


def merge_votes(votes: Sequence[Vote]) -> JudgeVerdict:
    """Merge one judge's votes on one pair.

    Each display order counts the same however many of its calls were answered, so that a preference for the
    response shown first cancels. More than half ties make a tie; equal shares make the judge undecided. A vote with
    a probability is a soft one: how sure the model was counts, not only which token was drawn.

    >>> merge_votes([Vote(1, 0, "1"), Vote(2, 0, "1")]).verdict
    '1'
    >>> merge_votes([Vote(1, 0, "1"), Vote(2, 0, "2")]).verdict  # the first shown, twice
    'undecided'
    >>> merge_votes([Vote(1, 0, "1", 0.9), Vote(2, 0, "2", 0.4)]).share_1
    0.65

    Raises:
        ValueError: there are no votes.
    """
    if not votes:
        raise ValueError("a judge without votes has no verdict")
    by_order: dict[int, list[Vote]] = {}
    for vote in votes:
        by_order.setdefault(vote.first_shown, []).append(vote)
    share_1 = sum(map(_share_1, by_order.values())) / len(by_order)
    verdict, confidence = _decide([v.verdict for v in votes], share_1)
    return JudgeVerdict(
        verdict=verdict,
        confidence=confidence,
        share_1=share_1,
        first_shown_verdicts={
            first: _decide([v.verdict for v in given], _share_1(given))[0] for first, given in sorted(by_order.items())
        },
        num_votes=len(votes),
    )


def merge_judges(
    verdicts: Mapping[str, JudgeVerdict],
    weights: Mapping[str, float],
    *,
    min_confidence: float,
    temperature: float = 1.0,
) -> PanelVerdict:
    """Merge the judges' verdicts on one pair.

    The log-odds that response 1 is the better one are `panel_log_odds` over the temperature. Below `min_confidence`
    the panel is undecided. Judges that all say "tie" make a tie; a tie beside other verdicts adds nothing.

    Args:
        verdicts: by judge; judges without a weight are left out.
        weights: by judge, log-odds of being right.
        min_confidence: 0.5 to 1.
        temperature: above 0; more than 1 where the weights are surer than gold dev bears out (`calibration`).

    Raises:
        ValueError: no judge with a weight gave a verdict.
    """
    counted = {name: verdict for name, verdict in sorted(verdicts.items()) if name in weights}
    if not counted:
        raise ValueError("a panel without verdicts has none of its own")
    if all(v.verdict == "tie" for v in counted.values()):
        mean = sum(v.confidence for v in counted.values()) / len(counted)
        return PanelVerdict("tie", mean, len(counted), 1.0)
    log_odds = panel_log_odds(counted, weights) / temperature
    confidence = 1 / (1 + math.exp(-abs(log_odds)))
    if log_odds == 0 or confidence < min_confidence:
        return PanelVerdict("undecided", confidence, len(counted), None)
    side = "1" if log_odds > 0 else "2"
    agreeing = sum(v.verdict == side for v in counted.values())
    return PanelVerdict(side, confidence, len(counted), agreeing / len(counted))


def panel_log_odds(verdicts: Mapping[str, JudgeVerdict], weights: Mapping[str, float]) -> float:
    """Log-odds that response 1 is better: each judge's weight times how far its votes lean, from -1 to 1, summed.

    Ties, undecided judges and judges without a weight add nothing.
    """
    # fsum: the same verdict whatever the judges' order.
    return math.fsum(
        weights[name] * (2 * v.share_1 - 1) for name, v in verdicts.items() if v.verdict in SIDES and name in weights
    )


def _share_1(votes: Sequence[Vote]) -> float:
    return sum(_for_1(vote) for vote in votes) / len(votes)


def _for_1(vote: Vote) -> float:
    if vote.verdict not in SIDES:
        return 0.5
    return float(vote.verdict == "1") if vote.probability_1 is None else vote.probability_1


def _decide(verdicts: Sequence[str], share_1: float) -> tuple[str, float]:
    ties = Counter(verdicts)["tie"] / len(verdicts)
    if ties > 0.5:
        return "tie", ties
    if abs(share_1 - 0.5) < 1e-9:
        return "undecided", 0.5
    return ("1", share_1) if share_1 > 0.5 else ("2", 1 - share_1)
