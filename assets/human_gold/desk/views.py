"""What the desk hands out and takes in: plain values, so that pages and bridges know no database."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from assets.errors import SynprefError

SHOWN_VERDICTS = ("left", "right", "tie", "undecided")
STRENGTHS = ("slightly", "clearly")
REASONS = (
    "correctness",
    "instruction following",
    "completeness",
    "clarity",
    "safety",
    "honesty about limits",
    "style and tone",
    "format",
    "length",
)
"""What a verdict may have turned on; a person ticks any number."""

EDITABLE_ATTRIBUTES = (
    "task_category",
    "objectivity",
    "controversiality",
    "desired_attributes",
    "annotation_guideline",
)


@dataclass(frozen=True)
class Person:
    """An account. `handle` is the name in the ledger; `role` one of `schema.ROLES`."""

    person_id: int
    handle: str
    display_name: str
    role: str
    simulated: bool
    active: bool

    def may(self, role: str) -> bool:
        """Whether the person may do what a role may do."""
        from assets.human_gold.desk.schema import ROLES

        return self.active and ROLES.index(self.role) >= ROLES.index(role)


@dataclass(frozen=True)
class SignedIn:
    """A session that was just opened, or looked up.

    Attributes:
        token: the secret of the cookie; empty when looked up.
        csrf_token: goes with every request that changes something.
    """

    person: Person
    token: str
    csrf_token: str
    expires_at: datetime


@dataclass(frozen=True)
class ShownPair:
    """A pair as one person sees it. Nothing in it tells which response is first in canonical order.

    Attributes:
        key: task id, or `case-N` of an adjudication.
        conversation: turns, each with role and content; the last is what both responses answer.
        left, right: the two responses.
        attributes: the 5-tuple by name, with `writer`.
        draft: what the form held when it was left, or the last answer when it is opened again; else None.
        revision: of the answer that would be given now; 0 for the first.
    """

    key: str
    pair_id: str
    round_name: str
    conversation: tuple[Mapping[str, str], ...]
    left: str
    right: str
    attributes: Mapping[str, str]
    due: str | None = None
    draft: Mapping[str, Any] | None = None
    revision: int = 0


@dataclass(frozen=True)
class ShownCase:
    """A disagreement as an adjudicator sees it.

    Attributes:
        pair: the pair.
        arguments: one per answer, in an order drawn for the case, without names: {"name": "Annotator A", "verdict":
            left | right | tie | undecided, "strength", "reasons", "comment", "edited_attributes"}.
        decided_before: the last decision, when the case is opened again.
    """

    pair: ShownPair
    arguments: tuple[Mapping[str, Any], ...]
    decided_before: Mapping[str, Any] | None = None


@dataclass(frozen=True)
class Answer:
    """What a person submits.

    Attributes:
        key: task id or `case-N`, as shown.
        client_key: made by the client, once for each act of answering; 8 to 64 characters.
        verdict: one of `SHOWN_VERDICTS`.
        strength: one of `STRENGTHS`, required for left and right, None otherwise.
        strength_required: False where another tool asked, which may know no strength.
        reasons: of `REASONS`.
        edited_attributes: all five as the form holds them, or only those changed; unchanged ones are not stored.
        guideline_version: of the guideline that was shown.
        active_seconds: as the client measured them.
        revision: as shown, so that an answer given in another window meanwhile is noticed.
    """

    key: str
    client_key: str
    verdict: str
    strength: str | None = None
    reasons: tuple[str, ...] = ()
    comment: str = ""
    edited_attributes: Mapping[str, str] = field(default_factory=dict)
    guideline_version: str = ""
    active_seconds: float | None = None
    revision: int = 0
    strength_required: bool = True


@dataclass(frozen=True)
class Receipt:
    """What became of an answer.

    Attributes:
        key, revision: of the stored answer.
        repeated: the same client key had been stored already; nothing was added.
        revealed: after the answer of a label task, the item's hidden labels in terms of what was shown
            ({"source_verdict": "left", "judges": [...]}), where the settings let people see them; else None.
    """

    key: str
    revision: int
    repeated: bool
    revealed: Mapping[str, Any] | None = None


@dataclass(frozen=True)
class Past:
    """An answer of the person's own, as their history lists it."""

    key: str
    pair_id: str
    beginning: str
    verdict: str
    strength: str | None
    answered_at: datetime
    num_revisions: int


@dataclass(frozen=True)
class Progress:
    """How far a person is, and everyone together.

    Attributes:
        mine_done: tasks the person has answered; mine_today of them since midnight UTC.
        mine_left: tasks that are still theirs to answer, reserved or open to all.
        all_done, all_left: tasks of every round.
        median_seconds: the person's median of active seconds over the last 50 answers; None below 5.
    """

    mine_done: int
    mine_today: int
    mine_left: int
    all_done: int
    all_left: int
    median_seconds: float | None


class DeskError(SynprefError):
    """Something the desk refuses; nothing was changed unless `kept` says so. Pages show it to the person."""


class NotAllowed(DeskError):
    """The person's role, or who they are, does not let them do it."""


class InvalidAnswer(DeskError):
    """The answer cannot be understood, such as a verdict that does not exist."""


class AlreadyAnswered(DeskError):
    """The task was answered meanwhile, in another window or by another adjudicator; shown is the newer revision."""


class Withdrawn(DeskError):
    """The task was withdrawn while it was open; the answer is kept in the audit log and counts for nothing."""


class SignInRefused(DeskError):
    """Wrong name or password, or an account that is not active: which of them is not said."""


class TooManyAttempts(DeskError):
    """Too many failed sign-ins for this name or from this address."""

    def __init__(self, retry_after_s: int) -> None:
        super().__init__("Too many failed sign-ins.", todo=f"try again in {max(1, retry_after_s // 60)} minutes")
        self.retry_after_s = retry_after_s


class InvitationRefused(DeskError):
    """The invitation is unknown, used or expired, or the password is too weak."""
