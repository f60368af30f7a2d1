"""Dagster glue of LLM-annotated pairs: attributes, judges measured on gold, their verdicts, silver."""

from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

import dagster as dg
import pyarrow.compute as pc

from assets import plots
from assets.errors import SynprefError
from assets.filtered_mixture.retrieval import most_wanted_first
from assets.human_gold.roster import pairs_for_people
from assets.llm_annotated.attribute_writing import attribute_inputs, attributes_of_source
from assets.llm_annotated.drift import Drift
from assets.llm_annotated.gold_dev import qualification_batch
from assets.llm_annotated.judge_checks import CHECKS, check_judges
from assets.llm_annotated.judge_plots import qualification_plots
from assets.llm_annotated.opening import judge_inputs
from assets.llm_annotated.publishing import publish_annotation, publish_qualification
from assets.llm_annotated.qualification import Qualification
from assets.llm_annotated.usage import usage_rows
from assets.raw_pairs.overlap.freshness import compared
from assets.settings import RunSettings
from assets.staleness import current, fingerprint
from assets.workspace import Workspace
from orchestration.dbt_assets import Publication, build_layer, people_variables
from orchestration.glue import FAILED_CHECK_STOPS, FAILED_CHECK_WARNS, failure, markdown_table, now, plot, published
from orchestration.partitions import Partitions

GROUP = "stage_1_loop"
# Raised when the same settings and gold are to give other verdicts.
JUDGE_CODE = 2


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

    @dg.asset(
        group_name=GROUP,
        partitions_def=partitions.rounds,
        deps=["gold"],
        check_specs=[
            dg.AssetCheckSpec(name, asset="judge_qualification", description=says, blocking=name == "a_judge_is_used")
            for name, says in CHECKS.items()
        ],
    )
    def judge_qualification(
        context: dg.AssetExecutionContext, workspace: dg.ResourceParam[Workspace]
    ) -> Iterator[dg.MaterializeResult]:
        """What each judge is worth on gold dev, and so whether and how much it counts."""
        round_name, lake = context.partition_key, workspace.lake
        partition = {"round": round_name}
        try:
            gold = lake.require("gold", as_of_round=round_name, todo=f"materialise gold {round_name}")
            recorded = lake.manifests("recorded_verdicts")
            inputs = fingerprint(
                settings,
                ["judges", "voting", "embedding"],
                [*gold, *recorded],
                *judge_inputs(workspace, round_name),
                code_version=JUDGE_CODE,
            )
            done = current(lake, "judge_qualification", partition, inputs)
            manifest = done or publish_qualification(workspace, round_name, inputs)
        except SynprefError as error:
            raise failure(error) from error
        found = Qualification.from_dict(manifest.info["qualification"])
        result = published(
            manifest,
            unchanged=done is not None,
            judges=markdown_table(found.rows()),
            calls=markdown_table(usage_rows(lake.read("judge_requests", batch=qualification_batch(round_name)))),
            weighting=found.weighting,
            calibration=found.calibration,
            ways=markdown_table([asdict(way) for way in found.measures.compared] if found.measures else []),
            drift=markdown_table(manifest.info["drift"]),
            **{name: plot(markdown) for name, markdown in qualification_plots(found).items()},
        )
        checks = check_judges(
            found, [Drift(**one) for one in manifest.info["drift"]], num_configured=len(settings.judges)
        )
        yield result._replace(
            check_results=[
                dg.AssetCheckResult(
                    check_name=check.name,
                    passed=check.passed,
                    severity=FAILED_CHECK_STOPS if check.name == "a_judge_is_used" else FAILED_CHECK_WARNS,
                    metadata={"seen": check.seen},
                )
                for check in checks
            ]
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
            rows = most_wanted_first(lake.read("retrieved_pairs", round=round_name))
            targets = [pair for pair in rows if pair not in asked_people]
            return annotate(workspace, round_name, targets, round_name, upstream)
        except SynprefError as error:
            raise failure(error) from error

    silver = build_layer(
        "silver_layer",
        select="tag:silver",
        partitions_def=partitions.rounds,
        inputs=(
            *("candidate_pool", "exclusions", "contamination_hits", "prompt_splits"),
            *("judge_label_events", "person_label_events", "crowd_label_events"),
        ),
        sections=("decontamination",),
        variables=lambda workspace, key: {**compared(workspace), **people_variables(workspace, key)},
        publications=lambda key, _: [Publication("silver", {"as_of_round": str(key)})],
    )

    @dg.asset(group_name="stage_2_filter", deps=["judge_queue", "judge_qualification"])
    def stage_2_verdicts(workspace: dg.ResourceParam[Workspace]) -> dg.MaterializeResult:
        """Judges' verdicts on the uncertain rest of the wild pool, within the budget."""
        lake, last = workspace.lake, settings.round_names[-1]
        try:
            queue = lake.require("judge_queue", todo="materialise judge_queue")
            qualified = lake.require("judge_qualification", round=last, todo=f"materialise judge_qualification {last}")
            afforded = lake.read("judge_queue", ["pair_id", "priority"], pc.field("afforded"))
            targets = afforded.sort_by("priority")["pair_id"].to_pylist()
            return annotate(workspace, "stage_2", targets, last, [*queue, *qualified])
        except SynprefError as error:
            raise failure(error) from error

    return [preference_attributes, judge_qualification, llm_annotated_pairs, silver, stage_2_verdicts]


def annotate(
    workspace: Workspace, batch: str, targets: list[str], gold_round: str, upstream: list
) -> dg.MaterializeResult:
    """Ask the judges about the targets and append what they say to the ledger."""
    lake, settings = workspace.lake, workspace.settings
    inputs = fingerprint(
        settings,
        ["judges", "voting", "embedding", "budget"],
        [*upstream, *lake.manifests("recorded_verdicts")],
        *judge_inputs(workspace, gold_round),
        code_version=JUDGE_CODE,
    )
    if done := current(lake, "label_events", {"kind": "judge", "batch": batch}, inputs):
        return published(done, unchanged=True)
    annotated = publish_annotation(workspace, batch, targets, gold_round, inputs, now())
    result = annotated.result
    by_judge = [{"judge": name, **counts.as_dict()} for name, counts in result.counts_by_judge.items()]
    verdicts = {k: sum(p.verdict == k for p in result.panel.values()) for k in ("1", "2", "tie", "undecided")}
    return published(
        annotated.manifest,
        weighting=result.weighting,
        judges=markdown_table(by_judge),
        usd=sum(result.usd.values()),
        usd_estimated=annotated.usd_estimated,
        usd_limit="none" if annotated.usd_limit is None else annotated.usd_limit,
        saving=markdown_table([{"judge": name, **asdict(one)} for name, one in result.saving.items()]),
        over_budget=result.num_over_budget,
        put_off=result.num_put_off,
        calls=markdown_table(usage_rows(result.requests)),
        panel=plot(plots.bar_chart(verdicts, title="The panel's verdicts", unit="pairs")),
        simulated=annotated.simulated,
    )
