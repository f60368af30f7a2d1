"""What a person has done, and how far they and all are."""

from __future__ import annotations

from datetime import datetime
from statistics import median

from sqlalchemy import bindparam, func, or_, select
from sqlalchemy.orm import Session

from assets.human_gold.desk.database import as_words
from assets.human_gold.desk.schema import AnswerRow, BatchRow, ItemRow, StandingRow, TaskRow
from assets.human_gold.desk.showing import beginning, last_answer
from assets.human_gold.desk.views import Past, Person, Progress

_NUM_TIMED, _FEWEST_TIMED = 50, 5

# Statements are made once: making one takes longer than SQLite takes to run it.
_mine = AnswerRow.person_id == bindparam("person_id")
_STANDING = select(StandingRow.num_answered, StandingRow.num_waiting, StandingRow.num_blocked).where(
    StandingRow.person_id == bindparam("person_id")
)
_ALL = select(
    func.coalesce(func.sum(BatchRow.num_open + BatchRow.num_claimed), 0),
    func.coalesce(func.sum(BatchRow.num_answered), 0),
    func.coalesce(func.sum(BatchRow.num_pairs_in_pool), 0),
)
_TO_COME = select(func.count()).where(
    TaskRow.person_id == bindparam("person_id"),
    TaskRow.status == "open",
    TaskRow.purpose == as_words("repeat"),
    or_(TaskRow.shown_after.is_(None), TaskRow.shown_after > bindparam("num_answered")),
)
_TODAY = select(func.count()).where(_mine, AnswerRow.revision == 0, AnswerRow.answered_at >= bindparam("midnight"))
_TIMES = select(AnswerRow.active_seconds).where(_mine).order_by(AnswerRow.answer_id.desc()).limit(_NUM_TIMED)


def history(session: Session, person: Person, limit: int, before: str | None) -> list[Past]:
    """The person's answers, the last first, by when a task was answered first; `before` is a key of one of them."""
    mine = (AnswerRow.person_id == person.person_id, AnswerRow.revision == 0)
    query = select(AnswerRow).where(*mine).order_by(AnswerRow.answer_id.desc()).limit(limit)
    if before is not None:
        end = select(AnswerRow.answer_id).where(*mine, AnswerRow.task_id == before).scalar_subquery()
        query = query.where(AnswerRow.answer_id < end)
    entries = []
    for first in session.scalars(query).all():
        last = last_answer(session, first.task_id)
        assert last is not None
        item = session.get_one(ItemRow, session.get_one(TaskRow, first.task_id).pair_id)
        entries.append(
            Past(
                key=first.task_id,
                pair_id=item.pair_id,
                beginning=beginning(item),
                verdict=last.shown_verdict,
                strength=last.strength,
                answered_at=last.answered_at,
                num_revisions=last.revision + 1,
            )
        )
    return entries


def progress(session: Session, person: Person, at: datetime) -> Progress:
    """How far the person and everyone is; from kept counts, so that it may be asked after every answer."""
    who = {"person_id": person.person_id}
    standing = session.execute(_STANDING, who).one()
    left, done, in_pool = session.execute(_ALL).one()
    to_come = session.scalar(_TO_COME, {**who, "num_answered": standing.num_answered}) or 0
    midnight = at.replace(hour=0, minute=0, second=0, microsecond=0)
    today = session.scalar(_TODAY, {**who, "midnight": midnight}) or 0
    seconds = [value for value in session.scalars(_TIMES, who) if value is not None]
    return Progress(
        mine_done=standing.num_answered,
        mine_today=today,
        mine_left=standing.num_waiting - to_come + in_pool - standing.num_blocked,
        all_done=done,
        all_left=left,
        median_seconds=median(seconds) if len(seconds) >= _FEWEST_TIMED else None,
    )
