"""What a person submits, checked: pure functions."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from assets.contracts import CONTROVERSIALITY, OBJECTIVITY, TASK_CATEGORIES
from assets.human_gold.desk.texts import keepable
from assets.human_gold.desk.views import (
    EDITABLE_ATTRIBUTES,
    REASONS,
    SHOWN_VERDICTS,
    STRENGTHS,
    Answer,
    InvalidAnswer,
)

MAX_TEXT = 20_000
"""Characters of a comment or of an attribute."""

MAX_DRAFT = 200_000
"""Characters of a draft as JSON."""

_CHOICES = {
    "task_category": TASK_CATEGORIES,
    "objectivity": OBJECTIVITY,
    "controversiality": CONTROVERSIALITY,
}
_MAX_ACTIVE_SECONDS = 86_400.0


def checked(answer: Answer, attributes: Mapping[str, Any]) -> Answer:
    """The answer as it is stored: only attributes that differ from the item's, and only times that can be.

    A time that is negative, no number or longer than a day counts as not measured, since the client's clock must not
    cost a label.

    Raises:
        InvalidAnswer: says which field, and what it may be.
    """
    if not 8 <= len(answer.client_key) <= 64 or not answer.client_key.isascii() or not answer.client_key.isprintable():
        raise _invalid("client_key", "has 8 to 64 printable ASCII characters")
    if answer.verdict not in SHOWN_VERDICTS:
        raise _invalid("verdict", f"is one of {', '.join(SHOWN_VERDICTS)}")
    sided = answer.verdict in ("left", "right")
    without = answer.strength is None and not answer.strength_required
    if sided and answer.strength not in STRENGTHS and not without:
        raise _invalid("strength", f"of a verdict for one side is {' or '.join(STRENGTHS)}")
    if not sided and answer.strength is not None:
        raise _invalid("strength", "is given for a side only")
    if unknown := [reason for reason in answer.reasons if reason not in REASONS]:
        raise _invalid("reasons", f"are of {', '.join(REASONS)}; not {unknown[0]!r:.60}")
    if len(answer.comment) > MAX_TEXT:
        raise _invalid("comment", f"has at most {MAX_TEXT:,} characters")
    if len(answer.guideline_version) > 40:
        raise _invalid("guideline_version", "has at most 40 characters")
    if answer.revision < 0:
        raise _invalid("revision", "counts from 0")
    seconds = answer.active_seconds
    if seconds is not None and not (math.isfinite(seconds) and 0 <= seconds <= _MAX_ACTIVE_SECONDS):
        seconds = None
    return replace(
        answer,
        reasons=tuple(reason for reason in REASONS if reason in answer.reasons),
        comment=keepable(answer.comment).strip(),
        edited_attributes=_edits(answer.edited_attributes, attributes),
        guideline_version=keepable(answer.guideline_version),
        active_seconds=seconds,
    )


def checked_draft(form: Mapping[str, Any]) -> dict[str, Any]:
    """A draft as it is stored.

    Raises:
        InvalidAnswer: no JSON, or too long.
    """
    try:
        length = len(json.dumps(form, allow_nan=False))
    except (TypeError, ValueError, RecursionError):
        raise _invalid("draft", "is an object of JSON") from None
    if length > MAX_DRAFT:
        raise _invalid("draft", f"has at most {MAX_DRAFT:,} characters")
    return keepable(dict(form))


def _edits(edited: Mapping[str, Any], attributes: Mapping[str, Any]) -> dict[str, str]:
    changed = {}
    for name, value in edited.items():
        if name not in EDITABLE_ATTRIBUTES:
            raise _invalid("edited_attributes", f"are of {', '.join(EDITABLE_ATTRIBUTES)}")
        if not isinstance(value, str) or len(value) > MAX_TEXT:
            raise _invalid(name, f"is a text of at most {MAX_TEXT:,} characters")
        if name in _CHOICES and value not in _CHOICES[name]:
            raise _invalid(name, f"is one of {', '.join(_CHOICES[name])}")
        value = keepable(value)
        # A form sends line ends as CRLF, and that alone is no edit.
        if _plain(value) != _plain(str(attributes.get(name) or "")):
            changed[name] = value
    return changed


def _plain(text: str) -> str:
    return text.replace("\r\n", "\n").strip()


def _invalid(field: str, rule: str) -> InvalidAnswer:
    return InvalidAnswer(
        f"The answer cannot be understood: {field} {rule}.", where=field, kept="what was stored before"
    )
