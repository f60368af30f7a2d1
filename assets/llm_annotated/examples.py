"""Examples: the few-shot gold pairs that guide a judge on one pair."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from assets.errors import ContractError

# Targets whose similarities to all gold pairs are held in memory at once.
_BLOCK = 512


def retrieve_examples(
    target_ids: Sequence[str],
    target_vectors: np.ndarray,
    target_clusters: Sequence[str],
    gold: pa.Table,
    gold_vectors: np.ndarray,
    *,
    num_examples: int,
) -> dict[str, tuple[str, ...]]:
    """The most similar gold train pairs of every target (paper, human-guided annotation).

    A target never gets a gold pair of its own prompt cluster, whose label could give its answer away. Gold
    pairs that are no preference (ties) show nothing and are not taken. Equal similarities go to the lower id.

    Args:
        target_ids: n pairs to annotate.
        target_vectors: float [n, d], unit length.
        target_clusters: n prompt clusters.
        gold: contract `gold`, m rows, train split only.
        gold_vectors: float [m, d], unit length, in the order of `gold`.
        num_examples: at most so many a target; 0 gives none.

    Returns:
        By target, gold pair ids, most similar first; fewer than asked for where gold has no more.

    Raises:
        ContractError: gold of another split, which must never guide a judge.
    """
    if wrong := sorted(set(gold["split"].to_pylist()) - {"train"}):
        raise ContractError(f"Few-shot examples come from gold train alone, and {wrong[0]} is among them.")
    if len(target_ids) != len(target_vectors) or len(gold) != len(gold_vectors):
        raise ContractError("Every pair needs one vector.", where="few-shot retrieval")
    # In order of id, so that a stable sort breaks ties by id.
    order = sorted(
        (i for i, verdict in enumerate(gold["verdict"].to_pylist()) if verdict in ("1", "2")),
        key=gold["pair_id"].to_pylist().__getitem__,
    )
    ids = np.array(gold["pair_id"].to_pylist(), dtype=object)[order]
    # Numbers, because comparing strings row by row is slow.
    number_of: dict[str, int] = {}
    of_gold = [number_of.setdefault(cluster, len(number_of)) for cluster in gold["prompt_cluster_id"].to_pylist()]
    clusters = np.array(of_gold, dtype=np.int64)[order]
    vectors = np.asarray(gold_vectors)[order]
    if not len(ids) or num_examples == 0:
        return {target: () for target in target_ids}

    found: dict[str, tuple[str, ...]] = {}
    for start in range(0, len(target_ids), _BLOCK):
        similarities = np.asarray(target_vectors[start : start + _BLOCK]) @ vectors.T
        for row, similarity in enumerate(similarities):
            target = target_ids[start + row]
            similarity = np.where(clusters == number_of.get(target_clusters[start + row], -1), -np.inf, similarity)
            nearest = np.argsort(-similarity, kind="stable")[:num_examples]
            found[target] = tuple(ids[i] for i in nearest if np.isfinite(similarity[i]) and ids[i] != target)
    return found
