"""Duplicates, role swaps and conflicts: what the pool layer takes on many pairs.

    python -m benchmarks.pool --pairs 1000000 10000000 40000000 --out pool.json

Keys are made up in the shape of real ones (see `benchmarks.pool_lake`); texts are empty, since nothing here reads
them. Two steps are measured, each what the product runs, dbt's own tests included: `duplicates` finds exact and
role-swapped duplicates, conflicts and near duplicates by cluster; `pool` is the whole layer, published into a lake.
Memory is the peak of this process and its children. Each step of each size runs in a process of its own.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pyarrow.parquet as pq

from assets.lake import Lake
from benchmarks.cost_of_run import PeakMemory
from benchmarks.pool_lake import write_pool_lake
from orchestration.dbt_assets import Publication, publish
from orchestration.dbt_layers import DbtLayerResult, run_dbt_layer

STEPS = {"duplicates": "+exclusions +conflicts", "pool": "tag:pool"}
_PUBLISHED = ("exclusions", "conflicts", "candidate_pool")


def measure(folder: Path, step: str, memory_limit: str) -> dict:
    """Run one step on the made-up tables of a folder."""
    files = json.loads((folder / "files.json").read_text())
    load_before = os.getloadavg()[0]
    used = os.times()
    cpu_before = used.user + used.system
    with PeakMemory() as memory:
        started = time.monotonic()
        result = run_dbt_layer(
            STEPS[step], files, folder / "out", folder / "pool.duckdb", memory_limit=memory_limit, target=folder / "dbt"
        )
        layer_s = time.monotonic() - started
        if step == "pool":
            for table in _PUBLISHED:
                publish(Lake(folder / "lake"), Publication(table), result, inputs="benchmark")
        wall_s = time.monotonic() - started
    used = os.times()
    return {
        "step": step,
        "wall_s": round(wall_s, 1),
        "layer_s": round(layer_s, 1),
        "cpu_s": round(used.user + used.system - cpu_before, 1),
        "peak_mb": round(memory.peak / 1e6),
        "load_before": round(load_before, 2),
        "rows": {name: model.num_rows for name, model in result.models.items()},
        "excluded": _reasons(result),
        "failed_tests": [test.name for test in result.tests if not test.passed],
    }


def _reasons(result: DbtLayerResult) -> dict[str, int]:
    counted: Counter[str] = Counter()
    for file in result.models["exclusions"].files:
        for item in pq.read_table(file, columns=["reason"])["reason"].value_counts().to_pylist():
            counted[item["values"]] += item["counts"]
    return dict(sorted(counted.items()))


def main(arguments: Sequence[str] | None = None) -> int:
    """Entry point."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.pool", description=__doc__.splitlines()[0])
    parser.add_argument("--pairs", type=int, nargs="+", default=[1_000_000])
    parser.add_argument("--steps", nargs="+", choices=STEPS, default=list(STEPS))
    parser.add_argument("--memory-limit", default="4GB", help="DuckDB's, beyond which it spills; the product's is 4GB")
    parser.add_argument("--folder", type=Path, help="where the made-up tables go; by default a temporary folder")
    parser.add_argument("--out", type=Path, help="JSON file for the results")
    parser.add_argument("--measure", choices=STEPS, help="measure one step on the tables of --folder")
    given = parser.parse_args(arguments)
    if given.measure:
        print(json.dumps(measure(given.folder, given.measure, given.memory_limit)), flush=True)
        return 0
    results = []
    for num_pairs in given.pairs:
        with tempfile.TemporaryDirectory(dir=given.folder) as name:
            folder = Path(name)
            files = write_pool_lake(folder / "tables", num_pairs)
            (folder / "files.json").write_text(json.dumps(files))
            for step in given.steps:
                command = [sys.executable, "-m", "benchmarks.pool", "--measure", step, "--folder", name]
                command += ["--memory-limit", given.memory_limit]
                printed = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
                results.append({"pairs": num_pairs, **json.loads(printed.splitlines()[-1])})
                print(json.dumps(results[-1]), flush=True)
    if given.out:
        given.out.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
