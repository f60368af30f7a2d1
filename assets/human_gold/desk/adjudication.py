"""Adjudication: who decides a disagreement, what they see of it, and what becomes of the decision."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Engine, delete, exists, select, update
from sqlalchemy.orm import Session

from assets.human_gold.desk import audit, cases
from assets.human_gold.desk.answering import LEASE
from assets.human_gold.desk.cases import case_id
from assets.human_gold.desk.database import Clock, now, reading, writing
from assets.human_gold.desk.disagreements import open_cases
from assets.human_gold.desk.forms import checked, checked_draft
from assets.human_gold.desk.persons import acting
from assets.human_gold.desk.schema import BatchRow, CaseRow, DecisionRow, DraftRow, ItemRow, TaskRow
from assets.human_gold.desk.sides import canonical
from assets.human_gold.desk.taking_in import KEPT, keep_refused
from assets.human_gold.desk.views import (
    AlreadyAnswered,
    Answer,
    DeskError,
    InvalidAnswer,
    NotAllowed,
    Past,
    Person,
    Receipt,
    ShownCase,
    Withdrawn,
)

__all__ = ["Adjudication", "open_cases"]


class Adjudication:
    """Asks adjudicators about disagreements and takes their decisions.

    Args:
        engine: of `open_database`.
        clock: gives the time, UTC.
        lease: how long a case stays with who took it and does nothing.
    """

    def __init__(self, engine: Engine, clock: Clock = now, lease: timedelta = LEASE) -> None:
        self._engine, self._clock, self._lease = engine, clock, lease

    def next_case(self, person: Person, *, skip: Collection[str] = ()) -> ShownCase | None:
        """The case that the person holds, or the oldest open one of a pair they had no task of; None if there is none.

        Raises:
            NotAllowed: they are no adjudicator.
        """
        with writing(self._engine) as session:
            person, at = acting(session, person, "adjudicator"), self._clock()
            wanted = select(CaseRow).where(CaseRow.case_id.not_in([case_id(key) for key in skip]))
            wanted = wanted.order_by(CaseRow.case_id).limit(1)
            held = wanted.where(CaseRow.status == "claimed", CaseRow.adjudicator_id == person.person_id)
            case = session.scalars(held).first()
            if case is not None:
                case.claimed_at = at
                return cases.case_as_shown(session, case)
            self._end_leases(session, at, person)
            had = exists().where(TaskRow.pair_id == CaseRow.pair_id, TaskRow.person_id == person.person_id)
            case = session.scalars(wanted.where(CaseRow.status == "open", ~had)).first()
            if case is None:
                return None
            cases.give(session, case, person, at)
            return cases.case_as_shown(session, case)

    def shown(self, person: Person, key: str) -> ShownCase:
        """One of the person's own cases, decided or not.

        Raises:
            NotAllowed: it is not theirs, or they are no adjudicator.
            Withdrawn: it was settled or withdrawn before they decided.
        """
        with reading(self._engine) as session:
            acting(session, person, "adjudicator")
            case = cases.own(session, person, key)
            if case.status == "withdrawn":
                raise Withdrawn("This case is settled, or was withdrawn.", where=key, todo="go on with the next")
            return cases.case_as_shown(session, case)

    def save_draft(self, person: Person, key: str, form: Mapping[str, Any]) -> None:
        """Keep what the form holds until the case is decided.

        Raises:
            InvalidAnswer: it is no JSON, or too long.
            NotAllowed: the case is not theirs.
        """
        kept = checked_draft(form)
        with writing(self._engine) as session:
            acting(session, person, "adjudicator")
            case = cases.own(session, person, key)
            at = self._clock()
            session.merge(DraftRow(key=key, person_id=person.person_id, form=kept, saved_at=at))
            if case.status == "claimed":
                case.claimed_at = at

    def decide(self, person: Person, answer: Answer) -> Receipt:
        """Store a decision, or a correction of one, as the next revision of its case.

        The same client key again adds nothing. A decision that cannot count is kept in the audit log.

        Raises:
            InvalidAnswer: nothing was stored.
            NotAllowed: they are no adjudicator, answered the pair themselves, or the case is not theirs.
            AlreadyAnswered: it was decided meanwhile, in another window or by somebody else.
            Withdrawn: it was settled by a correction, withdrawn, or given to somebody else.
        """
        with writing(self._engine) as session:
            outcome = self._store(session, acting(session, person, "adjudicator"), answer, self._clock())
        if isinstance(outcome, DeskError):
            raise outcome
        return outcome

    def history(self, person: Person, limit: int = 50, before: str | None = None) -> list[Past]:
        """The person's decisions, the last first, by when a case was decided first; `before` is a key of one."""
        with reading(self._engine) as session:
            query = (
                select(DecisionRow, CaseRow)
                .join(CaseRow, CaseRow.case_id == DecisionRow.case_id)
                .where(DecisionRow.adjudicator_id == person.person_id, DecisionRow.revision == 0)
                .order_by(DecisionRow.decision_id.desc())
                .limit(limit)
            )
            if before is not None:
                end = select(DecisionRow.decision_id).where(
                    DecisionRow.case_id == case_id(before), DecisionRow.revision == 0
                )
                query = query.where(DecisionRow.decision_id < end.scalar_subquery())
            return [cases.past(session, case) for _, case in session.execute(query).all()]

    def _end_leases(self, session: Session, at: datetime, person: Person) -> None:
        lapsed = select(CaseRow).where(
            CaseRow.status == "claimed",
            CaseRow.claimed_at < at - self._lease,
            CaseRow.adjudicator_id != person.person_id,
        )
        for case in session.scalars(lapsed).all():
            cases.put_back(session, case, at)

    def _store(self, session: Session, person: Person, answer: Answer, at: datetime) -> Receipt | DeskError:
        case = session.get(CaseRow, case_id(answer.key))
        if case is None or cases.had_pair(session, case, person):
            raise NotAllowed("This is not a case of yours.", where=answer.key[:80], todo="go on with the next")
        item = session.get_one(ItemRow, case.pair_id)
        answer = checked(answer, item.attributes)
        sent_before = session.scalars(select(DecisionRow).where(DecisionRow.client_key == answer.client_key)).first()
        if sent_before is not None:
            if (sent_before.case_id, sent_before.adjudicator_id) != (case.case_id, person.person_id):
                raise InvalidAnswer("The client key was used for another decision.", where="client_key")
            return Receipt(answer.key, sent_before.revision, repeated=True)
        last = cases.last_decision(session, case)
        revision = last.revision + 1 if last else 0
        refusal = self._refusal(session, case, person, answer, revision, at)
        if refusal is not None:
            keep_refused(session, person, answer, refusal, at)
            return refusal
        assert case.left_response is not None
        row = DecisionRow(
            case_id=case.case_id,
            adjudicator_id=person.person_id,
            revision=revision,
            client_key=answer.client_key,
            shown_verdict=answer.verdict,
            verdict=canonical(answer.verdict, case.left_response),
            strength=answer.strength,
            reasons=list(answer.reasons),
            comment=answer.comment,
            edited_attributes=dict(answer.edited_attributes),
            guideline_version=answer.guideline_version,
            active_seconds=answer.active_seconds,
            num_arguments=len(cases.arguments(session, case)),
            decided_at=at,
        )
        session.add(row)
        case.status, case.claimed_at = "decided", None
        session.flush()
        session.execute(delete(DraftRow).where(DraftRow.key == answer.key, DraftRow.person_id == person.person_id))
        session.execute(
            update(BatchRow)
            .where(BatchRow.round_name == case.round_name)
            .values(last_decision_id=row.decision_id)
            .execution_options(synchronize_session=False)
        )
        audit.write(
            session, at, person.person_id, "decided", answer.key, {"verdict": row.verdict, "revision": revision}
        )
        return Receipt(answer.key, revision, repeated=False)

    def _refusal(
        self, session: Session, case: CaseRow, person: Person, answer: Answer, revision: int, at: datetime
    ) -> DeskError | None:
        """Why the decision cannot count; None if it can. A case that the person lost is theirs again if it is free."""
        if case.adjudicator_id != person.person_id:
            if not cases.was_lost(session, case, person):
                raise NotAllowed("This is not a case of yours.", where=answer.key[:80], todo="go on with the next")
            if case.status == "decided":
                return AlreadyAnswered("Another adjudicator decided this case meanwhile.", **KEPT)
            if case.status == "claimed":
                return Withdrawn("You held this case for too long, and it was given to somebody else.", **KEPT)
            if case.status == "open":
                cases.give(session, case, person, at)
        if case.status == "withdrawn":
            return Withdrawn("This case was settled by a correction, or withdrawn.", **KEPT)
        if answer.revision != revision:
            return AlreadyAnswered(
                f"This case was decided meanwhile, in another window; its newest revision is {revision - 1}.", **KEPT
            )
        return None
