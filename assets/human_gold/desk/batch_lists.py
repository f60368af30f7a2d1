"""A round's list of pairs and tasks, and what in it cannot be."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Engine, select

from assets.human_gold.desk.database import reading
from assets.human_gold.desk.schema import PURPOSES, BatchRow, ItemRow, PersonRow, TaskRow
from assets.human_gold.desk.tallies import chunks
from assets.human_gold.desk.views import DeskError

_MAX_NAMED = 10


@dataclass(frozen=True)
class Item:
    """A pair that people are asked about; the fields of `schema.ItemRow`."""

    pair_id: str
    source: str
    prompt: Sequence[Mapping[str, str]]
    response_1: str
    response_2: str
    attributes: Mapping[str, str]
    hidden: Mapping[str, Any]


@dataclass(frozen=True)
class Task:
    """An answer that is wanted; the fields of `schema.TaskRow`.

    Attributes:
        handle: for whom; None for whoever comes next (for a repeat: whoever answers the original).
        left_response: 1 or 2; None to have it drawn for the person.
        priority: low numbers first; None for its place in the list.
    """

    task_id: str
    pair_id: str
    purpose: str = "label"
    handle: str | None = None
    left_response: int | None = None
    priority: int | None = None
    after_num_answers: int | None = None
    reason: str | None = None
    due: str | None = None
    known_verdict: str | None = None


def check_batch(
    engine: Engine, round_name: str, seed: int, items: Sequence[Item], tasks: Sequence[Task]
) -> dict[str, int]:
    """The ids of the people by handle.

    Raises:
        DeskError: something in the list cannot be; nothing was written.
    """
    ids = Counter(task.task_id for task in tasks)
    theirs = Counter((task.pair_id, task.purpose == "repeat", task.handle) for task in tasks if task.handle is not None)
    wrong = {
        "tasks named twice": [task_id for task_id, times in ids.items() if times > 1],
        "people given a pair twice": [f"{who}: {pair}" for (pair, _, who), times in theirs.items() if times > 1],
        "tasks of no known purpose": [task.task_id for task in tasks if task.purpose not in PURPOSES],
        "tasks with a left response that is neither 1 nor 2": [
            task.task_id for task in tasks if task.left_response not in (None, 1, 2)
        ],
        "known-answer tasks without known verdict": [
            task.task_id for task in tasks if (task.purpose == "known_answer") != (task.known_verdict is not None)
        ],
    }
    people: dict[str, int] = {}
    given = {item.pair_id for item in items}
    with reading(engine) as session:
        active = select(PersonRow.handle, PersonRow.person_id).where(PersonRow.active)
        people = {handle: person_id for handle, person_id in session.execute(active)}
        batch = session.get(BatchRow, round_name)
        wrong["people without an active account"] = sorted({t.handle for t in tasks if t.handle} - people.keys())
        unknown = sorted({task.pair_id for task in tasks} - given)
        for some in chunks(unknown):
            there = set(session.scalars(select(ItemRow.pair_id).where(ItemRow.pair_id.in_(some))))
            wrong.setdefault("pairs without texts", []).extend(pair for pair in some if pair not in there)
        wrong["tasks of another round or pair"] = []
        pair_of = {task.task_id: task.pair_id for task in tasks}
        for some in chunks(sorted(ids)):
            query = select(TaskRow.task_id, TaskRow.pair_id, TaskRow.round_name).where(TaskRow.task_id.in_(some))
            wrong["tasks of another round or pair"] += [
                task_id
                for task_id, pair_id, other in session.execute(query)
                if other != round_name or pair_id != pair_of[task_id]
            ]
    for what, which in wrong.items():
        if which:
            named = ", ".join(which[:_MAX_NAMED]) + (
                f" and {len(which) - _MAX_NAMED} more" if which[_MAX_NAMED:] else ""
            )
            raise DeskError(
                f"The batch holds {what}: {named}.",
                where=round_name,
                kept="the round as it was",
                todo="invite them first" if what.startswith("people without") else "correct the list",
            )
    if batch is not None and batch.seed != seed:
        raise DeskError(
            f"The round was pushed with seed {batch.seed}, not {seed}.", where=round_name, kept="the round as it was"
        )
    return people
