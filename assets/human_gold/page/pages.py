"""Templates, compiled once, and replies made from them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any

import jinja2
from fastapi import Request
from markupsafe import Markup
from starlette.responses import Response

from assets.human_gold.page.plain_view import marked, num_suspicious, plain_html

HERE = Path(__file__).parent
STATIC = HERE / "static"


class JsonReply(Response):
    """JSON in ASCII: texts may hold halves of surrogate pairs, which UTF-8 cannot say."""

    media_type = "application/json"

    def render(self, content: Any) -> bytes:
        """As bytes."""
        return json.dumps(content, ensure_ascii=True, allow_nan=False, separators=(",", ":")).encode("ascii")


@cache
def templates() -> jinja2.Environment:
    """The environment of all templates; everything is escaped unless it was made as HTML."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(HERE / "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    environment.filters["plain"] = lambda text: Markup(plain_html(text))  # noqa: S704 - escaped by plain_html
    environment.filters["marked"] = lambda text: Markup(marked(text))  # noqa: S704 - escaped by marked
    environment.filters["thousands"] = lambda number: f"{number:,}"
    environment.filters["minute"] = _minute
    environment.tests["suspicious"] = lambda text: num_suspicious(text) > 0
    environment.filters["num_suspicious"] = num_suspicious
    environment.globals["static"] = static_address
    return environment


def render(name: str, values: Mapping[str, Any]) -> str:
    """A template with its values."""
    return templates().get_template(name).render(values)


def page(
    request: Request,
    name: str,
    values: Mapping[str, Any],
    *,
    status: int = 200,
    headers: Mapping[str, str] | None = None,
) -> Response:
    """A whole page. Templates know `person` and `csrf_token` where somebody is signed in."""
    known = {"person": None, "csrf_token": "", "here": request.url.path}
    html = render(name, {**known, **values})
    return Response(html.encode("utf-8", "replace"), status, headers, "text/html; charset=utf-8")


@cache
def static_address(name: str) -> str:
    """Address of a static file, with its hash: a browser may keep it for good."""
    digest = hashlib.blake2b((STATIC / name).read_bytes(), digest_size=6).hexdigest()
    return f"/static/{name}?v={digest}"


def _minute(time: datetime | str | None) -> str:
    if time is None:
        return ""
    return time.strftime("%Y-%m-%d %H:%M") if isinstance(time, datetime) else str(time)[:16].replace("T", " ")
