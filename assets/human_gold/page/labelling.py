"""Routes of labelling: the page itself, the next pair, answers, drafts, history."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request
from starlette.responses import Response

from assets.human_gold.desk.views import REASONS, Past, Receipt, SignedIn
from assets.human_gold.page import guarding
from assets.human_gold.page.bodies import AnswerBody, DraftBody, KeyBody
from assets.human_gold.page.fragments import as_json, guideline, pair_html
from assets.human_gold.page.guarding import Reader, Writer, body_of, services_of
from assets.human_gold.page.pages import JsonReply, page

routes = APIRouter()

REASON_KEYS = "qwerasdfg"
"""Below the digits of the verdict, where the left hand lies."""

MAX_SKIPPED = 100
"""Keys in one request: the page sends the pair on screen, the one made ready and what is not sent yet."""


@routes.get("/work")
def work(request: Request, signed_in: Annotated[SignedIn, Depends(guarding.reader)]) -> Response:
    """The page; its script fetches the pairs."""
    return desk_page(request, signed_in, "work")


@routes.get("/api/session")
def session(signed_in: Annotated[SignedIn, Depends(guarding.reader)]) -> Response:
    """Who is signed in, and the token that a program sends along with what changes something."""
    return JsonReply({"person": asdict(signed_in.person), "csrf_token": signed_in.csrf_token})


@routes.get("/api/next")
def next_task(
    request: Request,
    person: Reader,
    skip: Annotated[list[str], Query(max_length=MAX_SKIPPED)] = [],  # noqa: B006 - FastAPI copies it
    plain: bool = False,
) -> Response:
    """The next pair of this person, or null; `skip` names those the page has already."""
    services = services_of(request)
    pair = services.desk.next_task(person, skip=skip)
    # Programs show no progress, and need no HTML.
    progress = None if plain else asdict(services.desk.progress(person))
    if pair is None:
        return JsonReply({"task": None, "html": None, "progress": progress})
    html = None if plain else pair_html(services, pair)
    return JsonReply({"task": as_json(services, pair), "html": html, "progress": progress})


@routes.get("/api/tasks/{key}")
def task(request: Request, person: Reader, key: str, plain: bool = False) -> Response:
    """A pair of this person's, answered or not."""
    services = services_of(request)
    pair = services.desk.shown(person, key)
    return JsonReply({"task": as_json(services, pair), "html": None if plain else pair_html(services, pair)})


@routes.post("/api/answers")
def answer(
    request: Request,
    person: Writer,
    body: Annotated[AnswerBody, Depends(body_of(AnswerBody))],
    plain: bool = False,
) -> Response:
    """Store an answer; one that is sent again with the same client key adds nothing."""
    services = services_of(request)
    receipt = services.desk.answer(person, body.answer())
    progress = None if plain else asdict(services.desk.progress(person))
    return JsonReply({"receipt": receipt_json(receipt), "progress": progress})


@routes.post("/api/drafts")
def draft(request: Request, person: Writer, body: Annotated[DraftBody, Depends(body_of(DraftBody))]) -> Response:
    """Keep what the form holds, of a task or of a case."""
    services = services_of(request)
    keeper = services.adjudication if body.key.startswith("case-") else services.desk
    keeper.save_draft(person, body.key, body.form.model_dump())
    return JsonReply({"saved": True})


@routes.post("/api/later")
def later(request: Request, person: Writer, body: Annotated[KeyBody, Depends(body_of(KeyBody))]) -> Response:
    """Put a pair at the end of this person's own."""
    services_of(request).desk.release(person, body.key)
    return JsonReply({"released": True})


@routes.get("/api/history")
def history(request: Request, person: Reader) -> Response:
    """This person's last answers."""
    return JsonReply({"items": [past_json(item) for item in services_of(request).desk.history(person)]})


@routes.get("/api/progress")
def progress(request: Request, person: Reader) -> Response:
    """How far this person is."""
    return JsonReply(asdict(services_of(request).desk.progress(person)))


@routes.get("/api/guideline")
def guideline_of(
    request: Request, person: Reader, task_category: str, objectivity: str, controversiality: str
) -> Response:
    """The written guideline for a kind of pair, as it is shown, with its version."""
    kind = {"task_category": task_category, "objectivity": objectivity, "controversiality": controversiality}
    found = guideline(services_of(request), kind)
    return JsonReply({"html": found.html, "version": found.version})


def desk_page(request: Request, signed_in: SignedIn, mode: str) -> Response:
    """The shell in which pairs are labelled (`work`) or disagreements settled (`adjudicate`)."""
    settings = services_of(request).settings
    values: dict[str, Any] = {
        "person": signed_in.person,
        "csrf_token": signed_in.csrf_token,
        "mode": mode,
        "reasons": list(zip(REASON_KEYS, REASONS, strict=True)),
        "settings": settings,
        "searches": [search.model_dump() for search in settings.searches],
    }
    return page(request, "desk.html", values)


def receipt_json(receipt: Receipt) -> dict[str, Any]:
    """A receipt as plain values."""
    return {**asdict(receipt), "revealed": None if receipt.revealed is None else dict(receipt.revealed)}


def past_json(item: Past) -> dict[str, Any]:
    """A line of the history as plain values."""
    return {**asdict(item), "answered_at": item.answered_at.isoformat()}
