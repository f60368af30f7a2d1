"""A pair as a piece of HTML that the page puts in its place: conversation, responses, attributes, guideline."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from markupsafe import Markup

from assets.contracts import CONTROVERSIALITY, OBJECTIVITY, TASK_CATEGORIES
from assets.human_gold.desk.views import ShownCase, ShownPair
from assets.human_gold.page.pages import render
from assets.human_gold.page.plain_view import num_suspicious
from assets.human_gold.page.services import Services

CHOICES = {"task_category": TASK_CATEGORIES, "objectivity": OBJECTIVITY, "controversiality": CONTROVERSIALITY}
LABELS = {
    "task_category": "Category",
    "objectivity": "Objectivity",
    "controversiality": "Controversiality",
    "desired_attributes": "Desired attributes",
    "annotation_guideline": "Guideline of this pair",
}


@dataclass(frozen=True)
class ShownText:
    """One text in both views.

    Attributes:
        rendered: sanitised HTML; None where the text is too long to be rendered.
        num_suspicious: invisible characters that only the plain view shows.
    """

    text: str
    num_chars: int
    rendered: Markup | None
    num_suspicious: int


@dataclass(frozen=True)
class GuidelineText:
    """The written guideline of one kind of pair; `html` is None where none is written."""

    html: Markup | None
    version: str


def shown_text(services: Services, text: str) -> ShownText:
    """A text, rendered unless it is too long."""
    rendered = None
    if len(text) <= services.settings.max_rendered_chars:
        rendered = Markup(services.cache.markdown_html(text))  # noqa: S704 - sanitised
    return ShownText(text, len(text), rendered, num_suspicious(text))


def guideline_version(services: Services, attributes: Mapping[str, Any]) -> str:
    """The version a label stores; empty where no guideline is written."""
    kind = tuple(str(attributes.get(name, "")) for name in CHOICES)
    if any(value not in CHOICES[name] for name, value in zip(CHOICES, kind, strict=True)):
        return ""
    return services.guidelines.version_of(*kind)


def guideline(services: Services, attributes: Mapping[str, Any]) -> GuidelineText:
    """The guideline for a category, objectivity and controversiality, with the version a label stores."""
    kind = tuple(str(attributes.get(name, "")) for name in CHOICES)
    if any(value not in CHOICES[name] for name, value in zip(CHOICES, kind, strict=True)):
        return GuidelineText(None, "")
    html = Markup(services.cache.markdown_html(services.guidelines.text(*kind)))  # noqa: S704 - sanitised
    return GuidelineText(html, services.guidelines.version_of(*kind))


def pair_html(services: Services, pair: ShownPair, case: ShownCase | None = None) -> str:
    """The fragment of a pair, or of a disagreement with its arguments."""
    turns = [
        {"role": str(turn.get("role", "")), "shown": shown_text(services, str(turn.get("content", "")))}
        for turn in pair.conversation
    ]
    return render(
        "pair.html",
        {
            "pair": pair,
            "turns": turns,
            "sides": (("left", shown_text(services, pair.left)), ("right", shown_text(services, pair.right))),
            "choices": CHOICES,
            "labels": LABELS,
            "guideline": guideline(services, pair.attributes),
            "max_rendered_chars": services.settings.max_rendered_chars,
            "long_turn_chars": services.settings.long_turn_chars,
            "arguments": None if case is None else case.arguments,
        },
    )


def as_json(services: Services, pair: ShownPair) -> dict[str, Any]:
    """A pair as plain values, with the version of the guideline that is written for it."""
    values = asdict(pair)
    values["guideline_version"] = guideline_version(services, pair.attributes)
    values["conversation"] = [dict(turn) for turn in pair.conversation]
    return values
