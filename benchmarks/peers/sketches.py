"""Sketches of rensa (R-MinHash, C-MinHash) with its LSH: speed and recall on the documents of `benchmarks.texts`.

    python -m benchmarks.peers.sketches DOCUMENTS.jsonl --planted PLANTED.parquet

Runs in the project's own environment, on one core. Shingles are word 5-grams as in `benchmarks.texts`, made here in
plain Python and timed apart: both sketches get the same ones.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import rensa

from benchmarks.peers.common import report
from benchmarks.peers.recall import recall_by_jaccard
from benchmarks.texts import SHINGLE_WORDS


def shingles_of(text: str) -> list[str]:
    """Distinct word 5-grams.

    >>> shingles_of("a b c d e f")
    ['a b c d e', 'b c d e f']
    """
    words = text.split()
    return sorted({" ".join(words[at : at + SHINGLE_WORDS]) for at in range(len(words) - SHINGLE_WORDS + 1)})


def clusters_of(ids: Sequence[str], signatures: Sequence[Sequence[int]], num_bands: int) -> pa.Table:
    """Documents that share a band of their signatures with another, joined to clusters (`id`, `cluster_id`)."""
    parent = list(range(len(ids)))

    def root(node: int) -> int:
        while parent[node] != node:
            parent[node] = parent[parent[node]]
            node = parent[node]
        return node

    width = len(signatures[0]) // num_bands if signatures else 1
    for band in range(num_bands):
        first: dict[tuple, int] = {}
        for number, signature in enumerate(signatures):
            key = tuple(signature[band * width : (band + 1) * width])
            parent[root(number)] = root(first.setdefault(key, number))
    sizes: dict[int, int] = {}
    for number in range(len(ids)):
        sizes[root(number)] = sizes.get(root(number), 0) + 1
    rows = [(ids[n], root(n)) for n in range(len(ids)) if sizes[root(n)] > 1]
    return pa.table({"id": [a for a, _ in rows], "cluster_id": pa.array([b for _, b in rows], pa.int64())})


def main(arguments: Sequence[str] | None = None) -> int:
    """Entry point."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.peers.sketches", description=__doc__.splitlines()[0])
    parser.add_argument("documents", type=Path)
    parser.add_argument("--planted", type=Path, required=True)
    parser.add_argument("--hashes", type=int, default=128)
    parser.add_argument("--bands", type=int, default=16)
    given = parser.parse_args(arguments)
    ids, shingles, shingling_s = [], [], 0.0
    with given.documents.open("rb") as lines:
        for line in lines:
            document = json.loads(line)
            ids.append(document["id"])
            started = time.process_time()
            shingles.append(shingles_of(document["text"]))
            shingling_s += time.process_time() - started
    planted = pq.read_table(given.planted)
    for kind in (rensa.RMinHash, rensa.CMinHash):
        started = time.process_time()
        signatures = [sketch.digest() for sketch in kind.from_token_sets(shingles, given.hashes, 1)]
        sketching_s = time.process_time() - started
        started = time.process_time()
        clusters = clusters_of(ids, signatures, given.bands)
        report(
            {
                "tool": f"rensa {kind.__name__}",
                "hashes": given.hashes,
                "bands": given.bands,
                "documents": len(ids),
                # Processor time, which other processes of the machine do not change much.
                "shingling_cpu_s": round(shingling_s, 2),
                "sketching_cpu_s": round(sketching_s, 2),
                "clustering_cpu_s": round(time.process_time() - started, 2),
                "load_before": round(os.getloadavg()[0], 2),
                **recall_by_jaccard(planted, clusters),
            }
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
