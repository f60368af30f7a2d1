"""Rows of people: finding them, as plain values, and what is checked before one acts."""

from __future__ import annotations

import unicodedata

from sqlalchemy import bindparam, func, or_, select
from sqlalchemy.orm import Session

from assets.human_gold.desk.schema import ROLES, PersonRow
from assets.human_gold.desk.views import DeskError, NotAllowed, Person

_MAX_HANDLE = 100
_BY_ID = select(PersonRow).where(PersonRow.person_id == bindparam("person_id"))


def plain_name(handle: str) -> str:
    """A name as it is stored and looked for: composed, without outer white space."""
    return unicodedata.normalize("NFKC", handle).strip()


def clean_handle(handle: str, simulated: bool) -> str:
    """The name of a new account.

    Raises:
        DeskError: empty, too long, unprintable, or it does not say truly whether the person is simulated.
    """
    name = plain_name(handle)
    if not 1 <= len(name) <= _MAX_HANDLE or not name.isprintable():
        raise DeskError(f"A name has 1 to {_MAX_HANDLE} printable characters.", where=repr(handle[:_MAX_HANDLE]))
    if name.casefold().startswith("simulated") != simulated:
        raise DeskError(
            'Names of simulated people, and only theirs, begin with "simulated".',
            where=name,
            todo="choose another name" if not simulated else f"call it simulated {name}",
        )
    return name


def find(session: Session, handle: str) -> PersonRow | None:
    """The account of a name, in whatever case; None if nobody has it."""
    name = plain_name(handle)
    if "\x00" in name or not name.isprintable():
        return None
    same = or_(PersonRow.handle == name, func.lower(PersonRow.handle) == name.lower())
    return session.scalars(select(PersonRow).where(same).order_by((PersonRow.handle == name).desc()).limit(1)).first()


def known(session: Session, handle: str) -> PersonRow:
    """The account of a name.

    Raises:
        DeskError: nobody has it.
    """
    row = find(session, handle)
    if row is None:
        raise DeskError(f"There is no account {plain_name(handle)!r}.", todo="invite the person first")
    return row


def view(row: PersonRow) -> Person:
    """The account as a plain value."""
    return Person(row.person_id, row.handle, row.display_name, row.role, row.simulated, row.active)


def acting(session: Session, person: Person, role: str) -> Person:
    """The person as the database has them now.

    Raises:
        NotAllowed: they are not active, or their role does not reach.
    """
    row = session.scalars(_BY_ID, {"person_id": person.person_id}).first()
    if row is None or not view(row).may(role):
        raise NotAllowed(f"This needs an active account with the role {role}.", where=person.handle)
    return view(row)


def check_manager(session: Session, by: Person | None) -> None:
    """Only managers, and the command line (None), may do it.

    Raises:
        NotAllowed: somebody else.
    """
    if by is not None:
        acting(session, by, "manager")


def check_role(role: str) -> None:
    """Raises DeskError for a role that does not exist."""
    if role not in ROLES:
        raise DeskError(f"There is no role {role!r}.", todo=f"choose {', '.join(ROLES)}")


def check_not_last_manager(session: Session, row: PersonRow) -> None:
    """Somebody who can sign in must stay manager.

    Raises:
        DeskError: the row is the last such.
    """
    if row.role != "manager" or not row.active or row.password_hash is None:
        return
    others = select(func.count()).where(
        PersonRow.role == "manager",
        PersonRow.active,
        PersonRow.password_hash.is_not(None),
        PersonRow.person_id != row.person_id,
    )
    if not session.scalar(others):
        raise DeskError(f"{row.handle} is the last manager.", kept="the account", todo="make another manager first")


def id_of(person: Person | None) -> int | None:
    """The id of who acts; None for the command line."""
    return None if person is None else person.person_id
