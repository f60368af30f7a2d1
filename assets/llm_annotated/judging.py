"""Judging: what one question to a judge is, what comes back, and the protocol of all judges."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

OK = "ok"
"""Status of a call that brought a verdict; any other status is the reason why it did not."""


@dataclass(frozen=True)
class JudgeCall:
    """One question to a judge.

    Attributes:
        pair_id: which pair.
        first_shown: the response, in canonical terms, that is shown as Candidate 1; 0 where a recorded judge's
            order is not known.
        vote: number of the repetition within this order, from 0.
        examples: few-shot gold pairs, in the order in which the judge is shown them.
    """

    pair_id: str
    first_shown: int
    vote: int
    examples: tuple[str, ...] = ()


@dataclass(frozen=True)
class JudgeReply:
    """What came back.

    Attributes:
        verdict: "1", "2", "tie" or "undecided" in canonical order; None unless the status is `OK`.
        status: `OK`, or why there is no verdict (no_record, no_truth, ...).
        probability_first: of Candidate 1 against Candidate 2, where the judge gives log-probabilities.
        log_probability: of the verdict, where the judge gives one.
        num_prompt_tokens, num_cached_tokens, num_completion_tokens: None where no model ran.
        cost_usd: of this call.
        raw_reply_hash: of the reply's text, where there is one.
        request_hash: under which the request ledger knows the call; None where there is no such ledger.
        num_examples_dropped: of the call's few-shot pairs, those that the prompt does not hold, since they did not fit
            or cannot be shown; None where no prompt is made.
    """

    verdict: str | None
    status: str = OK
    log_probability: float | None = None
    probability_first: float | None = None
    num_prompt_tokens: int | None = None
    num_cached_tokens: int | None = None
    num_completion_tokens: int | None = None
    cost_usd: float = 0.0
    raw_reply_hash: str | None = None
    request_hash: str | None = None
    num_examples_dropped: int | None = None


class Judge(Protocol):
    """Answers calls about pairs; whatever text it needs it gets when it is made."""

    @property
    def name(self) -> str:
        """As it stands in label events and requests; a simulated judge's begins with "simulated"."""
        ...

    @property
    def version(self) -> str:
        """Changes whenever the same call could be answered otherwise."""
        ...

    @property
    def simulated(self) -> bool:
        """True for a judge that reads no text."""
        ...

    def plan(self, pair_id: str, votes_per_order: int) -> Sequence[tuple[int, int]]:
        """The calls (first_shown, vote) to make about a pair, at least one."""
        ...

    def answer(self, calls: Sequence[JudgeCall], *, batch: str) -> list[JudgeReply]:
        """One reply per call, in order; a reply depends on its own call alone. `batch`: what it is asked for."""
        ...

    def estimate_usd(self, calls: Sequence[JudgeCall]) -> float:
        """What the calls would cost at most, without those that were paid for before."""
        ...


def both_orders(votes_per_order: int) -> list[tuple[int, int]]:
    """Every vote in both display orders."""
    return [(first, vote) for first in (1, 2) for vote in range(votes_per_order)]


def from_display(candidate: int, first_shown: int) -> str:
    """The canonical verdict for "Candidate 1" or "Candidate 2".

    >>> from_display(1, first_shown=1), from_display(1, first_shown=2), from_display(2, first_shown=2)
    ('1', '2', '1')
    """
    return str(first_shown if candidate == 1 else 3 - first_shown)
