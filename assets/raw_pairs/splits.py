"""Splits: train, dev or holdout for every prompt, whole clusters together, sticky and append-only."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from assets.accounting import StageCounts
from assets.contracts import from_rows
from assets.identity import digest
from assets.lake import Lake
from assets.settings import SplitSettings

HUMAN_STAGE, WILD_STAGE = 1, 2


def prompts_of(lake: Lake) -> pa.Table:
    """Every prompt of the published pairs, once per stage and source: the input of `assign_splits`.

    Returns:
        Table of prompt_id, prompt_cluster_id, stage (int8: 1 for a human label, else 2) and stratum (the source).
    """
    columns = ["prompt_id", "prompt_cluster_id", "source", "label_origin"]
    pairs = lake.read("pairs", columns=columns).group_by(columns).aggregate([])
    stage = [HUMAN_STAGE if origin == "human" else WILD_STAGE for origin in pairs["label_origin"].to_pylist()]
    return pa.table(
        {
            "prompt_id": pairs["prompt_id"],
            "prompt_cluster_id": pairs["prompt_cluster_id"],
            "stage": pa.array(stage, pa.int8()),
            "stratum": pairs["source"],
        }
    )


@dataclass
class _Cluster:
    """Prompts that may not be parted: of one cluster id, or of ids that a prompt has had one after the other."""

    key: str
    stage: int
    stratum: str
    known: list[dict[str, Any]]
    new: dict[str, str]
    split: str | None = None


def assign_splits(
    prompts: pa.Table, previous: pa.Table, shares: SplitSettings, seed: int
) -> tuple[pa.Table, StageCounts]:
    """Assign every prompt to a split; what was assigned before stays as it was.

    A new prompt joins its cluster's split. A new cluster is drawn by the rank of its hash among the new clusters of
    its stage and stratum, so that every source meets its shares (rounded to whole clusters). Where clusters of
    different splits have merged, the oldest assignment stays; members of another split, and new members of a
    cluster none of whose prompts is usable, become unusable.

    Args:
        prompts: prompt_id, prompt_cluster_id, stage (1 or 2), stratum; a prompt may stand in several rows. A
            cluster counts for its lowest stage, then for its first stratum by name.
        previous: the `prompt_splits` table as published before.
        shares: shares of clusters for dev and holdout by stage; the rest is train.
        seed: draws new clusters.

    Returns:
        The new `prompt_splits` table, in order of prompt_id, and its counts: prompts in, usable prompts out.
    """
    clusters = _clusters(prompts.to_pylist(), previous.to_pylist())
    for cluster in clusters:
        cluster.split = _oldest_split(cluster.known)
    _draw([c for c in clusters if c.split is None], clusters, shares, seed)

    rows: list[dict[str, Any]] = []
    for cluster in clusters:
        usable = not cluster.known or any(row["usable"] for row in cluster.known)
        for row in cluster.known:
            rows.append({**row, "usable": row["usable"] and row["split"] == cluster.split})
        for prompt, cluster_id in cluster.new.items():
            fresh = {"prompt_id": prompt, "prompt_cluster_id": cluster_id, "split": cluster.split}
            rows.append({**fresh, "assigned_seq": None, "usable": usable})
    rows.sort(key=lambda row: row["prompt_id"])
    seq = 1 + max((row["assigned_seq"] for row in rows if row["assigned_seq"] is not None), default=-1)
    for row in rows:
        if row["assigned_seq"] is None:
            row["assigned_seq"] = seq
            seq += 1
    num_usable = sum(row["usable"] for row in rows)
    dropped = {"split_conflict": len(rows) - num_usable} if num_usable < len(rows) else {}
    return from_rows(rows, "prompt_splits"), StageCounts(len(rows), num_usable, dropped)


def _clusters(prompts: Iterable[Mapping[str, Any]], previous: Iterable[Mapping[str, Any]]) -> list[_Cluster]:
    """Connected components of cluster ids, two of them being connected by a prompt that has had both."""
    before = {row["prompt_id"]: dict(row) for row in previous}
    parent: dict[str, str] = {}

    def root(cluster_id: str) -> str:
        parent.setdefault(cluster_id, cluster_id)
        while parent[cluster_id] != cluster_id:
            parent[cluster_id] = parent[parent[cluster_id]]
            cluster_id = parent[cluster_id]
        return cluster_id

    now: dict[str, str] = {}
    strata: dict[str, set[tuple[int, str]]] = defaultdict(set)
    for row in prompts:
        prompt, cluster_id = row["prompt_id"], row["prompt_cluster_id"]
        for other in (now.get(prompt), before[prompt]["prompt_cluster_id"] if prompt in before else None):
            if other is not None:
                low, high = sorted((root(cluster_id), root(other)))
                parent[high] = low
        root(cluster_id)
        now[prompt] = min(now.get(prompt, cluster_id), cluster_id)
        strata[prompt].add((row["stage"], row["stratum"]))

    found: dict[str, _Cluster] = {}
    for prompt in sorted(before.keys() | now.keys()):
        cluster_id = now[prompt] if prompt in now else before[prompt]["prompt_cluster_id"]
        key = root(cluster_id)
        cluster = found.setdefault(key, _Cluster(key, WILD_STAGE + 1, "", [], {}))
        if prompt in before:
            cluster.known.append({**before[prompt], "prompt_cluster_id": cluster_id})
        else:
            cluster.new[prompt] = cluster_id
        for stage, stratum in strata[prompt]:
            if (stage, stratum) < (cluster.stage, cluster.stratum):
                cluster.stage, cluster.stratum = stage, stratum
    return list(found.values())


def _oldest_split(known: list[dict[str, Any]]) -> str | None:
    """Split of the oldest assignment, usable ones before the others; None for a cluster nobody has seen."""
    if not known:
        return None
    return min(known, key=lambda row: (not row["usable"], row["assigned_seq"]))["split"]


def _draw(new: list[_Cluster], everything: list[_Cluster], shares: SplitSettings, seed: int) -> None:
    """Give the new clusters a split each: per stage and stratum, holdout and dev are filled up to their shares."""
    totals: dict[tuple[int, str], list[_Cluster]] = defaultdict(list)
    for cluster in everything:
        totals[cluster.stage, cluster.stratum].append(cluster)
    waiting: dict[tuple[int, str], list[_Cluster]] = defaultdict(list)
    for cluster in new:
        waiting[cluster.stage, cluster.stratum].append(cluster)
    for place, clusters in waiting.items():
        together = totals[place]
        human = place[0] == HUMAN_STAGE
        wanted = {
            "holdout": shares.stage_1_holdout if human else shares.stage_2_holdout,
            "dev": shares.stage_1_dev if human else shares.stage_2_dev,
        }
        # Counted before any is drawn, so that one split's filling does not count for the other.
        lacking = {
            split: int(share * len(together) + 0.5) - sum(c.split == split for c in together)
            for split, share in wanted.items()
        }
        ranked = sorted(clusters, key=lambda c: digest("split", str(seed), c.key))
        for split in ("holdout", "dev"):
            taken = ranked[: max(0, lacking[split])]
            for cluster in taken:
                cluster.split = split
            ranked = ranked[len(taken) :]
        for cluster in ranked:
            cluster.split = "train"
