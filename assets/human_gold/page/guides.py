"""Routes of the guidelines browser."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Request
from starlette.exceptions import HTTPException
from starlette.responses import RedirectResponse, Response

from assets.contracts import CONTROVERSIALITY, OBJECTIVITY, TASK_CATEGORIES
from assets.human_gold.desk.views import SignedIn
from assets.human_gold.page import guarding
from assets.human_gold.page.fragments import guideline
from assets.human_gold.page.guarding import services_of
from assets.human_gold.page.pages import page

routes = APIRouter()


@routes.get("/guidelines")
def all_guidelines(signed_in: Annotated[SignedIn, Depends(guarding.reader)]) -> Response:
    """To the first."""
    return RedirectResponse("/guidelines/information%20seeking", 303)


@routes.get("/guidelines/{category}")
def one_guideline(
    request: Request,
    signed_in: Annotated[SignedIn, Depends(guarding.reader)],
    category: str,
    objectivity: str = "objective",
    controversiality: str = "low",
) -> Response:
    """The guideline of one kind of pair."""
    if category not in TASK_CATEGORIES or objectivity not in OBJECTIVITY or controversiality not in CONTROVERSIALITY:
        raise HTTPException(404)
    services = services_of(request)
    kind = {"task_category": category, "objectivity": objectivity, "controversiality": controversiality}
    values = {
        "person": signed_in.person,
        "csrf_token": signed_in.csrf_token,
        "mode": "guidelines",
        "kind": kind,
        "categories": TASK_CATEGORIES,
        "objectivities": OBJECTIVITY,
        "controversialities": CONTROVERSIALITY,
        "guideline": guideline(services, kind),
        "version": services.guidelines.version,
    }
    return page(request, "guidelines.html", values)
