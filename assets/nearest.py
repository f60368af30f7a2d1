"""Nearest: exact search by cosine."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Nearest:
    places: np.ndarray
    similarities: np.ndarray


def nearest(queries, rows, k, *, apart: Sequence[tuple[np.ndarray, np.ndarray]] = ()) -> Nearest:
    each = np.broadcast_to(np.asarray(k, np.int64), (len(queries),))
    width = int(min(max(each, default=0), len(rows)))
    places = np.full((len(queries), width), -1, np.int64)
    similarities = np.full((len(queries), width), -np.inf)
    if not width:
        return Nearest(places, similarities)
    for start in range(0, len(queries), 512):
        scores = queries[start : start + 512].astype(np.float64) @ rows.T.astype(np.float64)
        for of_queries, of_rows in apart:
            scores[of_queries[start : start + 512, None] == of_rows[None]] = -np.inf
        order = np.argsort(-scores, axis=1, kind="stable")[:, :width]
        for row, found in enumerate(order):
            wanted = [p for p in found if np.isfinite(scores[row, p])][: each[start + row]]
            places[start + row, : len(wanted)] = wanted
            similarities[start + row, : len(wanted)] = scores[row, wanted]
    return Nearest(places, similarities)
