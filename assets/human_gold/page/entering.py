"""Routes of signing in and out, and of accepting an invitation."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Request
from starlette.concurrency import run_in_threadpool
from starlette.responses import RedirectResponse, Response

from assets.human_gold.desk.views import InvitationRefused, SignedIn, SignInRefused, TooManyAttempts
from assets.human_gold.page import guarding
from assets.human_gold.page.guarding import FORM_COOKIE, SESSION_COOKIE, address_of, services_of, set_cookie
from assets.human_gold.page.pages import page

routes = APIRouter()

MAX_SESSION_S = 30 * 24 * 3600
MAX_PASSWORD_CHARS = 1000
"""A longer one is not hashed: hashing is costly on purpose."""


@routes.get("/")
async def home(signed_in: Annotated[SignedIn | None, Depends(guarding.visitor)]) -> Response:
    """To work, or to the door."""
    return RedirectResponse("/work" if signed_in else "/sign-in", 303)


@routes.get("/sign-in")
async def sign_in_form(request: Request) -> Response:
    """The form."""
    return _form(request, "sign_in.html", {"error": None, "handle": ""})


@routes.post("/sign-in")
async def sign_in(request: Request) -> Response:
    """Open a session; the token is a new one whatever the browser sent."""
    await guarding.check_form_token(request)
    form = await request.form()
    handle, password = str(form.get("handle", "")).strip()[:100], str(form.get("password", ""))
    try:
        if len(password) > MAX_PASSWORD_CHARS:
            raise SignInRefused("Wrong name or password.")
        return await _open(request, handle, password)
    except TooManyAttempts as error:
        return _form(
            request,
            "sign_in.html",
            {"error": error, "handle": handle},
            status=429,
            headers={"Retry-After": str(error.retry_after_s)},
        )
    except SignInRefused as error:
        return _form(request, "sign_in.html", {"error": error, "handle": handle}, status=401)


@routes.post("/sign-out")
async def sign_out(request: Request, _: Annotated[SignedIn, Depends(guarding.form_writer)]) -> Response:
    """End the session."""
    services = services_of(request)
    await run_in_threadpool(services.accounts.sign_out, request.cookies.get(SESSION_COOKIE, ""))
    response = RedirectResponse("/sign-in", 303)
    set_cookie(request, response, SESSION_COOKIE, "", max_age_s=0)
    return response


@routes.get("/invitation/{token}")
async def invitation(request: Request, token: str) -> Response:
    """Who is invited, and the form for a password."""
    try:
        person = await run_in_threadpool(services_of(request).accounts.invitation, token)
    except InvitationRefused as error:
        return page(request, "invitation.html", {"error": error, "invited": None, "form_token": ""}, status=404)
    return _form(request, "invitation.html", {"error": None, "invited": person})


@routes.post("/invitation/{token}")
async def accept_invitation(request: Request, token: str) -> Response:
    """Set the password and sign in."""
    await guarding.check_form_token(request)
    accounts = services_of(request).accounts
    form = await request.form()
    password = str(form.get("password", ""))
    person = None
    try:
        person = await run_in_threadpool(accounts.invitation, token)
        if len(password) > MAX_PASSWORD_CHARS:
            raise InvitationRefused("The password is too long.", todo=f"use at most {MAX_PASSWORD_CHARS} characters")
        if password != str(form.get("again", "")):
            raise InvitationRefused("The two passwords differ.", todo="type the same one twice")
        person = await run_in_threadpool(accounts.accept_invitation, token, password)
    except InvitationRefused as error:
        return _form(request, "invitation.html", {"error": error, "invited": person}, status=400)
    return await _open(request, person.handle, password)


async def _open(request: Request, handle: str, password: str) -> Response:
    accounts = services_of(request).accounts

    def sign_in_anew() -> SignedIn:
        signed_in = accounts.sign_in(handle, password, address=address_of(request))
        # The session this browser held is out of reach from now on: end it.
        if held := request.cookies.get(SESSION_COOKIE):
            accounts.sign_out(held)
        return signed_in

    signed_in = await run_in_threadpool(sign_in_anew)
    response = RedirectResponse("/work", 303)
    set_cookie(request, response, SESSION_COOKIE, signed_in.token, max_age_s=MAX_SESSION_S)
    set_cookie(request, response, FORM_COOKIE, "", max_age_s=0)
    return response


def _form(
    request: Request,
    name: str,
    values: dict[str, object],
    *,
    status: int = 200,
    headers: dict[str, str] | None = None,
) -> Response:
    token = guarding.new_form_token(request)
    response = page(request, name, {**values, "form_token": token}, status=status, headers=headers)
    set_cookie(request, response, FORM_COOKIE, token, max_age_s=None)
    return response
