"""Promoting: the registry's moves around the gate. The gate decides, the registry acts, the ledger remembers."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime

from assets.lake import Lake
from assets.reward_models.measuring import GOLD_HOLDOUT, saved_scores, scored_sets
from assets.reward_models.registry import CANDIDATE, CHAMPION, PREVIOUS, Registry, record_decision
from assets.reward_models.runs import trained_model
from assets.workspace import Workspace
from evaluation.gate import GateDecision, decide_promotion


@dataclass(frozen=True)
class Promotion:
    """What came of a candidate.

    Attributes:
        candidate, champion: versions after the decision; champion is empty when there is none.
        already_champion: the candidate's weights are the champion's, so there was nothing to decide.
    """

    candidate: str
    champion: str
    decision: GateDecision
    already_champion: bool = False

    @property
    def promoted(self) -> bool:
        """Whether the candidate took the place."""
        return self.decision.promote and not self.already_champion


def register_candidate(workspace: Workspace, size: str) -> tuple[str, dict[str, str]]:
    """Register the trained model of a size and give it the alias `candidate`."""
    trained, _ = trained_model(workspace, f"final-{size}")
    registry = Registry(workspace)
    tags = _tags(trained)
    version = registry.register(size, trained, tags=tags)
    registry.point(size, CANDIDATE, version)
    return version, tags


def promote(workspace: Workspace, size: str, *, created_at: datetime) -> Promotion:
    """Put the candidate before the gate.

    Where the registry has no champion yet, the model trained on the raw pool is registered first: it is what a
    team would use without curation, and what the candidate has to beat.
    """
    registry, lake, settings = Registry(workspace), workspace.lake, workspace.settings
    version, _ = register_candidate(workspace, size)
    items = scored_sets(workspace)

    def decide(challenger: str, holder: str | None) -> GateDecision:
        """Paired over the items that both versions were scored on."""
        return decide_promotion(
            saved_scores(lake, challenger),
            saved_scores(lake, holder) if holder else None,
            items,
            primary=GOLD_HOLDOUT,
            max_loss=settings.gate.max_loss,
            seed=settings.seed,
            num_resamples=settings.gate.num_bootstrap,
        )

    champion = registry.version_of(size, CHAMPION)
    if champion is None:
        raw, _ = trained_model(workspace, f"raw-{size}")
        first = registry.register(size, raw, tags=_tags(raw))
        decision = decide(keep_scores(lake, f"raw-{size}", raw["model_version"]), None)
        record_decision(lake, size, candidate=first, champion=None, decision=decision, created_at=created_at)
        if decision.promote:
            registry.point(size, CHAMPION, first)
            champion = registry.version_of(size, CHAMPION)

    if champion is not None and champion[0] == version:
        last = last_decision(lake, size)
        decision = GateDecision(True, ("The candidate's weights are the champion's already.",))
        return Promotion(version, version, last or decision, already_champion=True)

    trained, _ = trained_model(workspace, f"final-{size}")
    challenger = keep_scores(lake, f"final-{size}", trained["model_version"])
    decision = decide(challenger, None if champion is None else f"weights-{champion[1]['weights']}")
    old = champion[0] if champion else None
    record_decision(lake, size, candidate=version, champion=old, decision=decision, created_at=created_at)
    registry.tag(size, version, {"gate": " ".join(decision.reasons)[:4000]})
    if decision.promote:
        if old is not None:
            registry.point(size, PREVIOUS, old)
        registry.point(size, CHAMPION, version)
    return Promotion(version, version if decision.promote else old or "", decision)


def last_decision(lake: Lake, size: str) -> GateDecision | None:
    """The latest decision of the gate that the ledger holds, without its comparisons."""
    rows = lake.read("promotions", model_name=f"synpref-rm-{size}").to_pylist()
    if not rows:
        return None
    evidence = json.loads(max(rows, key=lambda r: r["seq"])["evidence"])
    return GateDecision(evidence["promote"], tuple(evidence["reasons"]), {}, evidence["override"])


def keep_scores(lake: Lake, model: str, weights: str) -> str:
    """Keep a model's saved scores under its weights, so that they outlive the next training; returns their name.

    The gate compares versions of the registry, and a version is its weights.
    """
    name = f"weights-{weights}"
    for manifest in lake.manifests("benchmark_scores", model=model):
        partition = {"model": name, "benchmark": manifest.partition["benchmark"]}
        scores = lake.read("benchmark_scores", **manifest.partition)
        lake.publish("benchmark_scores", scores, partition, inputs=manifest.inputs, info=manifest.info)
    return name


def _tags(trained: dict) -> dict[str, str]:
    return {
        "mixture_id": trained["mixture_id"] or "",
        "num_train_pairs": str(trained["num_train_pairs"]),
        "dev_accuracy": str(trained["dev_accuracy"]),
    }
