"""Tables of the annotation database, as SQLAlchemy models; SQLite by default, PostgreSQL by URL.

Times are UTC. Verdicts are stored twice: as the person saw them (left, right) and in canonical order (1, 2), which
is what everything outside the page speaks of. Answers and decisions are appended, never changed: a correction is a
further revision.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, ClassVar

from sqlalchemy import JSON, BigInteger, DateTime, ForeignKey, Index, String, Text, UniqueConstraint, text
from sqlalchemy.engine import Dialect
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from sqlalchemy.types import TypeDecorator

ROLES = ("annotator", "adjudicator", "manager")
"""In ascending order of what they may do: each may do what those before it may."""

PURPOSES = ("label", "repeat", "known_answer")
"""Why a task is asked: for its label, to compare a person with themselves, or with an answer that is known."""

POOL_START = -(2**62)
"""Before every priority."""

TASK_STATUSES = ("open", "claimed", "answered", "withdrawn")
CASE_STATUSES = ("open", "claimed", "decided", "withdrawn")


class UtcTime(TypeDecorator[datetime]):
    """A time with zone, which SQLite would lose."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Refuse a time without zone; store UTC."""
        if value is not None and value.tzinfo is None:
            raise ValueError("a time without zone")
        return None if value is None else value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Give the zone back."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


class Base(DeclarativeBase):
    """Base of all tables."""

    type_annotation_map: ClassVar = {datetime: UtcTime(), dict[str, Any]: JSON(), list[Any]: JSON()}


class PersonRow(Base):
    """One row per account. `handle` is the name that label events carry."""

    __tablename__ = "people"

    person_id: Mapped[int] = mapped_column(primary_key=True)
    handle: Mapped[str] = mapped_column(String(100), unique=True)
    display_name: Mapped[str] = mapped_column(String(200))
    role: Mapped[str] = mapped_column(String(20))
    # Null until the invitation was accepted: such an account cannot sign in.
    password_hash: Mapped[str | None] = mapped_column(String(300))
    simulated: Mapped[bool] = mapped_column(default=False)
    active: Mapped[bool] = mapped_column(default=True)
    created_at: Mapped[datetime]


class StandingRow(Base):
    """One row per person: counts that every page shows, and how far down the pool their search for a task has come.

    The counts follow from `tasks` and are changed with it, in `tallies`; kept so that none is counted again.
    """

    __tablename__ = "standings"

    person_id: Mapped[int] = mapped_column(ForeignKey("people.person_id"), primary_key=True)
    # Tasks that the person has answered.
    num_answered: Mapped[int] = mapped_column(default=0)
    # Tasks that are theirs and not answered.
    num_waiting: Mapped[int] = mapped_column(default=0)
    # Pairs in the pool that they cannot take, because they have or had a task of theirs.
    num_blocked: Mapped[int] = mapped_column(default=0)
    # Nothing in the pool up to and including this place is a task that they may take.
    after_priority: Mapped[int] = mapped_column(BigInteger, default=POOL_START)
    after_task: Mapped[str] = mapped_column(String(32), default="")


class InvitationRow(Base):
    """One row per invitation link; only the token's hash is kept."""

    __tablename__ = "invitations"

    token_hash: Mapped[str] = mapped_column(String(64), primary_key=True)
    person_id: Mapped[int] = mapped_column(ForeignKey("people.person_id"))
    created_by: Mapped[int | None] = mapped_column(ForeignKey("people.person_id"))
    created_at: Mapped[datetime]
    expires_at: Mapped[datetime]
    used_at: Mapped[datetime | None]


class SessionRow(Base):
    """One row per signed-in browser; only the token's hash is kept."""

    __tablename__ = "sessions"

    token_hash: Mapped[str] = mapped_column(String(64), primary_key=True)
    person_id: Mapped[int] = mapped_column(ForeignKey("people.person_id"), index=True)
    csrf_token: Mapped[str] = mapped_column(String(64))
    created_at: Mapped[datetime]
    last_seen_at: Mapped[datetime]
    expires_at: Mapped[datetime]


class ItemRow(Base):
    """One row per pair that people are asked about: a working copy of its texts, so that a page needs one look-up."""

    __tablename__ = "items"

    pair_id: Mapped[str] = mapped_column(String(32), primary_key=True)
    source: Mapped[str] = mapped_column(String(100))
    # list of {"role", "content"}
    prompt: Mapped[list[Any]]
    response_1: Mapped[str] = mapped_column(Text)
    response_2: Mapped[str] = mapped_column(Text)
    # task_category, objectivity, controversiality, desired_attributes, annotation_guideline, writer, writer_version
    attributes: Mapped[dict[str, Any]]
    # What is hidden until the person has answered: {"source_verdict": ..., "judges": [{"judge", "verdict"}, ...]}
    hidden: Mapped[dict[str, Any]]


class BatchRow(Base):
    """One row per round that was sent to people."""

    __tablename__ = "batches"

    round_name: Mapped[str] = mapped_column(String(100), primary_key=True)
    seed: Mapped[int] = mapped_column(BigInteger)
    # budget, overlap, shares of repeats and known answers, hash of the tasks: what the batch was made from
    info: Mapped[dict[str, Any]]
    created_at: Mapped[datetime]
    # Tasks by status: they follow from `tasks` and are changed with it.
    num_open: Mapped[int] = mapped_column(default=0)
    num_claimed: Mapped[int] = mapped_column(default=0)
    num_answered: Mapped[int] = mapped_column(default=0)
    num_withdrawn: Mapped[int] = mapped_column(default=0)
    # Of those open or claimed: repeats, for which a round need not wait.
    num_repeats_left: Mapped[int] = mapped_column(default=0)
    # Pairs with a task in the pool; a pair of several rounds counts in the first of them.
    num_pairs_in_pool: Mapped[int] = mapped_column(default=0)
    # What the bridge to the ledger compares with how far it has come; 0 before the first.
    last_answer_id: Mapped[int] = mapped_column(default=0)
    last_decision_id: Mapped[int] = mapped_column(default=0)


IN_POOL = "status = 'open' AND person_id IS NULL AND purpose <> 'repeat'"


class TaskRow(Base):
    """One row per answer that is wanted: a pair and one person, or whoever comes next where `person_id` is null.

    The pool is what anyone may take: open, of nobody, and no repeat (which waits for who answers the original).
    """

    __tablename__ = "tasks"
    __table_args__ = (
        # Without what is nobody's, or SQLite looks for the pool here and sorts it.
        Index(
            "tasks_of_person",
            "person_id",
            "status",
            "postponed",
            "priority",
            "task_id",
            sqlite_where=text("person_id IS NOT NULL"),
            postgresql_where=text("person_id IS NOT NULL"),
        ),
        # The pair stands in it so that a search down the pool reads nothing else.
        Index(
            "tasks_in_pool",
            "priority",
            "task_id",
            "pair_id",
            sqlite_where=text(IN_POOL),
            postgresql_where=text(IN_POOL),
        ),
        Index("tasks_of_pair", "pair_id", "person_id"),
        Index("tasks_of_round", "round_name", "pair_id"),
        Index(
            "tasks_on_lease",
            "claimed_at",
            sqlite_where=text("claimed_at IS NOT NULL"),
            postgresql_where=text("claimed_at IS NOT NULL"),
        ),
        Index(
            "repeats_to_come",
            "person_id",
            "status",
            "shown_after",
            sqlite_where=text("purpose = 'repeat'"),
            postgresql_where=text("purpose = 'repeat'"),
        ),
    )

    task_id: Mapped[str] = mapped_column(String(32), primary_key=True)
    pair_id: Mapped[str] = mapped_column(ForeignKey("items.pair_id"))
    round_name: Mapped[str] = mapped_column(ForeignKey("batches.round_name"))
    purpose: Mapped[str] = mapped_column(String(20))
    # Reserved for, or claimed by. A person takes a pair from the pool at most once.
    person_id: Mapped[int | None] = mapped_column(ForeignKey("people.person_id"))
    # True where the task is for this person alone; false where it goes back to the pool when they leave it.
    reserved: Mapped[bool] = mapped_column(default=False)
    # 1 or 2 in canonical order; drawn for the person when the task is theirs, unless the batch gave it.
    left_response: Mapped[int | None]
    left_given: Mapped[bool] = mapped_column(default=False)
    # Low numbers are asked first.
    priority: Mapped[int] = mapped_column(BigInteger)
    # How often the person put it off; such a task comes after all others.
    postponed: Mapped[int] = mapped_column(default=0)
    # A repeat is not shown before the person has answered so many further tasks than when they answered the original.
    after_num_answers: Mapped[int | None]
    # The person's number of answers from which on a repeat is shown; null until they answered the original.
    shown_after: Mapped[int | None]
    status: Mapped[str] = mapped_column(String(20), default="open")
    # When the lease began; null for what is on no lease.
    claimed_at: Mapped[datetime | None]
    # Why it was withdrawn: "list" (its round's list names it no more), "person" (its person left), "manager".
    withdrawn_for: Mapped[str | None] = mapped_column(String(20))
    reason: Mapped[str | None] = mapped_column(String(200))
    due: Mapped[str | None] = mapped_column(String(40))
    # Canonical verdict of a known-answer item; never sent to the page before the answer.
    known_verdict: Mapped[str | None] = mapped_column(String(20))


class AnswerRow(Base):
    """One row per answer given; `answer_id` is their order. Revision 0 is the first answer to a task."""

    __tablename__ = "answers"
    __table_args__ = (
        UniqueConstraint("task_id", "revision", name="one_answer_per_revision"),
        Index("answers_of_person", "person_id", "answer_id"),
        Index("answers_of_person_by_time", "person_id", "answered_at"),
    )

    answer_id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    task_id: Mapped[str] = mapped_column(ForeignKey("tasks.task_id"))
    person_id: Mapped[int] = mapped_column(ForeignKey("people.person_id"))
    revision: Mapped[int]
    # Made by the client for each act of answering, so that one that is sent again adds nothing.
    client_key: Mapped[str] = mapped_column(String(64), unique=True)
    # left, right, tie or undecided; and 1, 2, tie or undecided
    shown_verdict: Mapped[str] = mapped_column(String(20))
    verdict: Mapped[str] = mapped_column(String(20))
    # slightly or clearly; null for a tie and where it cannot be decided
    strength: Mapped[str | None] = mapped_column(String(20))
    reasons: Mapped[list[Any]]
    comment: Mapped[str] = mapped_column(Text)
    # The attributes that the person changed, with their new values; empty where they agreed with all.
    edited_attributes: Mapped[dict[str, Any]]
    guideline_version: Mapped[str] = mapped_column(String(40))
    # Seconds that the page was looked at, as the client measured them; null where nobody did.
    active_seconds: Mapped[float | None]
    answered_at: Mapped[datetime]


class DraftRow(Base):
    """One row per task or case and person who began it and left: what the form held; nobody else sees it."""

    __tablename__ = "drafts"

    # A task id, or `case-N`.
    key: Mapped[str] = mapped_column(String(40), primary_key=True)
    person_id: Mapped[int] = mapped_column(ForeignKey("people.person_id"), primary_key=True)
    form: Mapped[dict[str, Any]]
    saved_at: Mapped[datetime]


class CaseRow(Base):
    """One row per pair and round on which people disagreed: what an adjudicator is asked."""

    __tablename__ = "cases"
    __table_args__ = (
        UniqueConstraint("pair_id", "round_name", name="one_case_per_pair_and_round"),
        Index("cases_to_take", "status", "case_id"),
        Index("cases_of_adjudicator", "adjudicator_id", "status"),
    )

    case_id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    pair_id: Mapped[str] = mapped_column(ForeignKey("items.pair_id"))
    round_name: Mapped[str] = mapped_column(ForeignKey("batches.round_name"))
    status: Mapped[str] = mapped_column(String(20), default="open")
    adjudicator_id: Mapped[int | None] = mapped_column(ForeignKey("people.person_id"))
    left_response: Mapped[int | None]
    claimed_at: Mapped[datetime | None]
    # "settled" (people agree after a correction, or under another rule) or "manager".
    withdrawn_for: Mapped[str | None] = mapped_column(String(20))
    opened_at: Mapped[datetime]


class DecisionRow(Base):
    """One row per decision of an adjudicator; `decision_id` is their order."""

    __tablename__ = "decisions"
    __table_args__ = (
        UniqueConstraint("case_id", "revision", name="one_decision_per_revision"),
        Index("decisions_of_adjudicator", "adjudicator_id", "decision_id"),
    )

    decision_id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    case_id: Mapped[int] = mapped_column(ForeignKey("cases.case_id"))
    adjudicator_id: Mapped[int] = mapped_column(ForeignKey("people.person_id"))
    revision: Mapped[int]
    client_key: Mapped[str] = mapped_column(String(64), unique=True)
    shown_verdict: Mapped[str] = mapped_column(String(20))
    verdict: Mapped[str] = mapped_column(String(20))
    strength: Mapped[str | None] = mapped_column(String(20))
    reasons: Mapped[list[Any]]
    comment: Mapped[str] = mapped_column(Text)
    edited_attributes: Mapped[dict[str, Any]]
    guideline_version: Mapped[str] = mapped_column(String(40))
    active_seconds: Mapped[float | None]
    # Answers that the adjudicator saw.
    num_arguments: Mapped[int]
    decided_at: Mapped[datetime]


class AuditRow(Base):
    """One row per act that somebody may have to answer for: accounts, sign-ins, withdrawals, decisions, imports."""

    __tablename__ = "audit_log"
    __table_args__ = (
        Index("audit_of_address", "action", "address", "at"),
        Index("audit_of_subject", "subject", "action"),
    )

    audit_id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    at: Mapped[datetime]
    person_id: Mapped[int | None] = mapped_column(ForeignKey("people.person_id"))
    action: Mapped[str] = mapped_column(String(60))
    subject: Mapped[str] = mapped_column(String(200))
    detail: Mapped[dict[str, Any]]
    address: Mapped[str] = mapped_column(String(60))
