"""What the bridge to the ledger takes from the desk: answers and decisions after the last it saw.

Ids grow in the order in which transactions end, since there is one writer at a time: nothing appears below an id that
was seen.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import Engine, select

from assets.human_gold.desk.database import reading
from assets.human_gold.desk.schema import AnswerRow, BatchRow, CaseRow, DecisionRow, ItemRow, PersonRow, TaskRow


def answers_since(
    engine: Engine, round_name: str, after_answer_id: int, limit: int | None = None
) -> list[dict[str, Any]]:
    """Answers of a round after an id, in their order, revisions among them; at most `limit`.

    Returns:
        Rows of answer_id, task_id, pair_id, round_name, handle, simulated, purpose, left_response, shown_verdict,
        verdict (canonical), strength, reasons, comment, edited_attributes, attributes (the item's), guideline_version,
        active_seconds, revision, answered_at, reason, due, known_verdict.
    """
    query = (
        select(AnswerRow, TaskRow, PersonRow.handle, PersonRow.simulated, ItemRow.attributes)
        .join(TaskRow, TaskRow.task_id == AnswerRow.task_id)
        .join(PersonRow, PersonRow.person_id == AnswerRow.person_id)
        .join(ItemRow, ItemRow.pair_id == TaskRow.pair_id)
        .where(AnswerRow.answer_id > after_answer_id, TaskRow.round_name == round_name)
        .order_by(AnswerRow.answer_id)
        .limit(limit)
    )
    with reading(engine) as session:
        return [
            {
                "answer_id": answer.answer_id,
                "task_id": task.task_id,
                "pair_id": task.pair_id,
                "round_name": task.round_name,
                "handle": handle,
                "simulated": simulated,
                "purpose": task.purpose,
                "left_response": task.left_response,
                **_given(answer),
                "attributes": attributes,
                "answered_at": answer.answered_at,
                "reason": task.reason,
                "due": task.due,
                "known_verdict": task.known_verdict,
            }
            for answer, task, handle, simulated, attributes in session.execute(query).tuples()
        ]


def decisions_since(
    engine: Engine, round_name: str, after_decision_id: int, limit: int | None = None
) -> list[dict[str, Any]]:
    """Decisions of a round after an id, in their order, revisions among them; at most `limit`.

    Returns:
        Rows of decision_id, case_id, key (`case-N`), pair_id, round_name, handle, simulated, left_response, what an
        answer has from shown_verdict to revision, attributes, num_arguments, decided_at.
    """
    query = (
        select(DecisionRow, CaseRow, PersonRow.handle, PersonRow.simulated, ItemRow.attributes)
        .join(CaseRow, CaseRow.case_id == DecisionRow.case_id)
        .join(PersonRow, PersonRow.person_id == DecisionRow.adjudicator_id)
        .join(ItemRow, ItemRow.pair_id == CaseRow.pair_id)
        .where(DecisionRow.decision_id > after_decision_id, CaseRow.round_name == round_name)
        .order_by(DecisionRow.decision_id)
        .limit(limit)
    )
    with reading(engine) as session:
        return [
            {
                "decision_id": decision.decision_id,
                "case_id": case.case_id,
                "key": f"case-{case.case_id}",
                "pair_id": case.pair_id,
                "round_name": case.round_name,
                "handle": handle,
                "simulated": simulated,
                "left_response": case.left_response,
                **_given(decision),
                "attributes": attributes,
                "num_arguments": decision.num_arguments,
                "decided_at": decision.decided_at,
            }
            for decision, case, handle, simulated, attributes in session.execute(query).tuples()
        ]


def last_ids(engine: Engine) -> dict[str, tuple[int, int]]:
    """Per round, the last answer's and the last decision's id; 0 where there is none. Reads the rounds alone."""
    query = select(BatchRow.round_name, BatchRow.last_answer_id, BatchRow.last_decision_id)
    with reading(engine) as session:
        return {name: (answer_id, decision_id) for name, answer_id, decision_id in session.execute(query)}


def _given(given: AnswerRow | DecisionRow) -> dict[str, Any]:
    names = ("shown_verdict", "verdict", "strength", "reasons", "comment", "edited_attributes", "guideline_version")
    return {name: getattr(given, name) for name in (*names, "active_seconds", "revision")}
