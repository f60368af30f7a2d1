"""`python -m training.train SPEC.json`: trains one reward model and leaves its folder, whole or not at all."""

from __future__ import annotations

import json
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from assets.accounting import StageCounts
from assets.errors import SynprefError
from evaluation.intervals import estimate_accuracy
from training.backbones import Backbone, build_backbone
from training.checkpoint import output_folder, write_manifest
from training.data import Item, LabelledPair, label_pairs, read_selection, read_texts, refuse_leakage
from training.loop import Point, TrainingOutcome, train
from training.loss import fit_temperature
from training.pairs import EncodedPair, ListedPairs, PairSource
from training.pipes import run_spec
from training.specs import TrainSpec
from training.tracking import Tracker, tracked

NUM_THREADS = 2
"""Fixed, because the order of float sums, and so the last bits of the weights, depend on it."""
_COLUMNS = ("pair_id", "chosen", "weight")


def train_model(spec: TrainSpec, log: Callable[[str], None] = lambda line: None) -> dict:
    """Train as the spec says; returns what `training_report.json` holds.

    Raises:
        SynprefError: the inputs cannot be used, nothing is left to train on, or the loss is not finite. No
            folder is left then, and one from before is untouched.
    """
    import torch

    started = time.monotonic()
    torch.set_num_threads(NUM_THREADS)
    train_rows, dev_rows = (read_selection(path, _COLUMNS) for path in (spec.train_selection, spec.dev_selection))
    texts = read_texts(spec.text_files, [row["pair_id"] for row in (*train_rows, *dev_rows)])
    pairs, counts = label_pairs(train_rows, texts, max_pairs=spec.recipe.max_train_pairs, seed=spec.seed)
    dev, dev_counts = label_pairs(dev_rows, texts)
    refuse_leakage(pairs, dev)
    if not pairs:
        raise SynprefError(
            f"No pair is left to train on: {counts.as_dict()}.",
            where=str(spec.train_selection),
            todo="look at why the pairs were dropped",
        )
    log(f"{spec.name}: {len(pairs)} training and {len(dev)} dev pairs")
    items = [item for pair in pairs for item in pair_items(pair)]
    backbone = build_backbone(spec.recipe, items, spec.seed, spec.embedding_cache)
    encoded, counts, truncation = encode_pairs(backbone, pairs, counts)
    dev_encoded, dev_counts, dev_truncation = encode_pairs(backbone, dev, dev_counts)
    if not encoded:
        raise SynprefError(
            "Every training pair is the same on both sides once truncated.", todo="raise recipe.max_tokens"
        )
    params = {"name": spec.name, "seed": spec.seed, "num_train_pairs": len(encoded), **_flat(spec.recipe.model_dump())}
    with tracked(spec.mlflow, params) as tracker, output_folder(spec.output_dir) as folder:
        outcome = _train(
            backbone,
            ListedPairs(encoded, backbone.num_tokens),
            ListedPairs(dev_encoded, backbone.num_tokens),
            spec,
            tracker,
            log,
        )
        temperature = fit_temperature(outcome.dev_margins)
        sha = write_manifest(folder, backbone.save(folder), backbone.weights_file, temperature)
        write_curves(outcome.curves, folder / "curves.parquet")
        report = {
            "name": spec.name,
            "seed": spec.seed,
            "counts": counts.as_dict(),
            "dev_counts": dev_counts.as_dict(),
            **_dev_report(outcome, dev_encoded, spec.seed),
            "steps": outcome.steps,
            "epochs": outcome.epochs,
            "best_step": outcome.best_step,
            "stopped_because": outcome.stopped_because,
            "train_loss": outcome.train_loss,
            "temperature": temperature,
            "num_parameters": sum(p.numel() for p in backbone.module.parameters()),
            "truncation": truncation,
            "dev_truncation": dev_truncation,
            "num_truncated": truncation["num_responses"] + dev_truncation["num_responses"],
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


def pair_items(pair: LabelledPair) -> tuple[Item, Item]:
    """The chosen and the rejected side, as a backbone takes them."""
    return (pair.prompt, pair.chosen), (pair.prompt, pair.rejected)


def encode_pairs(
    backbone: Backbone, pairs: Sequence[LabelledPair], counts: StageCounts
) -> tuple[list[EncodedPair], StageCounts, dict[str, int]]:
    """Encode; a pair whose sides are the same once truncated says nothing and is dropped, counted.

    Returns:
        The pairs, the row accounting so far with this step's drops, and how much was truncated.
    """
    rows = backbone.encode([item for pair in pairs for item in pair_items(pair)])
    encoded = [
        EncodedPair(pair.pair_id, chosen, rejected, pair.weight, pair.cluster)
        for pair, chosen, rejected in zip(pairs, rows[0::2], rows[1::2], strict=True)
        if not chosen.same_as(rejected)
    ]
    dropped = Counter(counts.dropped)
    if len(encoded) < len(pairs):
        dropped["equal_after_truncation"] = len(pairs) - len(encoded)
    truncation = {
        "num_responses": sum(row.num_truncated > 0 for row in rows),
        "num_tokens": int(sum(row.num_truncated for row in rows)),
    }
    return encoded, StageCounts(counts.rows_in, len(encoded), dict(dropped)), truncation


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


def _dev_report(outcome: TrainingOutcome, dev: Sequence[EncodedPair], seed: int) -> dict:
    """Accuracy on dev. It chose the checkpoint, so it flatters the model; holdout is for reports."""
    right = np.asarray(outcome.dev_margins > 0, dtype=np.float64)
    estimate = estimate_accuracy(right, [pair.cluster for pair in dev], seed=seed)
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
