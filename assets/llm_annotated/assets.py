"""Dagster glue of LLM-annotated pairs: attributes, judges measured on gold, their verdicts, silver."""

from collections.abc import Iterator
from typing import Any

import dagster as dg
import pyarrow.compute as pc

from assets import plots
from assets.contracts import from_rows
from assets.errors import SynprefError
from assets.human_gold.roster import pairs_for_people
from assets.llm_annotated.annotate import AnnotationResult, annotate_pairs
from assets.llm_annotated.attribute_writing import attribute_inputs, attributes_of_source
from assets.llm_annotated.guidance import guide, published_qualification
from assets.llm_annotated.opening import judge_inputs, open_judges
from assets.llm_annotated.qualification import qualify
from assets.llm_annotated.usage import usage_rows
from assets.settings import RunSettings
from assets.staleness import current, fingerprint
from assets.workspace import Workspace
from orchestration.dbt_assets import Publication, build_layer, people_variables
from orchestration.glue import FAILED_CHECK_WARNS, failure, markdown_table, now, plot, published
from orchestration.partitions import Partitions

GROUP = "stage_1_loop"


def build(settings: RunSettings, partitions: Partitions) -> list[Any]:
    """Assets and checks of this room."""

    @dg.asset(group_name=GROUP, partitions_def=partitions.sources, deps=["raw_pairs", "candidate_pool"])
    def preference_attributes(
        context: dg.AssetExecutionContext, workspace: dg.ResourceParam[Workspace]
    ) -> dg.MaterializeResult:
        """The 5-tuple of every stage-1 pair of a source, within the budget: what retrieval and annotators see."""
        source, lake = context.partition_key, workspace.lake
        try:
            pool = lake.require("candidate_pool", todo="materialise candidate_pool")
            inputs = fingerprint(
                settings, ["attributes"], [*pool, *lake.manifests("pairs", source=source)], *attribute_inputs(settings)
            )
            if done := current(lake, "attributes", {"source": source}, inputs):
                return published(done, unchanged=True)
            written = attributes_of_source(workspace, source)
        except SynprefError as error:
            raise failure(error) from error
        # What was put off, for want of money or of a server, is asked for again by the next run.
        manifest = lake.publish(
            "attributes",
            written.table,
            {"source": source},
            inputs=inputs if written.complete else "",
            info={"counts": written.counts.as_dict()},
        )
        categories = {row["values"]: row["counts"] for row in written.table["task_category"].value_counts().to_pylist()}
        chart = plots.bar_chart(dict(sorted(categories.items())), title="Task categories", unit="pairs")
        return published(manifest, categories=plot(chart), writer=settings.attributes.provider, **written.facts())

    check = dg.AssetCheckSpec(
        "a_judge_is_used", asset="judge_qualification", description="At least one judge reaches the bar on gold dev"
    )

    @dg.asset(group_name=GROUP, partitions_def=partitions.rounds, deps=["gold"], check_specs=[check])
    def judge_qualification(
        context: dg.AssetExecutionContext, workspace: dg.ResourceParam[Workspace]
    ) -> Iterator[dg.MaterializeResult]:
        """What each judge is worth on gold dev, and so whether and how much it counts."""
        round_name, lake = context.partition_key, workspace.lake
        partition = {"round": round_name}
        try:
            gold = lake.require("gold", as_of_round=round_name, todo=f"materialise gold {round_name}")
            recorded = lake.manifests("recorded_verdicts")
            shown = judge_inputs(workspace, round_name)
            inputs = fingerprint(settings, ["judges", "voting", "embedding"], [*gold, *recorded], *shown)
            done = current(lake, "judge_qualification", partition, inputs)
            if done is None:
                dev = lake.read("gold", filters=pc.field("split") == "dev", as_of_round=round_name)
                examples = guide(workspace, dev["pair_id"].to_pylist(), round_name)
                with open_judges(workspace, round_name) as judges:
                    found = qualify(judges, dev, settings.voting, examples=examples)
                lake.append_events("judge_requests", found.requests, {"batch": f"qualification-{round_name}"})
                done_now = lake.publish(
                    "judge_qualification",
                    from_rows(found.rows(), "judge_qualification"),
                    partition,
                    inputs=inputs,
                    info={"qualification": found.as_dict()},
                )
        except SynprefError as error:
            raise failure(error) from error
        manifest = done or done_now
        rows = lake.read("judge_qualification", **partition).to_pylist()
        chart = {r["judge"]: (r["accuracy"], r["low"], r["high"]) for r in rows if r["accuracy"] is not None}
        result = published(
            manifest,
            unchanged=done is not None,
            judges=markdown_table(rows),
            calls=markdown_table(usage_rows(lake.read("judge_requests", batch=f"qualification-{round_name}"))),
            accuracy=plot(plots.interval_chart(chart, title="Accuracy on gold dev", unit="share right, 95 % interval")),
        )
        passed = any(r["used"] for r in rows)
        yield result._replace(
            check_results=[dg.AssetCheckResult(check_name=check.name, passed=passed, severity=FAILED_CHECK_WARNS)]
        )

    @dg.asset(
        group_name=GROUP,
        partitions_def=partitions.rounds,
        deps=["retrieved_pairs", "judge_qualification", "human_labels"],
    )
    def llm_annotated_pairs(
        context: dg.AssetExecutionContext, workspace: dg.ResourceParam[Workspace]
    ) -> dg.MaterializeResult:
        """Judges' verdicts on the round's pairs that people were not asked about, guided by similar gold pairs."""
        round_name, lake = context.partition_key, workspace.lake
        try:
            retrieved = lake.require(
                "retrieved_pairs", round=round_name, todo=f"materialise retrieved_pairs {round_name}"
            )
            qualified = lake.require("judge_qualification", round=round_name, todo="materialise judge_qualification")
            tasks = lake.manifests("annotation_tasks", round=round_name)
            upstream = [*retrieved, *qualified, *tasks, *lake.manifests("gold", as_of_round=round_name)]
            asked_people = pairs_for_people(lake, round_name)
            pairs = lake.read("retrieved_pairs", ["pair_id"], round=round_name)["pair_id"].to_pylist()
            targets = [p for p in pairs if p not in asked_people]
            return annotate(workspace, round_name, targets, round_name, upstream)
        except SynprefError as error:
            raise failure(error) from error

    silver = build_layer(
        "silver_layer",
        select="tag:silver",
        partitions_def=partitions.rounds,
        inputs=("candidate_pool", "prompt_splits", "judge_label_events", "person_label_events", "crowd_label_events"),
        sections=("rounds",),
        variables=people_variables,
        publications=lambda key, _: [Publication("silver", {"as_of_round": str(key)})],
    )

    @dg.asset(group_name="stage_2_filter", deps=["judge_queue", "judge_qualification"])
    def stage_2_verdicts(workspace: dg.ResourceParam[Workspace]) -> dg.MaterializeResult:
        """Judges' verdicts on the uncertain rest of the wild pool, within the budget."""
        lake, last = workspace.lake, settings.round_names[-1]
        try:
            queue = lake.require("judge_queue", todo="materialise judge_queue")
            qualified = lake.require("judge_qualification", round=last, todo=f"materialise judge_qualification {last}")
            targets = lake.read("judge_queue", ["pair_id"], pc.field("afforded"))["pair_id"].to_pylist()
            return annotate(workspace, "stage_2", targets, last, [*queue, *qualified])
        except SynprefError as error:
            raise failure(error) from error

    return [preference_attributes, judge_qualification, llm_annotated_pairs, silver, stage_2_verdicts]


def annotate(
    workspace: Workspace, batch: str, targets: list[str], gold_round: str, upstream: list
) -> dg.MaterializeResult:
    """Ask the judges about the targets and append what they say to the ledger."""
    lake, settings = workspace.lake, workspace.settings
    partition = {"kind": "judge", "batch": batch}
    inputs = fingerprint(
        settings,
        ["judges", "voting", "embedding"],
        [*upstream, *lake.manifests("recorded_verdicts")],
        *judge_inputs(workspace, gold_round),
    )
    if done := current(lake, "label_events", partition, inputs):
        return published(done, unchanged=True)
    with open_judges(workspace, gold_round) as judges:
        result: AnnotationResult = annotate_pairs(
            targets,
            judges,
            published_qualification(lake, gold_round),
            settings.voting,
            batch=batch,
            created_at=now(),
            examples=guide(workspace, targets, gold_round),
        )
    lake.append_events("judge_requests", result.requests, {"batch": batch})
    manifest = lake.append_events("label_events", result.events, partition, inputs=inputs, info=result.info())
    by_judge = [{"judge": name, **counts.as_dict()} for name, counts in result.counts_by_judge.items()]
    verdicts = {k: sum(p.verdict == k for p in result.panel.values()) for k in ("1", "2", "tie", "undecided")}
    return published(
        manifest,
        weighting=result.weighting,
        judges=markdown_table(by_judge),
        usd=sum(result.usd.values()),
        calls=markdown_table(usage_rows(result.requests)),
        panel=plot(plots.bar_chart(verdicts, title="The panel's verdicts", unit="pairs")),
        simulated=any(j.simulated for j in judges),
    )
