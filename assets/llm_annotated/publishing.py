"""Publishing a qualification: judges asked about a round's gold dev, compared with the round before, kept."""

from __future__ import annotations

from dataclasses import asdict

from assets.contracts import from_rows
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
from assets.llm_annotated.guidance import guide
from assets.llm_annotated.opening import open_judges
from assets.llm_annotated.qualification import Qualification
from assets.llm_annotated.qualifying import qualify
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
