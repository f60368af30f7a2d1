"""Batches: a round's pairs and tasks come onto the desk, and are taken off it again."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from sqlalchemy import Engine, func, insert, select, update
from sqlalchemy.orm import Session

from assets.human_gold.desk import audit
from assets.human_gold.desk.batch_lists import Item, Task, check_batch
from assets.human_gold.desk.database import Clock, now, reading, writing
from assets.human_gold.desk.persons import check_manager, id_of
from assets.human_gold.desk.pool import put_back
from assets.human_gold.desk.repeats import bind_repeats
from assets.human_gold.desk.schema import BatchRow, CaseRow, ItemRow, TaskRow
from assets.human_gold.desk.tallies import chunks, tallied
from assets.human_gold.desk.texts import keepable
from assets.human_gold.desk.views import Person

__all__ = ["Item", "PushResult", "Task", "batch_progress", "push_batch", "withdraw"]

# Pairs of one transaction: others write between them, and wait some hundredths of a second for each.
_PAIRS_AT_ONCE = 500


@dataclass(frozen=True)
class PushResult:
    """What pushing a batch did.

    Attributes:
        num_tasks_known: were there before, whatever became of them.
        num_for_others: of the new ones, meant for a person who has or had the pair already, and so open to all others.
    """

    num_items_new: int
    num_tasks_new: int
    num_tasks_known: int
    num_withdrawn: int
    num_for_others: int = 0


def push_batch(
    engine: Engine,
    round_name: str,
    seed: int,
    items: Sequence[Item],
    tasks: Sequence[Task],
    info: Mapping[str, Any],
    clock: Clock = now,
) -> PushResult:
    """Bring the desk to a round's list of tasks; doing it again changes nothing.

    New tasks are added, those that the list names no more are withdrawn unless they are answered, and come back when
    it names them again. An item that is there stays as it is, since answers refer to its attributes. Whole pairs are
    written at a time: a push that was cut off is finished by the next, and people work on meanwhile.

    Raises:
        DeskError: tasks that cannot be, before anything is written: of unknown people or pairs, named twice, of
            another round, or a seed other than the round's first.
    """
    people = check_batch(engine, round_name, seed, items, tasks)
    with writing(engine) as session:
        at = clock()
        batch = session.get(BatchRow, round_name)
        if batch is None:
            session.add(BatchRow(round_name=round_name, seed=seed, info=keepable(dict(info)), created_at=at))
        else:
            batch.info = keepable(dict(info))
    of_pair: dict[str, list[tuple[int, Task]]] = {}
    for place, task in enumerate(tasks):
        of_pair.setdefault(task.pair_id, []).append((place, task))
    item_of = {item.pair_id: item for item in items}
    num = Counter[str]()
    for pairs in chunks(list(of_pair), _PAIRS_AT_ONCE):
        with writing(engine) as session:
            num["items_new"] += _add_items(session, [item_of[pair] for pair in pairs if pair in item_of])
            with tallied(session, pairs) as rows:
                there = {row.task_id: row for row in rows}
                for place, task in (entry for pair in pairs for entry in of_pair[pair]):
                    if task.task_id in there:
                        num["known"] += 1
                        _ask_again(there[task.task_id])
                    else:
                        num["new"] += 1
                        row = _row(task, round_name, place, people)
                        num["for_others"] += _give_to_others(row, rows)
                        rows.append(row)
                if any(row.purpose == "repeat" for row in rows):
                    session.flush()
                    bind_repeats(session, rows)
    wanted = {task.task_id for task in tasks}
    with reading(engine) as session:
        left = select(TaskRow.task_id).where(TaskRow.round_name == round_name, TaskRow.status.in_(("open", "claimed")))
        gone = [task_id for task_id in session.scalars(left) if task_id not in wanted]
    with writing(engine) as session:
        num["withdrawn"] = _withdraw(session, gone, "list")
        result = PushResult(num["items_new"], num["new"], num["known"], num["withdrawn"], num["for_others"])
        if num["items_new"] or num["new"] or num["withdrawn"]:
            audit.write(session, clock(), None, "batch_pushed", round_name, asdict(result))
    return result


def withdraw(
    engine: Engine,
    *,
    task_ids: Collection[str] = (),
    pair_ids: Collection[str] = (),
    by: Person | None,
    why: str,
    clock: Clock = now,
) -> int:
    """Take tasks off the desk that nobody has answered: by id, or all of some pairs, with their open cases.

    Args:
        engine: of `open_database`.
        task_ids, pair_ids: which; unknown and answered ones stay as they are.
        by: a manager; None from the command line.
        why: for the audit log.
        clock: gives the time, UTC.

    Returns:
        Tasks withdrawn; they are not asked again, also if the batch is pushed again.

    Raises:
        NotAllowed: `by` is no manager.
    """
    with writing(engine) as session:
        check_manager(session, by)
        ids = set(task_ids)
        for some in chunks(sorted(pair_ids)):
            ids |= set(session.scalars(select(TaskRow.task_id).where(TaskRow.pair_id.in_(some))))
            session.execute(
                update(CaseRow)
                .where(CaseRow.pair_id.in_(some), CaseRow.status.in_(("open", "claimed")))
                .values(status="withdrawn", withdrawn_for="manager", claimed_at=None)
            )
        num = _withdraw(session, sorted(ids), "manager")
        subject = ", ".join([*task_ids, *pair_ids])
        audit.write(session, clock(), id_of(by), "withdrawn", subject, {"why": why, "num_tasks": num})
        return num


def batch_progress(engine: Engine) -> list[dict[str, Any]]:
    """Per round, oldest first: round_name, created_at, info and counts.

    num_tasks, num_open, num_claimed, num_answered and num_withdrawn (which add up to num_tasks), num_repeats_left (of
    those open or claimed), num_cases_open (claimed ones, too) and num_cases_decided.
    """
    with reading(engine) as session:
        cases: dict[tuple[str, str], int] = {
            (round_name, status): num
            for round_name, status, num in session.execute(
                select(CaseRow.round_name, CaseRow.status, func.count()).group_by(CaseRow.round_name, CaseRow.status)
            )
        }
        rows = session.scalars(select(BatchRow).order_by(BatchRow.created_at, BatchRow.round_name)).all()
    return [
        {
            "round_name": row.round_name,
            "created_at": row.created_at,
            "info": row.info,
            "num_tasks": row.num_open + row.num_claimed + row.num_answered + row.num_withdrawn,
            "num_open": row.num_open,
            "num_claimed": row.num_claimed,
            "num_answered": row.num_answered,
            "num_withdrawn": row.num_withdrawn,
            "num_repeats_left": row.num_repeats_left,
            "num_cases_open": sum(cases.get((row.round_name, status), 0) for status in ("open", "claimed")),
            "num_cases_decided": cases.get((row.round_name, "decided"), 0),
        }
        for row in rows
    ]


def _add_items(session: Session, items: Sequence[Item]) -> int:
    there = set(session.scalars(select(ItemRow.pair_id).where(ItemRow.pair_id.in_([item.pair_id for item in items]))))
    fresh = [
        keepable({**vars(item), "prompt": [dict(turn) for turn in item.prompt]})
        for item in items
        if item.pair_id not in there
    ]
    if fresh:
        session.execute(insert(ItemRow), fresh)
    return len(fresh)


def _row(task: Task, round_name: str, place: int, people: Mapping[str, int]) -> TaskRow:
    return TaskRow(
        task_id=task.task_id,
        pair_id=task.pair_id,
        round_name=round_name,
        purpose=task.purpose,
        person_id=None if task.handle is None else people[task.handle],
        reserved=task.handle is not None,
        left_response=task.left_response,
        left_given=task.left_response is not None,
        priority=place if task.priority is None else task.priority,
        postponed=0,
        after_num_answers=task.after_num_answers,
        status="open",
        reason=keepable(task.reason),
        due=keepable(task.due),
        known_verdict=task.known_verdict,
    )


def _give_to_others(row: TaskRow, rows: Sequence[TaskRow]) -> bool:
    """Nobody is asked about a pair twice but by a repeat: such a task goes to the pool. Returns whether it did."""
    had = {other.person_id for other in rows if other.pair_id == row.pair_id and other.purpose != "repeat"}
    if row.person_id is None or row.purpose == "repeat" or row.person_id not in had:
        return False
    row.person_id, row.reserved, row.left_response, row.left_given = None, False, None, False
    return True


def _ask_again(row: TaskRow) -> None:
    if row.status == "withdrawn" and row.withdrawn_for == "list":
        row.withdrawn_for = None
        if row.reserved:
            row.status = "open"
        else:
            put_back(row)


def _withdraw(session: Session, task_ids: Sequence[str], what_for: str) -> int:
    num = 0
    for some in chunks(task_ids):
        ids = set(some)
        pairs = session.scalars(select(TaskRow.pair_id).where(TaskRow.task_id.in_(some))).all()
        with tallied(session, pairs) as rows:
            for row in rows:
                if row.task_id in ids and row.status in ("open", "claimed"):
                    row.status, row.claimed_at, row.withdrawn_for = "withdrawn", None, what_for
                    num += 1
    return num
