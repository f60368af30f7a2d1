"""Shared material of these tests: items, scores and a made-up run summary."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from assets.contracts import from_rows
from assets.identity import prompt_id
from assets.settings import REPOSITORY
from evaluation.saved_scores import SCHEMA


def make_items(rows: list[tuple], benchmark: str = "toy") -> pa.Table:
    """Items from (item id, prompt, responses, correct) or the same with a subset."""
    made = []
    for item_id, prompt, responses, correct, *subset in rows:
        turns = [("user", prompt)]
        made.append(
            {
                "benchmark": benchmark,
                "item_id": item_id,
                "prompt_id": prompt_id(turns),
                "subset": subset[0] if subset else "all",
                "prompt": [{"role": role, "content": content} for role, content in turns],
                "responses": responses,
                "correct": correct,
            }
        )
    return from_rows(made, "benchmark_items")


def make_scores(scores: dict[str, list[float]], benchmark: str = "toy", truncated: int | None = None) -> pa.Table:
    """Saved scores from item id to one score a response."""
    rows = [
        {
            "benchmark": benchmark,
            "item_id": item_id,
            "response_index": index,
            "score": score,
            "num_truncated_tokens": truncated,
        }
        for item_id, values in scores.items()
        for index, score in enumerate(values)
    ]
    return pa.Table.from_pylist(rows, schema=SCHEMA)


def write_pairs(path: Path, rows: list[dict]) -> Path:
    """A pair benchmark file; `prompt` may be a plain text, which becomes one user turn."""
    full = []
    for number, row in enumerate(rows):
        row = {"item_id": f"i{number}", "subset": "all", **row}
        if not row["prompt"].startswith("["):
            row["prompt"] = json.dumps([{"role": "user", "content": row["prompt"]}])
        full.append(row)
    pq.write_table(pa.Table.from_pylist(full), path)
    return path


@pytest.fixture(scope="session")
def bench_folder() -> Path:
    """The folder of real benchmark files, or a skip that says why."""
    root = Path(os.environ.get("SYNPREF_DATA") or REPOSITORY / "../shared/data").resolve()
    folder = root / "bench"
    if not folder.is_dir():
        pytest.skip(f"no real benchmark files at {folder}; set SYNPREF_DATA to the folder that holds bench/")
    return folder
