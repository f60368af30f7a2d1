"""Training glue: one training run as the asset that asked for it sees it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import dagster as dg
import pyarrow.parquet as pq

from assets import plots
from assets.partition_writer import Manifest
from assets.reward_models.card import card_facts
from assets.reward_models.runs import Selection, prepare_training, trained_model, trained_model_row
from assets.reward_models.training_data import gold_of
from assets.staleness import current, fingerprint
from assets.workspace import Workspace
from orchestration.glue import plot, published, run_command
from training.launch import launch_command
from training.recipe import TrainingRecipe


def train(
    context: dg.AssetExecutionContext,
    workspace: Workspace,
    pipes: dg.PipesSubprocessClient,
    model: str,
    recipe: TrainingRecipe,
    labels: Selection,
    dev_round: str,
    upstream: list[Manifest],
    *,
    mixture_id: str | None = None,
    **metadata: Any,
) -> dg.MaterializeResult:
    """Train a model in a process of its own and publish its record, unless it was made from these inputs already."""
    lake = workspace.lake
    inputs = fingerprint(workspace.settings, [], [*upstream, *lake.manifests("pairs")], model, recipe.model_dump_json())
    done = current(lake, "trained_models", {"model": model}, inputs)
    if done is None:
        dev = gold_of(workspace, dev_round, "dev")
        run = prepare_training(
            workspace,
            model=model,
            recipe=recipe,
            train=labels.table,
            dev=dev.table,
            inputs=inputs,
            tags={"config": workspace.settings.name, "model": model, "mixture_id": mixture_id or "", "inputs": inputs},
            card=card_facts(workspace, model, labels.table, mixture_id),
        )
        if not run.finished:
            processes = workspace.settings.models.processes_per_node if recipe.zero else 1
            run_command(context, pipes, launch_command(run.spec, processes))
        row, _ = trained_model_row(run, mixture_id=mixture_id)
        info = {"counts": labels.counts.as_dict()}
        manifest = lake.publish("trained_models", row, {"model": model}, inputs=inputs, info=info)
    else:
        manifest = done
    trained, _ = trained_model(workspace, model)
    return published(manifest, unchanged=done is not None, **training_metadata(trained), **metadata)


def training_metadata(trained: dict) -> dict[str, Any]:
    """A training run for the UI: accuracy on gold dev, counts, curves."""
    curves = pq.read_table(Path(trained["folder"]) / "curves.parquet").to_pylist()
    facts: dict[str, Any] = {k: trained[k] for k in ("model_version", "num_train_pairs", "num_dev_pairs")}
    facts |= {"dev_accuracy": trained["dev_accuracy"], "temperature": trained["temperature"]}
    for name in sorted({row["name"] for row in curves}):
        points = [(row["step"], row["value"]) for row in curves if row["name"] == name]
        series = {name: ([x for x, _ in points], [y for _, y in points])}
        facts[f"curve_{name.replace('/', '_')}"] = plot(plots.line_chart(series, title=name, x="step", y=name))
    return {k: v for k, v in facts.items() if v is not None}
