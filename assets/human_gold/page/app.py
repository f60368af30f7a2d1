"""The application: routes, middleware and services put together, and served."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

import uvicorn
from fastapi import FastAPI
from sqlalchemy.engine import Engine
from starlette.middleware import Middleware
from starlette.responses import Response
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

from assets.human_gold.page import adjudicating, entering, guides, labelling, managing, refusals
from assets.human_gold.page.headers import BodyLimit, Headers
from assets.human_gold.page.pages import STATIC
from assets.human_gold.page.services import AgreementSections, Guidelines, Services, utc_now
from assets.human_gold.page.settings import PageSettings


def create_app(
    engine: Engine,
    *,
    guidelines: Guidelines,
    settings: PageSettings | None = None,
    clock: Callable[[], datetime] = utc_now,
    agreement: AgreementSections | None = None,
    adjudicate: str = "no_majority",
) -> FastAPI:
    """The annotation page over one database.

    Args:
        engine: of `desk.database.open_database`.
        guidelines: the written guidelines.
        settings: of the page; None for the defaults.
        clock: gives the time, UTC; tests turn it.
        agreement: statistics for the manager's page, read whenever it is opened; None: the page says there are none.
        adjudicate: which disagreements go to an adjudicator, a rule of `desk.disagreements`.
    """
    settings = settings or PageSettings()
    app = FastAPI(
        # No description of the routes is served: it would help strangers only.
        openapi_url=None,
        middleware=[Middleware(Headers), Middleware(BodyLimit, max_bytes=settings.max_body_bytes)],
    )
    app.state.services = Services.over(engine, guidelines, settings, agreement, clock, adjudicate)
    for module in (entering, labelling, adjudicating, managing, guides):
        app.include_router(module.routes)
    app.mount("/static", _Static(directory=STATIC))
    refusals.install(app)
    return app


def serve(app: FastAPI, host: str = "127.0.0.1", port: int = 8008) -> None:
    """Serve until interrupted. Requests are not logged: an invitation's address is a secret."""
    uvicorn.run(app, host=host, port=port, access_log=False, server_header=False, log_level="warning")


class _Static(StaticFiles):
    """Files whose address holds their hash."""

    def file_response(self, *args: object, **kwargs: object) -> Response:
        response = super().file_response(*args, **kwargs)  # type: ignore[arg-type]
        scope: Scope = args[2] if len(args) > 2 else kwargs["scope"]  # type: ignore[assignment]
        kept = "public, max-age=31536000, immutable" if b"v=" in scope["query_string"] else "no-cache"
        response.headers["cache-control"] = kept
        return response
