"""Parsing: one row, or the rows of one prompt, turned into pairs by their layout, or into a dead letter."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from assets.identity import Turn, prompt_id
from assets.raw_pairs.completions import Completion, pairs_of
from assets.raw_pairs.conversations import message_turns, prompt_turns, split_reply, transcript_turns
from assets.raw_pairs.labels import compare, number, origin, preference, share, signed_preference
from assets.raw_pairs.layouts import Layout
from assets.raw_pairs.rows import DeadLetter, ParsedPair, ParsedRow, RowProblem, decode_json
from assets.raw_pairs.score_rules import all_ratings
from assets.raw_pairs.source_entry import SourceEntry

_COMPLETION_TEXT = ("text", "response", "content", "completion", "answer", "output")

Row = Mapping[str, Any]


def parse_row(layout: Layout, row: Row, entry: SourceEntry) -> ParsedRow | DeadLetter:
    """Pairs of one row, or why it makes none.

    A row of n completions makes n(n-1)/2 pairs, each with its margin, less those that `completions.pairs_of` leaves
    out.
    """
    try:
        return _PARSERS[layout.name](layout, row, entry)
    except RowProblem as problem:
        return problem.letter


def rated_row(layout: Layout, row: Row) -> tuple[tuple[Turn, ...], Completion] | DeadLetter:
    """Prompt and completion of a row of `rated_rows`, or why it is none."""
    try:
        rule = layout.score_rule
        assert rule is not None
        text, score = _text(layout, row, "response"), rule.score(row)
        if score is None:
            raise RowProblem("unknown_label", f"a rating is missing: {rule}"[:200])
        origin(layout.get(row, "label_origin"))
        return _turns(layout, row), Completion(text, score, _model(layout, row, "model"), all_ratings(row))
    except RowProblem as problem:
        return problem.letter


def parse_rated_rows(
    layout: Layout, rows: Sequence[Row], completions: Sequence[Completion], turns: tuple[Turn, ...], entry: SourceEntry
) -> ParsedRow | DeadLetter:
    """Pairs of the rows of one prompt, given what `rated_row` made of each. Columns that are the same in all of them
    go to `meta`."""
    same = {column: value for column, value in rows[0].items() if all(row.get(column) == value for row in rows[1:])}
    try:
        return _pairs(turns, completions, entry, _common(layout, same))
    except RowProblem as problem:
        return problem.letter


def _text(layout: Layout, row: Row, field: str) -> str:
    value = layout.get(row, field)
    if isinstance(value, str):
        return value
    if value is None:
        raise RowProblem("missing_field", f"column {layout.fields.get(field, field)!r} is empty")
    raise RowProblem("wrong_type", f"column {layout.fields[field]!r} is {type(value).__name__}, not text")


def _turns(layout: Layout, row: Row) -> tuple[Turn, ...]:
    column = layout.fields["prompt"]
    value = row.get(column)
    if layout.name == "pair_file" and isinstance(value, str):
        value = decode_json(value, column)
    if layout.open_transcripts and isinstance(value, str):
        turns = transcript_turns(value, column)
        # The last turn is the reply that the transcript waits for.
        turns = prompt_turns([{"role": role, "content": said} for role, said in turns[:-1]], column)
    else:
        turns = prompt_turns(value, column)
    system = layout.get(row, "system")
    return (("system", system), *turns) if isinstance(system, str) and system else turns


def _meta(layout: Layout, row: Row) -> dict[str, Any]:
    """The columns that hold no text of the pair. JSON text in the meta column is decoded."""
    texts = layout.text_columns
    meta = {column: value for column, value in row.items() if column not in texts and value is not None}
    column = layout.fields.get("meta")
    if column is not None and isinstance(meta.get(column), str):
        meta[column] = decode_json(meta[column], column)
    return meta


def _common(layout: Layout, row: Row) -> dict[str, Any]:
    return {
        "label_origin": origin(layout.get(row, "label_origin")),
        "agreement": share(layout.get(row, "agreement")),
        "meta": _meta(layout, row),
    }


def _model(layout: Layout, row: Row, field: str) -> str | None:
    value = layout.get(row, field)
    return None if value is None else str(value)


def _verdict(layout: Layout, row: Row, entry: SourceEntry) -> tuple[str | None, float | None]:
    """Verdict and margin of a row of two; a stated preference counts before scores, which then give the margin."""
    verdict: str | None = None
    margin: float | None = None
    if "score_a" in layout.fields and "score_b" in layout.fields:
        verdict, margin = compare(*(number(layout.get(row, field), field) for field in ("score_a", "score_b")))
    if "signed_preference" in layout.fields:
        verdict, margin = signed_preference(layout.get(row, "signed_preference"))
    if "preference" in layout.fields:
        value = layout.get(row, "preference")
        verdict = preference(value, zero_based=layout.zero_based, values=entry.label_values)
    return verdict, margin


def _two_responses(layout: Layout, row: Row, entry: SourceEntry) -> ParsedRow:
    turns = _turns(layout, row)
    texts = _text(layout, row, "response_a"), _text(layout, row, "response_b")
    return _one(layout, row, turns, *texts, *_verdict(layout, row, entry))


def _two_conversations(layout: Layout, row: Row, entry: SourceEntry) -> ParsedRow:
    (turns, text_a), (other, text_b) = (_reply(layout, row, f) for f in ("conversation_a", "conversation_b"))
    if prompt_id(turns) != prompt_id(other):
        # A vote on a battle of several turns is about all of them: no single reply can be said to have won.
        raise RowProblem("prompts_differ", "the two models answered different conversations before the last turn")
    _ends_with_user(turns)
    return _one(layout, row, turns, text_a, text_b, *_verdict(layout, row, entry))


def _one(
    layout: Layout,
    row: Row,
    turns: tuple[Turn, ...],
    text_a: str,
    text_b: str,
    verdict: str | None,
    margin: float | None,
) -> ParsedRow:
    models = (_model(layout, row, "model_a"), _model(layout, row, "model_b"))
    return ParsedRow((ParsedPair(turns, text_a, text_b, verdict, margin, *models, **_common(layout, row)),))


def _chosen_rejected(layout: Layout, row: Row, entry: SourceEntry) -> ParsedRow:
    if layout.name == "chosen_rejected_text":
        turns = _turns(layout, row)
        chosen, rejected = _text(layout, row, "chosen"), _text(layout, row, "rejected")
    else:
        (turns, chosen), (other, rejected) = (_reply(layout, row, field) for field in ("chosen", "rejected"))
        if prompt_id(turns) != prompt_id(other):
            raise RowProblem("prompts_differ", "chosen and rejected answer different conversations")
        if not turns and "prompt" in layout.fields:
            turns = _turns(layout, row)
        elif turns:
            _ends_with_user(turns)
    scores = [number(layout.get(row, field), field) for field in ("score_chosen", "score_rejected")]
    margin = number(layout.get(row, "margin"), "margin")
    if scores[0] is not None and scores[1] is not None:
        margin = scores[0] - scores[1]
    common = _common(layout, row)
    if common["meta"]:
        # Some files repeat the chosen conversation under another name: in `meta` it would tell the label.
        texts = [row.get(layout.fields[field]) for field in ("chosen", "rejected")]
        common["meta"] = {column: value for column, value in common["meta"].items() if value not in texts}
    return ParsedRow((ParsedPair(turns, chosen, rejected, "a", margin, **common),))


def _ends_with_user(turns: Sequence[Turn]) -> None:
    if turns and turns[-1][0] != "user":
        raise RowProblem("bad_conversation", f"the turn before the reply is the {turns[-1][0]}'s, not the user's")


def _reply(layout: Layout, row: Row, field: str) -> tuple[tuple[Turn, ...], str]:
    column = layout.fields[field]
    if layout.name == "chosen_rejected_transcript":
        return split_reply(transcript_turns(_text(layout, row, field), column), column)
    value = row.get(column)
    if value is None:
        raise RowProblem("missing_field", f"column {column!r} is empty")
    if layout.name == "two_conversations" and isinstance(value, str):
        value = decode_json(value, column)
    return split_reply(message_turns(value, column), column)


def _completions(layout: Layout, row: Row, entry: SourceEntry) -> ParsedRow:
    return _pairs(_turns(layout, row), _scored(layout, row), entry, _common(layout, row))


def _pairs(
    turns: tuple[Turn, ...], completions: Sequence[Completion], entry: SourceEntry, common: Mapping[str, Any]
) -> ParsedRow:
    found, left_out = pairs_of(completions, entry.max_pairs_per_prompt)
    parsed = []
    for pair in found:
        meta = dict(common["meta"])
        if pair.a.ratings or pair.b.ratings:
            meta |= {"ratings_a": dict(pair.a.ratings), "ratings_b": dict(pair.b.ratings)}
        parsed.append(
            ParsedPair(
                turns=turns,
                response_a=pair.a.text,
                response_b=pair.b.text,
                verdict=pair.verdict,
                margin=pair.margin,
                model_a=pair.a.model,
                model_b=pair.b.model,
                label_origin=common["label_origin"],
                meta=meta,
            )
        )
    return ParsedRow(tuple(parsed), dict(left_out))


def _scored(layout: Layout, row: Row) -> list[Completion]:
    """Completions of a row, each with its score, its model and what it was rated at."""
    ordered = layout.name == "ranking" and "ranking" in layout.fields
    values = _list(layout, row, "ranking" if ordered else "completions")
    beside = {"ranking": "ranks", "ratings": "scores"}[layout.name]
    scores = None if ordered or beside not in layout.fields else _list(layout, row, beside, len(values))
    models: list[Any] = [None] * len(values)
    if layout.get(row, "models") is not None and not all(isinstance(v, Mapping) and "model" in v for v in values):
        models = _list(layout, row, "models", len(values))
    found = []
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
            score = layout.score_rule.score(inner) if layout.score_rule else None
        model = inner.get("model", models[place])
        found.append(Completion(text, score, None if model is None else str(model), all_ratings(inner)))
    return found


def _list(layout: Layout, row: Row, field: str, length: int | None = None) -> list[Any]:
    value = layout.get(row, field)
    column = layout.fields[field]
    if value is None:
        raise RowProblem("missing_field", f"column {column!r} is empty")
    if not isinstance(value, (list, tuple)):
        raise RowProblem("wrong_type", f"column {column!r} is {type(value).__name__}, not a list")
    if length is not None and len(value) != length:
        raise RowProblem("wrong_type", f"column {column!r} has {len(value)} values for {length} completions")
    return list(value)


_PARSERS: dict[str, Callable[[Layout, Row, SourceEntry], ParsedRow]] = {
    "pair_file": _two_responses,
    "two_responses": _two_responses,
    "two_conversations": _two_conversations,
    "chosen_rejected_text": _chosen_rejected,
    "chosen_rejected_messages": _chosen_rejected,
    "chosen_rejected_transcript": _chosen_rejected,
    "ranking": _completions,
    "ratings": _completions,
}
