"""The nearest search on a GPU: candidates by float32 products there, the exact comparison here.

A few candidates more than wanted are kept; where the worst of them still comes within rounding of the k-th best, the
query is given back undecided.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from assets.nearest_filters import float32_error, lengths
from assets.nearest_kernels import insert_candidates

if TYPE_CHECKING:
    from assets.nearest import Progress, _Search

_QUERIES, _ROWS = 4_096, 65_536
_SPARE = 24


def search_on(
    device: str, search: _Search, places: np.ndarray, similarities: np.ndarray, progress: Progress | None
) -> np.ndarray:
    """Search on a device of torch; fills the results of the queries that are decided.

    Returns:
        Positions of the queries that are not.
    """
    import torch

    num = min(places.shape[1] + _SPARE, len(search.rows))
    rows = torch.from_numpy(search.rows).to(device)
    of_rows = torch.from_numpy(search.of_rows).to(device)
    error = float32_error(search.rows.shape[1]) * lengths(search.queries) * lengths(search.rows).max(initial=0.0)
    precision = torch.get_float32_matmul_precision()
    # TensorFloat-32 would keep ten bits, of which the bound knows nothing.
    torch.set_float32_matmul_precision("highest")
    undecided: list[np.ndarray] = []
    try:
        for start in range(0, len(search.queries), _QUERIES):
            end = min(start + _QUERIES, len(search.queries))
            queries = torch.from_numpy(search.queries[start:end]).to(device)
            of_queries = torch.from_numpy(np.ascontiguousarray(search.of_queries[:, start:end])).to(device)
            values, found = None, None
            for first in range(0, len(search.rows), _ROWS):
                block = queries @ rows[first : first + _ROWS].T
                for kind in range(len(of_rows)):
                    group = of_queries[kind][:, None]
                    block.masked_fill_((group == of_rows[kind, first : first + _ROWS]) & (group >= 0), float("-inf"))
                best, at = block.topk(min(num, block.shape[1]), dim=1)
                at += first
                if values is not None and found is not None:
                    best, at = torch.cat([values, best], 1), torch.cat([found, at], 1)
                    best, kept = best.topk(min(num, best.shape[1]), dim=1)
                    at = at.gather(1, kept)
                values, found = best, at
            assert values is not None and found is not None
            seen, candidates = values.double().cpu().numpy(), found.cpu().numpy()
            here = slice(start, end)
            insert_candidates(
                candidates, seen, search.queries[here], search.rows, search.wanted[here],
                similarities[here], places[here],
            )  # fmt: skip
            kth = similarities[here][np.arange(end - start), search.wanted[here] - 1]
            # What was left out lies at most an error above the last candidate.
            open_ = (seen[:, -1] + error[here] >= kth) if num < len(search.rows) else np.zeros(end - start, bool)
            open_ &= np.isfinite(seen[:, -1])
            undecided.append(start + np.flatnonzero(open_))
            if progress:
                progress(end, end / len(search.queries))
    finally:
        torch.set_float32_matmul_precision(precision)
    return np.concatenate(undecided) if undecided else np.zeros(0, np.int64)
