"""Conversations: the turns of a prompt from text, message lists and transcripts."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from assets.identity import Turn
from assets.raw_pairs.rows import RowProblem

ROLES = {
    "user": "user",
    "human": "user",
    "prompter": "user",
    "assistant": "assistant",
    "gpt": "assistant",
    "bot": "assistant",
    "model": "assistant",
    "system": "system",
    "developer": "system",
}
_SPEAKER = re.compile(r"(?:^|\n\n)(Human|Assistant): ?")


def prompt_turns(value: Any, column: str) -> tuple[Turn, ...]:
    """Turns of a prompt given as text or as a list of messages.

    Raises:
        RowProblem: `missing_field`, `wrong_type`, or `bad_conversation` when the last turn is not the user's.
    """
    if value is None:
        raise RowProblem("missing_field", f"column {column!r} is empty")
    if isinstance(value, str):
        return (("user", value),)
    turns = message_turns(value, column)
    if turns and turns[-1][0] != "user":
        raise RowProblem("bad_conversation", f"the last turn of {column!r} is the {turns[-1][0]}'s, not the user's")
    return turns


def message_turns(value: Any, column: str) -> tuple[Turn, ...]:
    """Turns of a list of messages with role and content (or from and value).

    Raises:
        RowProblem: `wrong_type`, or `bad_conversation` for a role nobody knows or a message without content.
    """
    if not isinstance(value, (list, tuple)):
        raise RowProblem("wrong_type", f"column {column!r} is {type(value).__name__}, not text or a list of messages")
    turns = []
    for number, message in enumerate(value):
        if not isinstance(message, Mapping):
            raise RowProblem("wrong_type", f"message {number} of {column!r} is not a mapping")
        role = message.get("role", message.get("from"))
        content = message.get("content", message.get("value"))
        known = ROLES.get(role.lower()) if isinstance(role, str) else None
        if known is None:
            raise RowProblem("bad_conversation", f"message {number} of {column!r} has the role {role!r:.80}")
        if isinstance(content, (list, tuple)):
            content = _text_of_parts(content, number, column)
        if not isinstance(content, str):
            raise RowProblem("bad_conversation", f"message {number} of {column!r} has no text as content")
        turns.append((known, content))
    return tuple(turns)


def _text_of_parts(parts: Sequence[Any], number: int, column: str) -> str | None:
    """Content that comes in parts, as long as all of them are text."""
    texts = [part.get("text") if isinstance(part, Mapping) else None for part in parts]
    if not all(isinstance(text, str) for text in texts):
        raise RowProblem("bad_conversation", f"message {number} of {column!r} has a part that is not text")
    return "\n".join(texts) if texts else None  # type: ignore[arg-type]


def split_reply(turns: tuple[Turn, ...], column: str) -> tuple[tuple[Turn, ...], str]:
    """A conversation as its prompt and the assistant's last turn.

    Raises:
        RowProblem: `bad_conversation`, when the last turn is not the assistant's.
    """
    if not turns or turns[-1][0] != "assistant":
        raise RowProblem("bad_conversation", f"{column!r} does not end with the assistant's turn")
    return turns[:-1], turns[-1][1]


def is_transcript(text: str) -> bool:
    """Whether a text is a whole dialogue written as `Human:` and `Assistant:` paragraphs."""
    speakers = {match.group(1) for match in _SPEAKER.finditer(text)}
    return speakers == {"Human", "Assistant"} and bool(_SPEAKER.match(text))


def is_open_transcript(text: str) -> bool:
    """Whether a text is a dialogue that ends where the assistant is to speak."""
    return is_transcript(text) and _SPEAKER.split(text)[-2:][0] == "Assistant" and text.rstrip().endswith("Assistant:")


def transcript_turns(text: str, column: str) -> tuple[Turn, ...]:
    r"""Turns of a dialogue written as paragraphs that begin with `Human:` or `Assistant:`.

    >>> transcript_turns("\n\nHuman: Hi\n\nAssistant: Hello", "chosen")
    (('user', 'Hi'), ('assistant', 'Hello'))

    Raises:
        RowProblem: `bad_conversation`, when the text does not begin with a speaker.
    """
    parts = _SPEAKER.split(text)
    if parts[0].strip() or len(parts) < 3:
        raise RowProblem("bad_conversation", f"{column!r} does not begin with a speaker")
    return tuple((ROLES[speaker.lower()], said) for speaker, said in zip(parts[1::2], parts[2::2], strict=True))
