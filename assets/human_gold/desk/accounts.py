"""Accounts: invitations, passwords, roles, and who may change them; `sessions` has signing in and out."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from assets.human_gold.desk import audit, cases, persons
from assets.human_gold.desk.database import reading, writing
from assets.human_gold.desk.passwords import check_password, new_token, token_hash
from assets.human_gold.desk.pool import give_up_all
from assets.human_gold.desk.schema import (
    CaseRow,
    InvitationRow,
    PersonRow,
    SessionRow,
    StandingRow,
)
from assets.human_gold.desk.sessions import Sessions
from assets.human_gold.desk.views import (
    DeskError,
    InvitationRefused,
    Person,
)


class Accounts(Sessions):
    """The people of the desk.

    Args:
        engine: of `open_database`.
        clock: gives the time, UTC.
        passwords: how they are hashed.
    """

    def invite(
        self,
        handle: str,
        role: str,
        *,
        by: Person | None,
        display_name: str = "",
        simulated: bool = False,
        valid_days: int = 7,
    ) -> str:
        """Make an account, or a new link for one: it replaces the one before and lets the person choose a password.

        Args:
            handle: the name in the ledger, 1 to 100 characters; lower and upper case are one name.
            role: one of `schema.ROLES`; for an account in use, the role it has.
            by: a manager; None from the command line.
            display_name: how the page speaks to them; the handle by default.
            simulated: the person is a program, whose name begins with "simulated".
            valid_days: how long the link serves.

        Returns:
            The token of the link; only its hash is kept.

        Raises:
            NotAllowed: `by` is no manager.
            DeskError: a name or role that cannot be, or an account that is not as the arguments say.
        """
        handle = persons.clean_handle(handle, simulated)
        persons.check_role(role)
        token = new_token()
        with writing(self._engine) as session:
            at = self._clock()
            persons.check_manager(session, by)
            person = persons.find(session, handle)
            if person is None:
                person = PersonRow(
                    handle=handle,
                    display_name=display_name.strip()[:200] or handle,
                    role=role,
                    simulated=simulated,
                    created_at=at,
                )
                session.add(person)
                session.flush()
                session.add(StandingRow(person_id=person.person_id))
            elif not person.active:
                raise DeskError(f"{person.handle} is not active.", todo="activate the account first")
            elif person.simulated != simulated:
                raise DeskError(
                    f"{person.handle} is {'' if person.simulated else 'not '}simulated.", kept="the account"
                )
            elif person.password_hash is None:
                person.role, person.display_name = role, display_name.strip()[:200] or person.display_name
            elif person.role != role:
                raise DeskError(f"{person.handle} is {person.role} already.", todo="change the role by itself")
            session.execute(delete(InvitationRow).where(InvitationRow.person_id == person.person_id))
            session.add(
                InvitationRow(
                    token_hash=token_hash(token),
                    person_id=person.person_id,
                    created_by=persons.id_of(by),
                    created_at=at,
                    expires_at=at + timedelta(days=valid_days),
                )
            )
            reset = person.password_hash is not None
            audit.write(
                session,
                at,
                persons.id_of(by),
                "password_link_made" if reset else "invited",
                person.handle,
                {"role": role},
            )
        return token

    def invitation(self, token: str) -> Person:
        """Whom a link is for.

        Raises:
            InvitationRefused: unknown, used or expired, or the account is not active.
        """
        with reading(self._engine) as session:
            return persons.view(self._invited(session, token)[1])

    def accept_invitation(self, token: str, password: str) -> Person:
        """Set the password, once; sessions that the account had are ended.

        Raises:
            InvitationRefused: as `invitation`, or the password is too weak (the link serves again then).
        """
        check_password(password, self.invitation(token).handle)
        kept = self._passwords.hash(password)
        with writing(self._engine) as session:
            at = self._clock()
            # Looked at again: of two who open the link at once, one comes first.
            invitation, person = self._invited(session, token)
            invitation.used_at, person.password_hash = at, kept
            session.execute(delete(SessionRow).where(SessionRow.person_id == person.person_id))
            audit.write(session, at, person.person_id, "invitation_accepted", person.handle)
            return persons.view(person)

    def people(self) -> list[Person]:
        """Everyone, by handle."""
        with reading(self._engine) as session:
            return [persons.view(row) for row in session.scalars(select(PersonRow).order_by(PersonRow.handle))]

    def person(self, handle: str) -> Person | None:
        """One account; None if nobody has the name."""
        with reading(self._engine) as session:
            row = persons.find(session, persons.plain_name(handle))
            return None if row is None else persons.view(row)

    def set_role(self, handle: str, role: str, by: Person | None) -> Person:
        """Change what a person may do.

        Raises:
            NotAllowed: `by` is no manager.
            DeskError: no such role or person, or nobody would be manager.
        """
        persons.check_role(role)
        with writing(self._engine) as session:
            persons.check_manager(session, by)
            row = persons.known(session, handle)
            if role != "manager":
                persons.check_not_last_manager(session, row)
            audit.write(
                session, self._clock(), persons.id_of(by), "role_set", row.handle, {"from": row.role, "to": role}
            )
            row.role = role
            return persons.view(row)

    def deactivate(self, handle: str, by: Person | None) -> Person:
        """Close an account: sessions end, and what the person has not answered goes to others.

        Tasks come to the pool, cases are open again; repeats, which only they could answer, are withdrawn. Answers
        stay.

        Raises:
            NotAllowed: `by` is no manager.
            DeskError: no such person, or nobody would be manager.
        """
        with writing(self._engine) as session:
            persons.check_manager(session, by)
            row = persons.known(session, handle)
            persons.check_not_last_manager(session, row)
            row.active = False
            session.execute(delete(SessionRow).where(SessionRow.person_id == row.person_id))
            num_back, num_withdrawn = give_up_all(session, row.person_id)
            held = select(CaseRow).where(CaseRow.adjudicator_id == row.person_id, CaseRow.status == "claimed")
            for case in session.scalars(held).all():
                cases.put_back(session, case, self._clock())
            detail = {"num_tasks_returned": num_back, "num_repeats_withdrawn": num_withdrawn}
            audit.write(session, self._clock(), persons.id_of(by), "deactivated", row.handle, detail)
            return persons.view(row)

    def activate(self, handle: str, by: Person | None) -> Person:
        """Open a closed account again; its password is as it was."""
        with writing(self._engine) as session:
            persons.check_manager(session, by)
            row = persons.known(session, handle)
            row.active = True
            audit.write(session, self._clock(), persons.id_of(by), "activated", row.handle)
            return persons.view(row)

    def change_password(self, person: Person, old: str, new: str, *, address: str = "", keep: str = "") -> None:
        """Change a password; the person's sessions end, but for the one whose token is `keep`.

        Raises:
            SignInRefused: the old password is wrong.
            TooManyAttempts: as `sign_in`.
            InvitationRefused: the new one is too weak.
        """
        check_password(new, person.handle)
        # Counts as a sign-in does, so that a session that was left open is no way around the limit.
        opened = self.sign_in(person.handle, old, address=address)
        kept = self._passwords.hash(new)
        with writing(self._engine) as session:
            row = session.get_one(PersonRow, person.person_id)
            row.password_hash = kept
            session.execute(
                delete(SessionRow).where(
                    SessionRow.person_id == person.person_id,
                    (SessionRow.token_hash != token_hash(keep)) | (SessionRow.token_hash == token_hash(opened.token)),
                )
            )
            audit.write(session, self._clock(), person.person_id, "password_changed", row.handle, address=address)

    def record(
        self, person: Person | None, action: str, subject: str, detail: Mapping[str, Any], address: str = ""
    ) -> None:
        """Append to the audit log something that was done outside the desk."""
        with writing(self._engine) as session:
            audit.write(session, self._clock(), persons.id_of(person), action, subject, detail, address)

    def audit_log(self, limit: int = 200, before_id: int | None = None) -> list[dict[str, Any]]:
        """The newest acts first; `before_id` goes on where a page ended."""
        with reading(self._engine) as session:
            return audit.latest(session, limit, before_id)

    def _invited(self, session: Session, token: str) -> tuple[InvitationRow, PersonRow]:
        row = session.get(InvitationRow, token_hash(token))
        person = None if row is None else session.get_one(PersonRow, row.person_id)
        if row is None or person is None or row.used_at or row.expires_at <= self._clock() or not person.active:
            raise InvitationRefused("This link is unknown, used or too old.", todo="ask a manager for a new one")
        return row, person
