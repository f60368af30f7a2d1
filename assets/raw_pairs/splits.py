"""Splits: train, dev or holdout for every prompt, whole clusters together, sticky and append-only.

Tables of many million prompts are joined and grouped by DuckDB within a memory limit; what is decided about them is
decided here.
"""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from assets.accounting import StageCounts
from assets.contracts import TABLES, conform
from assets.lake import Lake
from assets.partition_writer import Manifest
from assets.raw_pairs.prompt_components import lowest_of_component
from assets.settings import SplitSettings

HUMAN_STAGE, WILD_STAGE = 1, 2
# DuckDB's, beyond which it spills; the tables that come in and go out are held besides.
_MEMORY = "1GB"


def prompts_of(lake: Lake, pairs: Sequence[Manifest]) -> pa.Table:
    """Every prompt of some sources, once per stage and source: the input of `assign_splits`.

    Args:
        pairs: manifests of the sources' pairs.

    Returns:
        Table of prompt_id, prompt_cluster_id (null for a prompt without a near duplicate), stage (int8: 1 for a human
        label, else 2) and stratum (the source).
    """
    files = {
        "pairs": [str(lake.file_of(m)) for m in pairs] or [str(lake.empty_file("pairs"))],
        "prompt_clusters": [str(f) for f in lake.readable_files("prompt_clusters")],
    }
    with _database() as database:
        found = database.execute(
            f"""
            with prompts as (
                select distinct
                    prompt_id,
                    cast(if(label_origin = 'human', {HUMAN_STAGE}, {WILD_STAGE}) as tinyint) as stage,
                    source as stratum
                from read_parquet($pairs, hive_partitioning = false)
            )
            select prompt_id, prompt_cluster_id, stage, stratum
            from prompts
            left join read_parquet($prompt_clusters, hive_partitioning = false) using (prompt_id)
            """,  # noqa: S608
            files,
        )
        return found.to_arrow_table()


def assign_splits(
    prompts: pa.Table, previous: pa.Table, shares: SplitSettings, seed: int
) -> tuple[pa.Table, StageCounts]:
    """Assign every prompt to a split; what was assigned before stays as it was.

    A new prompt joins its cluster's split. A new cluster is drawn by the rank of its hash among the new clusters of
    its stage and stratum, so that every source meets its shares (rounded to whole clusters). Where clusters of
    different splits have merged, the oldest assignment stays; members of another split, and new members of a
    cluster none of whose prompts is usable, become unusable.

    Args:
        prompts: prompt_id, prompt_cluster_id (null: a cluster of its own), stage (1 or 2), stratum; a prompt may stand
            in several rows. A cluster counts for its lowest stage, then for its first stratum by name.
        previous: the `prompt_splits` table as published before.
        shares: shares of clusters for dev and holdout by stage; the rest is train.
        seed: draws new clusters.

    Returns:
        The new `prompt_splits` table, in order of prompt_id, and its counts: prompts in, usable prompts out.
    """
    with _database() as database:
        database.register("prompts", prompts)
        database.register("previous", previous)
        _find_members(database)
        _find_clusters(database)
        drawn = _draw(database, shares, seed)
        database.register("drawn", drawn)
        table = database.execute(
            """
            with assigned as (
                select cluster, split, usable from clusters where split is not null
                union all
                select cluster, split, true from drawn
            )
            select
                prompt_id,
                prompt_cluster_id,
                coalesce(members.split, assigned.split) as split,
                assigned_seq,
                if(assigned_seq is null, assigned.usable, members.usable and members.split = assigned.split) as usable
            from members
            inner join assigned using (cluster)
            order by prompt_id
            """
        ).to_arrow_table()
    table = conform(_numbered(table), "prompt_splits")
    num_usable = pc.sum(table["usable"]).as_py() or 0
    dropped = {"split_conflict": len(table) - num_usable} if num_usable < len(table) else {}
    return table, StageCounts(len(table), num_usable, dropped)


@contextmanager
def _database() -> Iterator[duckdb.DuckDBPyConnection]:
    with tempfile.TemporaryDirectory() as spill:
        config: dict[str, str | bool | int | float | list[str]] = {
            "memory_limit": _MEMORY,
            "temp_directory": spill,
            "preserve_insertion_order": False,
        }
        with duckdb.connect(config=config) as database:
            yield database


def _find_members(database: duckdb.DuckDBPyConnection) -> None:
    """Table `members`: a prompt that is there or was, its cluster, the place it counts for, what was assigned before.

    A cluster is named by the lowest of the cluster ids that are connected: two are by a prompt that has had both.
    """
    database.execute(
        """
        create temp table places as
        select stage, stratum, cast(row_number() over (order by stage, stratum) as integer) as place
        from (select distinct stage, stratum from prompts);

        create temp table current as
        select
            prompt_id,
            min(coalesce(prompt_cluster_id, prompt_id)) as prompt_cluster_id,
            max(coalesce(prompt_cluster_id, prompt_id)) as highest_cluster_id,
            min(place) as place
        from prompts
        inner join places using (stage, stratum)
        group by prompt_id
        """
    )
    connected = database.execute(
        """
        select distinct current.prompt_cluster_id as one, coalesce(prompts.prompt_cluster_id, prompt_id) as other
        from current
        inner join prompts using (prompt_id)
        where current.prompt_cluster_id <> highest_cluster_id
        union
        select current.prompt_cluster_id, previous.prompt_cluster_id
        from current
        inner join previous using (prompt_id)
        where current.prompt_cluster_id <> previous.prompt_cluster_id
        """
    ).to_arrow_table()
    database.register("merged", lowest_of_component(connected["one"], connected["other"]))
    database.execute(
        """
        create temp table members as
        select
            prompt_id,
            coalesce(current.prompt_cluster_id, previous.prompt_cluster_id) as prompt_cluster_id,
            coalesce(merged.lowest, current.prompt_cluster_id, previous.prompt_cluster_id) as cluster,
            place,
            split,
            assigned_seq,
            usable
        from current
        full join previous using (prompt_id)
        left join merged on merged.member = coalesce(current.prompt_cluster_id, previous.prompt_cluster_id);

        drop table current
        """
    )


def _find_clusters(database: duckdb.DuckDBPyConnection) -> None:
    """Table `clusters`: its place, and the split of its oldest assignment, usable ones before the others."""
    database.execute(
        """
        create temp table clusters as
        select
            cluster,
            min(place) as place,
            arg_min(split, assigned_seq + if(usable, 0, cast(1 as bigint) << 62)) as split,
            bool_or(usable) as usable
        from members
        group by cluster
        """
    )


def _draw(database: duckdb.DuckDBPyConnection, shares: SplitSettings, seed: int) -> pa.Table:
    """A split for every new cluster: per place, holdout and dev are filled up to their shares."""
    places = database.execute(
        """
        select place, stage, count(*), count(*) filter (split = 'holdout'), count(*) filter (split = 'dev')
        from clusters
        inner join places using (place)
        group by place, stage
        """
    ).fetchall()
    new = database.execute("select cluster, place from clusters where split is null").to_arrow_table()
    rank = _rank_within_place(new, seed)
    place = new["place"].to_numpy()
    last_place = max((number for number, *_ in places), default=0)
    # Ranks below the first bound are holdout, below the second dev.
    bounds = np.zeros((2, last_place + 1), np.int64)
    for number, stage, num_clusters, num_holdout, num_dev in places:
        human = stage == HUMAN_STAGE
        holdout = int((shares.stage_1_holdout if human else shares.stage_2_holdout) * num_clusters + 0.5)
        dev = int((shares.stage_1_dev if human else shares.stage_2_dev) * num_clusters + 0.5)
        bounds[:, number] = max(0, holdout - num_holdout), max(0, dev - num_dev)
    bounds[1] += bounds[0]
    code = (rank >= bounds[0][place]).astype(np.int8) + (rank >= bounds[1][place])
    split = pa.DictionaryArray.from_arrays(pa.array(code), pa.array(["holdout", "dev", "train"]))
    return pa.table({"cluster": new["cluster"], "split": split.cast(pa.string())})


def _rank_within_place(clusters: pa.Table, seed: int) -> np.ndarray:
    """Rank from 0 of each cluster among those of its place, by the hash of seed and cluster."""
    # As `identity.digest("split", seed, cluster)`, the fields that are the same for all hashed once.
    begun = hashlib.blake2b(digest_size=16)
    for value in (b"split", str(seed).encode()):
        begun.update(len(value).to_bytes(8, "big") + value)
    hashes = np.empty((len(clusters), 2), ">u8")
    done = 0
    for chunk in clusters["cluster"].chunks:
        digests = []
        for name in chunk.to_pylist():
            state, value = begun.copy(), name.encode()
            state.update(len(value).to_bytes(8, "big") + value)
            digests.append(state.digest())
        hashes[done : done + len(chunk)] = np.frombuffer(b"".join(digests), ">u8").reshape(-1, 2)
        done += len(chunk)
    place = clusters["place"].to_numpy()
    order = np.lexsort((hashes[:, 1], hashes[:, 0], place))
    sizes = np.bincount(place) if len(place) else np.zeros(0, np.int64)
    first = np.concatenate([[0], np.cumsum(sizes)])[:-1]
    rank = np.empty(len(place), np.int64)
    rank[order] = np.arange(len(place)) - first[place[order]]
    return rank


def _numbered(table: pa.Table) -> pa.Table:
    """Rows that are new get the sequence numbers after the highest known one, in their order."""
    known = table["assigned_seq"]
    new = pc.is_null(known).to_numpy()
    last = pc.max(known).as_py()
    number = np.cumsum(new) + (-1 if last is None else last)
    seq = np.where(new, number, pc.fill_null(known, 0).to_numpy())
    at = table.schema.get_field_index("assigned_seq")
    return table.set_column(at, TABLES["prompt_splits"].schema.field("assigned_seq"), pa.array(seq, pa.int64()))
