"""Completions: several answers to one prompt, ranked or rated, turned into pairs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from typing import Any

from assets.identity import response_hash
from assets.raw_pairs.labels import compare
from assets.raw_pairs.rows import RowProblem

MAX_COMPLETIONS = 100
"""More of them make too many pairs of one row: a hundred make 4,950."""


@dataclass(frozen=True)
class Completion:
    """One answer.

    Attributes:
        score: higher is better; None where it has none.
        ratings: what it was rated at, for the pair's `meta`.
    """

    text: str
    score: float | None
    model: str | None = None
    ratings: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class CompletionPair:
    """Two completions, in the order of their row, with the verdict ("a", "b", "tie" or None) and margin."""

    a: Completion
    b: Completion
    verdict: str | None
    margin: float | None


def pairs_of(
    completions: Sequence[Completion], max_pairs: int | None = None
) -> tuple[list[CompletionPair], Counter[str]]:
    """Every two completions as a pair, in order, and the pairs left out, by reason.

    Left out are pairs of a completion that repeats another (`repeated_completion`), that has no score where others
    have one (`unscored_completion`), and those beyond `max_pairs` (`beyond_max_pairs_per_prompt`). Kept are then
    the pairs of the largest margin, since the wider two scores lie apart the less likely is the label wrong, ties
    last; among equal margins the order of the texts' hashes decides, so that no place in the row is favoured.

    Raises:
        RowProblem: `too_few_completions`, `too_many_completions`, or `repeated_completion` when a repeated one has
            another score.
    """
    num_given = len(completions)
    if num_given > MAX_COMPLETIONS:
        raise RowProblem("too_many_completions", f"{num_given} completions; at most {MAX_COMPLETIONS} make pairs")
    hashes = [response_hash(completion.text) for completion in completions]
    left_out: Counter[str] = Counter()
    kept = list(range(num_given))
    # Two alike are left to the check for equal responses, as in every other layout of two.
    if num_given > 2:
        first: dict[str, int] = {}
        for place, key in enumerate(hashes):
            if completions[first.setdefault(key, place)].score != completions[place].score:
                raise RowProblem("repeated_completion", "a completion stands twice in one row, with different worth")
        kept = list(first.values())
        left_out["repeated_completion"] = _num_pairs(num_given) - _num_pairs(len(kept))
        scored = [place for place in kept if completions[place].score is not None]
        if scored:
            left_out["unscored_completion"] = _num_pairs(len(kept)) - _num_pairs(len(scored))
            kept = scored
    if len(kept) < 2:
        raise RowProblem("too_few_completions", f"{len(kept)} different completions make no pair")
    found = []
    for a, b in combinations(kept, 2):
        verdict, margin = compare(completions[a].score, completions[b].score)
        found.append(
            (
                (-(margin or 0), sorted((hashes[a], hashes[b]))),
                CompletionPair(*_two(completions, a, b), verdict, margin),
            )
        )
    if max_pairs is not None and len(found) > max_pairs:
        limit = sorted(key for key, _ in found)[max_pairs - 1]
        left_out["beyond_max_pairs_per_prompt"] = len(found) - max_pairs
        found = [item for item in found if item[0] <= limit]
    return [pair for _, pair in found], +left_out


def _two(completions: Sequence[Completion], a: int, b: int) -> tuple[Completion, Completion]:
    return completions[a], completions[b]


def _num_pairs(number: int) -> int:
    return number * (number - 1) // 2
