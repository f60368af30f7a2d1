"""What exact retrieval of the nearest gold pairs takes, and whether it is exact.

    python -m benchmarks.nearest_gold --pairs 100000 --gold 100000 --k 8 --out nearest.json

Unit vectors are made up: `topics` gather round two thousand centres as sentence embeddings do, `isotropic` ones have no
structure at all and are the hardest to tell apart. Each measurement runs in a process of its own, so that memory is its
own peak; float32 alone stands beside. Equality with a full sort in double precision is checked on a sample of the pairs.
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
from typing import Literal

import numpy as np

from assets.nearest import nearest
from benchmarks.cost_of_run import PeakMemory

_NUM_TOPICS, _SPREAD = 2_000, 1.2
_NUM_COMPARED = 200


def unit_vectors(kind: str, num: int, dimensions: int, seed: int) -> np.ndarray:
    """float32[num, dimensions] of length 1."""
    generator = np.random.default_rng(seed)
    vectors = generator.standard_normal((num, dimensions), np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    if kind == "topics":
        topics = np.random.default_rng(0).standard_normal((_NUM_TOPICS, dimensions), np.float32)
        topics /= np.linalg.norm(topics, axis=1, keepdims=True)
        vectors = topics[generator.integers(0, _NUM_TOPICS, num)] + _SPREAD * vectors
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors


def full_sort(queries: np.ndarray, rows: np.ndarray, k: int) -> np.ndarray:
    """Places of the k nearest by a stable sort of everything in double precision."""
    similarities = queries.astype(np.float64) @ rows.T.astype(np.float64)
    return np.argsort(-similarities, axis=1, kind="stable")[:, :k]


def measure(
    kind: str, num_pairs: int, num_gold: int, dimensions: int, k: int, filter_name: Literal["int8", "float32"]
) -> dict:
    """Search once and compare a sample with the full sort."""
    queries, rows = unit_vectors(kind, num_pairs, dimensions, 1), unit_vectors(kind, num_gold, dimensions, 2)
    # Compiled beforehand, as in any process but the first.
    nearest(queries[:8], rows[:64], k, device="cpu", look=filter_name)
    load = os.getloadavg()[0]
    with PeakMemory() as memory:
        cpu, started = time.process_time(), time.monotonic()
        found = nearest(queries, rows, k, device="cpu", look=filter_name)
        wall_s, cpu_s = time.monotonic() - started, time.process_time() - cpu
    sample = np.random.default_rng(3).choice(num_pairs, min(_NUM_COMPARED, num_pairs), replace=False)
    equal = bool((found.places[sample] == full_sort(queries[sample], rows, k)).all())
    return {
        "vectors": kind,
        "filter": filter_name,
        "pairs": num_pairs,
        "gold": num_gold,
        "dimensions": dimensions,
        "k": k,
        "wall_s": round(wall_s, 1),
        "cpu_s": round(cpu_s, 1),
        "peak_mb": round(memory.peak / 1e6),
        "load_before": round(load, 2),
        "compared_with_full_sort": len(sample),
        "equal": equal,
    }


def main(argv: Sequence[str] | None = None) -> int:
    """The command line; exit code 1 when a result differs from the full sort."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.nearest_gold", description=__doc__)
    parser.add_argument("--pairs", type=int, default=100_000)
    parser.add_argument("--gold", type=int, default=100_000)
    parser.add_argument("--dimensions", type=int, default=384)
    parser.add_argument("--k", type=int, default=8)
    parser.add_argument("--vectors", nargs="+", choices=("topics", "isotropic"), default=["topics", "isotropic"])
    parser.add_argument("--filters", nargs="+", choices=("int8", "float32"), default=["int8", "float32"])
    parser.add_argument("--out", type=Path)
    parser.add_argument("--one", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args(argv)
    if given.one:
        kind, filter_name = given.vectors[0], given.filters[0]
        print(json.dumps(measure(kind, given.pairs, given.gold, given.dimensions, given.k, filter_name)))
        return 0
    found = []
    for kind in given.vectors:
        for filter_name in given.filters:
            sizes = ("--pairs", given.pairs, "--gold", given.gold, "--dimensions", given.dimensions, "--k", given.k)
            command = [sys.executable, "-m", "benchmarks.nearest_gold", "--one", *map(str, sizes)]
            command += ["--vectors", kind, "--filters", filter_name]
            ran = subprocess.run(command, capture_output=True, text=True, check=True)
            found.append(json.loads(ran.stdout.splitlines()[-1]))
            print(json.dumps(found[-1]), flush=True)
    if given.out:
        given.out.write_text(json.dumps(found, indent=1), "utf-8")
    return 0 if all(row["equal"] for row in found) else 1


if __name__ == "__main__":
    sys.exit(main())
