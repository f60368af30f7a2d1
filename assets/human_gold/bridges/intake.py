"""Intake: an answer that another tool delivers becomes an answer on the desk, or a reason why it cannot.

A later answer of the same person to the same task is a correction: it is stored as the next revision. One that says
what the last one said, or that was taken in before, adds nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import Engine, select
from sqlalchemy.orm import Session

from assets.contracts import VERDICTS
from assets.human_gold.desk import pool
from assets.human_gold.desk.database import Clock, now, reading, writing
from assets.human_gold.desk.disagreements import check_rule
from assets.human_gold.desk.forms import checked
from assets.human_gold.desk.persons import find, view
from assets.human_gold.desk.schema import ItemRow, PersonRow, TaskRow
from assets.human_gold.desk.showing import form_of, last_answer
from assets.human_gold.desk.sides import as_shown
from assets.human_gold.desk.taking_in import store
from assets.human_gold.desk.tallies import in_pool, tallied
from assets.human_gold.desk.views import SHOWN_VERDICTS, Answer, DeskError, InvalidAnswer
from assets.identity import digest, storable

ADDED, CORRECTED, REPEATED = "added", "corrected", "repeated"


@dataclass(frozen=True)
class Delivered:
    """An answer as a tool delivers it.

    Attributes:
        act: tells one act of answering from another, such as the line it stands on; the same act adds nothing twice.
        verdict: left or right as shown, 1 or 2 in canonical order, tie or undecided.
        task_id: of the task; or else
        pair_id: of the pair, whose label task (never a repeat) is meant.
        person: a handle; may be None where the task is one person's.
        answered_at: with zone; None for now. A time to come counts as now, since a wrong clock must not cost a label.
    """

    act: str
    verdict: str
    task_id: str | None = None
    pair_id: str | None = None
    person: str | None = None
    strength: str | None = None
    reasons: tuple[str, ...] = ()
    comment: str = ""
    edited_attributes: Mapping[str, Any] = field(default_factory=dict)
    guideline_version: str = ""
    active_seconds: float | None = None
    answered_at: datetime | None = None


@dataclass(frozen=True)
class Outcome:
    """What became of it: `ADDED`, `CORRECTED`, `REPEATED`, or the reason why it cannot be used, with a detail."""

    kind: str
    detail: str = ""

    @property
    def stored(self) -> bool:
        """Whether the desk has an answer more."""
        return self.kind in (ADDED, CORRECTED)

    @property
    def refused(self) -> bool:
        """Whether it belongs among the dead letters."""
        return not self.stored and self.kind != REPEATED


class _Refused(Exception):
    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(reason)
        self.outcome = Outcome(reason, storable(detail)[:500])


class Intake:
    """Takes answers in, one transaction each.

    Args:
        engine: of `open_database`.
        bridge: name of the bridge; answers of two bridges are never the same act.
        round_name: only tasks of this round; None for any.
        clock: gives the time, UTC.
        rule: of adjudication, as the desk's.
    """

    def __init__(
        self,
        engine: Engine,
        bridge: str,
        *,
        round_name: str | None = None,
        clock: Clock = now,
        rule: str = "no_majority",
    ) -> None:
        self._engine, self._bridge, self._round = engine, bridge, round_name
        self._clock, self._rule = clock, check_rule(rule)

    def take(self, delivered: Delivered) -> Outcome:
        """Store one answer.

        Returns:
            What became of it. Reasons: unknown_task, unknown_pair, unknown_person, unknown_verdict, inactive_person,
            no_task, not_their_task, had_the_pair (they answer or answered another task of it), ambiguous_task,
            side_unknown (left or right of a task that was never shown), invalid_answer, withdrawn.
        """
        try:
            if delivered.verdict not in (*SHOWN_VERDICTS, *VERDICTS):
                raise _Refused("unknown_verdict", delivered.verdict)
            with writing(self._engine) as session:
                return self._store(session, delivered)
        except _Refused as refused:
            return refused.outcome
        except InvalidAnswer as error:
            return Outcome("invalid_answer", storable(str(error))[:500])
        except DeskError as error:
            return Outcome("not_their_task", storable(str(error))[:500])

    def knows_pair(self, pair_id: str) -> bool:
        """Whether the desk was ever asked about the pair."""
        with reading(self._engine) as session:
            return session.get(ItemRow, pair_id) is not None

    def _store(self, session: Session, delivered: Delivered) -> Outcome:
        row = self._person(session, delivered)
        task = self._task(session, delivered, row)
        row = row or self._owner(session, task)
        if not row.active:
            raise _Refused("inactive_person", row.handle)
        person, at = view(row), self._clock()
        if delivered.answered_at is not None:
            at = min(at, delivered.answered_at)
        sided = delivered.verdict in ("left", "right")
        if task.left_response is None and sided:
            raise _Refused("side_unknown", f"{delivered.verdict}, though nobody was shown the sides of {task.task_id}")
        if task.status == "withdrawn" and task.person_id is None:
            raise _Refused("withdrawn", task.task_id)
        if task.person_id is None:
            _check_new_pair(session, task, row)
            with tallied(session, [task.pair_id]):
                pool.give(session, task, person, at)
        elif task.left_response is None:
            pool.draw_side(session, task, row.handle)
        verdict = delivered.verdict if task.left_response is None else as_shown(delivered.verdict, task.left_response)
        last = last_answer(session, task.task_id)
        answer = Answer(
            key=task.task_id,
            client_key=digest(self._bridge, delivered.act, task.task_id, row.handle),
            verdict=verdict,
            strength=delivered.strength,
            reasons=delivered.reasons,
            comment=delivered.comment,
            edited_attributes=delivered.edited_attributes,
            guideline_version=delivered.guideline_version,
            active_seconds=delivered.active_seconds,
            revision=last.revision + 1 if last else 0,
            strength_required=False,
        )
        if last is not None and _says(answer, session.get_one(ItemRow, task.pair_id)) == form_of(last):
            return Outcome(REPEATED)
        result = store(session, person, answer, at, rule=self._rule, revealing=False)
        if isinstance(result, DeskError):
            return Outcome("withdrawn", str(result))
        if result.repeated:
            return Outcome(REPEATED)
        return Outcome(CORRECTED if result.revision else ADDED)

    def _person(self, session: Session, delivered: Delivered) -> PersonRow | None:
        if delivered.person is None:
            return None
        row = find(session, delivered.person)
        if row is None:
            raise _Refused("unknown_person", delivered.person)
        return row

    def _owner(self, session: Session, task: TaskRow) -> PersonRow:
        if task.person_id is None:
            raise _Refused("unknown_person", f"nobody is named, and task {task.task_id} is not reserved for anyone")
        return session.get_one(PersonRow, task.person_id)

    def _task(self, session: Session, delivered: Delivered, person: PersonRow | None) -> TaskRow:
        if delivered.task_id is not None:
            task = session.get(TaskRow, storable(delivered.task_id)[:100])
            if task is None or (delivered.pair_id is not None and task.pair_id != delivered.pair_id):
                raise _Refused("unknown_task", delivered.task_id)
            if self._round is not None and task.round_name != self._round:
                raise _Refused("no_task", f"task {task.task_id} is of {task.round_name}")
            if person is not None and task.person_id not in (None, person.person_id):
                raise _Refused("not_their_task", f"{person.handle}: {task.task_id}")
            return task
        pair_id = storable(delivered.pair_id or "").replace("\x00", "")
        if session.get(ItemRow, pair_id) is None:
            raise _Refused("unknown_pair", pair_id)
        if person is None:
            raise _Refused("unknown_person", "a pair without a task needs a person")
        query = select(TaskRow).where(TaskRow.pair_id == pair_id, TaskRow.purpose != "repeat")
        if self._round is not None:
            query = query.where(TaskRow.round_name == self._round)
        tasks = session.scalars(query.order_by(TaskRow.priority, TaskRow.task_id)).all()
        return _meant(tasks, person, delivered.verdict)


def _meant(tasks: Sequence[TaskRow], person: PersonRow, verdict: str) -> TaskRow:
    """The task of a pair that a person's answer is for: their own, or else one that anyone may take."""
    mine = [task for task in tasks if task.person_id == person.person_id]
    waiting = [task for task in mine if task.status in ("open", "claimed")]
    live = [task for task in mine if task.status != "withdrawn"]
    for choice in (waiting, live, mine):
        if len(choice) == 1:
            return choice[0]
        if choice:
            raise _Refused("ambiguous_task", f"{person.handle} has {len(choice)} tasks of the pair: name the task")
    free = [task for task in tasks if in_pool(task)]
    if not free:
        raise _Refused("no_task", f"{person.handle} has no task of the pair, and none is free")
    if verdict in ("left", "right") and len({task.left_response for task in free}) > 1:
        raise _Refused("ambiguous_task", f"{len(free)} tasks of the pair show different sides: name the task")
    return free[0]


def _check_new_pair(session: Session, task: TaskRow, person: PersonRow) -> None:
    if not in_pool(task):
        raise _Refused("not_their_task", f"{person.handle}: {task.task_id}")
    mine = select(TaskRow.task_id).where(TaskRow.pair_id == task.pair_id, TaskRow.person_id == person.person_id)
    other = session.scalars(mine.limit(1)).first()
    if other is not None:
        raise _Refused("had_the_pair", f"{person.handle}: task {other}")


def _says(answer: Answer, item: ItemRow) -> dict[str, Any]:
    """What an answer says, as `form_of` tells it of a stored one."""
    answer = checked(answer, item.attributes)
    return {
        "verdict": answer.verdict,
        "strength": answer.strength,
        "reasons": list(answer.reasons),
        "comment": answer.comment,
        "edited_attributes": dict(answer.edited_attributes),
    }
