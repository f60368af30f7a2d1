"""What is planted besides wrong labels: repeated and contradicting pairs, ties, empty texts, benchmark prompts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from random import Random

from assets.raw_pairs.sample.question import Question, joined, vocabulary
from assets.raw_pairs.sample.rows import OTHER_SIDE, SampleRow, swapped, true_row

_BLANKS = ("", " \n", "\u200b", "\t")
"""Texts that hold nothing: also after normalisation."""


def sound_rows(rows: Sequence[SampleRow]) -> list[SampleRow]:
    """Rows with nothing planted: what can be repeated, contradicted or spoilt."""
    return [row for row in rows if row.planted == "none" and row.truth == row.label]


def duplicate(rng: Random, original: SampleRow) -> SampleRow:
    """The same pair with the same label; every second time only the same after normalisation."""
    copy = replace(original, planted="duplicate", detail="verbatim", original=original)
    if rng.random() < 0.5:
        copy = replace(
            copy, first=original.first + " \n", second=original.second + "\r\n", detail="white space differs"
        )
    return swapped(copy) if rng.random() < 0.5 else copy


def near_duplicate(rng: Random, original: SampleRow) -> SampleRow:
    """The same pair but for case and punctuation, every second time with a word more in a response of ten or more."""
    (role, text) = original.turns[-1]
    turns = (*original.turns[:-1], (role, text.replace(".", " !").replace("?", " ??").upper()))
    copy = replace(original, turns=turns, planted="near_duplicate", detail="case and punctuation", original=original)
    if max(len(original.first.split()), len(original.second.split())) >= 10 and rng.random() < 0.5:
        copy = replace(copy, detail="and a word more")
        if len(original.first.split()) > len(original.second.split()):
            copy = replace(copy, first=f"{original.first} Indeed.")
        else:
            copy = replace(copy, second=f"{original.second} Indeed.")
    return swapped(copy) if rng.random() < 0.5 else copy


def role_swap(rng: Random, original: SampleRow) -> SampleRow:
    """The same pair with the label on the other side, within a source."""
    return _opposed(rng, original, "role_swap")


def contradiction(rng: Random, original: SampleRow) -> SampleRow:
    """The same pair with the label on the other side, from another source."""
    return _opposed(rng, original, "contradiction")


def _opposed(rng: Random, original: SampleRow, planted: str) -> SampleRow:
    row = replace(original, label=OTHER_SIDE[original.label], planted=planted, detail="", original=original)
    return swapped(row) if rng.random() < 0.5 else row


def tie(question: Question) -> SampleRow | None:
    """Two answers that are equally right, labelled so; None when the question has only one."""
    if len(question.good) < 2:
        return None
    first, second = question.good[:2]
    return SampleRow(question.category, question.turns, first, second, "tie", "tie", "tie", "both do what was asked")


def empty_text(rng: Random, row: SampleRow) -> SampleRow:
    """The row with its prompt or one response emptied."""
    blank = rng.choice(_BLANKS)
    row = replace(row, truth=None, planted="empty_text")
    match rng.choice(("prompt", "first", "second")):
        case "prompt":
            return replace(row, turns=((row.turns[-1][0], blank),), detail="prompt")
        case "first":
            return replace(row, first=blank, detail="first response")
        case _:
            return replace(row, second=blank, detail="second response")


def equal_responses(rng: Random, row: SampleRow) -> SampleRow:
    """The row with one response twice, but for white space."""
    return replace(
        row, second=row.first + rng.choice(("", " ", "\n")), truth=None, planted="equal_responses", detail=""
    )


def contaminated(rng: Random, item_id: str, question: Question) -> SampleRow:
    """A row on a benchmark item's prompt, with other responses than the item's.

    The prompt is the same but for case and white space (kind `exact`), or has words before and behind it
    (kind `13gram`).
    """
    text = question.turns[-1][1]
    if rng.random() < 0.5:
        kind, text = "exact", text.upper().replace(" ", "  ")
    else:
        kind, text = "13gram", joined(rng.choice(vocabulary()["openers"]), text, "No rush at all.")
    row = true_row(rng, replace(question, turns=(("user", text),)), question.good[1], question.bad[1])
    return replace(row, planted="contamination", detail=f"{item_id} {kind}")
