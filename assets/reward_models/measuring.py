"""Measuring: what a trained model is scored on, and the sets that its scores are kept for."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from assets.errors import ConfigError
from assets.lake import Lake
from assets.workspace import Workspace
from evaluation.benchmarks import load_benchmark

GOLD_HOLDOUT = "gold_holdout"
"""The set that the promotion gate looks at first: gold of the holdout split."""


def benchmark_file(workspace: Workspace, name: str, folder: Path) -> Path:
    """The file of a set, written into `folder` when it is the gold holdout.

    Raises:
        ConfigError: the configuration names no such benchmark.
    """
    if name == GOLD_HOLDOUT:
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"{GOLD_HOLDOUT}.parquet"
        pq.write_table(holdout_pairs(workspace.lake, workspace.settings.round_names[-1]), path)
        return path
    for benchmark in workspace.settings.benchmarks:
        if benchmark.name == name:
            return workspace.resolve(benchmark.path)
    raise ConfigError(f"The configuration names no benchmark {name!r}.", where=str(workspace.config_path))


def holdout_pairs(lake: Lake, as_of_round: str) -> pa.Table:
    """The gold holdout in the layout of pair benchmarks; response a is response 1."""
    gold = lake.read("gold", ["pair_id", "verdict"], pc.field("split") == "holdout", as_of_round=as_of_round)
    verdict_of = dict(zip(gold["pair_id"].to_pylist(), gold["verdict"].to_pylist(), strict=True))
    columns = ["pair_id", "source", "prompt", "response_1", "response_2"]
    pairs = lake.read("pairs", columns, filters=pc.field("pair_id").isin(gold["pair_id"].combine_chunks()))
    rows: dict[str, dict] = {}
    for row in pairs.to_pylist():
        verdict = verdict_of[row["pair_id"]]
        rows.setdefault(
            row["pair_id"],
            {
                "item_id": row["pair_id"],
                "subset": row["source"],
                "prompt": json.dumps(row["prompt"], ensure_ascii=False),
                "response_a": row["response_1"],
                "response_b": row["response_2"],
                "preferred": {"1": "a", "2": "b"}.get(verdict, "tie"),
            },
        )
    names = ("item_id", "subset", "prompt", "response_a", "response_b", "preferred")
    return pa.Table.from_pylist([rows[p] for p in sorted(rows)], schema=pa.schema([(n, pa.string()) for n in names]))


def scored_sets(workspace: Workspace) -> dict[str, pa.Table]:
    """Items (contract `benchmark_items`) of every set that models are scored on, by name."""
    folder = workspace.models / "sets"
    names = [GOLD_HOLDOUT, *(b.name for b in workspace.settings.benchmarks if b.evaluate)]
    return {name: load_benchmark(name, benchmark_file(workspace, name, folder)).items for name in names}


def saved_scores(lake: Lake, model: str) -> pa.Table:
    """All saved scores of a model, every set."""
    return lake.read("benchmark_scores", model=model)
