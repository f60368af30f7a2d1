"""Report: what `training_report.json` says of a finished training, and whether a folder holds the one asked for."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from assets.accounting import StageCounts
from assets.errors import SynprefError
from training.checkpoint import read_manifest
from training.evaluating import judged
from training.loop import TrainingOutcome
from training.progress import differences
from training.specs import TrainSpec

REPORT = "training_report.json"


def training_report(
    spec: TrainSpec,
    outcome: TrainingOutcome,
    module: torch.nn.Module,
    *,
    counts: StageCounts,
    dev_counts: StageCounts,
    dev_clusters: Sequence[str],
    truncation: Mapping[str, int],
    dev_truncation: Mapping[str, int],
    **more: Any,
) -> dict[str, Any]:
    """Figures of a training as JSON values.

    Args:
        module: as it is saved.
        more: further figures by name.
    """
    return {
        "name": spec.name,
        "seed": spec.seed,
        "counts": counts.as_dict(),
        "dev_counts": dev_counts.as_dict(),
        **_dev_report(outcome, dev_clusters, spec.seed),
        "steps": outcome.steps,
        "epochs": outcome.epochs,
        "best_step": outcome.best_step,
        "stopped_because": outcome.stopped_because,
        "train_loss": outcome.train_loss,
        "num_parameters": sum(p.numel() for p in module.parameters()),
        "truncation": dict(truncation),
        "dev_truncation": dict(dev_truncation),
        "num_truncated": truncation["num_responses"] + dev_truncation["num_responses"],
        "pairs_per_second": round(outcome.pairs_per_second, 2),
        "train_s": round(outcome.seconds, 2),
        "resumed_at": list(outcome.resumed_at),
        "num_out_of_memory": outcome.num_halved,
        "token_budget": outcome.token_budget,
        "recipe": spec.recipe.model_dump(mode="json"),
        **more,
    }


def _dev_report(outcome: TrainingOutcome, clusters: Sequence[str], seed: int) -> dict[str, Any]:
    """Accuracy on dev. It chose the checkpoint, so it flatters the model; holdout is for reports."""
    estimate = judged(outcome.dev_margins, clusters, seed).estimate if len(clusters) else None
    return {
        "dev_accuracy": estimate.value if estimate else None,
        "dev_ci95": list(estimate.ci95) if estimate and estimate.ci95 else None,
        "num_dev_pairs": len(clusters),
        "num_dev_clusters": estimate.num_clusters if estimate else 0,
    }


def report_of(folder: Path, identity: Mapping[str, Any]) -> dict[str, Any] | None:
    """The report in a model's folder, when it is of this very run and the weights are sound; else None."""
    try:
        report = json.loads((folder / REPORT).read_text("utf-8"))
        if differences(json.loads(json.dumps(identity)), report["run"]):
            return None
        sound = read_manifest(folder)["weights_sha256"] == report["weights_sha256"]
    except (OSError, ValueError, KeyError, TypeError, SynprefError):
        # No model, another's, or a damaged one: it is trained.
        return None
    return report if sound else None
