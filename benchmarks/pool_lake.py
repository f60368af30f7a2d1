"""Made-up lake for the pool layer: keys, labels, near duplicates and benchmark hits in the shape of real ones."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from assets.contracts import contract_of

NUM_SOURCES = 40
NUM_HUMAN_SOURCES = 4
PAIRS_PER_PROMPT = 2
# Shares of rows (of prompts, for near-duplicate prompts).
REPEATED, CONTRADICTED, PROBLEM, UNLABELLED = 0.04, 0.25, 0.005, 0.03
NEAR_DUPLICATE, NEAR_PROMPT, TOUCHES_BENCHMARK = 0.02, 0.05, 0.01
# As the lake writes them (assets/partition_writer.py).
_ROW_GROUP = 8_192
_HEX = np.frombuffer(b"".join(b"%02x" % value for value in range(256)), dtype="<u2")


def hex_ids(numbers: np.ndarray, kind: int) -> pa.Array:
    """One id of 32 hex digits for each number, spread like a hash; equal numbers of a kind have equal ids."""
    halves = np.empty((len(numbers), 2), dtype=">u8")
    for half in (0, 1):
        mixed = numbers.astype(np.uint64) + np.uint64((2 * kind + half + 1) * 0x9E3779B97F4A7C15 % 2**64)
        mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        halves[:, half] = mixed ^ (mixed >> np.uint64(31))
    digits = _HEX[halves.view(np.uint8).reshape(-1)]
    offsets = np.arange(len(numbers) + 1, dtype=np.int32) * 32
    return pa.StringArray.from_buffers(len(numbers), pa.py_buffer(offsets), pa.py_buffer(digits.tobytes()))


def write_pool_lake(folder: Path, num_pairs: int, seed: int = 1) -> dict[str, list[str]]:
    """Files of every table that the pool layer reads, by the names that dbt knows them under.

    Args:
        num_pairs: rows of `pairs`; rounded down to whole sources.
    """
    folder.mkdir(parents=True, exist_ok=True)
    per_source = num_pairs // NUM_SOURCES
    files: dict[str, list[str]] = {}
    for number in range(NUM_SOURCES):
        for table, rows in _source(number, per_source, np.random.default_rng([seed, number])):
            name = "source_label_events" if table == "label_events" else table
            files.setdefault(name, []).append(_write(folder / f"{name}-{number}.parquet", table, rows))
    keys = np.arange(num_pairs, dtype=np.uint64)
    for table, column, kind, share, num in (
        ("pair_clusters", "pair", 0, NEAR_DUPLICATE, num_pairs),
        ("prompt_clusters", "prompt", 1, NEAR_PROMPT, num_pairs // PAIRS_PER_PROMPT),
    ):
        # Clusters of two: every so many-th key and the one after it.
        members = keys[:num][(keys[:num] % round(2 / share)) < 2]
        cluster = {
            f"{column}_id": hex_ids(members, kind),
            f"{column}_cluster_id": hex_ids(members & ~np.uint64(1), kind),
        }
        rows = cluster | {"similarity": np.full(len(members), 0.9)}
        files[table] = [_write(folder / f"{table}.parquet", table, rows)]
    return files


def _source(number: int, num_rows: int, rng: np.random.Generator) -> Iterator[tuple[str, Mapping]]:
    """Rows of a source by table: pairs, their labels, and hits on benchmarks."""
    source = pa.array([f"source_{number:02d}"])
    keys = np.arange(number * num_rows, (number + 1) * num_rows, dtype=np.uint64)
    verdicts = keys % np.uint64(2) + np.uint64(1)
    if number:
        # A repeated pair is one of an earlier source.
        repeated = rng.random(num_rows) < REPEATED
        keys[repeated] = rng.integers(0, number * num_rows, repeated.sum()).astype(np.uint64)
        turned = repeated & (rng.random(num_rows) < CONTRADICTED)
        verdicts = (keys + turned) % np.uint64(2) + np.uint64(1)
    pair_ids = hex_ids(keys, 0)
    prompt_ids = hex_ids(keys // np.uint64(PAIRS_PER_PROMPT), 1)
    rows = np.arange(num_rows)
    names = _repeat(source, num_rows)
    problem = rng.random(num_rows) < PROBLEM
    yield (
        "pairs",
        {
            "pair_id": pair_ids,
            "prompt_id": prompt_ids,
            "source": names,
            "source_row": rows,
            "label_origin": _repeat(pa.array(["human" if number < NUM_HUMAN_SOURCES else "llm"]), num_rows),
            **{f"num_chars_{part}": rng.integers(10, 4000, num_rows) for part in ("prompt", "1", "2")},
            "problem": pc.if_else(pa.array(problem), "empty_response", pa.scalar(None, pa.string())),
        },
    )
    labelled = np.flatnonzero(rng.random(num_rows) >= UNLABELLED)
    evidence = pc.binary_join_element_wise('{"source_row": ', pa.array(rows[labelled]).cast(pa.string()), "}", "")
    yield (
        "label_events",
        {
            "event_id": hex_ids(number * num_rows + labelled, 2),
            "pair_id": pair_ids.take(pa.array(labelled)),
            "labeller_kind": _repeat(pa.array(["source"]), len(labelled)),
            "labeller": names.slice(0, len(labelled)),
            "source_row": rows[labelled],
            "verdict": pa.array(verdicts[labelled]).cast(pa.string()),
            "round": _repeat(pa.array(["source"]), len(labelled)),
            "seq": np.arange(len(labelled)),
            "created_at": _repeat(
                pa.array([datetime(2025, 1, 1, tzinfo=UTC)], pa.timestamp("us", tz="UTC")), len(labelled)
            ),
            "evidence": evidence,
        },
    )
    touching = np.flatnonzero(rng.random(num_rows) < TOUCHES_BENCHMARK)
    same = {"text": "prompt", "benchmark": "made_up", "item_id": "item-1", "benchmark_text": "prompt", "kind": "13gram"}
    yield (
        "contamination_hits",
        {
            "pair_id": pair_ids.take(pa.array(touching)),
            "prompt_id": prompt_ids.take(pa.array(touching)),
            "source": names.slice(0, len(touching)),
            "source_row": rows[touching],
            **{column: _repeat(pa.array([value]), len(touching)) for column, value in same.items()},
            "num_shared_ngrams": rng.integers(1, 40, len(touching)),
            "span": _repeat(
                pa.array(["the thirteen words that a prompt and a benchmark have in common here"]), len(touching)
            ),
        },
    )


def _repeat(value: pa.Array, num_rows: int) -> pa.Array:
    return value.take(pa.array(np.zeros(num_rows, np.int8)))


def _write(path: Path, table: str, columns: Mapping) -> str:
    schema = contract_of(table).schema
    num_rows = len(next(iter(columns.values())))
    arrays = [
        pa.array(columns[field.name]).cast(field.type) if field.name in columns else pa.nulls(num_rows, field.type)
        for field in schema
    ]
    made = pa.Table.from_arrays(arrays, schema=schema)
    pq.write_table(made, path, compression="zstd", row_group_size=_ROW_GROUP)
    return str(path)
