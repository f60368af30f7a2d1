"""Nearest: exact search by cosine, the k best rows of every query, in blocks, so that memory never holds n x m.

A cheap filter looks at every row and leaves out those that a proven bound on its error says cannot be among the k best;
the others are compared in double precision, term by term in a fixed order. So the result does not depend on the
filter, on the blocks or on the device, and equal similarities are equal.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Literal

import numpy as np
from threadpoolctl import threadpool_limits

from assets.errors import ContractError
from assets.nearest_filters import Filter, Float32Filter, Int8Filter, num_cores
from assets.nearest_kernels import take_better

Progress = Callable[[int, float], None]
"""Called with the queries done and their share, 0 to 1."""

Apart = tuple[np.ndarray, np.ndarray]
"""Groups of the queries int64[n] and of the rows int64[m]: equal numbers exclude each other, -1 excludes nothing."""

_QUERIES, _ROWS = 1_024, 8_192
# Multiplications from which loading torch pays: the filter of bytes, or a GPU.
_LARGE = 1e12


@dataclass(frozen=True)
class Nearest:
    """The nearest rows of every query.

    Attributes:
        places: int64[n, w], positions of rows, nearest first, w the largest k or the number of rows; -1 where a
            query asked for fewer or there are no more.
        similarities: float64[n, w], scalar products in their order; -inf where there is no row.
    """

    places: np.ndarray
    similarities: np.ndarray


def nearest(
    queries: np.ndarray,
    rows: np.ndarray,
    k: int | Sequence[int],
    *,
    apart: Sequence[Apart] = (),
    device: str = "auto",
    look: Literal["auto", "float32", "int8"] = "auto",
    progress: Progress | None = None,
) -> Nearest:
    """Find the k rows of largest scalar product for every query, which for unit vectors are the nearest by cosine.

    Equal similarities go to the lower position, so rows belong in order of id.

    Args:
        queries: float32[n, d].
        rows: float32[m, d].
        k: how many, of all queries or of each.
        apart: groups that exclude each other, of any number of kinds.
        device: `auto` takes a GPU for large searches where torch sees one, `cpu`, or a device of torch.
        look: the filter on the processor; `auto` takes bytes for large searches. No choice changes the result.
        progress: see `Progress`.

    Raises:
        ContractError: vectors that are no matrices of one width, not float32 or not finite; a negative k; groups of
            another length than what they group.
    """
    _check(queries, "queries")
    _check(rows, "rows")
    if queries.shape[1] != rows.shape[1]:
        raise ContractError(f"Queries have {queries.shape[1]} dimensions and rows {rows.shape[1]}.", where="search")
    wanted = np.broadcast_to(np.asarray(k, np.int64), (len(queries),))
    if (wanted < 0).any():
        raise ContractError(f"A query asks for {wanted.min()} rows.", where="search")
    of_queries, of_rows = _groups(apart, len(queries), len(rows))
    width = int(min(wanted.max(initial=0), len(rows)))
    found = Nearest(np.full((len(queries), width), -1, np.int64), np.full((len(queries), width), -np.inf))
    asking = np.flatnonzero(wanted > 0)
    if not width:
        return found
    search = _Search(
        np.ascontiguousarray(queries[asking]),
        np.ascontiguousarray(rows),
        np.minimum(wanted[asking], width),
        np.ascontiguousarray(of_queries[:, asking]),
        of_rows,
    )
    places = np.full((len(asking), width), -1, np.int64)
    similarities = np.full((len(asking), width), -np.inf)
    left = np.arange(len(asking))
    large = float(len(asking)) * len(rows) * rows.shape[1] >= _LARGE
    chosen = (_gpu() if large else "cpu") if device == "auto" else device
    if chosen != "cpu":
        from assets.nearest_gpu import search_on

        left = search_on(chosen, search, places, similarities, progress)
    # On the processor: everything, or what the GPU's precision could not decide.
    if len(left):
        cheap = look == "int8" or (look == "auto" and large)
        search.on_processor(left, places, similarities, _filter(search.rows, cheap), progress)
    found.places[asking], found.similarities[asking] = places, similarities
    return found


@dataclass(frozen=True)
class _Search:
    """One search: contiguous vectors, the number each query wants, groups int64[kinds, n] and [kinds, m]."""

    queries: np.ndarray
    rows: np.ndarray
    wanted: np.ndarray
    of_queries: np.ndarray
    of_rows: np.ndarray

    def on_processor(
        self, which: np.ndarray, places: np.ndarray, similarities: np.ndarray, look: Filter, progress: Progress | None
    ) -> None:
        """Search for the queries `which`, a block of them on each core; fills their rows of the results."""
        blocks = [which[at : at + _QUERIES] for at in range(0, len(which), _QUERIES)]

        def one(block: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
            queries = self.queries[block]
            best = np.full((len(block), places.shape[1]), -np.inf)
            where = np.full((len(block), places.shape[1]), -1, np.int64)
            of_queries, wanted = np.ascontiguousarray(self.of_queries[:, block]), self.wanted[block]
            prepared = look.prepare(queries)
            for start in range(0, len(self.rows), _ROWS):
                seen = look.look(prepared, start, start + _ROWS)
                take_better(
                    seen.values, seen.lowest, seen.step, seen.error, seen.rough, start,
                    queries, self.rows, wanted, of_queries, self.of_rows, best, where,
                )  # fmt: skip
            return block, where, best

        done = 0
        # Each core has a block of its own: libraries that split one product over the cores wait for each other.
        with threadpool_limits(1), look.one_thread(), ThreadPoolExecutor(num_cores()) as pool:
            for block, where, best in pool.map(one, blocks):
                places[block], similarities[block] = where, best
                done += len(block)
                if progress:
                    progress(done, done / len(which))


def _filter(rows: np.ndarray, cheap: bool) -> Filter:
    found = Int8Filter.of(rows, _ROWS) if cheap else None
    return Float32Filter(rows) if found is None else found


def _gpu() -> str:
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"


def _check(vectors: np.ndarray, what: str) -> None:
    if vectors.ndim != 2 or vectors.dtype != np.float32:
        raise ContractError(
            f"A search takes float32 matrices, and its {what} are {vectors.dtype} of {vectors.ndim} dimensions."
        )
    if not np.isfinite(vectors).all():
        at = int(np.flatnonzero(~np.isfinite(vectors).all(axis=1))[0])
        raise ContractError("A vector is not finite.", where=f"{what}, row {at}", todo="embed that text again")


def _groups(apart: Sequence[Apart], num_queries: int, num_rows: int) -> tuple[np.ndarray, np.ndarray]:
    for of_queries, of_rows in apart:
        if len(of_queries) != num_queries or len(of_rows) != num_rows:
            raise ContractError("Every query and every row needs a group.", where="search")
    shape = (len(apart), -1) if apart else (0, 0)
    of_queries = np.array([q for q, _ in apart], np.int64).reshape(shape) if apart else np.zeros((0, num_queries), int)
    of_rows = np.array([r for _, r in apart], np.int64).reshape(shape) if apart else np.zeros((0, num_rows), int)
    return of_queries, of_rows
