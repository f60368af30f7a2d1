"""What people and programs are told when something is refused: one shape for JSON, one page for browsers."""

from __future__ import annotations

import logging
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, RedirectResponse, Response

from assets.errors import SynprefError
from assets.human_gold.desk import views
from assets.human_gold.page.guarding import ForgedRequest, NotSignedIn
from assets.human_gold.page.pages import page

STATUSES: dict[type[SynprefError], int] = {
    NotSignedIn: 401,
    ForgedRequest: 403,
    views.NotAllowed: 403,
    views.InvalidAnswer: 400,
    views.AlreadyAnswered: 409,
    views.Withdrawn: 409,
    views.SignInRefused: 401,
    views.TooManyAttempts: 429,
    views.InvitationRefused: 400,
    views.DeskError: 400,
}
_WORDS = {404: "There is nothing at this address.", 405: "This address does not take such a request."}
_LOG = logging.getLogger(__name__)


def status_of(error: SynprefError) -> int:
    """The HTTP status of an error; 500 for one that is no refusal."""
    return next((STATUSES[kind] for kind in type(error).__mro__ if kind in STATUSES), 500)


def install(app: FastAPI) -> None:
    """Make every refusal and every failure an answer in the shape that was asked for."""

    async def refused(request: Request, error: Exception) -> Response:
        assert isinstance(error, SynprefError)
        status = status_of(error)
        if status == 500:
            _LOG.error("a request failed", exc_info=error)
        return _reply(request, status, _described(error), _extra_headers(error))

    async def failed(request: Request, error: Exception) -> Response:
        # What went wrong is the log's matter: a reply could carry texts or secrets.
        return _reply(
            request,
            500,
            {
                "what": "The page failed.",
                "kept": "what you typed stays in this browser",
                "todo": "try again; if it happens again, tell whoever runs this desk",
                "kind": "Failed",
            },
            {},
        )

    async def unserved(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        what = _WORDS.get(error.status_code, "The request cannot be understood.")
        return _reply(request, error.status_code, {"what": what, "kept": "", "todo": "", "kind": "Unserved"}, {})

    async def misshaped(request: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)
        first = error.errors()[0]
        field = ".".join(str(part) for part in first["loc"][1:])
        what = f"The request cannot be understood: {field}: {first['msg']}."
        return _reply(request, 400, {"what": what, "kept": "", "todo": "", "kind": "InvalidAnswer"}, {})

    app.add_exception_handler(SynprefError, refused)
    app.add_exception_handler(HTTPException, unserved)
    app.add_exception_handler(RequestValidationError, misshaped)
    app.add_exception_handler(Exception, failed)


def _described(error: SynprefError) -> dict[str, str]:
    what = f"{error.what} ({error.where})" if error.where else error.what
    return {"what": what, "kept": error.kept, "todo": error.todo, "kind": type(error).__name__}


def _extra_headers(error: SynprefError) -> dict[str, str]:
    return {"Retry-After": str(error.retry_after_s)} if isinstance(error, views.TooManyAttempts) else {}


def _reply(request: Request, status: int, error: dict[str, str], headers: dict[str, Any]) -> Response:
    if request.url.path.startswith("/api/"):
        return JSONResponse({"error": error}, status, headers)
    if status == 401 and request.method == "GET":
        return RedirectResponse("/sign-in", 303)
    return page(request, "refused.html", {"error": error, "status": status}, status=status, headers=headers)
