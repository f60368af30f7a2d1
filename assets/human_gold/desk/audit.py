"""The audit log: who did what, appended inside the transaction that did it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from assets.human_gold.desk.schema import AuditRow, PersonRow
from assets.human_gold.desk.texts import keepable


def write(
    session: Session,
    at: datetime,
    person_id: int | None,
    action: str,
    subject: str,
    detail: Mapping[str, Any] | None = None,
    address: str = "",
) -> None:
    """Append one act.

    Args:
        session: a writing transaction.
        at: now.
        person_id: who did it; None for the command line and for what happens by itself.
        action: such as "signed_in".
        subject: a handle, a task id, `case-N`, a round.
        detail: what else is worth knowing; never a secret.
        address: of the client.
    """
    session.add(
        AuditRow(
            at=at,
            person_id=person_id,
            action=action,
            subject=keepable(subject)[:200],
            detail=keepable(dict(detail or {})),
            address=keepable(address)[:60],
        )
    )


def latest(session: Session, limit: int, before_id: int | None) -> list[dict[str, Any]]:
    """The newest acts first: audit_id, at, handle (None: nobody signed in), action, subject, detail, address."""
    query = (
        select(AuditRow, PersonRow.handle)
        .outerjoin(PersonRow, PersonRow.person_id == AuditRow.person_id)
        .order_by(AuditRow.audit_id.desc())
        .limit(limit)
    )
    if before_id is not None:
        query = query.where(AuditRow.audit_id < before_id)
    return [
        {
            "audit_id": row.audit_id,
            "at": row.at,
            "handle": handle,
            "action": row.action,
            "subject": row.subject,
            "detail": row.detail,
            "address": row.address,
        }
        for row, handle in session.execute(query)
    ]
