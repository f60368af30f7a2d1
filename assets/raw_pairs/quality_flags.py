"""Quality flags: which thresholds of the configuration a pair's signals break."""

from __future__ import annotations

import functools
import operator
from collections.abc import Iterator

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from assets.raw_pairs.languages import UNKNOWN
from assets.raw_pairs.secrets_and_pii import PII_COLUMNS
from assets.settings import QualityThresholds

FLAGS = (
    "language",
    "few_words",
    "many_words",
    "duplicate_lines",
    "top_3gram",
    "duplicate_5grams",
    "refusal",
    "markdown",
    "encoding_damage",
    "secrets",
    "pii",
    "presidio_entities",
    "toxicity",
)
_RESPONSES = ("1", "2")
_TEXTS = ("prompt", "1", "2")


def flags_of(signals: pa.Table, thresholds: QualityThresholds) -> pa.Array:
    """Names of the thresholds that each row breaks, in the order of `FLAGS`.

    Args:
        signals: columns of `quality_signals`; `flags` is not looked at. A null signal breaks nothing.

    Returns:
        A list of strings a row, empty where it breaks none.

    >>> row = {"refusal_1": [True, True], "refusal_2": [False, True]}
    >>> flags_of(pa.table(row), QualityThresholds(refusals="both")).to_pylist()
    [[], ['refusal']]
    """
    flags: list[list[str]] = [[] for _ in range(len(signals))]
    broken = dict(_broken(signals, thresholds))
    for name in FLAGS:
        for row in np.flatnonzero(broken.get(name, ())):
            flags[row].append(name)
    return pa.array(flags, pa.list_(pa.string()))


def _broken(signals: pa.Table, limits: QualityThresholds) -> Iterator[tuple[str, np.ndarray]]:
    """Name of each threshold that is set, and which rows break it."""

    def column(name: str) -> np.ndarray:
        return np.asarray(signals[name].to_pandas(), float)

    def largest(name: str, sides: tuple[str, ...] = _RESPONSES) -> np.ndarray:
        # With no sides the name is a column's own. NaN, a null, compares false.
        return np.fmax.reduce([column(f"{name}_{side}") for side in sides]) if sides else column(name)

    if limits.languages:
        allowed = pa.array([*limits.languages, UNKNOWN])
        inside = [pc.is_in(signals[f"language_{text}"], allowed).to_numpy() for text in _TEXTS]
        yield "language", ~np.logical_and.reduce(inside)
    if limits.min_words_response is not None:
        yield "few_words", np.minimum(*(column(f"num_words_{s}") for s in _RESPONSES)) < limits.min_words_response
    if limits.refusals != "none":
        refused = [signals[f"refusal_{side}"].to_numpy() for side in _RESPONSES]
        yield "refusal", functools.reduce(operator.and_ if limits.refusals == "both" else operator.or_, refused)
    if limits.max_pii is not None:
        yield "pii", np.sum([column(name) for name in PII_COLUMNS], axis=0) > limits.max_pii
    for flag, limit, name, sides in (
        ("many_words", limits.max_words_response, "num_words", _RESPONSES),
        ("duplicate_lines", limits.max_duplicate_line_rate, "duplicate_line_rate", _RESPONSES),
        ("top_3gram", limits.max_top_3gram_rate, "top_3gram_rate", _RESPONSES),
        ("duplicate_5grams", limits.max_duplicate_5gram_rate, "duplicate_5gram_rate", _RESPONSES),
        ("markdown", limits.max_markdown_density, "markdown_density", _RESPONSES),
        ("encoding_damage", limits.max_encoding_faults, "num_encoding_faults", _TEXTS),
        ("secrets", limits.max_secrets, "num_secrets", ()),
        ("presidio_entities", limits.max_presidio_entities, "num_presidio_entities", ()),
        ("toxicity", limits.max_toxicity, "toxicity", _RESPONSES),
    ):
        if limit is not None:
            yield flag, largest(name, sides) > limit
