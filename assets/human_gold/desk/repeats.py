"""Blind repeats: pairs that come back to the person who answered them, to compare people with themselves."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from assets.human_gold.desk.schema import AnswerRow, PersonRow, TaskRow


def bind_repeats(session: Session, tasks: Sequence[TaskRow]) -> None:
    """Give repeats to who answered the original, to be shown after so many further answers as they say.

    A repeat that the batch gave to nobody goes to the first who answered the pair in the same round and has no repeat
    of it there. One that the batch gave to a person waits for this person's answer.

    Args:
        session: a writing transaction.
        tasks: all of some pairs; inside `tallies.tallied`.
    """
    for repeat in tasks:
        if repeat.purpose != "repeat" or repeat.status != "open" or repeat.shown_after is not None:
            continue
        original = _original(session, repeat, tasks)
        if original is None:
            continue
        person_id, answer_id = original
        if repeat.person_id is None:
            repeat.person_id, repeat.reserved = person_id, True
        num_answered_then = session.scalar(
            select(func.count()).where(
                AnswerRow.person_id == person_id, AnswerRow.revision == 0, AnswerRow.answer_id <= answer_id
            )
        )
        repeat.shown_after = (num_answered_then or 0) + (repeat.after_num_answers or 0)


def _original(session: Session, repeat: TaskRow, tasks: Sequence[TaskRow]) -> tuple[int, int] | None:
    """Person and first answer that the repeat shall be compared with."""
    same = [task for task in tasks if task.pair_id == repeat.pair_id and task.round_name == repeat.round_name]
    served = {task.person_id for task in same if task.purpose == "repeat"} if repeat.person_id is None else set()
    answered = [task.task_id for task in same if task.purpose != "repeat" and task.status == "answered"]
    if not answered:
        return None
    query = (
        select(AnswerRow.person_id, AnswerRow.answer_id)
        .join(PersonRow, PersonRow.person_id == AnswerRow.person_id)
        .where(AnswerRow.task_id.in_(answered), AnswerRow.revision == 0, PersonRow.active)
        .order_by(AnswerRow.answer_id)
    )
    for person_id, answer_id in session.execute(query).tuples():
        if person_id == repeat.person_id or (repeat.person_id is None and person_id not in served):
            return person_id, answer_id
    return None
