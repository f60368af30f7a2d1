"""Outcomes: what one try of a request brought, told from status, headers and body alone; nothing in them is trusted."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, Literal

import orjson

from assets.llm_annotated.judging import OK

MOST_TOKENS = 2**40
_SHOWN_CHARS = 300

Charge = Literal["counted", "unknown", "none"]
"""Whether the server says what a try cost, may have charged for it without saying, or refused it free of charge."""


@dataclass(frozen=True)
class Outcome:
    """What one try brought.

    Attributes:
        status: as in `ChatReply`.
        charge: see `Charge`.
        text: of the reply; None unless the status is `OK` or `cut_off`.
        first_token: log-probabilities of the first token's likeliest candidates.
        prompt, cached, completion: numbers of tokens; None where the server gives none that can be.
        again: whether another try may help.
        crowded: whether the server says, or lets one guess, that it is asked too much at once.
        hopeless: whether no other request will fare better: a wrong key, no such model, an exhausted account.
        wait_s: how long the server asks to be left alone.
        cause: what happened, for people; at most a few hundred characters, to be cleared of secrets.
        field: a field of the request that the server does not accept.
    """

    status: str
    charge: Charge = "none"
    text: str | None = None
    first_token: Mapping[str, float] = field(default_factory=dict)
    prompt: int | None = None
    cached: int | None = None
    completion: int | None = None
    again: bool = False
    crowded: bool = False
    hopeless: bool = False
    wait_s: float | None = None
    cause: str = ""
    field: str | None = None


# --- answers with status 200 ---


def read_completion(body: bytes) -> Outcome:
    """Read a chat completion.

    >>> read_completion(b"<html>").status, read_completion(b"").status
    ('malformed_reply', 'empty_reply')
    """
    if not body.strip():
        return Outcome("empty_reply", "unknown", again=True, cause="an empty body with status 200")
    try:
        reply = orjson.loads(body)
    except orjson.JSONDecodeError:
        # A proxy's page or half a body says nothing about the model: worth another try.
        return Outcome("malformed_reply", "unknown", again=True, cause=f"no JSON with status 200: {shown(body)}")
    if not isinstance(reply, dict):
        return Outcome("malformed_reply", "unknown", cause=f"no object: {shown(body)}")
    if isinstance(reply.get("error"), dict):
        # Gateways wrap the failure of the server behind them like this.
        return Outcome("server_failed", "unknown", again=True, cause=f"an error with status 200: {shown(body)}")
    counts = _counts(reply.get("usage"))
    choices = reply.get("choices")
    if not isinstance(choices, list) or len(choices) != 1 or not isinstance(choices[0], dict):
        num = len(choices) if isinstance(choices, list) else "no"
        return _counted("malformed_reply", counts, cause=f"{num} choices where one was asked for")
    return _read_choice(choices[0], counts)


def _read_choice(choice: Mapping[str, Any], counts: tuple[int | None, int | None, int | None]) -> Outcome:
    message, finish = choice.get("message"), choice.get("finish_reason")
    if not isinstance(message, dict):
        return _counted("malformed_reply", counts, cause="a choice without a message")
    text = message.get("content")
    if finish == "content_filter" or message.get("refusal"):
        return _counted("refused", counts, cause=f"refused: {str(message.get('refusal') or finish)[:_SHOWN_CHARS]}")
    if text is not None and not isinstance(text, str):
        return _counted("malformed_reply", counts, cause="content that is no text")
    if finish == "length":
        return _counted("cut_off", counts, text=text or "", cause="the completion reached its limit")
    if text is None or not text.strip():
        return _counted("empty_reply", counts, cause="no content")
    return _counted(OK, counts, text=text, first_token=_first_token(choice.get("logprobs")))


def _counted(status: str, counts: tuple[int | None, int | None, int | None], **others: Any) -> Outcome:
    prompt, cached, completion = counts
    known = prompt is not None and completion is not None
    return Outcome(
        status, "counted" if known else "unknown", prompt=prompt, cached=cached, completion=completion, **others
    )


def _counts(usage: Any) -> tuple[int | None, int | None, int | None]:
    if not isinstance(usage, dict):
        return None, None, None
    details = usage.get("prompt_tokens_details")
    prompt, completion = _count(usage.get("prompt_tokens")), _count(usage.get("completion_tokens"))
    cached = _count(details.get("cached_tokens")) if isinstance(details, dict) else None
    return prompt, cached if cached is None or prompt is None else min(cached, prompt), completion


def _count(value: Any) -> int | None:
    return value if type(value) is int and 0 <= value <= MOST_TOKENS else None


def _first_token(log_probabilities: Any) -> dict[str, float]:
    """Log-probabilities of the first token's candidates; those that can be none are left out."""
    content = log_probabilities.get("content") if isinstance(log_probabilities, dict) else None
    first = content[0] if isinstance(content, list) and content else None
    if not isinstance(first, dict):
        return {}
    listed = first.get("top_logprobs")
    found: dict[str, float] = {}
    for candidate in [*(listed if isinstance(listed, list) else ()), first]:
        if not isinstance(candidate, dict):
            continue
        token, value = candidate.get("token"), candidate.get("logprob")
        # Different tokens can read alike; the likelier comes first. Rounding lifts some a little above 0.
        if isinstance(token, str) and isinstance(value, int | float) and math.isfinite(value) and value <= 1e-3:
            found.setdefault(token, min(float(value), 0.0))
    return found


# --- answers with other statuses ---

_FREE = (500, 503)
"""Failures of the server itself. The others above 500 come from gateways that lost it: it may have done its work."""
_PASSING = (408, 409, 425, 429)
_HOPELESS_CODES = ("insufficient_quota", "invalid_api_key", "model_not_found", "billing_hard_limit_reached")
_TOO_LONG = ("context_length_exceeded", "maximum context length", "context length", "max_model_len")
_FILTERED = ("content_filter", "content_policy_violation", "responsibleaipolicyviolation")


def read_failure(code: int, headers: Mapping[str, str], body: bytes, optional: Collection[str] = ()) -> Outcome:
    """Read an answer whose status is not 200.

    Args:
        code: the HTTP status.
        headers: with lower-case names.
        body: as it came.
        optional: fields of the request that it can do without.
    """
    error = _error_in(body)
    # Servers quote the request behind their own words.
    words = f"{error.get('code')} {error.get('type')} {error.get('message')}".lower()[:_SHOWN_CHARS]
    cause = f"status {code}: {shown(body)}"
    wait_s = retry_after_s(headers)
    if error.get("code") in _HOPELESS_CODES or code in (401, 402, 403, 404):
        return Outcome("rate_limited" if code == 429 else f"http_{code}", hopeless=True, cause=cause)
    if code == 429:
        return Outcome("rate_limited", again=True, crowded=True, wait_s=wait_s, cause=cause)
    if code >= 500:
        charge: Charge = "none" if code in _FREE else "unknown"
        return Outcome("server_failed", charge, again=True, crowded=code == 503, wait_s=wait_s, cause=cause)
    if code in _PASSING:
        charge = "unknown" if code == 408 else "none"
        return Outcome(f"http_{code}", charge, again=True, wait_s=wait_s, cause=cause)
    if code == 413 or any(sign in words for sign in _TOO_LONG):
        return Outcome("prompt_too_long", cause=cause)
    if any(sign in words for sign in _FILTERED):
        return Outcome("refused", cause=cause)
    if code in (400, 422):
        named = [name for name in sorted(optional, key=len, reverse=True) if _names(error, words, name)]
        if named:
            return Outcome(f"http_{code}", again=True, cause=cause, field=named[0])
    return Outcome(f"http_{code}", cause=cause)


def _names(error: Mapping[str, Any], words: str, name: str) -> bool:
    param = error.get("param")
    return param.split(".")[0] == name if isinstance(param, str) and param else name in words


def _error_in(body: bytes) -> Mapping[str, Any]:
    try:
        reply = orjson.loads(body)
    except orjson.JSONDecodeError:
        return {"message": body[:2000].decode("utf-8", "replace")}
    error = reply.get("error", reply) if isinstance(reply, dict) else None
    if not isinstance(error, dict):
        return {"message": str(error)[:2000]}
    # Servers built with FastAPI name the place in a list under `detail`, beside what they found there.
    detail = error.get("detail")
    first = detail[0] if isinstance(detail, list) and detail and isinstance(detail[0], dict) else None
    return {"message": f"{first.get('loc')} {first.get('msg')}"} if first else error


def retry_after_s(headers: Mapping[str, str]) -> float | None:
    """Seconds that the server asks to be left alone, from Retry-After (seconds or an HTTP date); None: not said.

    A date is taken relative to the server's own Date, so that a wrong clock on either side does no harm.

    >>> date = {"date": "Mon, 05 Jan 2026 10:00:00 GMT"}
    >>> retry_after_s(date | {"retry-after": "Mon, 05 Jan 2026 10:00:07 GMT"}), retry_after_s({"retry-after": "2.5"})
    (7.0, 2.5)
    """
    value = headers.get("retry-after", "").strip()
    try:
        seconds = float(value)
    except ValueError:
        until, now = _date(value), _date(headers.get("date", "")) or datetime.now(UTC)
        if until is None:
            return None
        seconds = (until - now).total_seconds()
    return max(0.0, seconds) if not math.isnan(seconds) else None


def _date(value: str) -> datetime | None:
    try:
        parsed = parsedate_to_datetime(value)
    except (TypeError, ValueError, IndexError, OverflowError):
        return None
    return parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)


def shown(body: bytes) -> str:
    """The beginning of a body as one line of printable text."""
    text = body[: 4 * _SHOWN_CHARS].decode("utf-8", "replace")
    return "".join(c if c.isprintable() else " " for c in text[:_SHOWN_CHARS])
