"""Rows of the sample before they are written: a pair, its truth, the label its source gives it, what is planted."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from random import Random

from assets.identity import Turn
from assets.raw_pairs.sample.question import Question

OTHER_SIDE = {"a": "b", "b": "a", "tie": "tie"}

LONGER_BY = 1.8
"""The systematic source prefers a response that is this many times as long as the other."""
INVERTED_CATEGORY = "tone"


@dataclass(frozen=True)
class SampleRow:
    """One row of a source.

    Attributes:
        category: the question's category.
        turns: the conversation.
        first: the first response as given; sides below are "a" for it and "b" for the second.
        second: the other response.
        truth: the better side by construction, "tie", or None where there is nothing to compare.
        label: the side the source prefers, or "tie".
        planted: what is planted here, "none" for nothing.
        detail: of what kind the planting is.
        original: the row that this one repeats or contradicts.
    """

    category: str
    turns: tuple[Turn, ...]
    first: str
    second: str
    truth: str | None
    label: str
    planted: str = "none"
    detail: str = ""
    original: SampleRow | None = None


Labelling = Callable[[Random, Sequence[SampleRow]], list[SampleRow]]
"""Gives rows (with their true labels) the labels of their source, and says so in `planted` where one is wrong."""


def true_row(rng: Random, question: Question, good: str, bad: str) -> SampleRow:
    """A row with its true label, the better response on a random side."""
    if rng.random() < 0.5:
        return SampleRow(question.category, question.turns, good, bad, "a", "a")
    return SampleRow(question.category, question.turns, bad, good, "b", "b")


def swapped(row: SampleRow) -> SampleRow:
    """The same row with the responses in the other order."""
    return replace(
        row,
        first=row.second,
        second=row.first,
        truth=None if row.truth is None else OTHER_SIDE[row.truth],
        label=OTHER_SIDE[row.label],
    )


def randomly_wrong(rate: float, planted: str, detail: str) -> Labelling:
    """A source that names the wrong side on exactly this share of its rows, at random."""

    def label(rng: Random, rows: Sequence[SampleRow]) -> list[SampleRow]:
        wrong = set(rng.sample(range(len(rows)), round(rate * len(rows))))
        return [_mislabelled(row, planted, detail) if n in wrong else row for n, row in enumerate(rows)]

    return label


def systematically_wrong(rng: Random, rows: Sequence[SampleRow]) -> list[SampleRow]:
    """A source with two fixed habits: it inverts one category, and elsewhere prefers a much longer response."""
    return [_by_habit(row) for row in rows]


def _by_habit(row: SampleRow) -> SampleRow:
    if row.category == INVERTED_CATEGORY:
        return _mislabelled(row, "systematic_error", f"{INVERTED_CATEGORY} inverted")
    shorter, longer = sorted((len(row.first), len(row.second)))
    preferred = "a" if len(row.first) == longer else "b"
    if longer < LONGER_BY * shorter or preferred == row.label:
        return row
    return _mislabelled(row, "systematic_error", "longer response preferred")


def _mislabelled(row: SampleRow, planted: str, detail: str) -> SampleRow:
    return replace(row, label=OTHER_SIDE[row.label], planted=planted, detail=detail)
