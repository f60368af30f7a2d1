"""Model sections of the report: scores with baselines, the paired comparison, promotion, curves."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from assets.reward_models.measuring import GOLD_HOLDOUT, saved_scores
from assets.reward_models.promoting import last_decision
from assets.reward_models.registry import CHAMPION, Registry, model_name
from assets.reward_models.runs import trained_model
from assets.workspace import Workspace
from evaluation.intervals import compare_paired
from evaluation.report import summary as s
from evaluation.results import evaluate_benchmark, item_values

# Of a curve with more points, evenly spaced ones are shown; the whole curve is in MLflow.
_MAX_POINTS = 200


def scored_models(workspace: Workspace) -> list[str]:
    """Models with saved scores, finals before raws."""
    names = {m.partition["model"] for m in workspace.lake.manifests("benchmark_scores")}
    return sorted(name for name in names if not name.startswith("weights-"))


def model_scores(workspace: Workspace, sets: Mapping[str, pa.Table]) -> tuple[s.ModelScore, ...]:
    """Every scored model on every set, and the baselines once a set."""
    seed = workspace.settings.seed
    found: list[s.ModelScore] = []
    for name, items in sets.items():
        baselines: list[s.ModelScore] = []
        for model in scored_models(workspace):
            if not workspace.lake.manifests("benchmark_scores", model=model, benchmark=name):
                continue
            result = evaluate_benchmark(items, saved_scores(workspace.lake, model), name, seed=seed)
            found.append(s.ModelScore.of(model, name, result.score, unscored=dict(result.unscored)))
            baselines = [
                s.ModelScore.of(f"{kind} only" if kind == "length" else kind, name, estimate, kind="baseline")
                for kind, estimate in result.baselines.items()
            ]
        found += baselines
    return tuple(found)


def comparison(workspace: Workspace, sets: Mapping[str, pa.Table], size: str) -> s.Comparison | None:
    """The curated mixture's model against the raw pool's on the gold holdout, paired."""
    items, lake = sets[GOLD_HOLDOUT], workspace.lake
    candidate, baseline = f"final-{size}", f"raw-{size}"
    if not {candidate, baseline} <= set(scored_models(workspace)):
        return None
    mine = item_values(items, saved_scores(lake, candidate), GOLD_HOLDOUT)
    theirs = item_values(items, saved_scores(lake, baseline), GOLD_HOLDOUT)
    if mine.item_ids != theirs.item_ids:
        return None
    found = compare_paired(mine.values, theirs.values, mine.clusters, seed=workspace.settings.seed)
    if found.difference.value is None:
        return None
    return s.Comparison(
        candidate=candidate,
        baseline=baseline,
        set=GOLD_HOLDOUT,
        difference=found.difference.value,
        ci95=found.difference.ci95,
        n=found.difference.n,
        num_clusters=found.difference.num_clusters,
        mcnemar_p=found.mcnemar_p,
    )


def champion(workspace: Workspace, size: str) -> s.Champion | None:
    """The registry's champion."""
    found = Registry(workspace).version_of(size, CHAMPION)
    if found is None:
        return None
    version, tags = found
    trained, _ = trained_model(workspace, f"final-{size}")
    return s.Champion(
        name=model_name(size), version=version, promoted_in_this_run=tags.get("weights") == trained["model_version"]
    )


def promotion(workspace: Workspace, size: str) -> s.Promotion | None:
    """What the gate last decided."""
    decision = last_decision(workspace.lake, size)
    if decision is None:
        return None
    found = Registry(workspace).version_of(size, CHAMPION)
    return s.Promotion(
        promoted=decision.promote,
        candidate=f"final-{size}",
        champion=f"version {found[0]}" if found else "",
        reasons=decision.reasons,
        override=decision.override,
    )


def curves(workspace: Workspace, models: Iterable[str]) -> tuple[s.Curve, ...]:
    """Training curves of the models."""
    found = []
    for model in models:
        trained, _ = trained_model(workspace, model)
        rows = pq.read_table(Path(trained["folder"]) / "curves.parquet").to_pylist()
        for name in sorted({row["name"] for row in rows}):
            points = [(float(row["step"]), row["value"]) for row in rows if row["name"] == name]
            step = max(1, -(-len(points) // _MAX_POINTS))
            found.append(s.Curve(model=model, name=name, points=tuple(points[::step])))
    return tuple(found)
