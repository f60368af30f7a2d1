"""Reading replies: JSON objects as models write them, and the refusals and foreign tongues that are neither."""

from __future__ import annotations

import json
import re
from typing import Any

import pyarrow as pa

_FENCE = re.compile(r"\A```(?:json)?\s*\n(.*)\n\s*```\Z", re.DOTALL | re.IGNORECASE)
# Enough of a reply to tell its language from, in characters.
_LANGUAGE_CHARS = 2_000
_MIN_SURE = 0.7


class ReplyProblem(Exception):
    """A reply that cannot be used.

    Attributes:
        reason: the status it is counted under.
        what: what is wrong, a clause that can be shown to the model; never a part of the reply.
    """

    def __init__(self, reason: str, what: str = "") -> None:
        super().__init__(f"{reason}: {what}")
        self.reason, self.what = reason, what


def read_object(reply: str) -> dict[str, Any]:
    """The JSON object that a reply consists of, with or without a code fence around it.

    Raises:
        ReplyProblem: empty_reply, invalid_json, not_an_object, doubled_key, nan; refused and other_language for a text
            that is one of these instead.
    """
    text = reply.strip()
    if not text:
        raise ReplyProblem("empty_reply", "it is empty.")
    fenced = _FENCE.match(text)
    try:
        value = json.loads(
            fenced[1] if fenced else text, object_pairs_hook=_without_doubles, parse_constant=_no_constant
        )
    except (ValueError, RecursionError):
        raise ReplyProblem(why_not(text, "invalid_json"), "it is not valid JSON.") from None
    if not isinstance(value, dict):
        raise ReplyProblem("not_an_object", "it is JSON, but no object.")
    return value


def why_not(text: str, otherwise: str) -> str:
    """Why a text holds nothing that was asked for: refused, other_language, or `otherwise`.

    >>> why_not("I'm sorry, but I can't help with that.", "no_verdict")
    'refused'
    """
    from assets.raw_pairs.languages import UNKNOWN, detect_languages
    from assets.raw_pairs.text_patterns import refusals

    texts = pa.array([text[:_LANGUAGE_CHARS].encode("utf-8", "replace").decode()], pa.string())
    if refusals(texts)[0]:
        return "refused"
    codes, sure = detect_languages(texts, _LANGUAGE_CHARS)
    if codes[0].as_py() not in ("en", UNKNOWN) and sure[0] >= _MIN_SURE:
        return "other_language"
    return otherwise


def _without_doubles(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ReplyProblem("doubled_key", "it names a field twice.")
    return found


def _no_constant(name: str) -> None:
    raise ReplyProblem("nan", f"{name} is no value of JSON.")
