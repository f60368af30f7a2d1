"""Accounts: invitations, passwords, sessions, roles, and who may change them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from sqlalchemy import Engine, delete, select, update
from sqlalchemy.orm import Session

from assets.human_gold.desk import audit, persons, sign_ins
from assets.human_gold.desk.database import Clock, now, reading, writing
from assets.human_gold.desk.passwords import Passwords, check_password, new_token, token_hash
from assets.human_gold.desk.pool import give_up_all
from assets.human_gold.desk.schema import (
    CaseRow,
    InvitationRow,
    PersonRow,
    SessionRow,
    StandingRow,
)
from assets.human_gold.desk.views import (
    DeskError,
    InvitationRefused,
    Person,
    SignedIn,
    SignInRefused,
    TooManyAttempts,
)

IDLE, LONGEST = timedelta(hours=12), timedelta(days=30)
"""A session ends when nothing was asked for so long, and after so long in any case."""

# How often a session's last use is written down; each time costs a write.
_TOUCHED_EVERY = timedelta(minutes=5)


class Accounts:
    """The people of the desk.

    Args:
        engine: of `open_database`.
        clock: gives the time, UTC.
        passwords: how they are hashed.
    """

    def __init__(self, engine: Engine, clock: Clock = now, passwords: Passwords | None = None) -> None:
        self._engine, self._clock = engine, clock
        self._passwords = passwords or Passwords()

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
                    created_by=by and by.person_id,
                    created_at=at,
                    expires_at=at + timedelta(days=valid_days),
                )
            )
            reset = person.password_hash is not None
            audit.write(
                session,
                at,
                by and by.person_id,
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

    def sign_in(self, handle: str, password: str, *, address: str) -> SignedIn:
        """Open a session; others of the person stay.

        Raises:
            SignInRefused: name or password is wrong, or the account not active; not said which, and as slow.
            TooManyAttempts: five failures of the name from this address, or fifty from it, in fifteen minutes.
        """
        handle, address = persons.plain_name(handle), address[:60]
        with writing(self._engine) as session:
            at = self._clock()
            person = persons.find(session, handle)
            subject = sign_ins.subject_of(person.handle if person else handle, person is not None)
            wait = sign_ins.wait_s(session, subject, address, at)
            if wait:
                raise TooManyAttempts(wait)
            audit.write(session, at, None, sign_ins.ATTEMPT, subject, address=address)
            kept = person.password_hash if person else None
        refused = SignInRefused("Name or password is wrong.", todo="try again, or ask a manager for a new link")
        if not self._passwords.matches(password, kept) or person is None or kept is None:
            raise refused
        fresh = self._passwords.hash(password) if self._passwords.is_outdated(kept) else kept
        token, csrf_token = new_token(), new_token()
        with writing(self._engine) as session:
            at = self._clock()
            row = session.get_one(PersonRow, person.person_id)
            # The account may have changed while the password was looked at.
            if not row.active or row.password_hash != kept:
                raise refused
            row.password_hash = fresh
            session.execute(
                delete(SessionRow).where(SessionRow.person_id == row.person_id, SessionRow.expires_at <= at)
            )
            opened = SessionRow(
                token_hash=token_hash(token),
                person_id=row.person_id,
                csrf_token=csrf_token,
                created_at=at,
                last_seen_at=at,
                expires_at=at + IDLE,
            )
            session.add(opened)
            audit.write(session, at, row.person_id, sign_ins.SUCCESS, row.handle, address=address)
            return SignedIn(persons.view(row), token, csrf_token, opened.expires_at)

    def session(self, token: str) -> SignedIn | None:
        """The session of a cookie; None if it is unknown or over, or the person is not active."""
        with reading(self._engine) as session:
            found = self._open_session(session, token)
            if found is None or abs(self._clock() - found[0].last_seen_at) < _TOUCHED_EVERY:
                return found and SignedIn(persons.view(found[1]), "", found[0].csrf_token, found[0].expires_at)
        with writing(self._engine) as session:
            found = self._open_session(session, token)
            if found is None:
                return None
            row, person = found
            at = self._clock()
            # A clock that was set back leaves no session that began in the future, and so none without end.
            row.created_at, row.last_seen_at = min(row.created_at, at), at
            row.expires_at = min(at + IDLE, row.created_at + LONGEST)
            return SignedIn(persons.view(person), "", row.csrf_token, row.expires_at)

    def sign_out(self, token: str) -> None:
        """End one session."""
        with writing(self._engine) as session:
            row = session.get(SessionRow, token_hash(token))
            if row is not None:
                session.delete(row)
                audit.write(session, self._clock(), row.person_id, "signed_out", str(row.person_id))

    def sign_out_everywhere(self, person: Person) -> None:
        """End all sessions of a person."""
        with writing(self._engine) as session:
            session.execute(delete(SessionRow).where(SessionRow.person_id == person.person_id))
            audit.write(session, self._clock(), person.person_id, "signed_out_everywhere", person.handle)

    def people(self) -> list[Person]:
        """Everyone, by handle."""
        with reading(self._engine) as session:
            return [persons.view(row) for row in session.scalars(select(PersonRow).order_by(PersonRow.handle))]

    def person(self, handle: str) -> Person | None:
        """One account; None if nobody has the name."""
        with reading(self._engine) as session:
            row = persons.find(session, persons.plain_name(handle))
            return row and persons.view(row)

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
                session, self._clock(), by and by.person_id, "role_set", row.handle, {"from": row.role, "to": role}
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
            session.execute(
                update(CaseRow)
                .where(CaseRow.adjudicator_id == row.person_id, CaseRow.status == "claimed")
                .values(status="open", adjudicator_id=None, claimed_at=None, left_response=None, draft=None)
            )
            detail = {"num_tasks_returned": num_back, "num_repeats_withdrawn": num_withdrawn}
            audit.write(session, self._clock(), by and by.person_id, "deactivated", row.handle, detail)
            return persons.view(row)

    def activate(self, handle: str, by: Person | None) -> Person:
        """Open a closed account again; its password is as it was."""
        with writing(self._engine) as session:
            persons.check_manager(session, by)
            row = persons.known(session, handle)
            row.active = True
            audit.write(session, self._clock(), by and by.person_id, "activated", row.handle)
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
            audit.write(session, self._clock(), person and person.person_id, action, subject, detail, address)

    def audit_log(self, limit: int = 200, before_id: int | None = None) -> list[dict[str, Any]]:
        """The newest acts first; `before_id` goes on where a page ended."""
        with reading(self._engine) as session:
            return audit.latest(session, limit, before_id)

    def _invited(self, session: Session, token: str) -> tuple[InvitationRow, PersonRow]:
        row = session.get(InvitationRow, token_hash(token))
        person = row and session.get_one(PersonRow, row.person_id)
        if row is None or person is None or row.used_at or row.expires_at <= self._clock() or not person.active:
            raise InvitationRefused("This link is unknown, used or too old.", todo="ask a manager for a new one")
        return row, person

    def _open_session(self, session: Session, token: str) -> tuple[SessionRow, PersonRow] | None:
        row = session.get(SessionRow, token_hash(token))
        if row is None or row.expires_at <= self._clock():
            return None
        person = session.get_one(PersonRow, row.person_id)
        return (row, person) if person.active else None
