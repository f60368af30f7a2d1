"""The pool: tasks that anyone may take, how they are taken, and how they come back."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime, timedelta

from sqlalchemy import bindparam, exists, select, tuple_, update
from sqlalchemy.orm import Session, aliased

from assets.human_gold.desk import audit
from assets.human_gold.desk.database import as_words
from assets.human_gold.desk.schema import Base, BatchRow, TaskRow
from assets.human_gold.desk.sides import draw_left
from assets.human_gold.desk.tallies import tallied
from assets.human_gold.desk.views import Person

LEASE_RAN_OUT = "lease_ran_out"
"""Action of the audit log: who held the task, which shows that an answer that comes later is theirs."""

# Statements are made once: making one takes longer than SQLite takes to run it.
_POOL = select(TaskRow.task_id, TaskRow.pair_id, TaskRow.priority).where(
    TaskRow.status == as_words("open"), TaskRow.person_id.is_(None), TaskRow.purpose != as_words("repeat")
)
_IN_POOL = _POOL.where(TaskRow.task_id.in_(bindparam("skip", expanding=True)))
_LAST = _POOL.order_by(TaskRow.priority.desc(), TaskRow.task_id.desc()).limit(1)
_mine = aliased(TaskRow)
_NEXT = (
    _POOL.where(
        tuple_(TaskRow.priority, TaskRow.task_id) > tuple_(bindparam("priority"), bindparam("task_id")),
        ~exists().where(_mine.pair_id == TaskRow.pair_id, _mine.person_id == bindparam("person_id")),
        TaskRow.task_id.not_in(bindparam("skip", expanding=True)),
    )
    .order_by(TaskRow.priority, TaskRow.task_id)
    .limit(1)
)
_standings = Base.metadata.tables["standings"]
_START = select(_standings.c.after_priority, _standings.c.after_task).where(
    _standings.c.person_id == bindparam("person_id")
)
_MOVE = (
    update(_standings)
    .where(_standings.c.person_id == bindparam("of"))
    .values(after_priority=bindparam("last_priority"), after_task=bindparam("last_task"))
)
_SEED = select(BatchRow.seed).where(BatchRow.round_name == bindparam("round_name"))
_LAPSED = (
    select(TaskRow.task_id, TaskRow.pair_id)
    .where(
        TaskRow.claimed_at < bindparam("limit"),
        TaskRow.claimed_at.is_not(None),
        TaskRow.person_id != bindparam("asking"),
    )
    .order_by(TaskRow.claimed_at)
    # The rest wait for the next who asks.
    .limit(500)
)


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
    who = {"person_id": person.person_id}
    start = session.execute(_START, who).one()
    # Of what is skipped, most is the person's own already, which is not in the pool.
    skipped = session.scalars(_IN_POOL, {"skip": list(skip)}).all() if skip else []
    place = {"priority": start.after_priority, "task_id": start.after_task}
    found = session.execute(_NEXT, {**who, **place, "skip": list(skipped)}).first()
    if not skipped:
        # Else a task that was skipped may lie before, and the next search begins where this one did.
        last = found or session.execute(_LAST).first()
        if last is not None:
            at_last = {"last_priority": last.priority, "last_task": last.task_id}
            session.execute(_MOVE, {"of": person.person_id, **at_last})
    if found is None:
        return None
    with tallied(session, [found.pair_id]) as tasks:
        task = next(task for task in tasks if task.task_id == found.task_id)
        give(session, task, person, at)
    return task


def give(session: Session, task: TaskRow, person: Person, at: datetime) -> None:
    """Make a task of the pool the person's, on lease. Only inside `tallied`."""
    draw_side(session, task, person.handle)
    task.person_id, task.status, task.claimed_at = person.person_id, "claimed", at


def draw_side(session: Session, task: TaskRow, handle: str) -> None:
    """Draw what the person sees on the left, unless the batch said it."""
    if task.left_response is None:
        seed = session.scalar(_SEED, {"round_name": task.round_name})
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
    lapsed = session.execute(_LAPSED, {"limit": at - lease, "asking": asking}).all()
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
