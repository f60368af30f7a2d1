"""Who is asking, and whether the request is theirs: sessions, CSRF tokens, roles and request bodies.

The order is fixed: session (401), origin and CSRF token (403), role (403), and only then is a body read (400).
"""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Callable
from typing import Annotated, TypeVar
from urllib.parse import urlsplit

from fastapi import Depends, Request
from pydantic import BaseModel, ValidationError
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from assets.errors import SynprefError
from assets.human_gold.desk.views import InvalidAnswer, NotAllowed, Person, SignedIn
from assets.human_gold.page.services import Services

SESSION_COOKIE, FORM_COOKIE = "synpref_session", "synpref_form"
CSRF_HEADER, CSRF_FIELD = "x-csrf-token", "csrf_token"

Body = TypeVar("Body", bound=BaseModel)


class NotSignedIn(SynprefError):
    """No session, or one that has ended."""

    def __init__(self) -> None:
        super().__init__("You are not signed in.", kept="what you typed stays in this browser", todo="sign in again")


class ForgedRequest(SynprefError):
    """The request does not carry the token of the session that it uses, or comes from another site."""

    def __init__(self) -> None:
        super().__init__("The request did not come from this page.", kept="nothing", todo="reload the page")


def services_of(request: Request) -> Services:
    """The services of the application that got the request."""
    services: Services = request.app.state.services
    return services


def address_of(request: Request) -> str:
    """The address the request came from."""
    return request.client.host if request.client else "unknown"


async def visitor(request: Request) -> SignedIn | None:
    """The session of the request, if it has one that lives."""
    token = request.cookies.get(SESSION_COOKIE)
    if not token:
        return None
    return await run_in_threadpool(services_of(request).accounts.session, token)


async def reader(signed_in: Annotated[SignedIn | None, Depends(visitor)]) -> SignedIn:
    """The session of a request that only reads.

    Raises:
        NotSignedIn: there is none.
    """
    if signed_in is None:
        raise NotSignedIn
    return signed_in


async def writer(request: Request, signed_in: Annotated[SignedIn, Depends(reader)]) -> SignedIn:
    """The session of a request that changes something, which must carry the session's CSRF token.

    Raises:
        NotSignedIn: no session.
        ForgedRequest: no token, a wrong one, or one of another session; or another site's page sent it.
    """
    refuse_other_sites(request)
    if not _equal(request.headers.get(CSRF_HEADER, ""), signed_in.csrf_token):
        raise ForgedRequest
    return signed_in


async def form_writer(request: Request, signed_in: Annotated[SignedIn, Depends(reader)]) -> SignedIn:
    """As `writer`, for a form without script: the token may stand in a field instead of the header."""
    refuse_other_sites(request)
    given = request.headers.get(CSRF_HEADER) or str((await request.form()).get(CSRF_FIELD, ""))
    if not _equal(given, signed_in.csrf_token):
        raise ForgedRequest
    return signed_in


def refuse_other_sites(request: Request) -> None:
    """Refuse a request that a browser says was sent by a page of another origin.

    Raises:
        ForgedRequest: it was.
    """
    origin = request.headers.get("origin")
    if origin is not None and urlsplit(origin).netloc != request.headers.get("host"):
        raise ForgedRequest


def of_role(role: str, guard: Callable[..., object]) -> Callable[..., object]:
    """A dependency that lets only people of a role, or of one above it, through a guard."""

    # As a default: an annotation is a string that could not see `guard`.
    async def checked(signed_in: SignedIn = Depends(guard)) -> Person:  # noqa: B008
        if not signed_in.person.may(role):
            raise NotAllowed("Your role does not allow this.", todo="ask a manager of this desk")
        return signed_in.person

    return checked


def body_of(model: type[Body]) -> Callable[..., object]:
    """A dependency that reads the request's JSON as `model`; use it behind a guard, which runs first."""

    async def read(request: Request) -> Body:
        try:
            return model.model_validate_json(await request.body() or b"null")
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False, include_context=False)[0]
            field = ".".join(str(part) for part in first["loc"])
            raise InvalidAnswer(
                f"The request cannot be understood: {first['msg']}.", where=field or "the body", kept="nothing of it"
            ) from None

    return read


def new_form_token(request: Request) -> str:
    """The token of forms that come before any session: the one the browser holds, or a new one."""
    known = request.cookies.get(FORM_COOKIE, "")
    return known if len(known) == 43 and known.isascii() else secrets.token_urlsafe(32)


async def check_form_token(request: Request) -> None:
    """A form before any session must repeat the token of its cookie (double submit).

    Raises:
        ForgedRequest: it does not.
    """
    refuse_other_sites(request)
    held = request.cookies.get(FORM_COOKIE, "")
    given = str((await request.form()).get(CSRF_FIELD, ""))
    if not held or not _equal(given, held):
        raise ForgedRequest


def set_cookie(request: Request, response: Response, name: str, value: str, *, max_age_s: int | None) -> None:
    """A cookie that scripts cannot read and other sites cannot send along with a POST."""
    https = services_of(request).settings.https or request.url.scheme == "https"
    response.set_cookie(name, value, max_age=max_age_s, path="/", httponly=True, samesite="lax", secure=https)


def _equal(given: str, expected: str) -> bool:
    return bool(expected) and hmac.compare_digest(given.encode("utf-8", "replace"), expected.encode())


Reader = Annotated[Person, Depends(of_role("annotator", reader))]
Writer = Annotated[Person, Depends(of_role("annotator", writer))]
AdjudicatingReader = Annotated[Person, Depends(of_role("adjudicator", reader))]
AdjudicatingWriter = Annotated[Person, Depends(of_role("adjudicator", writer))]
ManagingReader = Annotated[Person, Depends(of_role("manager", reader))]
ManagingWriter = Annotated[Person, Depends(of_role("manager", writer))]
