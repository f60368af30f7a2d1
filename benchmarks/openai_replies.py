"""What the local server with OpenAI's routes says: replies by rule, and every way of misbehaving that tests need."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from typing import Any

MARK = "@@server "
"""A message holds orders to the server as one JSON object behind this mark, up to the end of its line."""

FAULTS = (
    "status",  # an HTTP error: `code`, `retry_after`, `error` (its text), `error_code`
    "html",  # 200 with a page of HTML
    "empty",  # 200 with an empty body
    "truncated",  # 200 with half of the JSON, its length honestly stated
    "cut",  # the connection is closed in the middle of the body
    "reset",  # the connection is reset in the middle of the body
    "refuse",  # the connection is reset before any answer
    "hang",  # never answers
    "drip",  # one byte every 0.2 s
    "long",  # `num_bytes` of text, 10 MB by default
    "endless",  # chunks without end
    "gzip",  # compressed, though nobody asked for it
    "doubled_body",  # the JSON twice
    "doubled_choices",  # two choices where one was asked for
    "missing_choices",
    "null_content",
    "nan",  # NaN where a log-probability belongs
    "replace",  # `reply` in place of the reply; its keys are merged over what would have been said
)

Rule = Callable[[Mapping[str, Any]], str]
"""From a request's JSON to the reply's text."""


def orders_in(request: Mapping[str, Any]) -> dict[str, Any]:
    """What the request's messages order the server to do; the last order counts."""
    orders: dict[str, Any] = {}
    for message in request.get("messages", ()):
        text = message.get("content") or ""
        at = text.rfind(MARK)
        if at >= 0:
            orders = json.loads(text[at + len(MARK) :].partition("\n")[0])
    return orders


def order(fault: str, **arguments: Any) -> str:
    """A line that orders a fault.

    >>> orders_in({"messages": [{"content": "Hi\\n" + order("status", code=429, times=2)}]})
    {'fault': 'status', 'code': 429, 'times': 2}
    """
    assert fault in FAULTS, fault
    return MARK + json.dumps({"fault": fault, **arguments}) + "\n"


def rule_by_hash(request: Mapping[str, Any]) -> str:
    """A reply that fits what was asked for and depends on the request's messages and seed alone."""
    seen = json.dumps([request.get("messages"), request.get("seed")]).encode()
    number = int.from_bytes(hashlib.blake2b(seen, digest_size=6).digest())
    choices = (request.get("structured_outputs") or {}).get("choice")
    if choices:
        return str(choices[number % len(choices)])
    schema = ((request.get("response_format") or {}).get("json_schema") or {}).get("schema")
    if schema:
        return json.dumps(_instance(schema, number))
    return f"Reply {number:x}."


def completion(request: Mapping[str, Any], text: str, cached_tokens: int = 0) -> dict[str, Any]:
    """A chat completion as OpenAI's route gives it; tokens are counted as four bytes each."""
    num_prompt = sum(len((message.get("content") or "").encode()) for message in request.get("messages", ())) // 4 + 8
    num_completion = len(text.encode()) // 4 + 1
    choice: dict[str, Any] = {
        "index": 0,
        "message": {"role": "assistant", "content": text},
        "finish_reason": "stop",
        "logprobs": None,
    }
    if request.get("logprobs"):
        choice["logprobs"] = {"content": [_token(request, text)]}
    return {
        "id": "chatcmpl-local",
        "object": "chat.completion",
        "created": 0,
        "model": request.get("model"),
        "choices": [choice],
        "usage": {
            "prompt_tokens": num_prompt,
            "completion_tokens": num_completion,
            "total_tokens": num_prompt + num_completion,
            "prompt_tokens_details": {"cached_tokens": min(cached_tokens, num_prompt)},
        },
    }


def _token(request: Mapping[str, Any], text: str) -> dict[str, Any]:
    offered = (request.get("structured_outputs") or {}).get("choice") or [text[:4]]
    others = [str(other) for other in offered if other != text]
    candidates = [(text, -0.2231)] + [(other, -1.6094 - rank) for rank, other in enumerate(others)]
    listed = [{"token": token, "logprob": value, "bytes": list(token.encode())} for token, value in candidates]
    return listed[0] | {"top_logprobs": listed[: request.get("top_logprobs") or 0]}


def _instance(schema: Mapping[str, Any], number: int) -> Any:
    """Some value that conforms to a simple JSON schema."""
    if "enum" in schema:
        return schema["enum"][number % len(schema["enum"])]
    if "const" in schema:
        return schema["const"]
    kind = schema.get("type", "object")
    if kind == "object":
        properties = schema.get("properties", {})
        return {name: _instance(part, number // (rank + 1)) for rank, (name, part) in enumerate(properties.items())}
    if kind == "array":
        return [_instance(schema.get("items", {}), number)]
    return {"string": f"text {number:x}", "integer": number % 10, "number": 0.5, "boolean": bool(number % 2)}.get(kind)
