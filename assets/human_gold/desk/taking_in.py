"""What becomes of an answer: stored as a revision of its task, or kept in the audit log and refused."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime

from sqlalchemy import bindparam, delete, select, update
from sqlalchemy.orm import Session

from assets.human_gold.desk import audit, pool
from assets.human_gold.desk.disagreements import settle
from assets.human_gold.desk.forms import checked
from assets.human_gold.desk.repeats import bind_repeats
from assets.human_gold.desk.schema import AnswerRow, AuditRow, Base, ItemRow, TaskRow
from assets.human_gold.desk.showing import last_answer
from assets.human_gold.desk.sides import canonical, reveal
from assets.human_gold.desk.tallies import in_pool, tallied
from assets.human_gold.desk.views import (
    AlreadyAnswered,
    Answer,
    DeskError,
    InvalidAnswer,
    NotAllowed,
    Person,
    Receipt,
    Withdrawn,
)

REFUSED = "answer_refused"
"""Action of the audit log under which an answer that cannot count is kept."""


# Statements are made once: making one takes longer than SQLite takes to run it.
_SENT = select(AnswerRow).where(AnswerRow.client_key == bindparam("client_key"))
_drafts, _batches = Base.metadata.tables["drafts"], Base.metadata.tables["batches"]
_DROP_DRAFT = delete(_drafts).where(_drafts.c.key == bindparam("of"), _drafts.c.person_id == bindparam("by"))
_LAST_ANSWER = update(_batches).where(_batches.c.round_name == bindparam("of")).values(last_answer_id=bindparam("last"))


def store(
    session: Session, person: Person, answer: Answer, at: datetime, *, rule: str, revealing: bool
) -> Receipt | DeskError:
    """Store an answer.

    Args:
        session: a writing transaction.
        person: as the database has them now.
        answer: as it was sent.
        at: now.
        rule: of adjudication.
        revealing: the receipt tells the hidden labels.

    Returns:
        The receipt; or the refusal, to be raised once the transaction is over, since it keeps the answer.

    Raises:
        InvalidAnswer, NotAllowed: nothing was kept.
    """
    task = session.get(TaskRow, answer.key)
    if task is None:
        raise NotAllowed("This is not a task of yours.", where=answer.key[:80], todo="go on with the next")
    item = session.get_one(ItemRow, task.pair_id)
    answer = checked(answer, item.attributes)
    sent_before = session.scalars(_SENT, {"client_key": answer.client_key}).first()
    if sent_before is not None:
        if (sent_before.task_id, sent_before.person_id) != (task.task_id, person.person_id):
            raise InvalidAnswer("The client key was used for another answer.", where="client_key")
        return _receipt(task, item, sent_before.revision, revealing, repeated=True)
    if task.person_id == person.person_id and task.left_response is None:
        raise NotAllowed("This task was not shown to you yet.", where=answer.key, todo="open it first")
    with tallied(session, [task.pair_id]) as tasks:
        refusal = _take_again(session, task, person, at)
        if refusal is None and task.status == "withdrawn":
            refusal = Withdrawn("This task was withdrawn while it was open.", **KEPT)
        last = last_answer(session, task.task_id)
        revision = last.revision + 1 if last else 0
        if refusal is None and answer.revision != revision:
            refusal = AlreadyAnswered(
                f"This task was answered meanwhile, in another window; its newest revision is {revision - 1}.", **KEPT
            )
        if refusal is not None:
            keep_refused(session, person, answer, refusal, at)
            return refusal
        assert task.left_response is not None
        row = AnswerRow(
            task_id=task.task_id,
            person_id=person.person_id,
            revision=revision,
            client_key=answer.client_key,
            shown_verdict=answer.verdict,
            verdict=canonical(answer.verdict, task.left_response),
            strength=answer.strength,
            reasons=list(answer.reasons),
            comment=answer.comment,
            edited_attributes=dict(answer.edited_attributes),
            guideline_version=answer.guideline_version,
            active_seconds=answer.active_seconds,
            answered_at=at,
        )
        session.add(row)
        task.status, task.claimed_at = "answered", None
        session.flush()
        if revision == 0:
            bind_repeats(session, tasks)
    session.execute(_DROP_DRAFT, {"of": task.task_id, "by": person.person_id})
    session.execute(_LAST_ANSWER, {"of": task.round_name, "last": row.answer_id})
    if task.purpose == "label":
        settle(session, task.pair_id, task.round_name, rule, at)
    return _receipt(task, item, revision, revealing, repeated=False)


KEPT = {"kept": "what you sent, in the audit log; it does not count", "todo": "go on with the next"}


def keep_refused(session: Session, person: Person, answer: Answer, refusal: DeskError, at: datetime) -> None:
    """Write an answer that cannot count into the audit log, once for each client key."""
    kept = session.scalars(
        select(AuditRow).where(
            AuditRow.subject == answer.key, AuditRow.action == REFUSED, AuditRow.person_id == person.person_id
        )
    )
    if not any(row.detail.get("answer", {}).get("client_key") == answer.client_key for row in kept):
        detail = {"why": type(refusal).__name__, "answer": asdict(answer)}
        audit.write(session, at, person.person_id, REFUSED, answer.key, detail)


def _take_again(session: Session, task: TaskRow, person: Person, at: datetime) -> DeskError | None:
    """Whether the task is the person's: one that they lost because the lease ran out is theirs again if it is free."""
    if task.person_id == person.person_id:
        return None
    lost = session.scalars(
        select(AuditRow.audit_id)
        .where(
            AuditRow.subject == task.task_id,
            AuditRow.action == pool.LEASE_RAN_OUT,
            AuditRow.person_id == person.person_id,
        )
        .limit(1)
    ).first()
    if lost is None:
        raise NotAllowed("This is not a task of yours.", where=task.task_id, todo="go on with the next")
    if task.status == "withdrawn" and task.person_id is None:
        return None
    mine = select(TaskRow.task_id).where(TaskRow.pair_id == task.pair_id, TaskRow.person_id == person.person_id)
    if in_pool(task) and session.scalars(mine.limit(1)).first() is None:
        pool.give(session, task, person, at)
        return None
    return Withdrawn("You held this task for too long, and it was given to somebody else.", **KEPT)


def _receipt(task: TaskRow, item: ItemRow, revision: int, revealing: bool, *, repeated: bool) -> Receipt:
    revealed = None
    # A repeat is blind, and a known answer stays unknown.
    if revealing and task.purpose == "label" and task.left_response is not None:
        revealed = reveal(item.hidden, task.left_response)
    return Receipt(task.task_id, revision, repeated, revealed)
