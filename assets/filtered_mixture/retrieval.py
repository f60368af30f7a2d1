"""Error-driven adaptive retrieval: where the reward model is wrong about gold, fetch more of the same.

Paper, section on adaptive retrieval (method, section 4): queries are gold pairs, neighbours come from the
unverified pool, and the worse the model does on a query, the more neighbours it earns.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from assets.accounting import StageCounts
from assets.chance import rank_key
from assets.contracts import from_rows
from assets.nearest import Progress, nearest


def num_neighbours(probability: float, k_max: int = 8) -> int:
    """Neighbours a query earns, from the model's probability of the query's gold side.

    The paper's rule with k_max = 8: all eight when the model is wrong, fewer the surer it is rightly.

    >>> [num_neighbours(p) for p in (0.3, 0.5, 0.51, 0.625, 0.75, 0.875, 0.99, 1.0)]
    [8, 8, 4, 3, 2, 1, 1, 0]
    """
    if not 0 <= probability <= 1:
        raise ValueError(f"a probability lies between 0 and 1, not at {probability}")
    return k_max if probability <= 0.5 else math.ceil(k_max * (1 - probability))


@dataclass(frozen=True)
class Retrieval:
    """Pairs retrieved for one round.

    Attributes:
        table: contract `retrieved_pairs`, in order of pair id.
        counts: neighbours found by any query, in; taken, out; dropped because another query was nearer
            (`taken_by_nearer_query`) or the round was full (`over_round_limit`).
        neighbours_earned: number of queries that earned each k.
    """

    table: pa.Table
    counts: StageCounts
    neighbours_earned: dict[int, int]


def retrieve(
    query_ids: Sequence[str],
    query_vectors: np.ndarray,
    probabilities: Sequence[float],
    pool_ids: Sequence[str],
    pool_vectors: np.ndarray,
    *,
    k_max: int,
    max_retrieved: int,
    progress: Progress | None = None,
) -> Retrieval:
    """Fetch the nearest pool pairs of every query, each pair once, by its nearest query.

    When the round has no room for all, pairs of the queries with the lowest probability go first.

    Args:
        query_ids: gold train pairs, n of them.
        query_vectors: float32 [n, d], unit length.
        probabilities: n values; the loop model's probability of each query's gold side.
        pool_ids: m pairs of the unverified pool that no round has labelled, in ascending order, by which equal
            similarities are told apart.
        pool_vectors: float32 [m, d], unit length.
        progress: called with the queries done and their share.
    """
    earned = [num_neighbours(p, k_max) for p in probabilities]
    neighbours = nearest(query_vectors, pool_vectors, earned, progress=progress)
    num_found = int((neighbours.places >= 0).sum())

    nearest_query: dict[str, tuple[float, int]] = {}
    for query, at in zip(*map(np.ndarray.tolist, np.nonzero(neighbours.places >= 0)), strict=True):
        pair, similarity = pool_ids[neighbours.places[query, at]], float(neighbours.similarities[query, at])
        best = nearest_query.get(pair)
        # Equal similarities go to the query with the lower id, so that the order of queries is immaterial.
        if best is None or (-similarity, query_ids[query]) < (-best[0], query_ids[best[1]]):
            nearest_query[pair] = (similarity, query)
    ranked = sorted(nearest_query.items(), key=lambda item: (probabilities[item[1][1]], -item[1][0], item[0]))
    taken = sorted(ranked[:max_retrieved])
    rows = [
        {
            "pair_id": pair,
            "query_pair_id": query_ids[query],
            "similarity": similarity,
            "query_probability": float(probabilities[query]),
            "k": earned[query],
            "reason": "model_wrong_on_query" if probabilities[query] <= 0.5 else "model_unsure_on_query",
        }
        for pair, (similarity, query) in taken
    ]
    dropped = {
        "taken_by_nearer_query": num_found - len(nearest_query),
        "over_round_limit": len(nearest_query) - len(taken),
    }
    return Retrieval(
        table=from_rows(rows, "retrieved_pairs"),
        counts=StageCounts(num_found, len(taken), {k: v for k, v in dropped.items() if v}),
        neighbours_earned={k: earned.count(k) for k in sorted(set(earned))},
    )


def draw_at_random(pool_ids: Sequence[str], num: int, *, seed: int, round_name: str) -> pa.Table:
    """As many pairs drawn from the pool by hash: what error-driven retrieval is measured against.

    Returns:
        Contract `retrieved_pairs`, in order of pair id; there is no query, so no similarity and no k.
    """
    drawn = sorted(pool_ids, key=lambda pair: rank_key(seed, "random retrieval", round_name, pair))[:num]
    return from_rows([{"pair_id": pair, "reason": "drawn_at_random"} for pair in sorted(drawn)], "retrieved_pairs")
