"""Labels: what the values of a preference or score column say about responses a and b."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

from assets.errors import ConfigError
from assets.raw_pairs.rows import RowProblem

ORIGINS = {
    "human": "human",
    "llm": "llm",
    "verifiable": "verifiable",
    "model_strength": "model_strength",
    "model-strength": "model_strength",
}
# Two answers that are equally bad are a tie as a preference; the file's own word stays in `meta`.
_TIES = ("tie", "equal", "both", "draw", "tie (bothbad)", "bothbad", "both_bad", "both bad")
_WORDS = dict.fromkeys(_TIES, "tie") | {"undecided": "undecided"}
for _side in ("a", "b"):
    for _form in ("{}", "response_{}", "model_{}", "answer_{}", "response {}", "[[{}]]"):
        _WORDS[_form.format(_side)] = _side
MAX_STRENGTH = 3
_ONE_BASED = {"1": "a", "2": "b", "0": "tie"} | {f"response_{n}": s for n, s in (("1", "a"), ("2", "b"))}
_ZERO_BASED = {"0": "a", "1": "b"} | {f"response_{n}": s for n, s in (("0", "a"), ("1", "b"))}


def numbering(labels: Iterable[Any], first_column: str, known: Mapping[str, str], *, where: str) -> bool | None:
    """Whether labels that are numbers count the two responses from 0 (0 and 1) or from 1 (1 and 2, 0 a tie).

    Args:
        labels: of the first rows.
        first_column: name of the first response's column: one that ends in 0 or 1 says where it is counted from.
        known: labels that the catalogue explains.

    Returns:
        None when neither the labels nor the column tell.

    Raises:
        ConfigError: the labels are 0 and 1 and no column tells whether 0 is the first response or a tie.

    >>> numbering([1, 2, 0], "answer_a", {}, where=""), numbering(["a", None], "answer_a", {}, where="")
    (False, None)
    """
    numbers = {_plain(label) for label in labels if not isinstance(label, bool)} - set(known)
    numbers &= {"0", "1", "2"}
    if first_column.endswith("0"):
        return True
    if "2" in numbers or (first_column.endswith("1") and "0" not in numbers):
        return False
    if not numbers:
        return None
    raise ConfigError(
        f"Labels are {' and '.join(sorted(numbers))}: whether 1 is the first response, and 0 the other or a tie, "
        "cannot be told.",
        where=where,
        kept="nothing of this source was read",
        todo='state it in the source\'s entry, such as `label_values: {"0": a, "1": b}`',
    )


def preference(value: Any, *, zero_based: bool | None = False, values: Mapping[str, str] | None = None) -> str | None:
    """Side that a label names: "a", "b", "tie", "undecided", or None where there is no label.

    Args:
        zero_based: numbers count the responses from 0. False: 1 and 2 name them and 0 is a tie. None: nobody
            knows, so a number is no label.
        values: the source's own values, looked at first.

    >>> preference("B"), preference(2), preference(1, zero_based=True), preference(None)
    ('b', 'b', 'b', None)

    Raises:
        RowProblem: `unknown_label`.
    """
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return None
    key = _plain(value)
    if values and key in values:
        return values[key]
    if not isinstance(value, bool):
        numbers = {True: _ZERO_BASED, False: _ONE_BASED, None: {}}[zero_based]
        side = _WORDS.get(key.lower()) or numbers.get(key.lower())
        if side:
            return side
    raise RowProblem("unknown_label", f"the label {value!r:.120} is outside the set")


def _plain(value: Any) -> str:
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return str(value).strip()


def signed_preference(value: Any) -> tuple[str | None, float | None]:
    """Verdict and margin of a preference from -3 (the first is much better) to 3 (the second is), 0 about the same.

    >>> signed_preference(-3), signed_preference("1"), signed_preference(0)
    (('a', 3.0), ('b', 1.0), ('tie', 0.0))

    Raises:
        RowProblem: `unknown_label`.
    """
    strength = number(value, "preference")
    if strength is None:
        return None, None
    if abs(strength) > MAX_STRENGTH:
        raise RowProblem("unknown_label", f"the preference {value!r:.120} is outside -{MAX_STRENGTH}..{MAX_STRENGTH}")
    return ("tie" if strength == 0 else "a" if strength < 0 else "b"), abs(strength)


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


def share(value: Any) -> float | None:
    """A share of votes, 0 to 1; None for anything on another scale, which stays in the row's meta as it came.

    >>> share("0.8"), share(80), share(None)
    (0.8, None, None)
    """
    try:
        found = float(value)
    except (TypeError, ValueError):
        return None
    return found if 0 <= found <= 1 else None
