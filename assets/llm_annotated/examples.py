"""Examples: the few-shot gold pairs that guide a judge on one pair, the nearest ones or as many drawn by hash."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pyarrow as pa

from assets.chance import rank_key
from assets.errors import ContractError
from assets.nearest import nearest

Clusters = tuple[str, ...]
"""Clusters a pair is of, one of each kind (prompts that nearly agree, pairs that do)."""


def retrieve_examples(
    target_ids: Sequence[str],
    target_vectors: np.ndarray,
    target_clusters: Mapping[str, Clusters],
    gold: pa.Table,
    gold_vectors: np.ndarray,
    gold_clusters: Mapping[str, Clusters],
    *,
    num_examples: int,
) -> dict[str, tuple[str, ...]]:
    """The most similar gold train pairs of every target (paper, human-guided annotation).

    A target never gets a gold pair that shares a cluster of any kind with it, whose label could give its answer away.
    Gold pairs that are no preference (ties) show nothing and are not taken. Equal similarities go to the lower id.

    Args:
        target_ids: n pairs to annotate.
        target_vectors: float [n, d], unit length.
        target_clusters, gold_clusters: by pair; equally many kinds, in one order.
        gold: contract `gold`, m rows, train split only.
        gold_vectors: float [m, d], unit length, in the order of `gold`.
        num_examples: at most so many a target; 0 gives none.

    Returns:
        By target, gold pair ids, most similar first; fewer than asked for where gold has no more.

    Raises:
        ContractError: gold of another split, which must never guide a judge.
    """
    if len(target_ids) != len(target_vectors) or len(gold) != len(gold_vectors):
        raise ContractError("Every pair needs one vector.", where="few-shot retrieval")
    order = _showing(gold)
    ids = [gold["pair_id"][i].as_py() for i in order]
    # The pair itself is one more kind of cluster.
    of_targets = [(*target_clusters[t], t) for t in target_ids]
    of_gold = [(*gold_clusters[g], g) for g in ids]
    found = nearest(
        np.asarray(target_vectors, np.float32),
        np.asarray(gold_vectors, np.float32)[order],
        num_examples,
        apart=_numbered(of_targets, of_gold),
    )
    return {
        target: tuple(ids[place] for place in places if place >= 0)
        for target, places in zip(target_ids, found.places.tolist(), strict=True)
    }


def draw_examples(
    target_clusters: Mapping[str, Clusters],
    gold: pa.Table,
    gold_clusters: Mapping[str, Clusters],
    *,
    num_examples: int,
    seed: int,
) -> dict[str, tuple[str, ...]]:
    """As many gold train pairs, drawn by hash: what retrieved examples are measured against.

    Args and rules as of `retrieve_examples`; a target's draw does not depend on the other targets.
    """
    ids = [gold["pair_id"][i].as_py() for i in _showing(gold)]
    found: dict[str, tuple[str, ...]] = {}
    for target, clusters in target_clusters.items():

        def fits(gold_id: str, target: str = target, clusters: Clusters = clusters) -> bool:
            return gold_id != target and all(a != b for a, b in zip(clusters, gold_clusters[gold_id], strict=True))

        taken: dict[str, None] = {}
        # Far cheaper than ranking all gold for every target; gold that is nearly used up is ranked after all.
        for attempt in range(4 * num_examples if ids else 0):
            gold_id = ids[int(rank_key(seed, "example", target, attempt), 16) % len(ids)]
            if len(taken) < num_examples and fits(gold_id):
                taken.setdefault(gold_id)
        if len(taken) < num_examples:
            ranked = sorted(filter(fits, ids), key=lambda gold_id: rank_key(seed, "example", target, gold_id))
            taken |= dict.fromkeys([g for g in ranked if g not in taken][: num_examples - len(taken)])
        found[target] = tuple(taken)
    return found


def _showing(gold: pa.Table) -> list[int]:
    """Positions of the gold pairs that show something, in order of id."""
    if wrong := sorted(set(gold["split"].to_pylist()) - {"train"}):
        raise ContractError(f"Few-shot examples come from gold train alone, and {wrong[0]} is among them.")
    ids = gold["pair_id"].to_pylist()
    decided = [i for i, verdict in enumerate(gold["verdict"].to_pylist()) if verdict in ("1", "2")]
    return sorted(decided, key=ids.__getitem__)


def _numbered(targets: Sequence[Clusters], gold: Sequence[Clusters]) -> list[tuple[np.ndarray, np.ndarray]]:
    """Clusters as numbers, kind by kind: of the targets and of gold."""
    found = []
    for kind in range(len(targets[0]) if targets else 0):
        number_of: dict[str, int] = {}
        of_gold = [number_of.setdefault(clusters[kind], len(number_of)) for clusters in gold]
        of_targets = [number_of.get(clusters[kind], -1) for clusters in targets]
        found.append((np.array(of_targets, np.int64), np.array(of_gold, np.int64)))
    return found
