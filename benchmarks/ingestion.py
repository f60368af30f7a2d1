"""How fast a source becomes pairs: parse, identify and publish, by number of rows.

    python -m benchmarks.ingestion --rows 20000 100000

The pairs are made up: 1 KB of prompt and 1.5 KB for each response, chosen and rejected as text, in one JSONL file.
Memory is the peak of this process and its workers together.
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

from assets.lake import Lake
from assets.raw_pairs.catalogue import SourceEntry
from assets.raw_pairs.ingest import ingest_source
from benchmarks.cost_of_run import PeakMemory

_NUM_CHARS = {"prompt": 1000, "chosen": 1500, "rejected": 1500}


def write_source(path: Path, num_rows: int, seed: int = 1) -> None:
    """JSONL of made-up pairs; words drawn by rank as in real text, so that it compresses like text."""
    rng = np.random.default_rng(seed)
    letters = np.array(list("abcdefghijklmnopqrstuvwxyz"))
    words = np.array(["".join(rng.choice(letters, rng.integers(2, 10))) for _ in range(20_000)])
    edges = np.cumsum(1 / np.arange(1, len(words) + 1))
    edges /= edges[-1]
    with path.open("w", encoding="utf-8") as file:
        for _ in range(num_rows):
            row = {}
            for name, num_chars in _NUM_CHARS.items():
                drawn = words[np.searchsorted(edges, rng.random(num_chars // 5))]
                row[name] = " ".join(drawn.tolist())[:num_chars]
            file.write(json.dumps(row) + "\n")


def measure(num_rows: int, folder: Path) -> dict:
    """Ingest a made-up source of this many rows into an empty lake."""
    path = folder / "source.jsonl"
    write_source(path, num_rows)
    entry = SourceEntry(name="made_up", paths=(str(path),), licence="Apache-2.0", label_origin="llm")
    with PeakMemory() as memory:
        started = time.monotonic()
        report = ingest_source(entry, Lake(folder / "lake"), seed=1, created_at=datetime.now(UTC))
        wall_s = time.monotonic() - started
    assert report.num_pairs == num_rows, report
    return {
        "rows": num_rows,
        "mb": round(path.stat().st_size / 1e6, 1),
        "wall_s": round(wall_s, 2),
        "pairs_per_s": round(num_rows / wall_s),
        "peak_mb": round(memory.peak / 1e6),
    }


def main(arguments: Sequence[str] | None = None) -> int:
    """Entry point."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.ingestion", description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, nargs="+", default=[20_000, 100_000])
    for num_rows in parser.parse_args(arguments).rows:
        with tempfile.TemporaryDirectory() as folder:
            print(json.dumps(measure(num_rows, Path(folder))), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
