"""Ours of what `benchmarks.peers` measures: near duplicates and 13-gram contamination of made-up pairs.

    python -m benchmarks.texts near_duplicates DOCUMENTS.jsonl --documents 1000000
    python -m benchmarks.overlap near_duplicates DOCUMENTS.jsonl
    python -m benchmarks.texts contaminated DOCUMENTS.jsonl --documents 1000000 --benchmark-prompts 30000
    python -m benchmarks.overlap contamination DOCUMENTS.jsonl

A document is a text of a pair whose other texts are one word: for near duplicates the prompt, for contamination the
prompt, response 1 and response 2 in turn. Writing the pairs into a lake is not counted; reading them from it and
publishing what was found is. Clusters of prompts are left out, since a peer has one kind of text.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from itertools import islice
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import orjson
import pyarrow as pa
import pyarrow.parquet as pq

from assets.contracts import contract_of, from_rows
from assets.lake import Lake
from assets.raw_pairs.overlap.decontaminate import decontaminate
from assets.raw_pairs.overlap.near_duplicates import PAIRS, find_clusters
from assets.raw_pairs.overlap.sketches import sketch_source
from assets.settings import REPOSITORY, load_settings
from benchmarks.cost_of_run import PeakMemory
from benchmarks.peers.recall import recall_by_jaccard, recall_of_copies
from benchmarks.texts import benchmark_path, planted_path

_SOURCE = {"source": "made_up"}
_TEXTS = ("prompt", "response_1", "response_2")


def write_pairs(documents: Path, lake: Lake, *, in_turn: bool) -> int:
    """Publish the documents as pairs; the document's number is the pair's id and row."""
    num_pairs = 0
    with lake.writer("pairs", _SOURCE) as writer, documents.open("rb") as lines:
        while block := list(islice(lines, 8_192)):
            texts = [orjson.loads(line)["text"] for line in block]
            writer.write(_pairs(texts, num_pairs, in_turn=in_turn))
            num_pairs += len(block)
    return num_pairs


def _pairs(texts: list[str], first: int, *, in_turn: bool) -> pa.Table:
    numbers = range(first, first + len(texts))
    placed = {name: ["one" if name == "response_1" else "other"] * len(texts) for name in _TEXTS}
    for at, text in enumerate(texts):
        placed[_TEXTS[at % 3] if in_turn else "prompt"][at] = text
    ids = pa.array([f"{number:016x}" * 2 for number in numbers])
    columns = {
        **{name: ids for name in ("pair_id", "prompt_id")},
        "source": pa.array([_SOURCE["source"]] * len(texts)),
        "source_row": pa.array(numbers, pa.int64()),
        "prompt": pa.array([[{"role": "user", "content": text}] for text in placed["prompt"]]),
        **{name: pa.array(placed[name]) for name in _TEXTS[1:]},
    }
    schema = contract_of("pairs").schema
    arrays = [
        columns[field.name].cast(field.type) if field.name in columns else pa.nulls(len(texts), field.type)
        for field in schema
    ]
    return pa.Table.from_arrays(arrays, schema=schema)


def write_benchmark(path: Path, lake: Lake) -> None:
    """Publish the benchmark prompts of a file as items."""
    rows = [orjson.loads(line) for line in path.read_bytes().splitlines()]
    items = [
        {
            "benchmark": "made_up",
            "item_id": r["id"],
            "prompt": [{"role": "user", "content": r["text"]}],
            "responses": [],
        }
        for r in rows
    ]
    lake.publish("benchmark_items", from_rows(items, "benchmark_items"), {"benchmark": "made_up"})


def near_duplicates(documents: Path, lake: Lake, scratch: Path) -> tuple[dict, pa.Table]:
    """Sketches and clusters of the documents, measured."""
    num_pairs = _apart(write_pairs, documents, lake, in_turn=False)
    settings = load_settings(REPOSITORY / "configs" / "sample.yaml")
    pairs = lake.manifests("pairs")
    result: dict = {"tool": "synpref near duplicates"}
    with _measured(result, num_pairs):
        sketch_source(lake, pairs[0], "benchmark")
        result["sketches_s"] = round(time.monotonic() - result["started"], 2)
        sketches = lake.manifests("pair_sketches")
        found = find_clusters(lake, PAIRS, pairs, sketches, settings.near_duplicates.threshold, scratch)
        lake.publish("pair_clusters", found.table)
    ids = [f"d{int(pair[:16], 16):09d}" for pair in found.table["pair_id"].to_pylist()]
    clusters = pa.table({"id": ids, "cluster_id": found.table["pair_cluster_id"]})
    return result | {"compared": found.num_candidates, "clustered": len(clusters)}, clusters


def contamination(documents: Path, lake: Lake) -> tuple[dict, set[str]]:
    """Hits of the documents against their benchmark prompts, measured."""
    num_pairs = _apart(write_pairs, documents, lake, in_turn=True)
    _apart(write_benchmark, benchmark_path(documents), lake)
    settings = load_settings(REPOSITORY / "configs" / "sample.yaml")
    pairs, items = lake.manifests("pairs")[0], lake.manifests("benchmark_items")
    result: dict = {"tool": "synpref 13-grams", "benchmark_prompts": items[0].num_rows}
    with _measured(result, num_pairs):
        decontaminate(lake, pairs, items, settings)
    rows = lake.read("contamination_hits", columns=["source_row"])["source_row"].to_pylist()
    return result, {f"d{row:09d}" for row in rows}


def _apart(function: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
    """The result of a function, run in a process of its own so that its memory is not measured."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as process:
        return process.submit(function, *arguments, **options).result()


class _measured:
    """Adds wall seconds, pairs a second, peak memory and the load before to a result."""

    def __init__(self, result: dict, num_pairs: int) -> None:
        self.result, self.num_pairs = result, num_pairs

    def __enter__(self) -> None:
        self.load = os.getloadavg()[0]
        self.memory = PeakMemory().__enter__()
        self.result["started"] = time.monotonic()

    def __exit__(self, *error: object) -> None:
        wall_s = time.monotonic() - self.result.pop("started")
        self.memory.__exit__()
        self.result |= {
            "documents": self.num_pairs,
            "wall_s": round(wall_s, 2),
            "documents_per_s": round(self.num_pairs / wall_s),
            "peak_mb": round(self.memory.peak / 1e6),
            "load_before": round(self.load, 2),
        }


def main(arguments: Sequence[str] | None = None) -> int:
    """Entry point."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.overlap", description=__doc__.splitlines()[0])
    parser.add_argument("kind", choices=["near_duplicates", "contamination"])
    parser.add_argument("documents", type=Path)
    given = parser.parse_args(arguments)
    planted = pq.read_table(planted_path(given.documents))
    with tempfile.TemporaryDirectory(dir=given.documents.parent) as folder:
        lake = Lake(Path(folder) / "lake")
        if given.kind == "near_duplicates":
            result, clusters = near_duplicates(given.documents, lake, Path(folder))
            result |= recall_by_jaccard(planted, clusters)
        else:
            result, found = contamination(given.documents, lake)
            result |= recall_of_copies(planted, found)
    print(json.dumps(result), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
