"""Layouts: recognising how a file lays out its pairs.

| layout | columns (any usual name) |
|---|---|
| pair_file | prompt (JSON text: list of messages), response_a, response_b, preferred, label_origin, meta (JSON text) |
| chosen_rejected_text | prompt, chosen, rejected |
| chosen_rejected_messages | chosen and rejected as message lists; the prompt apart or as their common beginning |
| chosen_rejected_transcript | chosen and rejected as whole dialogues of `Human:` and `Assistant:` paragraphs |
| two_responses | prompt, two responses, and a preference (a/b/tie, 1/2/0) or a score for each |
| ranking | prompt and a list of completions, best first, or with `ranks` (1 is best) beside it |
| ratings | prompt and a list of completions that hold a score, or with `scores` beside it |
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

from assets.errors import ConfigError
from assets.raw_pairs.conversations import is_transcript

ALIASES: dict[str, tuple[str, ...]] = {
    "prompt": ("prompt", "question", "instruction", "query", "conversation", "context", "history", "messages"),
    "system": ("system", "system_prompt"),
    "chosen": ("chosen", "chosen_response", "preferred_response", "response_chosen"),
    "rejected": ("rejected", "rejected_response", "dispreferred_response", "response_rejected"),
    "preference": ("preferred", "preference", "label", "winner", "choice", "better_response_id", "overall_preference"),
    "ranking": ("ranking", "ranked_completions", "ranked_responses"),
    "completions": ("completions", "responses", "answers", "outputs", "candidates"),
    "ranks": ("ranks", "rank"),
    "scores": ("scores", "ratings"),
    "models": ("models",),
    "label_origin": ("label_origin",),
    "meta": ("meta", "metadata"),
}
_SIDED = {
    "response": ("response", "answer", "output", "completion"),
    "score": ("score", "rating"),
    "model": ("model",),
}
_FIELDS = {*ALIASES, *(f"{field}_{side}" for field in _SIDED for side in "ab")}

_NEEDS: dict[str, tuple[tuple[str, ...], ...]] = {
    # Each inner tuple is one way to satisfy the layout.
    "pair_file": (("prompt", "response_a", "response_b", "preference"),),
    "chosen_rejected_text": (("prompt", "chosen", "rejected"),),
    "chosen_rejected_messages": (("chosen", "rejected"),),
    "chosen_rejected_transcript": (("chosen", "rejected"),),
    "two_responses": (
        ("prompt", "response_a", "response_b", "preference"),
        ("prompt", "response_a", "response_b", "score_a", "score_b"),
    ),
    "ranking": (("prompt", "ranking"), ("prompt", "completions", "ranks")),
    "ratings": (("prompt", "completions"),),
}
SCORE_KEYS = ("score", "rating", "overall_score", "overall_rating")
"""Where a completion that is a mapping holds its score."""


@dataclass(frozen=True)
class Layout:
    """A recognised layout.

    Attributes:
        name: one of the layouts above.
        fields: field of the layout to column of the file.
    """

    name: str
    fields: Mapping[str, str]

    def get(self, row: Mapping[str, Any], field: str) -> Any:
        """Value of a field in a row; None where the file has no such column."""
        column = self.fields.get(field)
        return None if column is None else row.get(column)


def recognise(
    columns: Sequence[str],
    first_rows: Sequence[Mapping[str, Any]],
    *,
    wanted: str = "auto",
    overrides: Mapping[str, str] | None = None,
    where: str = "",
) -> Layout:
    """Layout of a file, from its columns and what stands in its first rows.

    Args:
        wanted: a layout by name, or `auto`.
        overrides: field to column; wins over the usual names.

    Raises:
        ConfigError: no layout fits, the one wanted lacks a column, or an override names no column or no field.
    """
    overrides = dict(overrides or {})
    for field, column in overrides.items():
        if field not in _FIELDS or column not in columns:
            what = "a field of any layout" if field not in _FIELDS else "a column of the file"
            name = field if field not in _FIELDS else column
            raise ConfigError(f"{name!r} is not {what}.", where=where, todo=f"columns are {', '.join(columns)}"[:600])
    fields = dict(overrides)
    for field, names in ALIASES.items():
        found = next((name for name in names if name in columns and name not in overrides.values()), None)
        if field not in fields and found is not None:
            fields[field] = found
    fields = _sided(columns) | fields
    layout = _guess(fields, first_rows) if wanted == "auto" else wanted
    if layout is None or not any(all(f in fields for f in way) for way in _NEEDS[layout]):
        needed = "no layout fits" if layout is None else f"{layout} needs {' or '.join(map(str, _NEEDS[layout]))}"
        raise ConfigError(
            f"The layout of a source cannot be made out: {needed}; columns are {', '.join(columns)[:600]}.",
            where=where,
            kept="nothing of this source was read",
            todo=f"set `layout` to one of {', '.join(_NEEDS)}, and `columns` where the names differ",
        )
    return Layout(layout, fields)


def _sided(columns: Sequence[str]) -> dict[str, str]:
    """Columns that come in twos, such as response_a and response_b, by one numbering for both."""
    found: dict[str, str] = {}
    for field, stems in _SIDED.items():
        for stem, joint, marks in product(stems, ("_", ""), ("ab", "12", "01")):
            pair = (f"{stem}{joint}{marks[0]}", f"{stem}{joint}{marks[1]}")
            if f"{field}_a" not in found and set(pair) <= set(columns):
                found[f"{field}_a"], found[f"{field}_b"] = pair
    return found


def _guess(fields: Mapping[str, str], rows: Sequence[Mapping[str, Any]]) -> str | None:
    def first(field: str) -> Any:
        return next((row[fields[field]] for row in rows if row.get(fields[field]) is not None), None)

    if "chosen" in fields and "rejected" in fields:
        chosen = first("chosen")
        if isinstance(chosen, (list, tuple)):
            return "chosen_rejected_messages"
        if "prompt" in fields:
            return "chosen_rejected_text"
        return "chosen_rejected_transcript" if isinstance(chosen, str) and is_transcript(chosen) else None
    if "response_a" in fields and "response_b" in fields and "prompt" in fields:
        prompt = first("prompt")
        if "preference" in fields and isinstance(prompt, str) and prompt.startswith('[{"role"'):
            return "pair_file"
        return "two_responses" if "preference" in fields or {"score_a", "score_b"} <= set(fields) else None
    if "prompt" in fields and ("ranking" in fields or {"completions", "ranks"} <= set(fields)):
        return "ranking"
    if "prompt" in fields and "completions" in fields:
        completion = next(iter(first("completions") or []), None)
        scored = isinstance(completion, Mapping) and any(name in completion for name in SCORE_KEYS)
        return "ratings" if "scores" in fields or scored else None
    return None
