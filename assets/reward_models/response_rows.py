"""Response rows: what a row of prompts and responses says is to be scored, or why it says nothing that can be.

A row has `prompt` (text, or messages with role and content) or `messages`, and one of `response`, `responses` (a list)
and `chosen` with `rejected`; a conversation in `messages` may also end with the response itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from assets.identity import Turn, storable
from assets.raw_pairs.conversations import message_turns, prompt_turns, split_reply
from assets.raw_pairs.rows import RowProblem

ID_COLUMNS = ("id", "item_id", "pair_id", "uid", "prompt_id")
"""Where a row's id is looked for, the first that is there, unless a column is named."""


@dataclass(frozen=True)
class ResponseRow:
    """What one row asks for.

    Attributes:
        responses: at least one; `chosen` before `rejected`.
        id: the row's own; None where it has none.
    """

    turns: tuple[Turn, ...]
    responses: tuple[str, ...]
    id: str | None


@dataclass(frozen=True)
class BadRow:
    """Why a row cannot be scored: a reason to count by, and what exactly was wrong."""

    reason: str
    detail: str


class _Unusable(Exception):
    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(detail)
        self.bad = BadRow(reason, detail[:500])


def read_row(value: Mapping[str, Any], id_column: str | None = None) -> ResponseRow | BadRow:
    """What a row asks for. Text that UTF-8 cannot carry gets U+FFFD in its place, as in the pool.

    >>> read_row({"prompt": "Hi", "responses": ["Hello!", "Go away."], "id": 7})
    ResponseRow(turns=(('user', 'Hi'),), responses=('Hello!', 'Go away.'), id='7')
    >>> read_row({"prompt": "Hi"})
    BadRow(reason='missing_field', detail='no response, no responses, no chosen and rejected')
    """
    try:
        turns, responses = _conversation(value)
        if not any(content.strip() for _, content in turns):
            raise _Unusable("empty_prompt", "the prompt has no text")
        empty = [str(at) for at, response in enumerate(responses) if not response.strip()]
        if empty:
            raise _Unusable("empty_response", f"no text in response {', '.join(empty[:20])}")
        clean = tuple((role, storable(content)) for role, content in turns)
        return ResponseRow(clean, tuple(map(storable, responses)), _id_of(value, id_column))
    except _Unusable as error:
        return error.bad
    except RowProblem as error:
        return BadRow(error.letter.reason, error.letter.detail)


def _conversation(value: Mapping[str, Any]) -> tuple[tuple[Turn, ...], list[str]]:
    forms = [form for form in (("response",), ("responses",), ("chosen", "rejected")) if _has(value, form)]
    if len(forms) > 1:
        raise _Unusable("ambiguous_fields", f"both {' and '.join('/'.join(form) for form in forms)} are there")
    if _has(value, ("prompt",)) and _has(value, ("messages",)):
        raise _Unusable("ambiguous_fields", "both prompt and messages are there")
    if _has(value, ("prompt",)):
        turns: tuple[Turn, ...] | None = prompt_turns(value["prompt"], "prompt")
    elif not _has(value, ("messages",)):
        turns = None
    elif forms:
        turns = prompt_turns(_no_text(value["messages"]), "messages")
    else:
        turns, reply = split_reply(message_turns(value["messages"], "messages"), "messages")
        return turns, [reply]
    if not forms:
        raise _Unusable("missing_field", "no response, no responses, no chosen and rejected")
    if forms == [("responses",)]:
        given = value["responses"]
        if not isinstance(given, (list, tuple)):
            raise _Unusable("wrong_type", f"responses is {type(given).__name__}, not a list")
        if not given:
            raise _Unusable("missing_field", "responses is an empty list")
        columns = [(f"responses[{at}]", response) for at, response in enumerate(given)]
    else:
        missing = [name for name in forms[0] if value.get(name) is None]
        if missing:
            raise _Unusable("missing_field", f"no {' and no '.join(missing)}")
        columns = [(name, value[name]) for name in forms[0]]
    found = [_reply(response, column, turns) for column, response in columns]
    if turns is None and len({prompt for prompt, _ in found}) > 1:
        raise _Unusable("prompts_differ", "chosen and rejected do not share their prompt")
    return found[0][0], [reply for _, reply in found]


def _reply(value: Any, column: str, turns: tuple[Turn, ...] | None) -> tuple[tuple[Turn, ...], str]:
    """A response with its prompt: text, the assistant's message, or a whole conversation that ends with it."""
    if isinstance(value, str):
        if turns is None:
            raise _Unusable("missing_field", "no prompt and no messages")
        return turns, value
    before, reply = split_reply(message_turns(value, column), column)
    if turns is not None and before and before != turns:
        raise _Unusable("prompts_differ", f"{column} is a conversation with another prompt")
    return (before if turns is None else turns), reply


def _has(value: Mapping[str, Any], names: tuple[str, ...]) -> bool:
    return any(value.get(name) is not None for name in names)


def _no_text(messages: Any) -> Any:
    if isinstance(messages, str):
        raise _Unusable("wrong_type", "messages is text, not a list of messages")
    return messages


def _id_of(value: Mapping[str, Any], column: str | None) -> str | None:
    if column is not None and value.get(column) is None:
        raise _Unusable("missing_field", f"no {column}")
    for name in (column,) if column is not None else ID_COLUMNS:
        found = value.get(name)
        if isinstance(found, bool) or (found is not None and not isinstance(found, (str, int))):
            if column is None:
                continue
            raise _Unusable("wrong_type", f"{name} is {type(found).__name__}, neither text nor a whole number")
        if found is not None:
            return storable(str(found))
    return None
