"""A person's own tasks: those they hold, those reserved for them, and the lease on each."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime, timedelta

from sqlalchemy import func, or_, select
from sqlalchemy.orm import Session

from assets.human_gold.desk.pool import draw_side
from assets.human_gold.desk.schema import StandingRow, TaskRow
from assets.human_gold.desk.tallies import tallied
from assets.human_gold.desk.views import NotAllowed, Person

MAX_HELD = 20
"""Tasks that a person may hold at once: enough for any page that loads ahead, too few to hoard."""


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
    return _first(session, person, skip, TaskRow.status == "claimed")


def reserved(session: Session, person: Person, skip: Collection[str], *, postponed: bool) -> TaskRow | None:
    """The first task that waits for the person: repeats only when they are due; what was put off, or what was not."""
    num_answered = select(StandingRow.num_answered).where(StandingRow.person_id == person.person_id).scalar_subquery()
    return _first(
        session,
        person,
        skip,
        TaskRow.status == "open",
        TaskRow.postponed > 0 if postponed else TaskRow.postponed == 0,
        or_(TaskRow.purpose != "repeat", TaskRow.shown_after <= num_answered),
    )


def _first(session: Session, person: Person, skip: Collection[str], *conditions) -> TaskRow | None:
    query = select(TaskRow).where(TaskRow.person_id == person.person_id, *conditions)
    if skip:
        query = query.where(TaskRow.task_id.not_in(skip))
    return session.scalars(query.order_by(TaskRow.postponed, TaskRow.priority, TaskRow.task_id).limit(1)).first()


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
