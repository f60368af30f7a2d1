"""Labels: what the values of a preference or score column say about responses a and b."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from assets.raw_pairs.rows import RowProblem

ORIGINS = {
    "human": "human",
    "llm": "llm",
    "verifiable": "verifiable",
    "model_strength": "model_strength",
    "model-strength": "model_strength",
}
_WORDS = {"tie": "tie", "equal": "tie", "both": "tie", "draw": "tie", "undecided": "undecided"}
for _side in ("a", "b"):
    for _form in ("{}", "response_{}", "model_{}", "answer_{}", "response {}", "[[{}]]"):
        _WORDS[_form.format(_side)] = _side
_ONE_BASED = {"1": "a", "2": "b", "0": "tie"} | {f"response_{n}": s for n, s in (("1", "a"), ("2", "b"))}
_ZERO_BASED = {"0": "a", "1": "b"} | {f"response_{n}": s for n, s in (("0", "a"), ("1", "b"))}


def preference(value: Any, *, zero_based: bool = False, values: Mapping[str, str] | None = None) -> str | None:
    """Side that a label names: "a", "b", "tie", "undecided", or None where there is no label.

    Args:
        zero_based: numbers count the responses from 0 (the columns are called response_0 and response_1).
            Otherwise 1 and 2 name them and 0 is a tie.
        values: the source's own values, looked at first.

    >>> preference("B"), preference(2), preference(1, zero_based=True), preference(None)
    ('b', 'b', 'b', None)

    Raises:
        RowProblem: `unknown_label`.
    """
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return None
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    key = str(value).strip()
    if values and key in values:
        return values[key]
    if not isinstance(value, (bool, float)):
        side = _WORDS.get(key.lower()) or (_ZERO_BASED if zero_based else _ONE_BASED).get(key.lower())
        if side:
            return side
    raise RowProblem("unknown_label", f"the label {value!r:.120} is outside the set")


def number(value: Any, what: str) -> float | None:
    """A score as a number; None where there is none. Text that reads as a number is one.

    Raises:
        RowProblem: `unknown_label`.
    """
    if value is None:
        return None
    try:
        score = float(value) if not isinstance(value, bool) else math.nan
    except (TypeError, ValueError):
        score = math.nan
    if not math.isfinite(score):
        raise RowProblem("unknown_label", f"{what} {value!r:.120} is not a finite number")
    return score


def compare(score_a: float | None, score_b: float | None) -> tuple[str | None, float | None]:
    """Verdict and margin of two scores, higher is better.

    >>> compare(2.0, 5.0)
    ('b', 3.0)

    Raises:
        RowProblem: `unknown_label`, when only one of the two is there.
    """
    if score_a is None and score_b is None:
        return None, None
    if score_a is None or score_b is None:
        raise RowProblem("unknown_label", "only one of the two responses has a score")
    return ("tie" if score_a == score_b else "a" if score_a > score_b else "b"), abs(score_a - score_b)


def origin(value: Any) -> str | None:
    """Label origin that a row names, or None where it names none.

    Raises:
        RowProblem: `unknown_label_origin`.
    """
    if value is None:
        return None
    known = ORIGINS.get(value) if isinstance(value, str) else None
    if known is None:
        raise RowProblem("unknown_label_origin", f"the label origin {value!r:.120} is outside the set")
    return known
