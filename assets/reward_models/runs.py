"""Training and scoring runs: their inputs as files, and the record they leave in the lake.

The work itself happens in a process of its own (`python -m training.train`, `python -m training.score`), which
is given one JSON file and leaves one folder.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from assets.accounting import StageCounts
from assets.contracts import from_rows
from assets.durable_files import replacing, write_atomically
from assets.errors import SynprefError
from assets.partition_writer import Manifest
from assets.workspace import Workspace
from training.recipe import TrainingRecipe
from training.specs import CardFacts

SELECTION = pa.schema([("pair_id", pa.string()), ("chosen", pa.int8()), ("weight", pa.float64())])
"""A selection: which pairs, and which response of each is chosen."""


@dataclass(frozen=True)
class Selection:
    """Pairs to train on, in order of pair id, and what was left out.

    Attributes:
        table: schema `SELECTION`.
        counts: labels in, pairs out, dropped by reason.
    """

    table: pa.Table
    counts: StageCounts


def select_labels(
    labels: pa.Table,
    *,
    verdict: str = "verdict",
    limit: int | None = None,
    seed: int = 0,
    in_pool: Collection[str] | None = None,
) -> Selection:
    """Turn labels into a selection: only verdicts 1 and 2 train; ties and undecided never do.

    Args:
        labels: has `pair_id` and the verdict column; one row per pair.
        limit: at most this many pairs, drawn with the seed; the rest is counted `over_training_limit`.
        in_pool: pairs that are still in the pool; others are counted `excluded_since`. None takes all.
    """
    decided = labels.filter(pc.is_in(labels[verdict], pa.array(["1", "2"])))
    decided = decided.sort_by("pair_id")
    dropped = {"no_decided_verdict": len(labels) - len(decided)}
    if in_pool is not None:
        kept = decided.filter(pa.array([pair in in_pool for pair in decided["pair_id"].to_pylist()], pa.bool_()))
        dropped["excluded_since"] = len(decided) - len(kept)
        decided = kept
    if limit is not None and len(decided) > limit:
        keep = np.sort(np.random.default_rng(seed).permutation(len(decided))[:limit])
        dropped["over_training_limit"] = len(decided) - limit
        decided = decided.take(pa.array(keep))
    table = pa.table(
        {
            "pair_id": decided["pair_id"],
            "chosen": pc.cast(decided[verdict], pa.int8()),
            "weight": pa.array(np.ones(len(decided))),
        },
        schema=SELECTION,
    )
    return Selection(table, StageCounts(len(labels), len(table), {k: v for k, v in dropped.items() if v}))


@dataclass(frozen=True)
class TrainingRun:
    """A run that is ready to start.

    Attributes:
        spec: the JSON file for `python -m training.train`.
        output: the folder it leaves; complete when it holds `training_report.json`.
    """

    spec: Path
    output: Path

    @property
    def finished(self) -> bool:
        """Whether an earlier start, of this very run, came to its end."""
        return (self.output / "training_report.json").exists()


def prepare_training(
    workspace: Workspace,
    *,
    model: str,
    recipe: TrainingRecipe,
    train: pa.Table,
    dev: pa.Table,
    inputs: str,
    tags: Mapping[str, str],
    card: CardFacts | None = None,
) -> TrainingRun:
    """Write a training run's inputs; the run's folder is named by the fingerprint of what it is made from.

    Raises:
        SynprefError: there is nothing to train on.
    """
    if len(train) == 0:
        raise SynprefError(
            f"There is no decided pair to train {model} on.",
            kept="all labels",
            todo="look at the label counts by reason of the stage before, and at the voting threshold",
        )
    folder = workspace.models / model / inputs[:16]
    folder.mkdir(parents=True, exist_ok=True)
    pq.write_table(train, folder / "train.parquet")
    pq.write_table(dev, folder / "dev.parquet")
    run = TrainingRun(spec=folder / "spec.json", output=folder / "model")
    spec = {
        "name": model,
        "seed": workspace.settings.seed,
        "output_dir": str(run.output),
        "text_files": [str(path) for path in workspace.lake.files("pairs")],
        "train_selection": str(folder / "train.parquet"),
        "dev_selection": str(folder / "dev.parquet"),
        "recipe": recipe.model_dump(mode="json"),
        "mlflow": {
            "tracking_uri": workspace.mlflow_uri,
            "artifact_location": workspace.mlflow_artifacts.as_uri(),
            "experiment": f"synpref-{workspace.settings.name}",
            "run_name": model,
            "tags": dict(tags),
        },
        "embedding_cache": str(workspace.home / "embeddings"),
        "token_cache": str(workspace.home / "tokens"),
        "card": (card or CardFacts()).model_dump(mode="json"),
    }
    write_atomically(run.spec, json.dumps(spec, indent=1))
    return run


def trained_model_row(run: TrainingRun, *, mixture_id: str | None = None) -> tuple[pa.Table, dict]:
    """The `trained_models` row of a finished run, and its training report.

    The model's version is the hash of its weights: the same training gives the same version.
    """
    report = json.loads((run.output / "training_report.json").read_text("utf-8"))
    row = {
        "model_version": report["weights_sha256"][:16],
        "folder": str(run.output),
        "mixture_id": mixture_id,
        "num_train_pairs": report["counts"]["rows_out"],
        "num_dev_pairs": report["num_dev_pairs"],
        "dev_accuracy": report["dev_accuracy"],
        "temperature": report["temperature"],
        "mlflow_run_id": report.get("mlflow_run_id"),
        "report": json.dumps(report, sort_keys=True),
    }
    return from_rows([row], "trained_models"), report


def prepare_scoring(
    workspace: Workspace,
    *,
    name: str,
    trained: Mapping,
    pair_ids: pa.Array,
    inputs: str,
    source: str | None = None,
) -> TrainingRun:
    """Write a scoring run's inputs: which pairs a trained model is to score.

    The folder is named by the fingerprint of the inputs, and a killed scoring leaves its shards beside its output: the
    same scoring started again goes on with them, any other finds a folder of its own.

    Args:
        source: that has all the pairs; None looks in the texts of all sources.
    """
    folder = workspace.models / "scores" / name / inputs[:16]
    with replacing(folder / "pairs.parquet") as temporary:
        pq.write_table(pa.table({"pair_id": pair_ids}), temporary)
    where = {"source": source} if source else {}
    run = TrainingRun(spec=folder / "spec.json", output=folder / "scores.parquet")
    spec = {
        "model_dir": trained["folder"],
        "text_files": [str(path) for path in workspace.lake.files("pairs", **where)],
        "selection": str(folder / "pairs.parquet"),
        "output": str(run.output),
        "embedding_cache": str(workspace.home / "embeddings"),
        "token_cache": str(workspace.home / "tokens"),
    }
    write_atomically(run.spec, json.dumps(spec, indent=1))
    return run


def scores_table(path: Path, trained: Mapping, table: str) -> pa.Table:
    """Scores as a table of the lake: raw scores and the calibrated probability of response 1.

    The probability is sigmoid((score_1 - score_2) / temperature), the temperature fitted on gold dev; where dev
    was too small to fit one, it is 1.
    """
    scores = pq.read_table(path).sort_by("pair_id")
    margin = scores["score_1"].to_numpy() - scores["score_2"].to_numpy()
    probability = 1 / (1 + np.exp(-margin / (trained["temperature"] or 1.0)))
    columns = {
        "pair_id": scores["pair_id"],
        "model_version": pa.array([trained["model_version"]] * len(scores), pa.string()),
        "score_1": pc.cast(scores["score_1"], pa.float64()),
        "score_2": pc.cast(scores["score_2"], pa.float64()),
        "probability_1": pa.array(probability, pa.float64()),
        "num_truncated_tokens": pc.cast(scores["num_truncated_tokens"], pa.int64()),
    }
    return pa.table(columns)


def trained_model(workspace: Workspace, model: str) -> tuple[dict, Manifest]:
    """The current row of `trained_models` and its manifest.

    Raises:
        MissingUpstreamError: the model was not trained yet.
    """
    manifests = workspace.lake.require("trained_models", todo=f"materialise the asset that trains {model}", model=model)
    return workspace.lake.read("trained_models", model=model).to_pylist()[0], manifests[0]
