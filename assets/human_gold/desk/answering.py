"""The desk: which task a person gets next, and what becomes of their answer."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import timedelta
from typing import Any

from sqlalchemy import Engine

from assets.human_gold.desk import looking_back, own_tasks, pool, taking_in
from assets.human_gold.desk.database import Clock, now, reading, writing
from assets.human_gold.desk.disagreements import check_rule
from assets.human_gold.desk.forms import checked_draft
from assets.human_gold.desk.persons import acting
from assets.human_gold.desk.schema import DraftRow
from assets.human_gold.desk.showing import task_as_shown
from assets.human_gold.desk.tallies import tallied
from assets.human_gold.desk.views import (
    Answer,
    DeskError,
    NotAllowed,
    Past,
    Person,
    Progress,
    Receipt,
    ShownPair,
    Withdrawn,
)

LEASE = timedelta(hours=2)
"""How long a task stays with who took it and does nothing."""


class Desk:
    """Asks people and takes their answers.

    Args:
        engine: of `open_database`.
        clock: gives the time, UTC.
        lease: see `LEASE`.
        reveal: people see the hidden labels after they answered.
        rule: when a disagreement goes to an adjudicator; see `disagreements.disagree`.
    """

    def __init__(
        self,
        engine: Engine,
        clock: Clock = now,
        lease: timedelta = LEASE,
        reveal: bool = False,
        rule: str = "no_majority",
    ) -> None:
        self._engine, self._clock, self._lease, self._reveal = engine, clock, lease, reveal
        self._rule = check_rule(rule)

    def next_task(self, person: Person, *, skip: Collection[str] = ()) -> ShownPair | None:
        """What the person is asked now; None if there is nothing.

        First what they hold already, then what is reserved for them and repeats that are due, then the pool, last
        what they put off. What is taken is theirs for the lease; what others left longer ago comes back first.

        Args:
            person: an active person.
            skip: keys that are not wanted: the page loads the task after the one it shows.

        Raises:
            NotAllowed: not active, or they hold `own_tasks.MAX_HELD` tasks and skip them all.
        """
        with reading(self._engine) as session:
            acting(session, person, "annotator")
            task = own_tasks.held(session, person, skip)
            # A page that is loaded again ends here, without a write.
            if task is not None and own_tasks.is_fresh(task, self._clock(), self._lease):
                return task_as_shown(session, task)
        with writing(self._engine) as session:
            person, at = acting(session, person, "annotator"), self._clock()
            task = own_tasks.held(session, person, skip)
            if task is None:
                if skip:
                    own_tasks.check_not_hoarding(session, person)
                task = own_tasks.reserved(session, person, skip, postponed=False)
            if task is None:
                pool.end_leases(session, at, self._lease, asking=person.person_id)
                task = pool.take(session, person, at, skip)
            if task is None:
                task = own_tasks.reserved(session, person, skip, postponed=True)
            if task is None:
                return None
            own_tasks.hold(session, task, person, at)
            return task_as_shown(session, task)

    def shown(self, person: Person, key: str) -> ShownPair:
        """One of the person's own tasks, answered or not.

        Raises:
            NotAllowed: it is not theirs, or a repeat whose turn has not come.
            Withdrawn: it was withdrawn before they answered it.
        """
        with reading(self._engine) as session:
            acting(session, person, "annotator")
            task = own_tasks.own(session, person, key)
            if task.status == "withdrawn":
                raise Withdrawn("This task was withdrawn.", where=key, todo="go on with the next")
            if task.status == "answered" or own_tasks.is_fresh(task, self._clock(), self._lease):
                return task_as_shown(session, task)
        with writing(self._engine) as session:
            task = own_tasks.own(session, acting(session, person, "annotator"), key)
            if task.purpose == "repeat" and task.left_response is None:
                raise NotAllowed("This task was not shown to you yet.", where=key, todo="go on with the next")
            if task.status in ("open", "claimed"):
                own_tasks.hold(session, task, person, self._clock())
            return task_as_shown(session, task)

    def answer(self, person: Person, answer: Answer) -> Receipt:
        """Store an answer, or a correction of one, as the next revision of its task.

        The same client key again adds nothing. An answer that cannot count is kept in the audit log.

        Raises:
            InvalidAnswer: nothing was stored.
            NotAllowed: the task is not the person's.
            AlreadyAnswered: another answer to the task came first, in another window.
            Withdrawn: the task was withdrawn, or given to somebody else when the lease had run out.
        """
        with writing(self._engine) as session:
            person = acting(session, person, "annotator")
            outcome = taking_in.store(session, person, answer, self._clock(), rule=self._rule, revealing=self._reveal)
        # After the end of the transaction, which keeps what was refused.
        if isinstance(outcome, DeskError):
            raise outcome
        return outcome

    def save_draft(self, person: Person, key: str, form: Mapping[str, Any]) -> None:
        """Keep what the form holds until the task is answered; nobody else sees it.

        Raises:
            InvalidAnswer: it is no JSON, or too long.
            NotAllowed: the task is not theirs.
        """
        kept = checked_draft(form)
        with writing(self._engine) as session:
            task = own_tasks.own(session, acting(session, person, "annotator"), key)
            at = self._clock()
            session.merge(DraftRow(key=key, person_id=person.person_id, form=kept, saved_at=at))
            if task.status == "claimed":
                task.claimed_at = at

    def release(self, person: Person, key: str) -> None:
        """Put a task off: it comes after all others of the person, and to others when the lease has run out.

        Raises:
            NotAllowed: it is not theirs, or answered.
        """
        with writing(self._engine) as session:
            acting(session, person, "annotator")
            pair_id = own_tasks.own(session, person, key).pair_id
            with tallied(session, [pair_id]) as tasks:
                task = next(task for task in tasks if task.task_id == key)
                if task.status not in ("open", "claimed"):
                    raise NotAllowed("Only what is not answered can be put off.", where=key)
                task.status, task.postponed = "open", task.postponed + 1
                task.claimed_at = None if task.reserved else self._clock()

    def history(self, person: Person, limit: int = 50, before: str | None = None) -> list[Past]:
        """The person's answers, the last first, by when a task was answered first.

        Args:
            person: whose.
            limit: at most so many.
            before: the key where the page before ended.
        """
        with reading(self._engine) as session:
            return looking_back.history(session, person, limit, before)

    def progress(self, person: Person) -> Progress:
        """How far the person and everyone is; cheap, whatever the number of tasks."""
        with reading(self._engine) as session:
            return looking_back.progress(session, person, self._clock())
