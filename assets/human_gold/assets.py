"""Dagster glue of human gold: tasks for people, their labels, gold. Rules belong in the modules beside it."""

from collections.abc import Iterator
from typing import Any

import dagster as dg
import pyarrow as pa

from assets.errors import SynprefError
from assets.human_gold.agreement import measure_agreement
from assets.human_gold.roster import answerable_pairs, open_people, tasks_for
from assets.human_gold.selection import select_for_people
from assets.pool import pool_with_splits
from assets.raw_pairs.overlap.freshness import compared
from assets.settings import RunSettings
from assets.staleness import current, fingerprint
from assets.workspace import Workspace
from orchestration.dbt_assets import Publication, build_layer
from orchestration.glue import FAILED_CHECK_WARNS, failure, markdown_table, now, plot, published
from orchestration.partitions import Partitions


def build(settings: RunSettings, partitions: Partitions) -> list[Any]:
    """Assets and checks of this room."""

    @dg.asset(partitions_def=partitions.rounds, deps=["retrieved_pairs"], group_name="stage_1_loop")
    def annotation_tasks(
        context: dg.AssetExecutionContext, workspace: dg.ResourceParam[Workspace]
    ) -> dg.MaterializeResult:
        """Which person sees which pair of the round's selection, and which response on the left."""
        lake, round_name = workspace.lake, context.partition_key
        try:
            retrieved = lake.require(
                "retrieved_pairs", round=round_name, todo=f"materialise retrieved_pairs {round_name}"
            )
            inputs = fingerprint(settings, ["people", "rounds"], [*retrieved, *lake.manifests("recorded_verdicts")])
            if done := current(lake, "annotation_tasks", {"round": round_name}, inputs):
                return published(done, unchanged=True)
            people = open_people(workspace)
            selection = people_of_round(workspace, round_name, answerable_pairs(people))
            reasons = dict(zip(selection["pair_id"].to_pylist(), selection["reason"].to_pylist(), strict=True))
            tasks = tasks_for(workspace, people, list(reasons), round_name, reasons)
        except SynprefError as error:
            raise failure(error) from error
        manifest = lake.publish("annotation_tasks", tasks, {"round": round_name}, inputs=inputs)
        return published(manifest, num_pairs=len(reasons), people=settings.people.provider)

    @dg.asset(
        partitions_def=partitions.rounds,
        deps=["annotation_tasks"],
        group_name="stage_1_loop",
        check_specs=[
            dg.AssetCheckSpec(
                "annotators_agree", asset="human_labels", description="Krippendorff's alpha reaches the bar"
            )
        ],
    )
    def human_labels(
        context: dg.AssetExecutionContext, workspace: dg.ResourceParam[Workspace]
    ) -> Iterator[dg.MaterializeResult]:
        """Verdicts of people for the round's tasks, as label events; collecting again adds only what is new."""
        lake, round_name = workspace.lake, context.partition_key
        partition = {"kind": "person", "batch": round_name}
        try:
            tasks = lake.require(
                "annotation_tasks", round=round_name, todo=f"materialise annotation_tasks {round_name}"
            )
            inputs = fingerprint(settings, ["people"], [*tasks, *lake.manifests("recorded_verdicts")])
            # An inbox fills while nothing else changes: it is read every time.
            fixed = settings.people.provider != "inbox"
            done = current(lake, "label_events", partition, inputs) if fixed else None
            manifest = done
            if manifest is None:
                people = open_people(workspace)
                collected = people.collect(
                    lake.read("annotation_tasks", round=round_name), round_name=round_name, created_at=now()
                )
                info = {"counts": collected.counts.as_dict(), "delivered": collected.delivered.as_dict()}
                if len(collected.dead_letters):
                    lake.publish("dead_letters", collected.dead_letters, {"source": f"inbox-{round_name}"})
                manifest = lake.append_events("label_events", collected.events, partition, inputs=inputs, info=info)
            agreement = measure_agreement(
                lake.read("label_events", **partition), _clusters(workspace), seed=settings.seed
            )
        except SynprefError as error:
            raise failure(error) from error
        result = published(
            manifest,
            unchanged=done is not None,
            people=settings.people.provider,
            agreement=markdown_table(agreement.rows()),
            per_person=plot(agreement.per_person_plot()),
        )
        check = dg.AssetCheckResult(
            check_name="annotators_agree",
            passed=agreement.alpha is not None and agreement.alpha >= settings.people.min_alpha,
            severity=FAILED_CHECK_WARNS,
            metadata={
                "alpha": agreement.alpha if agreement.alpha is not None else "not defined",
                "bar": settings.people.min_alpha,
            },
        )
        yield result._replace(check_results=[check])

    gold = build_layer(
        "gold_layer",
        select="tag:gold",
        partitions_def=partitions.rounds,
        inputs=("candidate_pool", "prompt_splits", "person_label_events", "contamination_hits"),
        sections=("rounds", "decontamination"),
        variables=lambda workspace, key: {
            # A benchmark that was added since must have been looked for, or gold would only seem clean.
            **compared(workspace),
            "round": key,
            "rounds": list(workspace.settings.round_names),
        },
        publications=lambda key, _: [Publication("gold", {"as_of_round": str(key)})],
    )
    return [annotation_tasks, human_labels, gold]


def people_of_round(workspace: Workspace, round_name: str, answerable: Any) -> pa.Table:
    """Pairs of the round's selection that go to people: pair_id and reason."""
    settings, lake = workspace.settings, workspace.lake
    retrieved = lake.read("retrieved_pairs", columns=["pair_id", "reason"], round=round_name)
    if round_name == settings.round_names[0]:
        return retrieved.filter(pa.compute.equal(retrieved["reason"], "seed_people"))
    pool = pool_with_splits(lake).select(["pair_id", "objectivity", "controversiality"])
    nothing = pa.nulls(len(retrieved))
    offered = retrieved.select(["pair_id"]).join(pool, "pair_id", join_type="left outer").sort_by("pair_id")
    # Judges answer after people in a round, so there is nothing of theirs to compare the model with yet.
    offered = offered.append_column("judge_verdict", nothing.cast(pa.string()))
    offered = offered.append_column("judge_confidence", nothing.cast(pa.float64()))
    offered = offered.append_column("probability_1", nothing.cast(pa.float64()))
    return select_for_people(
        offered, budget=settings.rounds.people_per_round, seed=settings.seed, people_can_answer=answerable
    ).table


def _clusters(workspace: Workspace) -> dict[str, str]:
    pool = workspace.lake.read("candidate_pool", columns=["pair_id", "prompt_cluster_id"])
    return dict(zip(pool["pair_id"].to_pylist(), pool["prompt_cluster_id"].to_pylist(), strict=True))
