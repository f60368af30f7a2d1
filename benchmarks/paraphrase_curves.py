"""Rephrasings against originals: cosines, shared numbers, and precision and recall by threshold."""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from evaluation.intervals import Estimate, estimate_accuracy

MIN_PRECISION = 0.95
_GRID = np.round(np.arange(0.30, 0.991, 0.01), 2)
_SEED = 1
_NUMBER = re.compile(r"\d+(?:\.\d+)?|[a-z]+")
_COUNTING = "zero one two three four five six seven eight nine ten eleven twelve"
_NUMBER_WORDS = {word: str(value) for value, word in enumerate(_COUNTING.split())} | {
    "twice": "2",
    "double": "2",
    "half": "0.5",
    "dozen": "12",
}


@dataclass(frozen=True)
class Comparison:
    """Rephrasings against originals.

    Attributes:
        rows: of the data file, without those that have no text; `item` and `benchmark` added.
        own: float [n], cosine with the own original.
        others: list of n arrays: cosines with every other original of the same benchmark.
        numbers_own, numbers_others: shared numbers by all numbers of both texts, alike.
    """

    rows: pd.DataFrame
    own: NDArray[np.float64]
    others: list[NDArray[np.float64]]
    numbers_own: NDArray[np.float64]
    numbers_others: list[NDArray[np.float64]]


def numbers_of(text: str) -> frozenset[str]:
    """Numbers of a text, written as digits or as one of the commonest words.

    >>> sorted(numbers_of("Two of 1,300 cost $3.50"))
    ['1300', '2', '3.50']
    """
    found = _NUMBER.findall(text.lower().replace(",", ""))
    return frozenset(_NUMBER_WORDS.get(word, word) for word in found if word[0].isdigit() or word in _NUMBER_WORDS)


def agreement(first: frozenset[str], second: frozenset[str]) -> float:
    """Jaccard similarity; two texts without numbers agree."""
    return len(first & second) / len(first | second) if first or second else 1.0


def compare(rows: pd.DataFrame, vector_of: dict[str, NDArray]) -> Comparison:
    """Cosines of all rephrasings with all originals of their benchmark."""
    own, others, numbers_own, numbers_others = [], [], [], []
    for benchmark in rows["benchmark"].unique():
        part = rows[rows["benchmark"] == benchmark]
        originals = part.drop_duplicates("item").set_index("item")["original"]
        matrix = np.stack([vector_of[text] for text in originals])
        numbers = [numbers_of(text) for text in originals]
        place = {item: at for at, item in enumerate(originals.index)}
        for item, text in zip(part["item"], part["rephrased"], strict=True):
            cosines = np.round(matrix @ vector_of[text], 4).astype(float)
            agreed = np.array([agreement(numbers_of(text), other) for other in numbers])
            own.append(cosines[place[item]])
            numbers_own.append(agreed[place[item]])
            others.append(np.delete(cosines, place[item]))
            numbers_others.append(np.delete(agreed, place[item]))
    return Comparison(rows, np.array(own), others, np.array(numbers_own), numbers_others)


def precision(compared: Comparison, chosen: NDArray[np.bool_], threshold: float, min_numbers: float = 0.0) -> Estimate:
    """Share of pairs (rephrasing, original) at or above the threshold that belong together."""
    values, clusters = [], []
    for at in np.flatnonzero(chosen):
        item = compared.rows["item"].iloc[at]
        right = compared.own[at] >= threshold and compared.numbers_own[at] >= min_numbers
        num_wrong = int(((compared.others[at] >= threshold) & (compared.numbers_others[at] >= min_numbers)).sum())
        values += [1.0] * int(right) + [0.0] * num_wrong
        clusters += [item] * (int(right) + num_wrong)
    return estimate_accuracy(values, clusters, seed=_SEED)


def recall(compared: Comparison, chosen: NDArray[np.bool_], threshold: float, min_numbers: float = 0.0) -> Estimate:
    """Share of rephrasings whose own original is at or above the threshold."""
    found = (compared.own >= threshold) & (compared.numbers_own >= min_numbers)
    return estimate_accuracy(found[chosen].astype(float), compared.rows["item"][chosen].tolist(), seed=_SEED)


def choose_threshold(compared: Comparison, chosen: NDArray[np.bool_]) -> float:
    """The lowest threshold of the grid from which on precision stays at or above `MIN_PRECISION`."""
    right = np.array([(compared.own[chosen] >= t).sum() for t in _GRID])
    others = np.concatenate([compared.others[at] for at in np.flatnonzero(chosen)])
    wrong = np.array([(others >= t).sum() for t in _GRID])
    good = right >= MIN_PRECISION * (right + wrong)
    return float(_GRID[np.flatnonzero(~good).max(initial=-1) + 1])


def curve(compared: Comparison, chosen: NDArray[np.bool_]) -> list[dict]:
    """Recall and precision by threshold."""
    others = np.concatenate([compared.others[at] for at in np.flatnonzero(chosen)])
    own = compared.own[chosen]
    points = []
    for threshold in _GRID:
        right, wrong = int((own >= threshold).sum()), int((others >= threshold).sum())
        if right:
            points.append(
                {"threshold": float(threshold), "recall": right / len(own), "precision": right / (right + wrong)}
            )
    return points
