"""Routes of the manager: batches, people, agreement, pace, audit log, withdrawing tasks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request
from starlette.responses import Response

from assets.human_gold.desk import batches
from assets.human_gold.desk.disagreements import open_cases
from assets.human_gold.desk.schema import ROLES
from assets.human_gold.desk.views import DeskError, InvalidAnswer, Person, SignedIn
from assets.human_gold.page import guarding
from assets.human_gold.page.bodies import HandleBody, InviteBody, RoleBody, WithdrawBody
from assets.human_gold.page.guarding import ManagingReader, ManagingWriter, body_of, services_of
from assets.human_gold.page.pace import labels_per_hour
from assets.human_gold.page.pages import JsonReply, page

routes = APIRouter()

INVITATION_DAYS = 7
Session = Annotated[SignedIn, Depends(guarding.reader)]
Named = Annotated[HandleBody, Depends(body_of(HandleBody))]


@routes.get("/manage")
def progress(request: Request, person: ManagingReader, signed_in: Session) -> Response:
    """Batches and pace."""
    services = services_of(request)
    values = {
        "rounds": batches.batch_progress(services.engine),
        "pace": labels_per_hour(services.engine, services.clock()),
    }
    return _page(request, signed_in, "manage_progress.html", values)


@routes.get("/manage/people")
def people(request: Request, person: ManagingReader, signed_in: Session) -> Response:
    """Accounts and invitations."""
    values = {"people": services_of(request).accounts.people(), "roles": ROLES, "days": INVITATION_DAYS}
    return _page(request, signed_in, "manage_people.html", values)


@routes.get("/manage/agreement")
def agreement(request: Request, person: ManagingReader, signed_in: Session) -> Response:
    """What the statistics say."""
    source = services_of(request).agreement
    sections = {} if source is None else source()
    shown = [
        {
            "title": title,
            "columns": _columns(rows),
            "rows": rows,
            # Only pictures that are in the page already: nothing is fetched from elsewhere.
            "plots": [plot for plot in plots if plot.startswith("data:image/")],
        }
        for title, (rows, plots) in sections.items()
    ]
    return _page(request, signed_in, "manage_agreement.html", {"sections": shown})


@routes.get("/manage/audit")
def audit(request: Request, person: ManagingReader, signed_in: Session, before: int | None = None) -> Response:
    """Who did what."""
    rows = services_of(request).accounts.audit_log(before_id=before)
    return _page(request, signed_in, "manage_audit.html", {"rows": rows})


@routes.post("/api/people/invite")
def invite(
    request: Request, manager: ManagingWriter, body: Annotated[InviteBody, Depends(body_of(InviteBody))]
) -> Response:
    """Invite somebody; the link is in this reply and nowhere else."""
    return _invited(request, manager, body.handle, body.role, body.display_name)


@routes.post("/api/people/reset-link")
def reset_link(request: Request, manager: ManagingWriter, body: Named) -> Response:
    """A new link for somebody who has an account: a password reset, or the invitation again."""
    person = _known(request, body.handle)
    return _invited(request, manager, person.handle, person.role, person.display_name, simulated=person.simulated)


@routes.post("/api/people/role")
def set_role(
    request: Request, manager: ManagingWriter, body: Annotated[RoleBody, Depends(body_of(RoleBody))]
) -> Response:
    """Change what somebody may do."""
    services_of(request).accounts.set_role(_known(request, body.handle).handle, body.role, manager)
    return JsonReply({"done": True})


@routes.post("/api/people/deactivate")
def deactivate(request: Request, manager: ManagingWriter, body: Named) -> Response:
    """Close an account; its answers stay."""
    services_of(request).accounts.deactivate(_known(request, body.handle).handle, manager)
    return JsonReply({"done": True})


@routes.post("/api/people/activate")
def activate(request: Request, manager: ManagingWriter, body: Named) -> Response:
    """Open an account again."""
    services_of(request).accounts.activate(_known(request, body.handle).handle, manager)
    return JsonReply({"done": True})


@routes.post("/api/withdraw")
def withdraw(
    request: Request, manager: ManagingWriter, body: Annotated[WithdrawBody, Depends(body_of(WithdrawBody))]
) -> Response:
    """Take tasks back, with a reason that the audit log keeps."""
    if bool(body.task_ids) == bool(body.pair_ids):
        raise InvalidAnswer("Name either tasks or pairs.", where="task_ids, pair_ids", kept="all tasks as they were")
    services = services_of(request)
    done = batches.withdraw(
        services.engine,
        task_ids=body.task_ids,
        pair_ids=body.pair_ids,
        by=manager,
        why=body.why,
        clock=services.clock,
    )
    # What is left of a pair's answers may be complete now, and in disagreement.
    open_cases(services.engine, services.adjudicate, services.clock)
    return JsonReply({"num_withdrawn": done})


def _columns(rows: Sequence[Mapping[str, Any]]) -> list[tuple[str, bool]]:
    """The table's columns in the order they first come, each with whether it holds numbers."""
    names = dict.fromkeys(column for row in rows for column in row)
    return [(name, any(isinstance(row.get(name), int | float) for row in rows)) for name in names]


def _known(request: Request, handle: str) -> Person:
    person = services_of(request).accounts.person(handle)
    if person is None:
        raise DeskError("There is nobody of this name.", where=handle[:100], kept="all accounts as they were")
    return person


def _invited(
    request: Request, manager: Person, handle: str, role: str, display_name: str, *, simulated: bool = False
) -> Response:
    token = services_of(request).accounts.invite(
        handle,
        role,
        by=manager,
        display_name=display_name,
        simulated=simulated,
        valid_days=INVITATION_DAYS,
    )
    link = str(request.base_url.replace(path=f"/invitation/{token}"))
    return JsonReply({"handle": handle, "link": link, "days": INVITATION_DAYS})


def _page(request: Request, signed_in: SignedIn, name: str, values: dict[str, Any]) -> Response:
    return page(
        request, name, {**values, "person": signed_in.person, "csrf_token": signed_in.csrf_token, "mode": "manage"}
    )
