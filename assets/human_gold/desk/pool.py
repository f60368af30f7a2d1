"""The pool: tasks that anyone may take, how they are taken, and how they come back."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime, timedelta

from sqlalchemy import exists, literal, select, tuple_, update
from sqlalchemy.orm import Session, aliased

from assets.human_gold.desk import audit
from assets.human_gold.desk.database import as_words
from assets.human_gold.desk.schema import BatchRow, StandingRow, TaskRow
from assets.human_gold.desk.sides import draw_left
from assets.human_gold.desk.tallies import tallied
from assets.human_gold.desk.views import Person

LEASE_RAN_OUT = "lease_ran_out"
"""Action of the audit log: who held the task, which shows that an answer that comes later is theirs."""

# Leases that are looked through at a time; the rest wait for the next who asks.
_MAX_LAPSED = 500


def take(session: Session, person: Person, at: datetime, skip: Collection[str]) -> TaskRow | None:
    """The first task of the pool whose pair the person never had, now theirs; None if there is none.

    The search goes on where the person's last one ended: what lies before is pairs they had. So it takes as long for
    who has answered ten thousand as for who has answered none.

    Args:
        session: a writing transaction.
        person: who asks.
        at: now; the lease begins.
        skip: task ids that are not wanted.
    """
    start = session.execute(
        select(StandingRow.after_priority, StandingRow.after_task).where(StandingRow.person_id == person.person_id)
    ).one()
    mine = aliased(TaskRow)
    had = exists().where(mine.pair_id == TaskRow.pair_id, mine.person_id == person.person_id)
    place = tuple_(TaskRow.priority, TaskRow.task_id)
    pool = select(TaskRow.task_id, TaskRow.pair_id, TaskRow.priority).where(
        TaskRow.status == as_words("open"), TaskRow.person_id.is_(None), TaskRow.purpose != as_words("repeat")
    )
    wanted = pool.where(place > tuple_(literal(start.after_priority), literal(start.after_task)), ~had)
    # Of what is skipped, most is the person's own already, which is not in the pool.
    skipped = session.scalars(pool.where(TaskRow.task_id.in_(skip))).all() if skip else []
    if skipped:
        wanted = wanted.where(TaskRow.task_id.not_in(skipped))
    found = session.execute(wanted.order_by(TaskRow.priority, TaskRow.task_id).limit(1)).first()
    if not skipped:
        # Else a task that was skipped may lie before, and the next search begins where this one did.
        last = found or session.execute(pool.order_by(TaskRow.priority.desc(), TaskRow.task_id.desc()).limit(1)).first()
        if last is not None:
            session.execute(
                update(StandingRow)
                .where(StandingRow.person_id == person.person_id)
                .values(after_priority=last.priority, after_task=last.task_id)
                .execution_options(synchronize_session=False)
            )
    if found is None:
        return None
    with tallied(session, [found.pair_id]) as tasks:
        task = next(task for task in tasks if task.task_id == found.task_id)
        give(session, task, person, at)
    return task


def give(session: Session, task: TaskRow, person: Person, at: datetime) -> None:
    """Make a task of the pool the person's, on lease. Only inside `tallied`."""
    task.person_id, task.status, task.claimed_at = person.person_id, "claimed", at
    draw_side(session, task, person.handle)


def draw_side(session: Session, task: TaskRow, handle: str) -> None:
    """Draw what the person sees on the left, unless the batch said it."""
    if task.left_response is None:
        seed = session.scalar(select(BatchRow.seed).where(BatchRow.round_name == task.round_name))
        kind = "left again" if task.purpose == "repeat" else "left"
        task.left_response = draw_left(seed or 0, task.pair_id, handle, kind)


def put_back(task: TaskRow) -> None:
    """Make a task anyone's again. Only inside `tallied`."""
    task.person_id, task.status, task.claimed_at = None, "open", None
    task.reserved, task.postponed = False, 0
    if not task.left_given:
        task.left_response = None


def end_leases(session: Session, at: datetime, lease: timedelta, *, asking: int) -> None:
    """Take back what others have held for longer than the lease; who asks is there, and keeps theirs."""
    lapsed = session.execute(
        select(TaskRow.task_id, TaskRow.pair_id)
        .where(TaskRow.claimed_at < at - lease, TaskRow.claimed_at.is_not(None), TaskRow.person_id != asking)
        .order_by(TaskRow.claimed_at)
        .limit(_MAX_LAPSED)
    ).all()
    if not lapsed:
        return
    ids = {row.task_id for row in lapsed}
    with tallied(session, [row.pair_id for row in lapsed]) as tasks:
        for task in tasks:
            if task.task_id not in ids:
                continue
            audit.write(session, at, task.person_id, LEASE_RAN_OUT, task.task_id, {"since": str(task.claimed_at)})
            if task.reserved:
                task.status, task.claimed_at = "open", None
            else:
                put_back(task)


def give_up_all(session: Session, person_id: int) -> tuple[int, int]:
    """Everything that a person who leaves has not answered: to the pool, or withdrawn where only they could answer it.

    Returns:
        Tasks that came to the pool, and repeats that were withdrawn.
    """
    pairs = session.scalars(
        select(TaskRow.pair_id).where(TaskRow.person_id == person_id, TaskRow.status.in_(("open", "claimed")))
    ).all()
    num_back = num_withdrawn = 0
    with tallied(session, pairs) as tasks:
        for task in tasks:
            if task.person_id != person_id or task.status not in ("open", "claimed"):
                continue
            if task.purpose == "repeat":
                task.status, task.claimed_at, task.withdrawn_for = "withdrawn", None, "person"
                num_withdrawn += 1
                continue
            # The side was given for this person, if it was.
            task.left_given = task.left_given and not task.reserved
            put_back(task)
            num_back += 1
    return num_back, num_withdrawn
