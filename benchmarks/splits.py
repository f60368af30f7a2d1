"""What assigning the splits takes, by number of prompts.

    python -m benchmarks.splits --prompts 1000000 4000000 --out splits.json

Prompts are made up: forty sources, one in twenty in a cluster of two. Each size is assigned twice, new and again with
a tenth more prompts, in a process of its own. Memory is the process's peak.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa

from assets.contracts import TABLES
from assets.raw_pairs.splits import assign_splits
from assets.settings import SplitSettings
from benchmarks.cost_of_run import PeakMemory
from benchmarks.pool_lake import NUM_HUMAN_SOURCES, NUM_SOURCES, hex_ids


def made_up_prompts(num_prompts: int) -> pa.Table:
    """The input of `assign_splits`: one row a prompt."""
    keys = np.arange(num_prompts, dtype=np.uint64)
    ids = hex_ids(keys, 1)
    in_cluster = pa.array(keys % np.uint64(40) < 2)
    clusters = pa.compute.if_else(in_cluster, hex_ids(keys & ~np.uint64(1), 1), pa.scalar(None, pa.string()))
    source = (keys % np.uint64(NUM_SOURCES)).astype(np.int32)
    names = pa.DictionaryArray.from_arrays(pa.array(source), [f"source_{n:02d}" for n in range(NUM_SOURCES)])
    stage = pa.array(np.where(source < NUM_HUMAN_SOURCES, 1, 2).astype(np.int8))
    columns = {"prompt_id": ids, "prompt_cluster_id": clusters, "stage": stage, "stratum": names.cast(pa.string())}
    return pa.table(columns)


def measure(num_prompts: int) -> dict:
    """Assign this many prompts, then again with a tenth more."""
    found: dict = {"prompts": num_prompts, "load_before": round(os.getloadavg()[0], 2)}
    previous = TABLES["prompt_splits"].schema.empty_table()
    for name, size in (("first", num_prompts), ("again", num_prompts * 11 // 10)):
        prompts = made_up_prompts(size)
        # What making them up took is not the product's.
        pa.default_memory_pool().release_unused()
        with PeakMemory() as memory:
            cpu, started = time.process_time(), time.monotonic()
            previous, counts = assign_splits(prompts, previous, SplitSettings(), seed=1)
            found[f"{name}_wall_s"] = round(time.monotonic() - started, 1)
            found[f"{name}_cpu_s"] = round(time.process_time() - cpu, 1)
        found[f"{name}_peak_mb"] = round(memory.peak / 1e6)
        assert counts.rows_in == size, counts
    return found


def main(arguments: Sequence[str] | None = None) -> int:
    """Entry point."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.splits", description=__doc__.splitlines()[0])
    parser.add_argument("--prompts", type=int, nargs="+", default=[1_000_000, 4_000_000])
    parser.add_argument("--out", type=Path, help="JSON file for the results")
    parser.add_argument("--measure", type=int, help="measure one size in this process")
    given = parser.parse_args(arguments)
    if given.measure:
        print(json.dumps(measure(given.measure)), flush=True)
        return 0
    results = []
    for num_prompts in given.prompts:
        command = [sys.executable, "-m", "benchmarks.splits", "--measure", str(num_prompts)]
        printed = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
        results.append(json.loads(printed.splitlines()[-1]))
        print(json.dumps(results[-1]), flush=True)
    if given.out:
        given.out.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
