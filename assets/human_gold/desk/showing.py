"""What one person sees of a task or a case."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import bindparam, select
from sqlalchemy.orm import Session

from assets.human_gold.desk.schema import AnswerRow, DecisionRow, DraftRow, ItemRow, TaskRow
from assets.human_gold.desk.views import ShownPair

_BEGINNING = 120
# Made once: making a statement takes longer than SQLite takes to run it.
_LAST = select(AnswerRow).where(AnswerRow.task_id == bindparam("task_id")).order_by(AnswerRow.revision.desc()).limit(1)


def form_of(given: AnswerRow | DecisionRow) -> dict[str, Any]:
    """An answer as the form held it."""
    return {
        "verdict": given.shown_verdict,
        "strength": given.strength,
        "reasons": list(given.reasons),
        "comment": given.comment,
        "edited_attributes": dict(given.edited_attributes),
    }


def pair_as_shown(
    item: ItemRow,
    left_response: int,
    *,
    key: str,
    round_name: str,
    due: str | None = None,
    draft: Mapping[str, Any] | None = None,
    revision: int = 0,
) -> ShownPair:
    """A pair with its responses on the sides that were drawn."""
    first, second = item.response_1, item.response_2
    return ShownPair(
        key=key,
        pair_id=item.pair_id,
        round_name=round_name,
        conversation=tuple(item.prompt),
        left=first if left_response == 1 else second,
        right=second if left_response == 1 else first,
        attributes={name: "" if value is None else str(value) for name, value in item.attributes.items()},
        due=due,
        draft=draft,
        revision=revision,
    )


def task_as_shown(session: Session, task: TaskRow) -> ShownPair:
    """A person's task, with their draft, or else their last answer."""
    assert task.person_id is not None
    assert task.left_response is not None
    last = last_answer(session, task.task_id)
    draft = session.get(DraftRow, (task.task_id, task.person_id))
    form = draft.form if draft else form_of(last) if last else None
    return pair_as_shown(
        session.get_one(ItemRow, task.pair_id),
        task.left_response,
        key=task.task_id,
        round_name=task.round_name,
        due=task.due,
        draft=form,
        revision=last.revision + 1 if last else 0,
    )


def last_answer(session: Session, task_id: str) -> AnswerRow | None:
    """The answer in force."""
    return session.scalars(_LAST, {"task_id": task_id}).first()


def beginning(item: ItemRow) -> str:
    """The first words of the turn that both responses answer, on one line."""
    last = item.prompt[-1]["content"] if item.prompt else ""
    words = " ".join(last[: 4 * _BEGINNING].split())
    return words if len(words) <= _BEGINNING else words[: _BEGINNING - 1].rstrip() + "…"
