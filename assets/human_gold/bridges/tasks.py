"""Tasks as other tools get them: what a person would see on the page, and nothing that is hidden from them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from sqlalchemy import Engine, select
from sqlalchemy.orm import Session

from assets.errors import SynprefError
from assets.guidelines import Guidelines
from assets.human_gold.desk.database import reading, writing
from assets.human_gold.desk.pool import draw_side
from assets.human_gold.desk.schema import BatchRow, ItemRow, PersonRow, StandingRow, TaskRow
from assets.human_gold.desk.showing import pair_as_shown
from assets.human_gold.desk.sides import draw_left
from assets.human_gold.desk.tallies import chunks
from assets.human_gold.desk.views import EDITABLE_ATTRIBUTES

# Texts of so many pairs are in memory at once.
_TASKS_AT_ONCE = 100


class RoundExport:
    """The tasks of a round that wait for an answer, one after the other.

    What was not exported is counted by reason in `left_out` once all were read: `answered`, `withdrawn`,
    `claimed` (somebody holds it on the page), `repeat_not_due` (it would not be blind yet).

    A task keeps the sides that it was exported with, also when it is answered on the page later: exporting again gives
    the same.

    Args:
        engine: of `open_database`.
        round_name: which round.
        guidelines: whose text goes with every task.

    Raises:
        SynprefError: the desk has no such round.
    """

    def __init__(self, engine: Engine, round_name: str, guidelines: Guidelines) -> None:
        self._engine, self._round, self._guidelines = engine, round_name, guidelines
        self.left_out: Counter[str] = Counter()
        with reading(engine) as session:
            if session.get(BatchRow, round_name) is None:
                raise SynprefError(
                    f"The desk has no round {round_name!r}.", todo="send the round's tasks to the desk first"
                )

    def __iter__(self) -> Iterator[dict[str, Any]]:
        """Objects of task_id, pair_id, person (None: whoever comes first), conversation, left, right, attributes (the
        five), guideline {text, version} and due; in the order in which they are to be asked.
        """
        self.left_out.clear()
        with reading(self._engine) as session:
            rows = session.execute(
                select(
                    TaskRow.task_id,
                    TaskRow.status,
                    TaskRow.purpose,
                    TaskRow.reserved,
                    TaskRow.shown_after,
                    StandingRow.num_answered,
                )
                .outerjoin(StandingRow, StandingRow.person_id == TaskRow.person_id)
                .where(TaskRow.round_name == self._round)
                .order_by(TaskRow.priority, TaskRow.task_id)
            ).all()
        wanted = []
        for row in rows:
            reason = _why_not(row.status, row.purpose, row.reserved, row.shown_after, row.num_answered)
            if reason is None:
                wanted.append(row.task_id)
            else:
                self.left_out[reason] += 1
        for some in chunks(wanted, _TASKS_AT_ONCE):
            self._fix_sides(some)
            with reading(self._engine) as session:
                yield from self._as_shown(session, some)

    def _fix_sides(self, task_ids: Sequence[str]) -> None:
        """Draw the sides of tasks that were shown to nobody yet; those of the pool by task, as their person is open."""
        with writing(self._engine) as session:
            query = select(TaskRow).where(TaskRow.task_id.in_(task_ids), TaskRow.left_response.is_(None))
            for task in session.scalars(query).all():
                if task.person_id is not None:
                    draw_side(session, task, session.get_one(PersonRow, task.person_id).handle)
                    continue
                seed = session.get_one(BatchRow, task.round_name).seed
                task.left_response = draw_left(seed, task.pair_id, task.task_id, "left of exported")
                task.left_given = True

    def _as_shown(self, session: Session, task_ids: Sequence[str]) -> Iterator[dict[str, Any]]:
        query = (
            select(TaskRow, ItemRow, PersonRow.handle)
            .join(ItemRow, ItemRow.pair_id == TaskRow.pair_id)
            .outerjoin(PersonRow, PersonRow.person_id == TaskRow.person_id)
            .where(TaskRow.task_id.in_(task_ids))
            .order_by(TaskRow.priority, TaskRow.task_id)
        )
        for task, item, handle in session.execute(query).tuples():
            assert task.left_response is not None
            pair = pair_as_shown(item, task.left_response, key=task.task_id, round_name=task.round_name)
            yield {
                "task_id": task.task_id,
                "pair_id": task.pair_id,
                "person": handle,
                "conversation": [dict(turn) for turn in pair.conversation],
                "left": pair.left,
                "right": pair.right,
                "attributes": {name: pair.attributes.get(name, "") for name in EDITABLE_ATTRIBUTES},
                "guideline": _guideline(self._guidelines, pair.attributes),
                "due": task.due,
            }


def _why_not(
    status: str, purpose: str, reserved: bool, shown_after: int | None, num_answered: int | None
) -> str | None:
    """Why a task is not exported; None if it is."""
    if status in ("answered", "withdrawn"):
        return status
    if purpose == "repeat" and (shown_after is None or (num_answered or 0) < shown_after):
        return "repeat_not_due"
    return "claimed" if status == "claimed" and not reserved else None


def _guideline(guidelines: Guidelines, attributes: Mapping[str, str]) -> dict[str, str]:
    """The written guideline for the pair's attributes; empty where these are none that are known."""
    which = (attributes["task_category"], attributes["objectivity"], attributes["controversiality"])
    try:
        return {"text": guidelines.text(*which), "version": guidelines.version_of(*which)}
    except KeyError:
        return {"text": "", "version": ""}
