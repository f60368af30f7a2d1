"""Score rules: how the ratings that a completion came with make its one score."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from assets.errors import ConfigError
from assets.raw_pairs.labels import number

SCORE_KEYS = ("score", "rating", "overall_score", "overall_rating")
"""Where a completion that is a mapping holds its score."""
RANK_KEYS = ("rank", "ranking")
"""Where it holds its rank, 1 the best."""
ATTRIBUTES = ("helpfulness", "correctness", "coherence", "complexity", "verbosity")
"""Ratings that stand beside a response in sources of the HelpSteer kind; the first is the score by default."""
_ANNOTATIONS = "annotations"
_NO_RATING = ("", "N/A", "NA", "None")


@dataclass(frozen=True)
class ScoreRule:
    """A completion's score, as a weighted sum of its ratings.

    Attributes:
        weights: rating and weight, in order. A rating is a key of the completion (or column of the row), or
            `annotations.ASPECT` for one that is nested as `annotations[ASPECT]["Rating"]`. Negative: less is better.
        mean: the sum is divided by the number of ratings.
    """

    weights: tuple[tuple[str, float], ...]
    mean: bool = False

    def __str__(self) -> str:
        names = [name for name, _ in self.weights]
        if self.mean and len(names) > 1:
            return f"mean of {', '.join(names)}"
        return " + ".join(name if weight == 1 else f"{weight:g} x {name}" for name, weight in self.weights)

    def ratings(self, values: Mapping[str, Any]) -> dict[str, float | None]:
        """The ratings as numbers; None for one that is not there.

        Raises:
            RowProblem: `unknown_label`, for one that is no number.
        """
        return {name: number(_rating(values, name), name) for name, _ in self.weights}

    def score(self, values: Mapping[str, Any]) -> float | None:
        """The score, higher is better; None where a rating is missing.

        Raises:
            RowProblem: as `ratings`.
        """
        ratings = self.ratings(values)
        weighted = [weight * ratings[name] for name, weight in self.weights if ratings[name] is not None]  # type: ignore[operator]
        if len(weighted) < len(self.weights):
            return None
        # Rounded, so that ratings with equal sums tie, whatever the order they were added in.
        return round(sum(weighted) / (len(weighted) if self.mean else 1), 9)


def rule_for(
    first: Sequence[Mapping[str, Any]], *, wanted: str | None, weights: Mapping[str, float], where: str
) -> ScoreRule | None:
    """The rule for completions of which the first are given: as the catalogue says, or by the usual names.

    Without settings it is the first of `SCORE_KEYS`, minus the rank, the mean of all nested aspects, or the first
    of `ATTRIBUTES` where there are several; None where the completions hold no rating.

    Args:
        wanted: the one rating that is the score.
        weights: rating to weight, in place of `wanted`.

    Raises:
        ConfigError: a rating that is named is in none of the completions.
    """
    keys = {key for values in first for key in values}
    aspects = list(dict.fromkeys(a for v in first if isinstance(v.get(_ANNOTATIONS), Mapping) for a in v[_ANNOTATIONS]))
    if wanted or weights:
        named = dict(weights) or {wanted or "": 1.0}
        found = {}
        for name, weight in named.items():
            aspect = name.removeprefix(f"{_ANNOTATIONS}.")
            if name not in keys and aspect not in aspects:
                known = ", ".join(sorted(keys | {f"{_ANNOTATIONS}.{a}" for a in aspects}))
                raise ConfigError(f"{name!r} rates no completion.", where=where, todo=f"use some of {known}"[:600])
            found[name if name in keys else f"{_ANNOTATIONS}.{aspect}"] = weight
        return ScoreRule(tuple(found.items()))
    usual = [(name, 1.0) for name in SCORE_KEYS] + [(name, -1.0) for name in RANK_KEYS]
    if one := next((pair for pair in usual if pair[0] in keys), None):
        return ScoreRule((one,))
    if aspects:
        return ScoreRule(tuple((f"{_ANNOTATIONS}.{a}", 1.0) for a in sorted(aspects)), mean=True)
    if len(keys.intersection(ATTRIBUTES)) > 1 and ATTRIBUTES[0] in keys:
        return ScoreRule(((ATTRIBUTES[0], 1.0),))
    return None


def all_ratings(values: Mapping[str, Any]) -> dict[str, Any]:
    """Every rating of a completion under a usual name, as it stands there; for a pair's `meta`."""
    found = {name: values[name] for name in (*SCORE_KEYS, *RANK_KEYS, *ATTRIBUTES) if values.get(name) is not None}
    nested = values.get(_ANNOTATIONS)
    if isinstance(nested, Mapping):
        found |= {aspect: _rating(values, f"{_ANNOTATIONS}.{aspect}") for aspect in nested}
    return found


def _rating(values: Mapping[str, Any], name: str) -> Any:
    value = values.get(name)
    prefix, _, aspect = name.partition(".")
    if value is None and prefix == _ANNOTATIONS and isinstance(values.get(prefix), Mapping):
        value = values[prefix].get(aspect)
        value = value.get("Rating", value.get("rating")) if isinstance(value, Mapping) else value
    return None if isinstance(value, str) and value.strip() in _NO_RATING else value
