"""How many failed sign-ins are borne, counted in the audit log.

An attempt is written before its password is looked at, so that attempts at the same time are counted, too; a success
is written after. So failures are attempts less successes, and an attempt that was cut off counts as failed.
"""

from __future__ import annotations

import hashlib
from datetime import datetime, timedelta

from sqlalchemy import select
from sqlalchemy.orm import Session

from assets.human_gold.desk.schema import AuditRow

ATTEMPT, SUCCESS = "sign_in_attempt", "signed_in"
WINDOW = timedelta(minutes=15)
MAX_OF_NAME, MAX_OF_ADDRESS = 5, 50


def subject_of(handle: str, known: bool) -> str:
    """A name as it stands in the log: one that nobody has is often a password in the wrong field, and is hashed."""
    if known:
        return handle
    return "unknown name " + hashlib.sha256(handle.encode("utf-8", "surrogatepass")).hexdigest()[:16]


def wait_s(session: Session, subject: str, address: str, at: datetime) -> int:
    """Seconds until the next attempt is borne; 0 for at once.

    Args:
        session: a transaction.
        subject: of the name, as `subject_of` gives it.
        address: of the client, as it stands in the log.
        at: now. What lies more than the window ahead of it was written by a clock that went wrong.
    """
    rows = session.execute(
        select(AuditRow.action, AuditRow.subject, AuditRow.at)
        .where(
            AuditRow.action.in_((ATTEMPT, SUCCESS)),
            AuditRow.address == address,
            AuditRow.at > at - WINDOW,
            AuditRow.at < at + WINDOW,
        )
        .order_by(AuditRow.audit_id)
    ).all()
    of_address: list[datetime] = []
    of_name: list[datetime] = []
    for row in rows:
        if row.action == ATTEMPT:
            of_address.append(row.at)
            if row.subject == subject:
                of_name.append(row.at)
            continue
        # A success answers one attempt of the address, and forgives the failures of its name.
        del of_address[-1:]
        if row.subject == subject:
            of_name.clear()
    waits = [0]
    for failures, limit in ((of_name, MAX_OF_NAME), (of_address, MAX_OF_ADDRESS)):
        if len(failures) >= limit:
            ends = sorted(failures)[len(failures) - limit] + WINDOW
            waits.append(max(1, round((ends - at).total_seconds())))
    return max(waits)
