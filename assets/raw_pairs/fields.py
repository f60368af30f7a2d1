"""Fields: the usual names under which files keep what a layout needs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import product

ALIASES: dict[str, tuple[str, ...]] = {
    "prompt": ("prompt", "question", "instruction", "query", "conversation", "context", "history", "messages"),
    "system": ("system", "system_prompt"),
    "chosen": ("chosen", "chosen_response", "preferred_response", "response_chosen"),
    "rejected": ("rejected", "rejected_response", "dispreferred_response", "response_rejected"),
    "score_chosen": ("score_chosen", "chosen_score", "chosen_rating", "chosen-rating"),
    "score_rejected": ("score_rejected", "rejected_score", "rejected_rating", "rejected-rating"),
    "margin": ("margin",),
    "preference": ("preferred", "preference", "label", "labels", "winner", "choice", "better_response_id"),
    # -3 (the first is much better) to 3 (the second is much better), 0 about the same.
    "signed_preference": ("overall_preference", "preference_strength"),
    "ranking": ("ranking", "ranked_completions", "ranked_responses"),
    "completions": ("completions", "responses", "answers", "outputs", "candidates"),
    "ranks": ("ranks", "rank"),
    "scores": ("scores", "ratings"),
    "models": ("models",),
    "response": ("response", "completion", "answer", "output"),
    "score": ("score", "rating", "overall_score", "overall_rating"),
    "model": ("model",),
    # Share of a row's votes that its label has, 0 to 1.
    "agreement": ("agreement",),
    "label_origin": ("label_origin",),
    "meta": ("meta", "metadata"),
}
_SIDED = {
    "response": ("response", "answer", "output", "completion", "human_ref"),
    "conversation": ("conversation",),
    "score": ("score", "rating"),
    "model": ("model",),
}
FIELDS = frozenset({*ALIASES, *(f"{field}_{side}" for field in _SIDED for side in "ab")})

TEXTS = (
    *("prompt", "system", "response_a", "response_b", "conversation_a", "conversation_b"),
    *("chosen", "rejected", "ranking", "completions", "models", "response"),
)
"""Fields that hold the text of pairs: their columns are not repeated in `meta`."""


def usual_fields(columns: Sequence[str], overrides: Mapping[str, str]) -> dict[str, str]:
    """Field to column: the overrides, and the columns of a usual name that they leave.

    >>> usual_fields(["question", "answer_1", "answer_2"], {})
    {'response_a': 'answer_1', 'response_b': 'answer_2', 'prompt': 'question'}
    """
    fields = dict(overrides)
    for field, names in ALIASES.items():
        found = next((name for name in names if name in columns and name not in overrides.values()), None)
        if field not in fields and found is not None:
            fields[field] = found
    return _sided(columns) | fields


def _sided(columns: Sequence[str]) -> dict[str, str]:
    """Columns that come in twos, such as response_a and response_b, by one numbering for both."""
    found: dict[str, str] = {}
    for field, stems in _SIDED.items():
        for stem, joint, marks in product(stems, ("_", ""), ("ab", "AB", "12", "01")):
            pair = (f"{stem}{joint}{marks[0]}", f"{stem}{joint}{marks[1]}")
            if f"{field}_a" not in found and set(pair) <= set(columns):
                found[f"{field}_a"], found[f"{field}_b"] = pair
    return found
