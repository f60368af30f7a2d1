"""Counts that follow from the tasks, kept beside them: per round and per person.

Everything that is counted is a sum over pairs of something that follows from the tasks of one pair. So every change of
tasks is made inside `tallied`, which adds what the change made of that sum; nothing else writes these columns.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from sqlalchemy import ColumnElement, Table, Update, bindparam, select, update
from sqlalchemy.orm import Session

from assets.human_gold.desk.schema import Base, StandingRow, TaskRow

Tally = Counter[tuple[str, str | int, str]]
"""("round", its name, column) or ("person", id, column) to a count."""

_COLUMNS = {
    "round": ("num_open", "num_claimed", "num_answered", "num_withdrawn", "num_repeats_left", "num_pairs_in_pool"),
    "person": ("num_answered", "num_waiting", "num_blocked"),
}
_OF_PAIRS = select(TaskRow).where(TaskRow.pair_id.in_(bindparam("pairs", expanding=True)))


def _addition(table: Table, key: ColumnElement[Any], columns: Sequence[str]) -> Update:
    added = {name: table.c[name] + bindparam(f"add_{name}") for name in columns}
    return update(table).where(key == bindparam("of")).values(added)


_batches, _standings = Base.metadata.tables["batches"], Base.metadata.tables["standings"]
# Statements are made once: making one takes longer than SQLite takes to run it.
_ADD = {
    "round": _addition(_batches, _batches.c.round_name, _COLUMNS["round"]),
    "person": _addition(_standings, _standings.c.person_id, _COLUMNS["person"]),
}

# Fewer than SQLite takes as parameters of one statement.
CHUNK = 5_000


def chunks(values: Sequence[str], size: int = CHUNK) -> Iterator[Sequence[str]]:
    """The values in order, so many at a time."""
    for start in range(0, len(values), size):
        yield values[start : start + size]


def in_pool(task: TaskRow) -> bool:
    """Whether anyone may take the task; `schema.tasks_in_pool` says the same to the database."""
    return task.status == "open" and task.person_id is None and task.purpose != "repeat"


def tally(tasks: Iterable[TaskRow]) -> Tally:
    """What a set of tasks, whole pairs at a time, adds to the counts."""
    counts: Tally = Counter()
    of_pair: defaultdict[str, list[TaskRow]] = defaultdict(list)
    for task in tasks:
        of_pair[task.pair_id].append(task)
        counts["round", task.round_name, f"num_{task.status}"] += 1
        if task.purpose == "repeat" and task.status in ("open", "claimed"):
            counts["round", task.round_name, "num_repeats_left"] += 1
        if task.person_id is not None and task.status in ("open", "claimed"):
            counts["person", task.person_id, "num_waiting"] += 1
        elif task.person_id is not None and task.status == "answered":
            counts["person", task.person_id, "num_answered"] += 1
    for pair in of_pair.values():
        rounds = [task.round_name for task in pair if in_pool(task)]
        if rounds:
            counts["round", min(rounds), "num_pairs_in_pool"] += 1
            for person_id in {task.person_id for task in pair if task.person_id is not None}:
                counts["person", person_id, "num_blocked"] += 1
    return counts


@contextmanager
def tallied(session: Session, pair_ids: Collection[str]) -> Iterator[list[TaskRow]]:
    """All tasks of the pairs, to be changed or added to (tasks of these pairs) in the block; counts follow at its end.

    A task that comes into the pool is found again by everyone who may take it.
    """
    tasks: list[TaskRow] = []
    for some in chunks(sorted(set(pair_ids))):
        tasks += session.scalars(_OF_PAIRS, {"pairs": list(some)})
    before, pool_before = tally(tasks), {task.task_id for task in tasks if in_pool(task)}
    yield tasks
    session.add_all(tasks)
    session.flush()
    _add(session, tally(tasks), before)
    came = {task.pair_id for task in tasks if in_pool(task) and task.task_id not in pool_before}
    if came:
        # Whoever lost the pair may take its other tasks again, too: back to the first of them.
        first = min(task.priority for task in tasks if task.pair_id in came and in_pool(task))
        session.execute(
            update(StandingRow)
            .where(StandingRow.after_priority >= first)
            .values(after_priority=first, after_task="")
            .execution_options(synchronize_session=False)
        )


def _add(session: Session, after: Tally, before: Tally) -> None:
    changed: defaultdict[tuple[str, str | int], dict[str, int]] = defaultdict(dict)
    for kind, name, column in after.keys() | before.keys():
        difference = after[kind, name, column] - before[kind, name, column]
        if difference:
            changed[kind, name][column] = difference
    for (kind, name), differences in changed.items():
        added = {f"add_{column}": differences.get(column, 0) for column in _COLUMNS[kind]}
        session.execute(_ADD[kind], {"of": name, **added})
