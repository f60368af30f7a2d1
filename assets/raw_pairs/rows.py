"""What one row of a source becomes: parsed pairs, or a dead letter with a reason. Values only."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from assets.identity import Turn

DEAD_LETTER_REASONS = (
    "unreadable_row",
    "missing_field",
    "wrong_type",
    "bad_conversation",
    "prompts_differ",
    "too_few_completions",
    "too_many_completions",
    "repeated_completion",
    "unknown_label",
    "unknown_label_origin",
    "bad_votes",
)


@dataclass(frozen=True)
class DeadLetter:
    """A row that makes no pair: one of `DEAD_LETTER_REASONS`, and what exactly was wrong."""

    reason: str
    detail: str


class RowProblem(ValueError):
    """Raised inside the parsing of a row; the row becomes a dead letter."""

    def __init__(self, reason: str, detail: str) -> None:
        assert reason in DEAD_LETTER_REASONS
        super().__init__(detail)
        # Values of a row may be of any size; a dead letter names them, it does not carry them.
        self.letter = DeadLetter(reason, detail[:500])


@dataclass(frozen=True)
class ParsedPair:
    """A pair as its source gave it, before canonical order.

    Attributes:
        turns: the conversation; the last turn is the user's. Empty for an empty prompt.
        response_a, response_b: in the order of the file.
        verdict: "a", "b", "tie", "undecided", or None for a row without a label.
        margin: how much better the better one is, in the source's own unit; None where it does not say. Negative
            where a source's scores contradict its choice.
        label_origin: as the row says it; None where it does not.
        agreement: share of votes that the label has, 0 to 1; None where the row does not say.
        meta: the row's other columns.
    """

    turns: tuple[Turn, ...]
    response_a: str
    response_b: str
    verdict: str | None
    margin: float | None = None
    model_a: str | None = None
    model_b: str | None = None
    label_origin: str | None = None
    agreement: float | None = None
    meta: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class ParsedRow:
    """The pairs of a row, and those that it could have made but for a reason, by reason."""

    pairs: tuple[ParsedPair, ...]
    left_out: Mapping[str, int] = field(default_factory=dict)


def look_up(row: Mapping[str, Any], dotted: str) -> Any:
    """Value at a dotted column, decoding JSON text on the way; None where a step is missing.

    >>> look_up({"meta": '{"votes": [1, 2]}'}, "meta.votes")
    [1, 2]
    """
    value: Any = row
    for step in dotted.split("."):
        if isinstance(value, str):
            value = decode_json(value, dotted)
        if not isinstance(value, Mapping):
            return None
        value = value.get(step)
    return value


def decode_json(text: str, column: str) -> Any:
    """Decoded JSON text of a column.

    Raises:
        RowProblem: `wrong_type`, when it is not JSON.
    """
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise RowProblem("wrong_type", f"column {column!r} is not JSON: {error}") from None
