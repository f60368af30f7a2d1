"""One case: what an adjudicator sees of it, and whose it is."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from assets.chance import rank_key
from assets.human_gold.desk import audit
from assets.human_gold.desk.disagreements import in_force
from assets.human_gold.desk.pool import LEASE_RAN_OUT
from assets.human_gold.desk.schema import (
    AnswerRow,
    AuditRow,
    BatchRow,
    CaseRow,
    DecisionRow,
    DraftRow,
    ItemRow,
    TaskRow,
)
from assets.human_gold.desk.showing import beginning, form_of, pair_as_shown
from assets.human_gold.desk.sides import as_shown, draw_left
from assets.human_gold.desk.views import NotAllowed, Past, Person, ShownCase

_KEY = re.compile(r"case-([1-9][0-9]{0,8})")


def case_id(key: str) -> int:
    """The id in a key such as "case-7"; 0, which is nobody's, where it is none."""
    match = _KEY.fullmatch(key)
    return int(match[1]) if match else 0


def had_pair(session: Session, case: CaseRow, person: Person) -> bool:
    """Whether the person was asked about the pair themselves, in any round."""
    mine = select(TaskRow.task_id).where(TaskRow.pair_id == case.pair_id, TaskRow.person_id == person.person_id)
    return session.scalars(mine.limit(1)).first() is not None


def own(session: Session, person: Person, key: str) -> CaseRow:
    """The person's case of that key.

    Raises:
        NotAllowed: there is none, it is somebody else's, or they answered the pair themselves.
    """
    case = session.get(CaseRow, case_id(key))
    if case is None or case.adjudicator_id != person.person_id or had_pair(session, case, person):
        raise NotAllowed("This is not a case of yours.", where=key[:80], todo="go on with the next")
    return case


def give(session: Session, case: CaseRow, person: Person, at: datetime) -> None:
    """Make an open case the person's, on lease."""
    seed = session.scalar(select(BatchRow.seed).where(BatchRow.round_name == case.round_name)) or 0
    case.status, case.adjudicator_id, case.claimed_at = "claimed", person.person_id, at
    case.left_response = draw_left(seed, case.pair_id, person.handle, "left of case")


def put_back(session: Session, case: CaseRow, at: datetime) -> None:
    """Open a case to all again, and write down who held it."""
    audit.write(session, at, case.adjudicator_id, LEASE_RAN_OUT, f"case-{case.case_id}")
    case.status, case.adjudicator_id, case.claimed_at, case.left_response = "open", None, None, None


def was_lost(session: Session, case: CaseRow, person: Person) -> bool:
    """Whether the person held the case before, and left it for too long."""
    lost = select(AuditRow.audit_id).where(
        AuditRow.subject == f"case-{case.case_id}",
        AuditRow.action == LEASE_RAN_OUT,
        AuditRow.person_id == person.person_id,
    )
    return session.scalars(lost.limit(1)).first() is not None


def last_decision(session: Session, case: CaseRow) -> DecisionRow | None:
    """The decision in force."""
    query = select(DecisionRow).where(DecisionRow.case_id == case.case_id).order_by(DecisionRow.revision.desc())
    return session.scalars(query.limit(1)).first()


def arguments(session: Session, case: CaseRow) -> list[AnswerRow]:
    """The answers in force that disagree, in an order drawn for the case."""
    tasks = select(TaskRow.task_id).where(
        TaskRow.pair_id == case.pair_id, TaskRow.round_name == case.round_name, TaskRow.purpose == "label"
    )
    answers = in_force(session, session.scalars(tasks).all())
    return sorted(answers, key=lambda answer: rank_key("arguments", case.case_id, answer.task_id))


def case_as_shown(session: Session, case: CaseRow) -> ShownCase:
    """A case as its adjudicator sees it: arguments without names, sides as drawn for the adjudicator."""
    assert case.left_response is not None
    left, key, last = case.left_response, f"case-{case.case_id}", last_decision(session, case)
    draft = session.get(DraftRow, (key, case.adjudicator_id))
    decided = form_of(last) if last else None
    given: list[dict[str, Any]] = [
        {
            "name": f"Annotator {_letters(place)}",
            "verdict": as_shown(answer.verdict, left),
            "strength": answer.strength,
            "reasons": list(answer.reasons),
            "comment": answer.comment,
            "edited_attributes": dict(answer.edited_attributes),
        }
        for place, answer in enumerate(arguments(session, case))
    ]
    pair = pair_as_shown(
        session.get_one(ItemRow, case.pair_id),
        left,
        key=key,
        round_name=case.round_name,
        draft=draft.form if draft else decided,
        revision=last.revision + 1 if last else 0,
    )
    return ShownCase(pair, tuple(given), decided)


def past(session: Session, case: CaseRow) -> Past:
    """A decided case as its adjudicator's history lists it."""
    last = last_decision(session, case)
    assert last is not None
    return Past(
        key=f"case-{case.case_id}",
        pair_id=case.pair_id,
        beginning=beginning(session.get_one(ItemRow, case.pair_id)),
        verdict=last.shown_verdict,
        strength=last.strength,
        answered_at=last.decided_at,
        num_revisions=last.revision + 1,
    )


def _letters(place: int) -> str:
    """A, B ... Z, AA, AB ...

    >>> _letters(0), _letters(25), _letters(26)
    ('A', 'Z', 'AA')
    """
    return (_letters(place // 26 - 1) if place >= 26 else "") + chr(ord("A") + place % 26)
