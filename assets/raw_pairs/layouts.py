"""Layouts: recognising how a file lays out its pairs.

| layout | columns (any usual name) |
|---|---|
| pair_file | prompt (JSON text: list of messages), response_a, response_b, preferred, label_origin, meta (JSON text) |
| chosen_rejected_text | prompt, chosen, rejected |
| chosen_rejected_messages | chosen and rejected as message lists; the prompt apart or as their common beginning |
| chosen_rejected_transcript | chosen and rejected as whole dialogues of `Human:` and `Assistant:` paragraphs |
| two_responses | prompt, two responses, and a preference (a/b/tie, 1/2/0, 0/1, -3..3) or a score for each |
| two_conversations | two message lists that answer the same conversation, and a preference: Arena battles |
| ranking | prompt and a list of completions, best first, or with `ranks` (1 is best) beside it |
| ratings | prompt and a list of completions that hold a score, rank or ratings, or with `scores` beside it |
| rated_rows | one response a row with its ratings; consecutive rows of one prompt are its completions |

A prompt may be text, a message list or, where the first rows have it so, a `Human:` / `Assistant:` transcript.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from assets.errors import ConfigError
from assets.raw_pairs.conversations import is_open_transcript, is_transcript
from assets.raw_pairs.fields import FIELDS, TEXTS, usual_fields
from assets.raw_pairs.labels import numbering
from assets.raw_pairs.score_rules import ScoreRule, rule_for

_LABELS = (("preference",), ("signed_preference",), ("score_a", "score_b"))
_NEEDS: dict[str, tuple[tuple[str, ...], ...]] = {
    # Each inner tuple is one way to satisfy the layout.
    "pair_file": (("prompt", "response_a", "response_b", "preference"),),
    "chosen_rejected_text": (("prompt", "chosen", "rejected"),),
    "chosen_rejected_messages": (("chosen", "rejected"),),
    "chosen_rejected_transcript": (("chosen", "rejected"),),
    "two_responses": tuple(("prompt", "response_a", "response_b", *label) for label in _LABELS),
    "two_conversations": tuple(("conversation_a", "conversation_b", *label) for label in _LABELS),
    "ranking": (("prompt", "ranking"), ("prompt", "completions", "ranks")),
    "ratings": (("prompt", "completions"),),
    "rated_rows": (("prompt", "response"),),
}


@dataclass(frozen=True)
class Layout:
    """A recognised layout.

    Attributes:
        name: one of the layouts above.
        fields: field of the layout to column of the file.
        score_rule: how ratings make a completion's score; None where the layout has no such ratings.
        zero_based: whether a label that is a number counts the responses from 0; None where nobody can say.
        open_transcripts: prompts are `Human:` / `Assistant:` transcripts that wait for the next reply.
        unused: columns that no field takes; they go to `meta`.
    """

    name: str
    fields: Mapping[str, str]
    score_rule: ScoreRule | None = None
    zero_based: bool | None = None
    open_transcripts: bool = False
    unused: tuple[str, ...] = ()

    @cached_property
    def text_columns(self) -> frozenset[str]:
        """Columns that hold the text of pairs."""
        return frozenset(self.fields[field] for field in TEXTS if field in self.fields)

    def get(self, row: Mapping[str, Any], field: str) -> Any:
        """Value of a field in a row; None where the file has no such column."""
        column = self.fields.get(field)
        return None if column is None else row.get(column)

    def why(self) -> str:
        """What the layout was told by, for the person who adds a source."""
        named = [field if field == column else f"{field} = {column}" for field, column in sorted(self.fields.items())]
        used = [f"columns {', '.join(named)}"]
        if self.score_rule is not None:
            used.append(f"score of a completion: {self.score_rule}")
        if self.open_transcripts:
            used.append("prompts are transcripts")
        if self.zero_based is not None:
            used.append(f"labels count from {int(not self.zero_based)}")
        return "; ".join(used)


def recognise(
    columns: Sequence[str],
    first_rows: Sequence[Mapping[str, Any]],
    *,
    wanted: str = "auto",
    overrides: Mapping[str, str] | None = None,
    label_values: Mapping[str, str] | None = None,
    score_weights: Mapping[str, float] | None = None,
    where: str = "",
) -> Layout:
    """Layout of a file, from its columns and what stands in its first rows.

    Args:
        wanted: a layout by name, or `auto`.
        overrides: field to column; wins over the usual names. `score` may also name a rating inside the completions.
        label_values: labels that the catalogue explains.
        score_weights: rating to weight, where several make the score.

    Raises:
        ConfigError: no layout fits, the one wanted lacks a column, an override names no column or no field, or
            labels are numbers that may mean two things.
    """
    overrides = dict(overrides or {})
    inner_score = overrides.pop("score", None) if overrides.get("score") not in columns else None
    for field, column in overrides.items():
        if field not in FIELDS or column not in columns:
            what = "a field of any layout" if field not in FIELDS else "a column of the file"
            name = field if field not in FIELDS else column
            raise ConfigError(f"{name!r} is not {what}.", where=where, todo=f"columns are {', '.join(columns)}"[:600])
    fields = usual_fields(columns, overrides)
    layout = _guess(fields, first_rows) if wanted == "auto" else wanted
    if layout is None or not any(all(f in fields for f in way) for way in _NEEDS[layout]):
        needed = "no layout fits" if layout is None else f"{layout} needs {' or '.join(map(str, _NEEDS[layout]))}"
        raise ConfigError(
            f"The layout of a source cannot be made out: {needed}; columns are {', '.join(columns)[:600]}.",
            where=where,
            kept="nothing of this source was read",
            todo=f"set `layout` to one of {', '.join(_NEEDS)}, and `columns` where the names differ",
        )
    rule = None
    if layout in ("ratings", "rated_rows") and "scores" not in fields:
        one_score = inner_score or (fields.get("score") if layout == "rated_rows" else overrides.get("score"))
        completions = _completions(layout, fields, first_rows)
        rule = rule_for(completions, wanted=one_score, weights=score_weights or {}, where=where)
    if (inner_score or score_weights) and rule is None:
        raise ConfigError(f"The layout {layout} takes no score of ratings.", where=where, todo="take the setting out")
    zero_based = None
    if layout in ("pair_file", "two_responses", "two_conversations") and "preference" in fields:
        labels = [row.get(fields["preference"]) for row in first_rows]
        names = fields.get("response_a", fields.get("conversation_a", ""))
        zero_based = numbering(labels, names, label_values or {}, where=f"{where}, column {fields['preference']}")
    prompts = [row.get(fields["prompt"]) for row in first_rows] if "prompt" in fields else []
    open_transcripts = any(prompts) and all(isinstance(p, str) and is_open_transcript(p) for p in prompts if p)
    used = {column for field, column in fields.items() if field in TEXTS or field in _needed(layout)}
    unused = tuple(column for column in columns if column not in used)
    return Layout(layout, fields, rule, zero_based, open_transcripts, unused)


def _needed(layout: str) -> set[str]:
    optional = {"score_chosen", "score_rejected", "margin", "model_a", "model_b", "model", "scores", "score"}
    return optional | {"label_origin", "meta"} | {field for way in _NEEDS[layout] for field in way}


def _guess(fields: Mapping[str, str], rows: Sequence[Mapping[str, Any]]) -> str | None:
    def first(field: str) -> Any:
        return next((row[fields[field]] for row in rows if row.get(fields[field]) is not None), None)

    def has(*names: str) -> bool:
        return all(name in fields for name in names)

    labelled = any(has(*label) for label in _LABELS)
    if has("chosen", "rejected"):
        chosen = first("chosen")
        if isinstance(chosen, (list, tuple)):
            return "chosen_rejected_messages"
        if has("prompt"):
            return "chosen_rejected_text"
        return "chosen_rejected_transcript" if isinstance(chosen, str) and is_transcript(chosen) else None
    if has("conversation_a", "conversation_b") and labelled:
        return "two_conversations"
    if has("response_a", "response_b", "prompt"):
        prompt = first("prompt")
        if has("preference") and isinstance(prompt, str) and prompt.startswith('[{"role"'):
            return "pair_file"
        return "two_responses" if labelled else None
    if has("prompt", "ranking") or has("prompt", "completions", "ranks"):
        return "ranking"
    for layout in ("ratings", "rated_rows"):
        if any(has(*way) for way in _NEEDS[layout]):
            given = _completions(layout, fields, rows)
            rated = rule_for(given, wanted=None, weights={}, where="") is not None
            return layout if rated or (layout == "ratings" and has("scores")) else None
    return None


def _completions(layout: str, fields: Mapping[str, str], rows: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """What holds the ratings: the rows themselves, or the mappings in their lists."""
    if layout == "rated_rows":
        return list(rows)
    lists = (row.get(fields["completions"]) for row in rows)
    return [item for given in lists if isinstance(given, (list, tuple)) for item in given if isinstance(item, Mapping)]
