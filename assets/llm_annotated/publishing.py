"""Publishing what judges said: of gold dev, compared with the round before, and of the pairs they label."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime

from assets.accounting import with_dropped
from assets.contracts import from_rows
from assets.llm_annotated.annotate import AnnotationResult, annotate_pairs
from assets.llm_annotated.calling.claims import is_final
from assets.llm_annotated.cascade import plans_of
from assets.llm_annotated.drift import Drift, measure_drift
from assets.llm_annotated.gold_dev import (
    facts_of_pairs,
    qualification_batch,
    qualified_before,
    read_gold_dev,
    verdicts_in_requests,
)
from assets.llm_annotated.guidance import guide, published_qualification
from assets.llm_annotated.opening import open_judges
from assets.llm_annotated.qualification import Qualification
from assets.llm_annotated.qualifying import qualify
from assets.llm_annotated.round_budget import within_budget
from assets.llm_annotated.votes import SIDES
from assets.partition_writer import Manifest
from assets.workspace import Workspace


def publish_qualification(workspace: Workspace, round_name: str, inputs: str) -> Manifest:
    """Qualify the configured judges on gold dev as of a round, and publish calls, measures and drift."""
    settings, lake = workspace.settings, workspace.lake
    dev = read_gold_dev(lake, round_name)
    pairs = dev["pair_id"].to_pylist()
    with open_judges(workspace, round_name) as judges:
        found = qualify(
            judges,
            dev,
            settings.voting,
            batch=qualification_batch(round_name),
            examples=guide(workspace, pairs, round_name),
            plans=plans_of(settings.judges),
            facts=facts_of_pairs(lake, pairs),
        )
    lake.append_events("judge_requests", found.requests, {"batch": qualification_batch(round_name)})
    return lake.publish(
        "judge_qualification",
        from_rows(found.rows(), "judge_qualification"),
        {"round": round_name},
        # What was put off, for want of money or of a server, is asked for again by the next run.
        inputs="" if any(not is_final(status) for j in found.judges for status in j.statuses) else inputs,
        info={
            "qualification": found.as_dict(),
            "drift": [asdict(one) for one in drifts(workspace, found, round_name)],
        },
    )


@dataclass(frozen=True)
class AnnotatedBatch:
    """A batch of pairs that judges labelled.

    Attributes:
        manifest: of the label events.
        usd_estimated: what the targets were expected to cost with judges whose price is known beforehand.
        usd_limit: US dollars that the budget left to the batch; None without a bound.
        simulated: whether any judge was.
    """

    manifest: Manifest
    result: AnnotationResult
    usd_estimated: float
    usd_limit: float | None
    simulated: bool


def publish_annotation(
    workspace: Workspace, batch: str, targets: Sequence[str], gold_round: str, inputs: str, created_at: datetime
) -> AnnotatedBatch:
    """Ask the qualified judges about the targets that the budget reaches, and append what they say to the ledger.

    Args:
        batch: the round, or stage_2.
        targets: the most wanted first.
        gold_round: whose qualification and gold count.
    """
    settings, lake = workspace.settings, workspace.lake
    qualification = published_qualification(lake, gold_round)
    within, limit = within_budget(workspace, batch, targets, qualification.weights)
    with open_judges(workspace, gold_round) as judges:
        result = annotate_pairs(
            within.targets,
            judges,
            qualification,
            settings.voting,
            batch=batch,
            created_at=created_at,
            examples=guide(workspace, within.targets, gold_round),
            plans=plans_of(settings.judges),
        )
        simulated = any(judge.simulated for judge in judges)
    lake.append_events("judge_requests", result.requests, {"batch": batch})
    manifest = lake.append_events(
        "label_events",
        result.events,
        {"kind": "judge", "batch": batch},
        # What was put off, for want of money or of a server, is asked for again by the next run.
        inputs="" if result.num_put_off else inputs,
        info=result.info() | {"counts": with_dropped(result.counts, "over_budget", len(within.over_budget)).as_dict()},
    )
    return AnnotatedBatch(manifest, result, within.usd, limit, simulated)


def drifts(workspace: Workspace, found: Qualification, round_name: str) -> list[Drift]:
    """Every judge that the round before knows as well, compared with itself."""
    settings, lake = workspace.settings, workspace.lake
    gold = read_gold_dev(lake, round_name).select(["pair_id", "prompt_cluster_id", "verdict"]).to_pylist()
    before = qualified_before(lake, round_name, settings.round_names)
    now = verdicts_in_requests(found.requests)
    compared = [
        measure_drift(
            judge,
            now[judge],
            before[judge],
            {row["pair_id"]: row["verdict"] for row in gold if row["verdict"] in SIDES},
            {row["pair_id"]: row["prompt_cluster_id"] for row in gold},
            max_drift=settings.voting.max_drift,
            min_labels=settings.voting.min_labels_to_qualify,
        )
        for judge in sorted(now.keys() & before.keys())
    ]
    return [one for one in compared if one is not None]
