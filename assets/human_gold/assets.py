"""Dagster glue of human gold: tasks for people, their labels, gold. Rules belong in the modules beside it."""

from collections.abc import Iterator, Sequence
from typing import Any

import dagster as dg

from assets.errors import SynprefError
from assets.human_gold.agreement import HumanQuality
from assets.human_gold.agreement.charts import charts_of
from assets.human_gold.collecting import collect_labels, people_of_round, send_to_desk
from assets.human_gold.crowd_labels import estimate_labels
from assets.human_gold.quality import TITLES, quality_of_people
from assets.human_gold.roster import tasks_for
from assets.lake import Lake
from assets.llm_annotated.attribute_edits import NOBODY_EDITED, people_events, share_rows, unchanged_shares
from assets.pool import clusters_of
from assets.raw_pairs.overlap.freshness import compared
from assets.settings import RunSettings
from assets.staleness import current, fingerprint
from assets.workspace import Workspace
from orchestration.dbt_assets import Publication, build_layer, people_variables
from orchestration.glue import FAILED_CHECK_WARNS, failure, markdown_table, now, plot, published
from orchestration.partitions import Partitions

PEOPLE_CHECKS = {
    "annotators_agree": "Krippendorff's alpha of all votes so far reaches the bar",
    "every_slice_agrees": "No slice of votes has an alpha whose interval lies below the bar",
    "nobody_needs_a_look": "Nobody prefers a side, hurries, gets worse or is wrong more often than right",
}


def build(settings: RunSettings, partitions: Partitions) -> list[Any]:
    """Assets and checks of this room."""

    @dg.asset(partitions_def=partitions.rounds, deps=["retrieved_pairs", "retrieved_scores"], group_name="stage_1_loop")
    def annotation_tasks(
        context: dg.AssetExecutionContext, workspace: dg.ResourceParam[Workspace]
    ) -> dg.MaterializeResult:
        """Which labels the round asks people for: which pairs, of how many people each, in which order."""
        lake, round_name = workspace.lake, context.partition_key
        try:
            retrieved = lake.require(
                "retrieved_pairs", round=round_name, todo=f"materialise retrieved_pairs {round_name}"
            )
            scores = lake.manifests("retrieved_scores", round=round_name)
            upstream = [*retrieved, *scores, *lake.manifests("recorded_verdicts")]
            # Of the settings of rounds, later ones depend on how many pairs go to people, the seed on none.
            sections = ["people"] if round_name == settings.round_names[0] else ["people", "rounds"]
            inputs = fingerprint(settings, sections, upstream)
            manifest = current(lake, "annotation_tasks", {"round": round_name}, inputs)
            unchanged = manifest is not None
            if manifest is None:
                asked = people_of_round(workspace, round_name)
                reasons = {row["pair_id"]: row["reason"] for row in asked}
                batch = tasks_for(workspace, list(reasons), round_name, reasons)
                manifest = lake.publish(
                    "annotation_tasks",
                    batch.table,
                    {"round": round_name},
                    inputs=inputs,
                    info={"counts": batch.counts.as_dict()},
                )
            sent = send_to_desk(workspace, round_name)
        except SynprefError as error:
            raise failure(error) from error
        facts = {"people": settings.people.provider, **(sent or {})}
        return published(manifest, unchanged=unchanged and sent is None, **facts)

    @dg.asset(
        partitions_def=partitions.rounds,
        deps=["annotation_tasks"],
        group_name="stage_1_loop",
        check_specs=[
            dg.AssetCheckSpec(name, asset="human_labels", description=description)
            for name, description in PEOPLE_CHECKS.items()
        ],
    )
    def human_labels(
        context: dg.AssetExecutionContext, workspace: dg.ResourceParam[Workspace]
    ) -> Iterator[dg.MaterializeResult]:
        """Verdicts of people and adjudicators for the round's tasks, as label events; more are added, none twice."""
        lake, round_name = workspace.lake, context.partition_key
        try:
            tasks = lake.require(
                "annotation_tasks", round=round_name, todo=f"materialise annotation_tasks {round_name}"
            )
            inputs = fingerprint(settings, ["people"], [*tasks, *lake.manifests("recorded_verdicts")])
            manifest, unchanged = collect_labels(workspace, round_name, inputs, now())
            quality = quality_of_people(workspace, round_name)
        except SynprefError as error:
            raise failure(error) from error
        tables = {TITLES[name]: markdown_table(rows) for name, rows in quality.tables().items() if rows}
        rounds = settings.round_names[: settings.round_names.index(round_name) + 1]
        tables["Attributes that people left unchanged"] = _left_unchanged(lake, rounds)
        charts = {f"{name}_plot": plot(image) for name, image in charts_of(quality).items()}
        result = published(manifest, unchanged=unchanged, people=settings.people.provider, **tables, **charts)
        yield result._replace(check_results=list(_checks_of_people(quality, settings.people.min_alpha)))

    @dg.asset(partitions_def=partitions.rounds, deps=["human_labels"], group_name="stage_1_loop")
    def crowd_labels(context: dg.AssetExecutionContext, workspace: dg.ResourceParam[Workspace]) -> dg.MaterializeResult:
        """What the crowd model makes of the people's votes so far: a verdict and how far it can be believed."""
        lake, round_name = workspace.lake, context.partition_key
        try:
            lake.require("label_events", kind="person", batch=round_name, todo=f"materialise human_labels {round_name}")
            found = estimate_labels(workspace, round_name, now())
        except SynprefError as error:
            raise failure(error) from error
        return published(found.manifest, unchanged=found.unchanged, num_appended=found.manifest.info["num_appended"])

    gold = build_layer(
        "gold_layer",
        select="tag:gold",
        partitions_def=partitions.rounds,
        inputs=(
            "candidate_pool",
            "prompt_splits",
            "person_label_events",
            "crowd_label_events",
            "contamination_hits",
            "exclusions",
        ),
        sections=("decontamination",),
        variables=lambda workspace, key: {
            # A benchmark that was added since must have been looked for, or gold would only seem clean.
            **compared(workspace),
            **people_variables(workspace, key),
        },
        publications=lambda key, _: [Publication("gold", {"as_of_round": str(key)})],
    )
    return [annotation_tasks, human_labels, crowd_labels, gold]


def _left_unchanged(lake: Lake, rounds: Sequence[str]) -> Any:
    """Share of pairs whose attributes people left as they were written, as metadata."""
    shares = unchanged_shares(people_events(lake, rounds), clusters_of(lake))
    return markdown_table(share_rows(shares)) if shares else NOBODY_EDITED


def _checks_of_people(quality: HumanQuality, bar: float) -> Iterator[dg.AssetCheckResult]:
    alpha = quality.overall.alpha
    low = [row for row in quality.slice_rows()[1:] if row["alpha_high"] is not None and row["alpha_high"] < bar]
    warnings = quality.warnings()
    facts: dict[str, dict[str, Any]] = {
        "annotators_agree": {"alpha": "not defined" if alpha is None else alpha, "bar": bar},
        "every_slice_agrees": {"bar": bar, "slices": markdown_table(low)},
        "nobody_needs_a_look": {"to_look_at": markdown_table([{"what": warning} for warning in warnings])},
    }
    passed = {
        "annotators_agree": alpha is not None and alpha >= bar,
        "every_slice_agrees": not low,
        "nobody_needs_a_look": not warnings,
    }
    for name, metadata in facts.items():
        yield dg.AssetCheckResult(check_name=name, passed=passed[name], severity=FAILED_CHECK_WARNS, metadata=metadata)
