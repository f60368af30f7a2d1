"""Sessions: signing in, what a cookie stands for, and signing out."""

from __future__ import annotations

from datetime import timedelta

from sqlalchemy import Engine, delete
from sqlalchemy.orm import Session

from assets.human_gold.desk import audit, persons, sign_ins
from assets.human_gold.desk.database import Clock, now, reading, writing
from assets.human_gold.desk.passwords import Passwords, new_token, token_hash
from assets.human_gold.desk.schema import PersonRow, SessionRow
from assets.human_gold.desk.views import Person, SignedIn, SignInRefused, TooManyAttempts

IDLE, LONGEST = timedelta(hours=12), timedelta(days=30)
"""A session ends when nothing was asked for so long, and after so long in any case."""

# How often a session's last use is written down; each time costs a write.
_TOUCHED_EVERY = timedelta(minutes=5)


class Sessions:
    """The part of the accounts that opens sessions and ends them.

    Args:
        engine: of `open_database`.
        clock: gives the time, UTC.
        passwords: how they are hashed.
    """

    def __init__(self, engine: Engine, clock: Clock = now, passwords: Passwords | None = None) -> None:
        self._engine, self._clock = engine, clock
        self._passwords = passwords or Passwords()

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

    def _open_session(self, session: Session, token: str) -> tuple[SessionRow, PersonRow] | None:
        row = session.get(SessionRow, token_hash(token))
        if row is None or row.expires_at <= self._clock():
            return None
        person = session.get_one(PersonRow, row.person_id)
        return (row, person) if person.active else None
