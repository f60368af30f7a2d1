"""How fast people label: counts and active hours per person, for the manager's page."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import func, select
from sqlalchemy.engine import Engine

from assets.human_gold.desk.schema import AnswerRow, PersonRow

RECENT = timedelta(days=7)


@dataclass(frozen=True)
class Pace:
    """One person's pace over the last `RECENT`.

    Attributes:
        num_answers: first answers, corrections left out.
        active_hours: as the browser measured them.
        per_hour: answers with measured time by active hour; None below five of them.
        last_at: time of the last answer.
    """

    handle: str
    display_name: str
    simulated: bool
    num_answers: int
    active_hours: float
    per_hour: float | None
    last_at: datetime


def labels_per_hour(engine: Engine, now: datetime) -> list[Pace]:
    """The pace of everyone who answered lately, by name: no ranking."""
    counted = (
        select(
            PersonRow.handle,
            PersonRow.display_name,
            PersonRow.simulated,
            func.count(),
            func.count(AnswerRow.active_seconds),
            func.sum(AnswerRow.active_seconds),
            func.max(AnswerRow.answered_at),
        )
        .join(PersonRow, PersonRow.person_id == AnswerRow.person_id)
        .where(AnswerRow.revision == 0, AnswerRow.answered_at >= now - RECENT)
        .group_by(PersonRow.person_id)
        .order_by(PersonRow.handle)
    )
    with engine.connect() as connection:
        rows = connection.execute(counted).all()
    return [
        Pace(handle, name, simulated, total, (seconds or 0.0) / 3600, _rate(timed, seconds or 0.0), last)
        for handle, name, simulated, total, timed, seconds, last in rows
    ]


def _rate(num_timed: int, seconds: float) -> float | None:
    """Answers by hour.

    >>> _rate(10, 600.0)
    60.0
    """
    return num_timed * 3600 / seconds if num_timed >= 5 and seconds > 0 else None
