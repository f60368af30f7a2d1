"""Request bodies: a request in the terms of OpenAI's chat route, without the fields that a server refuses."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from assets.identity import digest, storable
from assets.llm_annotated.chat import ChatRequest
from assets.llm_annotated.settings import LanguageModelSettings

# OpenAI's route and vLLM by default give no more than 20; some servers stop at 5.
_TOP_LOG_PROBABILITIES = (20, 5)


def model_fingerprint(settings: LanguageModelSettings, weights_fingerprint: str) -> str:
    """Fingerprint of a model: 32 hex digits that change with whatever could change an answer.

    Where nobody knows the weights, their address stands for them: the same name elsewhere may be another model.
    """
    parameters = (settings.temperature, settings.top_p, settings.max_completion_tokens)
    where = weights_fingerprint or settings.base_url
    return digest("chat_model", settings.model, settings.revision, where, *map(repr, parameters))


def request_key(fingerprint: str, request: ChatRequest) -> str:
    """Hash of a request to one model, 32 hex digits; what it is about is no part of it."""
    schema = orjson.dumps(request.json_schema, option=orjson.OPT_SORT_KEYS) if request.json_schema is not None else b""
    messages = orjson.dumps(_messages(request), option=orjson.OPT_SORT_KEYS)
    return digest(
        "chat_request",
        fingerprint,
        messages.decode(),
        str(request.seed),
        schema.decode(),
        *map(storable, request.choices),
    )


@dataclass(frozen=True)
class Body:
    """What is sent.

    Attributes:
        content: JSON.
        steps: how often the server had refused each optional field that is in it, when it was written.
    """

    content: bytes
    steps: Mapping[str, int]


class BodyWriter:
    """Writes bodies for one server and learns which fields it refuses.

    Args:
        settings: model and parameters.
        say: called once for each field that is left out from then on.
    """

    def __init__(self, settings: LanguageModelSettings, say: Callable[[str], None]) -> None:
        self._settings, self._say = settings, say
        self._refused: dict[str, int] = {}

    def write(self, request: ChatRequest) -> Body:
        """The body of a request, without what the server has refused."""
        settings, refused = self._settings, self._refused
        body: dict[str, Any] = {"model": settings.model, "messages": _messages(request)}
        wanted: dict[str, Any] = {
            "temperature": settings.temperature,
            "top_p": settings.top_p,
            "seed": request.seed,
            "max_completion_tokens": settings.max_completion_tokens,
        }
        if request.json_schema is not None:
            form = {"name": "reply", "schema": request.json_schema, "strict": True}
            wanted["response_format"] = {"type": "json_schema", "json_schema": form}
            if refused.get("response_format") == 1:
                wanted["response_format"] = {"type": "json_object"}
        if request.choices:
            wanted["structured_outputs"] = {"choice": [storable(choice) for choice in request.choices]}
            if "logprobs" not in refused:
                wanted["logprobs"] = True
                step = min(refused.get("top_logprobs", 0), len(_TOP_LOG_PROBABILITIES) - 1)
                wanted["top_logprobs"] = _TOP_LOG_PROBABILITIES[step]
        body |= {name: value for name, value in wanted.items() if refused.get(name, 0) < _steps(name)}
        if "max_completion_tokens" in refused:
            # Its older name. Without either, a completion could be of any length and price.
            body["max_tokens"] = settings.max_completion_tokens
        return Body(orjson.dumps(body), {name: refused.get(name, 0) for name in wanted if name in body})

    def refuse(self, field: str, body: Body) -> None:
        """The server does not accept a field of a body; no change if that has been learnt since it was written."""
        if body.steps.get(field) == self._refused.get(field, 0):
            self._refused[field] = body.steps[field] + 1
            self._say(_SAID.get(field, f"does not accept {field}: requests go without it"))


_SAID = {
    "logprobs": "gives no log-probabilities: verdicts come without a probability",
    "structured_outputs": "does not constrain a choice: replies are free text",
    "response_format": "does not keep to this response_format: a looser one is tried",
    "max_completion_tokens": "does not know max_completion_tokens: max_tokens is sent instead",
}


def _steps(field: str) -> int:
    """How often a field is refused before it is left out: those with several values are tried with the next first."""
    return 2 if field in ("response_format", "top_logprobs") else 1


def _messages(request: ChatRequest) -> list[dict[str, str]]:
    return [{name: storable(value) for name, value in message.items()} for message in request.messages]
