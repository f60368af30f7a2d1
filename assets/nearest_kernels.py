"""Kernels of the nearest search: which values of a filter could matter, and the exact comparison of those."""

from __future__ import annotations

import numba
import numpy as np

native = numba.njit(cache=True, nogil=True)

# Values that are looked at together before any is looked at alone.
_TOGETHER = 64
_AT_ONCE = 256


@native
def scalar_product(a, b):
    """In double precision, in one fixed order of eight partial sums whatever the machine."""
    s0 = s1 = s2 = s3 = s4 = s5 = s6 = s7 = 0.0
    whole = len(a) - len(a) % 8
    for i in range(0, whole, 8):
        s0 += np.float64(a[i]) * np.float64(b[i])
        s1 += np.float64(a[i + 1]) * np.float64(b[i + 1])
        s2 += np.float64(a[i + 2]) * np.float64(b[i + 2])
        s3 += np.float64(a[i + 3]) * np.float64(b[i + 3])
        s4 += np.float64(a[i + 4]) * np.float64(b[i + 4])
        s5 += np.float64(a[i + 5]) * np.float64(b[i + 5])
        s6 += np.float64(a[i + 6]) * np.float64(b[i + 6])
        s7 += np.float64(a[i + 7]) * np.float64(b[i + 7])
    for i in range(whole, len(a)):
        s0 += np.float64(a[i]) * np.float64(b[i])
    return ((s0 + s1) + (s2 + s3)) + ((s4 + s5) + (s6 + s7))


# Sums in whatever order is fastest, several terms at once; neither infinities nor NaN are assumed away.
@numba.njit(cache=True, nogil=True, fastmath={"reassoc", "contract"})
def rough_product(a, b):
    """In single precision: off by no more than `nearest_filters.float32_error` says."""
    total = np.float32(0)
    for i in range(len(a)):
        total += a[i] * b[i]
    return total


@native
def insert(best, where, wanted, similarity, place):
    """Put a row among the best of a query, nearest first; equal similarities in order of place."""
    at = wanted - 1
    if similarity < best[at] or (similarity == best[at] and where[at] >= 0 and place > where[at]):
        return
    while at > 0 and (
        best[at - 1] < similarity or where[at - 1] < 0 or (best[at - 1] == similarity and where[at - 1] > place)
    ):
        best[at], where[at] = best[at - 1], where[at - 1]
        at -= 1
    best[at], where[at] = similarity, place


@native
def take_better(values, lowest, step, error, rough, first_row, queries, rows, wanted, of_queries, of_rows, best, where):
    """Compare exactly the rows whose filter value does not rule them out.

    Args:
        values: [queries, block of rows], what the filter says: a row's similarity lies at most `error` above
            `lowest + step * value`; the largest value of an integer type stands for itself and anything above.
        lowest, step, error: float64[queries].
        rough: float64[queries], error of a product in single precision, which is looked at before the exact one.
        first_row: position of the block's first row.
        wanted: number of rows that each query wants.
        of_queries, of_rows: int64[kinds, queries] and [kinds, rows], see `nearest.Apart`.
        best, where: the best so far, changed in place.
    """
    num_rows = values.shape[1]
    # A few rows at a time for all queries: they stay in the cache next to the core.
    for begin in range(0, num_rows, _AT_ONCE):
        for query in range(values.shape[0]):
            num = wanted[query]
            low = _lowest_value(values, best[query, num - 1], lowest[query], step[query], error[query])
            for start in range(begin, min(begin + _AT_ONCE, num_rows), _TOGETHER):
                end = min(start + _TOGETHER, num_rows)
                hit = False
                for at in range(start, end):
                    hit |= values[query, at] >= low
                if not hit:
                    continue
                for at in range(start, end):
                    if values[query, at] < low:
                        continue
                    row = first_row + at
                    excluded = False
                    for kind in range(of_queries.shape[0]):
                        excluded |= of_queries[kind, query] >= 0 and of_queries[kind, query] == of_rows[kind, row]
                    kth_best = best[query, num - 1]
                    if excluded or rough_product(queries[query], rows[row]) + rough[query] < kth_best:
                        continue
                    similarity = scalar_product(queries[query], rows[row])
                    if similarity >= kth_best:
                        insert(best[query], where[query], num, similarity, row)
                        low = _lowest_value(values, best[query, num - 1], lowest[query], step[query], error[query])


@native
def _lowest_value(values, kth_best, lowest, step, error):
    """The least value that does not rule a row out, in the values' own type."""
    exact = (kth_best - error - lowest) / step
    return _as_value(values, exact)


def _as_value(values, exact):
    raise NotImplementedError


@numba.extending.overload(_as_value)
def _overloaded(values, exact):
    if isinstance(values.dtype, numba.types.Integer):
        # Below the range everything passes; at its upper end the value is a bound no more.
        return lambda values, exact: np.uint8(0) if not exact > 0.0 else np.uint8(min(255.0, np.floor(exact)))
    return lambda values, exact: np.float32(exact)


@native
def insert_candidates(candidates, seen, queries, rows, wanted, best, where):
    """Compare candidates exactly; those seen at minus infinity are none."""
    for query in range(len(candidates)):
        for at in range(candidates.shape[1]):
            if seen[query, at] > -np.inf:
                row = candidates[query, at]
                similarity = scalar_product(queries[query], rows[row])
                insert(best[query], where[query], wanted[query], similarity, row)
