"""Parsing: one row turned into pairs by its layout, or into a dead letter."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import combinations
from typing import Any

from assets.identity import Turn, prompt_id, response_hash
from assets.raw_pairs.catalogue import SourceEntry
from assets.raw_pairs.conversations import message_turns, prompt_turns, split_reply, transcript_turns
from assets.raw_pairs.labels import compare, number, origin, preference
from assets.raw_pairs.layouts import SCORE_KEYS, Layout
from assets.raw_pairs.rows import DeadLetter, ParsedPair, RowProblem, decode_json

_COMPLETION_TEXT = ("text", "response", "content", "completion", "answer", "output")


def parse_row(layout: Layout, row: Mapping[str, Any], entry: SourceEntry) -> list[ParsedPair] | DeadLetter:
    """Pairs of one row, or why it makes none.

    A ranking or rating of n completions makes n(n-1)/2 pairs, each with its margin (difference of ranks or of
    scores); completions of the same text and score count once.
    """
    try:
        return _PARSERS[layout.name](layout, row, entry)
    except RowProblem as problem:
        return problem.letter


def _text(layout: Layout, row: Mapping[str, Any], field: str) -> str:
    value = layout.get(row, field)
    if isinstance(value, str):
        return value
    if value is None:
        raise RowProblem("missing_field", f"column {layout.fields.get(field, field)!r} is empty")
    raise RowProblem("wrong_type", f"column {layout.fields[field]!r} is {type(value).__name__}, not text")


def _turns(layout: Layout, row: Mapping[str, Any]) -> tuple[Turn, ...]:
    column = layout.fields["prompt"]
    value = row.get(column)
    if layout.name == "pair_file" and isinstance(value, str):
        value = decode_json(value, column)
    turns = prompt_turns(value, column)
    system = layout.get(row, "system")
    return (("system", system), *turns) if isinstance(system, str) and system else turns


def _meta(layout: Layout, row: Mapping[str, Any]) -> dict[str, Any]:
    """The columns that hold no text of the pair. JSON text in the meta column is decoded."""
    texts = ("prompt", "system", "response_a", "response_b", "chosen", "rejected", "ranking", "completions", "models")
    used = {layout.fields[f] for f in texts if f in layout.fields}
    meta = {column: value for column, value in row.items() if column not in used and value is not None}
    column = layout.fields.get("meta")
    if column is not None and isinstance(meta.get(column), str):
        meta[column] = decode_json(meta[column], column)
    return meta


def _common(layout: Layout, row: Mapping[str, Any]) -> dict[str, Any]:
    return {"label_origin": origin(layout.get(row, "label_origin")), "meta": _meta(layout, row)}


def _model(layout: Layout, row: Mapping[str, Any], field: str) -> str | None:
    value = layout.get(row, field)
    return None if value is None else str(value)


def _two_responses(layout: Layout, row: Mapping[str, Any], entry: SourceEntry) -> list[ParsedPair]:
    turns = _turns(layout, row)
    response_a, response_b = _text(layout, row, "response_a"), _text(layout, row, "response_b")
    verdict: str | None = None
    margin: float | None = None
    if {"score_a", "score_b"} <= set(layout.fields):
        verdict, margin = compare(*(number(layout.get(row, field), field) for field in ("score_a", "score_b")))
    if "preference" in layout.fields:
        zero_based = layout.fields["response_a"].endswith("0")
        verdict = preference(layout.get(row, "preference"), zero_based=zero_based, values=entry.label_values)
    models = (_model(layout, row, "model_a"), _model(layout, row, "model_b"))
    return [ParsedPair(turns, response_a, response_b, verdict, margin, *models, **_common(layout, row))]


def _chosen_rejected(layout: Layout, row: Mapping[str, Any], entry: SourceEntry) -> list[ParsedPair]:
    if layout.name == "chosen_rejected_text":
        turns = _turns(layout, row)
        chosen, rejected = _text(layout, row, "chosen"), _text(layout, row, "rejected")
    else:
        (turns, chosen), (other, rejected) = (_reply(layout, row, field) for field in ("chosen", "rejected"))
        if prompt_id(turns) != prompt_id(other):
            raise RowProblem("prompts_differ", "chosen and rejected answer different conversations")
        if not turns and "prompt" in layout.fields:
            turns = _turns(layout, row)
        elif turns and turns[-1][0] != "user":
            raise RowProblem("bad_conversation", f"the turn before the reply is the {turns[-1][0]}'s, not the user's")
    return [ParsedPair(turns, chosen, rejected, "a", **_common(layout, row))]


def _reply(layout: Layout, row: Mapping[str, Any], field: str) -> tuple[tuple[Turn, ...], str]:
    column = layout.fields[field]
    if layout.name == "chosen_rejected_transcript":
        return split_reply(transcript_turns(_text(layout, row, field), column), column)
    if row.get(column) is None:
        raise RowProblem("missing_field", f"column {column!r} is empty")
    return split_reply(message_turns(row[column], column), column)


def _completions(layout: Layout, row: Mapping[str, Any], entry: SourceEntry) -> list[ParsedPair]:
    turns, common = _turns(layout, row), _common(layout, row)
    scored = _scored(layout, row)
    # Two alike are left to the check for equal responses, as in every other layout of two.
    items = scored if len(scored) == 2 else []
    seen: dict[str, float | None] = {}
    for text, score, model in scored if not items else ():
        key = response_hash(text)
        if key not in seen:
            seen[key] = score
            items.append((text, score, model))
        elif seen[key] != score:
            raise RowProblem("repeated_completion", "a completion stands twice in one row, with different worth")
    if len(items) < 2:
        raise RowProblem("too_few_completions", f"{len(items)} different completions make no pair")
    pairs = []
    for (text_a, score_a, model_a), (text_b, score_b, model_b) in combinations(items, 2):
        verdict, margin = compare(score_a, score_b)
        pairs.append(ParsedPair(turns, text_a, text_b, verdict, margin, model_a, model_b, **common))
    return pairs


def _scored(layout: Layout, row: Mapping[str, Any]) -> list[tuple[str, float | None, str | None]]:
    """Completions with a score, higher is better, and their model."""
    ordered = layout.name == "ranking" and "ranking" in layout.fields
    field = "ranking" if ordered else "completions"
    values = _list(layout, row, field)
    beside = {"ranking": "ranks", "ratings": "scores"}[layout.name]
    scores = None if ordered or beside not in layout.fields else _list(layout, row, beside, len(values))
    models: list[Any] = [None] * len(values)
    if layout.get(row, "models") is not None:
        models = _list(layout, row, "models", len(values))
    found: list[tuple[str, float | None, str | None]] = []
    for place, value in enumerate(values):
        inner = value if isinstance(value, Mapping) else {}
        text = next((inner[name] for name in _COMPLETION_TEXT if name in inner), None) if inner else value
        if not isinstance(text, str):
            raise RowProblem("wrong_type", f"completion {place} is not text")
        if ordered:
            score: float | None = float(-place)
        elif scores is not None:
            score = number(scores[place], beside)
            score = -score if layout.name == "ranking" and score is not None else score
        else:
            score = number(next((inner[name] for name in SCORE_KEYS if name in inner), None), "score")
        model = inner.get("model", models[place])
        found.append((text, score, None if model is None else str(model)))
    return found


def _list(layout: Layout, row: Mapping[str, Any], field: str, length: int | None = None) -> list[Any]:
    value = layout.get(row, field)
    column = layout.fields[field]
    if value is None:
        raise RowProblem("missing_field", f"column {column!r} is empty")
    if not isinstance(value, (list, tuple)):
        raise RowProblem("wrong_type", f"column {column!r} is {type(value).__name__}, not a list")
    if length is not None and len(value) != length:
        raise RowProblem("wrong_type", f"column {column!r} has {len(value)} values for {length} completions")
    return list(value)


_PARSERS: dict[str, Callable[[Layout, Mapping[str, Any], SourceEntry], list[ParsedPair]]] = {
    "pair_file": _two_responses,
    "two_responses": _two_responses,
    "chosen_rejected_text": _chosen_rejected,
    "chosen_rejected_messages": _chosen_rejected,
    "chosen_rejected_transcript": _chosen_rejected,
    "ranking": _completions,
    "ratings": _completions,
}
