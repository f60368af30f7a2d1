"""Token pool: where each wanted pair's tokens lie among the segments of many text files."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from training.token_cache.encoding import INDEX
from training.token_cache.pair_keys import Keys, positions_in
from training.token_cache.segments import Segment


class TokenPool:
    """24 bytes for each wanted pair, whether it has text or not.

    Attributes:
        keys: of the wanted pairs, sorted.
        segment: int32[n], number of the segment that has the pair; -1 where it has no text.
        row: int32[n], the pair's row there.
    """

    def __init__(self, keys: Keys) -> None:
        self.keys = keys
        self.segments: list[Segment] = []
        self.segment: NDArray[np.int32] = np.full(len(keys), -1, np.int32)
        self.row: NDArray[np.int32] = np.zeros(len(keys), np.int32)

    def add(self, at: NDArray[np.int64], segments: Sequence[Segment]) -> None:
        """Note where the pairs at some positions are; of two segments that have a pair the first counts."""
        wanted = self.keys[at]
        for segment in segments:
            found = positions_in(wanted, np.ascontiguousarray(segment.index["key"]))
            rows = np.flatnonzero(found >= 0)
            rows = rows[self.segment[at[found[rows]]] < 0]
            self.row[at[found[rows]]] = rows
            self.segment[at[found[rows]]] = len(self.segments)
            self.segments.append(segment)

    def facts(self, at: NDArray[np.int64]) -> NDArray[Any]:
        """Rows of the index of the pairs at some positions, dtype `INDEX`; zeros where there is no text."""
        return facts_of(self.segments, self.segment[at], self.row[at])


def facts_of(segments: Sequence[Segment], segment: NDArray[np.int32], row: NDArray[np.int32]) -> NDArray[Any]:
    """Rows of the index by segment and row."""
    facts = np.zeros(len(segment), INDEX)
    for number, some in _by_segment(segment):
        facts[some] = segments[number].index[row[some]]
    return facts


def _by_segment(segment: NDArray[np.int32]) -> Iterator[tuple[int, NDArray[np.int64]]]:
    order = np.argsort(segment, kind="stable")
    sizes = segment[order]
    for some in np.split(order, np.flatnonzero(np.diff(sizes)) + 1):
        if len(some) and segment[some[0]] >= 0:
            yield int(segment[some[0]]), some
