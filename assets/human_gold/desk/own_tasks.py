"""A person's own tasks: those they hold, those reserved for them, and the lease on each."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime, timedelta

from sqlalchemy import bindparam, func, or_, select
from sqlalchemy.orm import Session

from assets.human_gold.desk.pool import draw_side
from assets.human_gold.desk.schema import StandingRow, TaskRow
from assets.human_gold.desk.tallies import tallied
from assets.human_gold.desk.views import NotAllowed, Person

MAX_HELD = 20
"""Tasks that a person may hold at once: enough for any page that loads ahead, too few to hoard."""

# Statements are made once: making one takes longer than SQLite takes to run it.
_MINE = (
    select(TaskRow)
    .where(TaskRow.person_id == bindparam("person_id"), TaskRow.task_id.not_in(bindparam("skip", expanding=True)))
    .order_by(TaskRow.postponed, TaskRow.priority, TaskRow.task_id)
    .limit(1)
)
_num_answered = select(StandingRow.num_answered).where(StandingRow.person_id == bindparam("person_id"))
_WAITING = _MINE.where(
    TaskRow.status == "open",
    or_(TaskRow.purpose != "repeat", TaskRow.shown_after <= _num_answered.scalar_subquery()),
)
_HELD = _MINE.where(TaskRow.status == "claimed")
_RESERVED, _PUT_OFF = _WAITING.where(TaskRow.postponed == 0), _WAITING.where(TaskRow.postponed > 0)


def own(session: Session, person: Person, key: str) -> TaskRow:
    """The person's task of that key.

    Raises:
        NotAllowed: there is none, or it is somebody else's: which is not said.
    """
    task = session.get(TaskRow, key)
    if task is None or task.person_id != person.person_id:
        raise NotAllowed("This is not a task of yours.", where=key[:80], todo="go on with the next")
    return task


def held(session: Session, person: Person, skip: Collection[str]) -> TaskRow | None:
    """The first task that the person has taken and not answered."""
    return session.scalars(_HELD, {"person_id": person.person_id, "skip": list(skip)}).first()


def reserved(session: Session, person: Person, skip: Collection[str], *, postponed: bool) -> TaskRow | None:
    """The first task that waits for the person: repeats only when they are due; what was put off, or what was not."""
    query = _PUT_OFF if postponed else _RESERVED
    return session.scalars(query, {"person_id": person.person_id, "skip": list(skip)}).first()


def check_not_hoarding(session: Session, person: Person) -> None:
    """Raises NotAllowed for one who holds `MAX_HELD` tasks already."""
    claimed = select(func.count()).where(TaskRow.person_id == person.person_id, TaskRow.status == "claimed")
    if (session.scalar(claimed) or 0) >= MAX_HELD:
        raise NotAllowed(
            f"You hold {MAX_HELD} tasks that are not answered.", kept="all of them", todo="answer one or put it off"
        )


def hold(session: Session, task: TaskRow, person: Person, at: datetime) -> None:
    """Begin the lease of a task of theirs, or begin it anew."""
    if task.status == "claimed":
        task.claimed_at = at
        return
    with tallied(session, [task.pair_id]):
        task.status, task.claimed_at = "claimed", at
        draw_side(session, task, person.handle)


def is_fresh(task: TaskRow, at: datetime, lease: timedelta) -> bool:
    """Whether so little of the lease is over that it need not be written anew."""
    return task.status == "claimed" and task.claimed_at is not None and abs(at - task.claimed_at) < lease / 4
