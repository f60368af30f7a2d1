"""What the index of the token cache takes on many pairs: time to open and to select, memory a pair.

    python -m benchmarks.token_index --pairs 5000000

The index is made up in the shape of a real one: random keys, log-normal lengths (prompt median 180, responses 280
tokens), segments of 65,536 pairs. Tokens are left out, since nothing here reads them; so is the search of text files.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from benchmarks.cost_of_run import PeakMemory
from training.token_cache.building import SEGMENT_PAIRS
from training.token_cache.encoding import INDEX, SAME_LAST_TOKEN, EncodedPart
from training.token_cache.pair_keys import KEY
from training.token_cache.pairs import select_pairs
from training.token_cache.pool import TokenPool
from training.token_cache.segments import SegmentWriter, segments_in
from training.token_cache.selection import PairSelection


def write_segments(folder: Path, num_pairs: int, seed: int = 1) -> None:
    """Segments whose index alone is real."""
    rng = np.random.default_rng(seed)
    for start in range(0, num_pairs, SEGMENT_PAIRS):
        num = min(SEGMENT_PAIRS, num_pairs - start)
        index = np.zeros(num, INDEX)
        for column in ("key", "cluster"):
            index[column] = rng.integers(0, 256, (num, KEY.itemsize), dtype=np.uint8).view(KEY).reshape(-1)
        index["num_prompt"] = rng.lognormal(np.log(180), 0.9, num).astype(np.int32) + 1
        for column in ("num_1", "num_2"):
            index[column] = rng.lognormal(np.log(280), 0.7, num).astype(np.int32) + 1
        index["flags"] = SAME_LAST_TOKEN
        writer = SegmentWriter(folder, np.dtype(np.int32))
        writer.add(EncodedPart(index, np.zeros(0, np.int32)))
        writer.publish({"made_up": True})


def measure(folder: Path, max_tokens: int) -> dict:
    """Open the segments and select every pair of them."""
    keys = np.sort(np.concatenate([segment.index["key"] for segment in segments_in(folder)[0]]))
    ones = np.ones(len(keys))
    selection = PairSelection(keys, ones.astype(np.int8), ones, None)
    with PeakMemory() as memory:
        cpu, started = time.process_time(), time.monotonic()
        segments, _ = segments_in(folder)
        opened = time.monotonic() - started
        pool = TokenPool(keys)
        pool.add(np.arange(len(keys)), segments)
        located = time.monotonic() - started - opened
        pairs, report = select_pairs(pool, selection, max_tokens=max_tokens)
        selected = time.monotonic() - started - opened - located
        cpu = time.process_time() - cpu
    held = sum(value.nbytes for value in vars(pairs).values() if isinstance(value, np.ndarray))
    return {
        "pairs": len(keys),
        "usable": len(pairs),
        "truncated_responses": report.truncation["num_responses"],
        "segments": len(segments),
        "open_s": round(opened, 2),
        "locate_s": round(located, 2),
        "select_s": round(selected, 2),
        "cpu_s": round(cpu, 2),
        "held_bytes_per_pair": round(held / max(len(pairs), 1), 1),
        "index_bytes_per_pair": INDEX.itemsize,
        "peak_mb": round(memory.peak / 1e6),
        "load": round(os.getloadavg()[0], 2),
    }


def main(arguments: Sequence[str] | None = None) -> int:
    """Entry point."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.token_index", description=__doc__.splitlines()[0])
    parser.add_argument("--pairs", type=int, default=5_000_000)
    parser.add_argument("--max-tokens", type=int, default=16_384)
    parser.add_argument("--folder", type=Path, help="where the index goes; by default a temporary folder")
    given = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(dir=given.folder) as name:
        write_segments(Path(name), given.pairs)
        print(json.dumps(measure(Path(name), given.max_tokens)), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
