"""Layouts the sample is written in: one a source, so that reading the sample exercises the readers."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from assets.identity import Turn
from assets.raw_pairs.sample.rows import SampleRow, swapped


def as_messages(turns: tuple[Turn, ...]) -> list[dict[str, str]]:
    """Turns as a list of messages."""
    return [{"role": role, "content": content} for role, content in turns]


def _two_responses(row: SampleRow) -> dict[str, Any]:
    return {
        "prompt": row.turns[-1][1],
        "response_a": row.first,
        "response_b": row.second,
        "preference": row.label,
        "category": row.category,
    }


def _chosen_rejected_text(row: SampleRow) -> dict[str, Any]:
    return {"prompt": row.turns[-1][1], "chosen": row.first, "rejected": row.second, "category": row.category}


def _chosen_rejected_messages(row: SampleRow) -> dict[str, Any]:
    def ending(text: str) -> list[dict[str, str]]:
        return as_messages((*row.turns, ("assistant", text)))

    return {"chosen": ending(row.first), "rejected": ending(row.second), "category": row.category}


def _ratings(row: SampleRow) -> dict[str, Any]:
    scores = {"a": (8, 3), "b": (4, 7), "tie": (6, 6)}[row.label]
    texts = (row.first, row.second)
    return {
        "instruction": row.turns[-1][1],
        "completions": [{"text": text, "score": score} for text, score in zip(texts, scores, strict=True)],
        "category": row.category,
    }


@dataclass(frozen=True)
class LayoutWriter:
    """One layout.

    Attributes:
        write: a row as the object of its JSON line.
        chosen_first: the label is told by the order alone, so rows are turned until their label is "a".
        unreadable: lines that make no row, by the reason a reader must give for them.
    """

    write: Callable[[SampleRow], dict[str, Any]]
    chosen_first: bool
    unreadable: Mapping[str, bytes]

    def oriented(self, row: SampleRow) -> SampleRow:
        """The row in the order it is written in."""
        return swapped(row) if self.chosen_first and row.label == "b" else row

    def line(self, row: SampleRow) -> bytes:
        """The (oriented) row as one JSON line, without line end."""
        return json.dumps(self.write(row), ensure_ascii=False).encode()


_BROKEN = {
    "cut off": b'{"prompt": "Write something short about a lighthouse. Number the',
    "not UTF-8": b'{"prompt": "caf\xe9", "chosen": "au lait", "rejected": "noir"}',
    "not an object": b'["a prompt", "a response", "another response"]',
}

LAYOUTS: dict[str, LayoutWriter] = {
    "two_responses": LayoutWriter(
        _two_responses,
        False,
        _BROKEN
        | {
            "unknown label": b'{"prompt": "Which?", "response_a": "This.", "response_b": "No.", "preference": "maybe"}',
            "missing response": b'{"prompt": "Which?", "response_a": "This.", "response_b": null, "preference": "a"}',
        },
    ),
    "chosen_rejected_text": LayoutWriter(
        _chosen_rejected_text,
        True,
        _BROKEN | {"wrong type": b'{"prompt": "How many?", "chosen": 7, "rejected": "8"}'},
    ),
    "chosen_rejected_messages": LayoutWriter(
        _chosen_rejected_messages,
        True,
        _BROKEN
        | {
            "prompts differ": json.dumps(
                {
                    "chosen": as_messages((("user", "Tea or coffee?"), ("assistant", "Tea."))),
                    "rejected": as_messages((("user", "Cats or dogs?"), ("assistant", "Dogs."))),
                }
            ).encode()
        },
    ),
    "ratings": LayoutWriter(
        _ratings,
        False,
        _BROKEN
        | {
            "score is no number": b'{"instruction": "Rate me.", "completions": [{"text": "x", "score": "high"}, '
            b'{"text": "y", "score": 2}]}',
            "one completion": b'{"instruction": "Rate me.", "completions": [{"text": "x", "score": 5}]}',
        },
    ),
}
