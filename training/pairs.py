"""Pairs: labelled pairs as a backbone reads them, and what the loop asks of whoever holds them."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from training.tokenising import EncodedRow


@dataclass(frozen=True)
class EncodedPair:
    """A labelled pair as the backbone reads it; `weight` above 0."""

    pair_id: str
    chosen: EncodedRow
    rejected: EncodedRow
    weight: float
    cluster: str


class PairSource(Protocol):
    """Pairs that are made when they are asked for, so that tens of millions need not be objects in memory."""

    @property
    def lengths(self) -> NDArray[np.int64]:
        """int64[n]: what each pair costs when it is computed, as `Backbone.num_tokens` counts it."""

    @property
    def fingerprint(self) -> str:
        """Changes with the pairs' ids, tokens, weights and order; read only where checkpoints are written."""

    def __len__(self) -> int:
        """How many pairs there are."""

    def __getitem__(self, index: int, /) -> EncodedPair:
        """The pair at a place from 0 to n - 1."""


class ListedPairs:
    """Implements `PairSource` over pairs in memory.

    Args:
        num_tokens: `Backbone.num_tokens`.
    """

    def __init__(self, pairs: Sequence[EncodedPair], num_tokens: Callable[[Sequence[EncodedRow]], int]) -> None:
        self._pairs = pairs
        sizes = [num_tokens([pair.chosen, pair.rejected]) for pair in pairs]
        self.lengths: NDArray[np.int64] = np.array(sizes, dtype=np.int64)

    @cached_property
    def fingerprint(self) -> str:
        """See `PairSource`; 32 hex digits."""
        state = hashlib.blake2b(digest_size=16)
        for pair in self._pairs:
            state.update(f"{pair.pair_id}\n{pair.weight!r}\n{pair.cluster}\n".encode())
            for row in (pair.chosen, pair.rejected):
                for part in (row.prompt, row.response):
                    state.update(f"{part.dtype}{len(part)}\n".encode() + part.tobytes())
        return state.hexdigest()

    def __len__(self) -> int:
        """See `PairSource`."""
        return len(self._pairs)

    def __getitem__(self, index: int, /) -> EncodedPair:
        """See `PairSource`."""
        return self._pairs[index]
