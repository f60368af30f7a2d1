"""Routes of adjudication: the next disagreement, decisions, history."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request
from starlette.responses import Response

from assets.human_gold.desk.views import InvalidAnswer, ShownCase, SignedIn
from assets.human_gold.page import guarding
from assets.human_gold.page.bodies import AnswerBody
from assets.human_gold.page.fragments import as_json, pair_html
from assets.human_gold.page.guarding import AdjudicatingReader, AdjudicatingWriter, body_of, services_of
from assets.human_gold.page.labelling import MAX_SKIPPED, desk_page, past_json, receipt_json
from assets.human_gold.page.pages import JsonReply
from assets.human_gold.page.services import Services

routes = APIRouter()


@routes.get("/adjudicate")
def adjudicate(
    request: Request, person: AdjudicatingReader, signed_in: Annotated[SignedIn, Depends(guarding.reader)]
) -> Response:
    """The page; its script fetches the cases."""
    return desk_page(request, signed_in, "adjudicate")


@routes.get("/api/cases/next")
def next_case(
    request: Request,
    person: AdjudicatingReader,
    skip: Annotated[list[str], Query(max_length=MAX_SKIPPED)] = [],  # noqa: B006 - FastAPI copies it
    plain: bool = False,
) -> Response:
    """The next disagreement, or null."""
    services = services_of(request)
    case = services.adjudication.next_case(person, skip=skip)
    if case is None:
        return JsonReply({"task": None, "html": None})
    return JsonReply(_case_json(services, case, plain))


@routes.get("/api/cases/history")
def history(request: Request, person: AdjudicatingReader) -> Response:
    """This adjudicator's last decisions."""
    return JsonReply({"items": [past_json(item) for item in services_of(request).adjudication.history(person)]})


@routes.get("/api/cases/{key}")
def case(request: Request, person: AdjudicatingReader, key: str, plain: bool = False) -> Response:
    """A disagreement, decided or not."""
    services = services_of(request)
    return JsonReply(_case_json(services, services.adjudication.shown(person, key), plain))


@routes.post("/api/decisions")
def decide(
    request: Request, person: AdjudicatingWriter, body: Annotated[AnswerBody, Depends(body_of(AnswerBody))]
) -> Response:
    """Store a decision, which must say why."""
    if not body.comment.strip():
        raise InvalidAnswer("A decision needs its reason.", where="comment", kept="nothing", todo="write a comment")
    receipt = services_of(request).adjudication.decide(person, body.answer())
    return JsonReply({"receipt": receipt_json(receipt)})


def _case_json(services: Services, found: ShownCase, plain: bool) -> dict[str, Any]:
    return {
        "task": as_json(services, found.pair),
        "arguments": [dict(argument) for argument in found.arguments],
        "decided_before": None if found.decided_before is None else dict(found.decided_before),
        "html": None if plain else pair_html(services, found.pair, found),
    }
