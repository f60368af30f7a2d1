"""Duplicates, role swaps and conflicts: what the pool layer takes on many pairs.

    python -m benchmarks.pool --pairs 1000000 4000000

Keys are made up in the shape of real ones (32 hex digits, forty sources, one label a row); texts are empty, so that
the contamination check, which has a benchmark of its own, costs nothing here. 4 % of the rows repeat a pair of
another source, a quarter of them with the opposite label.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from assets.contracts import contract_of
from benchmarks.cost_of_run import PeakMemory
from orchestration.dbt_layers import run_dbt_layer

_NUM_SOURCES = 40
_REPEATED, _CONTRADICTED = 0.04, 0.25
_MODELS = "tag:pool"


def hex_ids(numbers: np.ndarray) -> pa.Array:
    """One id of 32 hex digits for each number; equal numbers have equal ids."""
    mixed = np.stack([numbers * np.uint64(0x9E3779B97F4A7C15), numbers * np.uint64(0xC2B2AE3D27D4EB4F)], axis=1)
    digits = np.frombuffer(mixed.astype(">u8").tobytes().hex().encode(), dtype="S32")
    return pa.array(digits.astype("U32"), pa.string())


def write_lake(folder: Path, num_pairs: int, seed: int = 1) -> dict[str, list[str]]:
    """Files of pairs and source labels, one of each a source, as the pool layer reads them."""
    rng = np.random.default_rng(seed)
    files: dict[str, list[str]] = {"pairs": [], "source_label_events": []}
    per_source = num_pairs // _NUM_SOURCES
    for number in range(_NUM_SOURCES):
        source = f"source_{number:02d}"
        keys = np.arange(number * per_source, (number + 1) * per_source, dtype=np.uint64)
        verdicts = np.where(keys % 2 == 0, "1", "2")
        if number:
            # A repeated pair is one of an earlier source.
            repeated = rng.random(per_source) < _REPEATED
            keys[repeated] = rng.integers(0, number * per_source, repeated.sum()).astype(np.uint64)
            verdicts = np.where(keys % 2 == 0, "1", "2")
            turned = repeated & (rng.random(per_source) < _CONTRADICTED)
            verdicts[turned] = np.where(verdicts[turned] == "1", "2", "1")
        ids = hex_ids(keys)
        rows = np.arange(per_source)
        columns = {
            "pair_id": ids,
            "prompt_id": ids,
            "prompt_cluster_id": ids,
            "source": [source] * per_source,
            "source_row": rows,
            "label_origin": ["human" if number < 4 else "llm"] * per_source,
            "num_chars_prompt": rng.integers(10, 4000, per_source),
            "num_chars_1": rng.integers(10, 4000, per_source),
            "num_chars_2": rng.integers(10, 4000, per_source),
        }
        files["pairs"].append(_write(folder / f"pairs-{number}.parquet", "pairs", columns, per_source))
        events = {
            "event_id": hex_ids(np.arange(number * per_source, (number + 1) * per_source, dtype=np.uint64) + 7),
            "pair_id": ids,
            "labeller_kind": ["source"] * per_source,
            "labeller": [source] * per_source,
            "verdict": verdicts.tolist(),
            "round": ["source"] * per_source,
            "seq": rows,
            "created_at": [datetime(2025, 1, 1, tzinfo=UTC)] * per_source,
            "evidence": [f'{{"source_row": {n}}}' for n in rows],
        }
        files["source_label_events"].append(
            _write(folder / f"events-{number}.parquet", "label_events", events, per_source)
        )
    empty = _write(folder / "benchmark_items.parquet", "benchmark_items", {}, 0)
    return {**files, "benchmark_items": [empty]}


def _write(path: Path, table: str, columns: dict, num_rows: int) -> str:
    schema = contract_of(table).schema
    arrays = [
        pa.array(columns[field.name], field.type) if field.name in columns else pa.nulls(num_rows, field.type)
        for field in schema
    ]
    pq.write_table(pa.Table.from_arrays(arrays, schema=schema), path, compression="zstd")
    return str(path)


def measure(num_pairs: int, folder: Path, memory_limit: str) -> dict:
    """Run the layer's models on this many made-up pairs."""
    files = write_lake(folder, num_pairs)
    with PeakMemory() as memory:
        started = time.monotonic()
        result = run_dbt_layer(_MODELS, files, folder / "out", folder / "pool.duckdb", memory_limit=memory_limit)
        wall_s = time.monotonic() - started
    rows = {name: model.num_rows for name, model in result.models.items()}
    return {"pairs": num_pairs, "wall_s": round(wall_s, 1), "peak_mb": round(memory.peak / 1e6), **rows}


def main(arguments: Sequence[str] | None = None) -> int:
    """Entry point."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.pool", description=__doc__.splitlines()[0])
    parser.add_argument("--pairs", type=int, nargs="+", default=[1_000_000])
    parser.add_argument("--memory-limit", default="4GB", help="DuckDB's, beyond which it spills")
    given = parser.parse_args(arguments)
    for num_pairs in given.pairs:
        with tempfile.TemporaryDirectory() as folder:
            print(json.dumps(measure(num_pairs, Path(folder), given.memory_limit)), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
