"""`python -m training.train SPEC.json`: trains one reward model and leaves its folder, whole or not at all."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from evaluation.intervals import estimate_accuracy
from training.backbones import Backbone
from training.checkpoint import output_folder, write_manifest
from training.loop import Point, TrainingOutcome, train
from training.loss import fit_temperature
from training.pairs import PairSource
from training.pipes import run_spec
from training.prepare import PreparedPairs, prepared_pairs
from training.specs import TrainSpec
from training.tracking import Tracker, tracked

NUM_THREADS = 2
"""Fixed, because the order of float sums, and so the last bits of the weights, depend on it."""


def train_model(spec: TrainSpec, log: Callable[[str], None] = lambda line: None) -> dict:
    """Train as the spec says; returns what `training_report.json` holds.

    Raises:
        SynprefError: the inputs cannot be used, nothing is left to train on, or the loss is not finite. No
            folder is left then, and one from before is untouched.
    """
    import torch

    started = time.monotonic()
    torch.set_num_threads(NUM_THREADS)
    with prepared_pairs(spec, log) as prepared:
        return _train_on(prepared, spec, started, log)


def _train_on(prepared: PreparedPairs, spec: TrainSpec, started: float, log: Callable[[str], None]) -> dict:
    backbone, pairs, dev = prepared.backbone, prepared.train, prepared.dev
    params = {"name": spec.name, "seed": spec.seed, "num_train_pairs": len(pairs), **_flat(spec.recipe.model_dump())}
    with tracked(spec.mlflow, params) as tracker, output_folder(spec.output_dir) as folder:
        outcome = _train(backbone, pairs, dev, spec, tracker, log)
        temperature = fit_temperature(outcome.dev_margins)
        sha = write_manifest(folder, backbone.save(folder), backbone.weights_file, temperature)
        write_curves(outcome.curves, folder / "curves.parquet")
        report = {
            "name": spec.name,
            "seed": spec.seed,
            "counts": prepared.counts.as_dict(),
            "dev_counts": prepared.dev_counts.as_dict(),
            **_dev_report(outcome, dev, spec.seed),
            "steps": outcome.steps,
            "epochs": outcome.epochs,
            "best_step": outcome.best_step,
            "stopped_because": outcome.stopped_because,
            "train_loss": outcome.train_loss,
            "temperature": temperature,
            "num_parameters": sum(p.numel() for p in backbone.module.parameters()),
            "truncation": prepared.truncation,
            "dev_truncation": prepared.dev_truncation,
            "num_truncated": prepared.truncation["num_responses"] + prepared.dev_truncation["num_responses"],
            "tokens": prepared.tokens,
            "pairs_per_second": round(outcome.pairs_per_second, 2),
            "train_s": round(outcome.seconds, 2),
            "wall_s": round(time.monotonic() - started, 2),
            "device": str(backbone.device),
            "num_threads": NUM_THREADS,
            "recipe": spec.recipe.model_dump(mode="json"),
            "weights_sha256": sha,
            "mlflow_run_id": tracker.run_id,
        }
        (folder / "training_report.json").write_text(json.dumps(report, indent=1, sort_keys=True), "utf-8")
        names = ("dev_accuracy", "train_loss", "pairs_per_second", "wall_s", "temperature", "best_step")
        tracker.finish({name: report[name] for name in names}, folder)
    return report


def write_curves(points: Sequence[Point], path: Path) -> None:
    """Write points as Parquet: `step` int64, `name` string, `value` double."""
    columns = {
        "step": pa.array([point.step for point in points], pa.int64()),
        "name": pa.array([point.name for point in points], pa.string()),
        "value": pa.array([point.value for point in points], pa.float64()),
    }
    pq.write_table(pa.table(columns), path)


def _train(
    backbone: Backbone,
    pairs: PairSource,
    dev: PairSource,
    spec: TrainSpec,
    tracker: Tracker,
    log: Callable[[str], None],
) -> TrainingOutcome:
    from tqdm import tqdm

    with tqdm(desc=f"training {spec.name}", unit="step", mininterval=2, disable=None, file=sys.stderr) as bar:

        def on_points(points: Sequence[Point], step: int, total: int) -> None:
            tracker.points(points)
            bar.total = total
            bar.update(1)
            values = {point.name: point.value for point in points}
            if "dev/accuracy" in values:
                bar.set_postfix_str(f"dev accuracy {values['dev/accuracy']:.3f}", refresh=False)
                log(f"{spec.name}: step {step} of {total}, dev accuracy {values['dev/accuracy']:.3f}")

        return train(backbone, pairs, dev, spec.recipe, spec.seed, on_points)


def _dev_report(outcome: TrainingOutcome, dev: PairSource, seed: int) -> dict:
    """Accuracy on dev. It chose the checkpoint, so it flatters the model; holdout is for reports."""
    right = np.asarray(outcome.dev_margins > 0, dtype=np.float64)
    estimate = estimate_accuracy(right, [dev[at].cluster for at in range(len(dev))], seed=seed)
    return {
        "dev_accuracy": estimate.value,
        "dev_ci95": estimate.ci95,
        "num_dev_pairs": estimate.n,
        "num_dev_clusters": estimate.num_clusters,
    }


def _flat(recipe: dict) -> dict:
    return {f"recipe.{name}": value for name, value in recipe.items()}


def main(arguments: Sequence[str] | None = None) -> int:
    """Entry point; see `training.pipes.run_spec` for the exit code."""
    return run_spec(arguments, "training.train", TrainSpec, train_model)


if __name__ == "__main__":
    sys.exit(main())
