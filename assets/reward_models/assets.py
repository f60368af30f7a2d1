"""Dagster glue of reward models: trained on labels, scored, registered, promoted, reported."""

import json
from typing import Any

import dagster as dg
import pyarrow.parquet as pq

from assets import plots
from assets.errors import SynprefError
from assets.filtered_mixture.rounds import previous_round, require_round
from assets.reward_models import promoting
from assets.reward_models.measuring import benchmark_file
from assets.reward_models.runs import prepare_scoring, scores_table, trained_model
from assets.reward_models.training_data import gold_of, mixture_of, raw_labels, silver_of
from assets.settings import RunSettings
from assets.staleness import current, fingerprint
from assets.workspace import Workspace
from orchestration.glue import failure, markdown_table, now, plot, published, run_process
from orchestration.partitions import Partitions
from orchestration.training_glue import train

GROUP = "reward_models"


def build(settings: RunSettings, partitions: Partitions) -> list[Any]:
    """Assets of this room."""
    last = settings.round_names[-1]
    every_score = dg.AssetDep("benchmark_scores", partition_mapping=dg.AllPartitionMapping())

    @dg.asset(group_name="stage_1_loop", partitions_def=partitions.loop_rounds, deps=["candidate_pool"])
    def loop_reward_model(
        context: dg.AssetExecutionContext, workspace: dg.ResourceParam[Workspace], pipes: dg.PipesSubprocessClient
    ) -> dg.MaterializeResult:
        """Trained on silver as of the round before, its checkpoint chosen on gold dev."""
        before = previous_round(workspace, context.partition_key)
        assert before is not None
        try:
            upstream = require_round(workspace.lake, "silver", before) + require_round(workspace.lake, "gold", before)
            return train(
                context,
                workspace,
                pipes,
                f"loop-{context.partition_key}",
                settings.models.loop,
                silver_of(workspace, before),
                before,
                upstream,
                read_round=before,
            )
        except SynprefError as error:
            raise failure(error) from error

    @dg.asset(group_name="stage_1_loop", partitions_def=partitions.loop_rounds, deps=[loop_reward_model])
    def gold_scores(
        context: dg.AssetExecutionContext, workspace: dg.ResourceParam[Workspace], pipes: dg.PipesSubprocessClient
    ) -> dg.MaterializeResult:
        """The loop model's p for every gold pair: train pairs are queries, dev and holdout are for reports."""
        round_name, lake = context.partition_key, workspace.lake
        before = previous_round(workspace, round_name)
        assert before is not None
        try:
            trained, model = trained_model(workspace, f"loop-{round_name}")
            inputs = fingerprint(settings, [], [*require_round(lake, "gold", before), model])
            if done := current(lake, "gold_scores", {"round": round_name}, inputs):
                return published(done, unchanged=True)
            ids = lake.read("gold", ["pair_id"], as_of_round=before)["pair_id"].combine_chunks()
            run = prepare_scoring(workspace, name=f"gold-{round_name}", trained=trained, pair_ids=ids, inputs=inputs)
            run_process(context, pipes, "training.score", run.spec)
        except SynprefError as error:
            raise failure(error) from error
        table = scores_table(run.output, trained, "gold_scores")
        manifest = lake.publish("gold_scores", table, {"round": round_name}, inputs=inputs)
        histogram = plots.histogram(table["probability_1"].to_pylist(), title="p(response 1) on gold", unit="p")
        return published(manifest, probabilities=plot(histogram))

    @dg.asset(group_name="stage_2_filter", deps=["gold"])
    def gold_reward_model(
        context: dg.AssetExecutionContext, workspace: dg.ResourceParam[Workspace], pipes: dg.PipesSubprocessClient
    ) -> dg.MaterializeResult:
        """Trained on the human-verified train pairs alone: the second opinion of stage 2."""
        try:
            upstream = require_round(workspace.lake, "gold", last)
            labels = gold_of(workspace, last, "train")
            return train(context, workspace, pipes, "gold", settings.models.gold, labels, last, upstream)
        except SynprefError as error:
            raise failure(error) from error

    @dg.asset(group_name="stage_2_filter", deps=["silver", "loop_reward_model"])
    def best_reward_model(
        context: dg.AssetExecutionContext, workspace: dg.ResourceParam[Workspace], pipes: dg.PipesSubprocessClient
    ) -> dg.MaterializeResult:
        """The best of stage 1 on gold dev: the loop models, and one trained on all silver."""
        lake = workspace.lake
        try:
            upstream = require_round(lake, "silver", last) + require_round(lake, "gold", last)
            closing = train(
                context,
                workspace,
                pipes,
                "loop-closing",
                settings.models.loop,
                silver_of(workspace, last),
                last,
                upstream,
            )
            names = [*(f"loop-{r}" for r in settings.round_names[1:]), "loop-closing"]
            rivals = {name: trained_model(workspace, name)[0] for name in names}
        except SynprefError as error:
            raise failure(error) from error
        # The later model wins a tie: it has seen more silver.
        best = max(names, key=lambda n: (rivals[n]["dev_accuracy"] or 0.0, names.index(n)))
        row = lake.read("trained_models", model=best)
        manifest = lake.publish("trained_models", row, {"model": "best"}, info={"chosen": best})
        accuracies = {name: (rivals[name]["dev_accuracy"] or 0.0, None, None) for name in names}
        return published(
            manifest,
            unchanged=bool(closing.metadata and closing.metadata["unchanged"]),
            chosen=best,
            rivals=plot(plots.interval_chart(accuracies, title="Accuracy on gold dev", unit="share right")),
        )

    @dg.asset(group_name=GROUP, partitions_def=partitions.sizes, deps=["candidate_pool", "prompt_splits", "gold"])
    def raw_reward_model(
        context: dg.AssetExecutionContext, workspace: dg.ResourceParam[Workspace], pipes: dg.PipesSubprocessClient
    ) -> dg.MaterializeResult:
        """The comparison: the same recipe on the raw pool with the labels its sources gave."""
        lake, size = workspace.lake, context.partition_key
        recipe = settings.models.final[size]
        try:
            upstream = [*lake.require("candidate_pool", todo="materialise candidate_pool")]
            upstream += [*lake.manifests("prompt_splits"), *require_round(lake, "gold", last)]
            labels = raw_labels(workspace, recipe)
            return train(context, workspace, pipes, f"raw-{size}", recipe, labels, last, upstream)
        except SynprefError as error:
            raise failure(error) from error

    @dg.asset(group_name=GROUP, partitions_def=partitions.sizes, deps=["filtered_mixture", "gold"])
    def reward_model(
        context: dg.AssetExecutionContext, workspace: dg.ResourceParam[Workspace], pipes: dg.PipesSubprocessClient
    ) -> dg.MaterializeResult:
        """Trained on the filtered mixture: what the pipeline is for."""
        lake, size = workspace.lake, context.partition_key
        recipe, part = settings.models.final[size], settings.mixture_of_size(size)
        try:
            upstream = [*lake.require("mixtures", mixture=part, todo="materialise filtered_mixture")]
            upstream += require_round(lake, "gold", last)
            labels, mixture = mixture_of(workspace, recipe, part)
            return train(context, workspace, pipes, f"final-{size}", recipe, labels, last, upstream, mixture_id=mixture)
        except SynprefError as error:
            raise failure(error) from error

    @dg.asset(
        group_name=GROUP,
        partitions_def=partitions.scores,
        deps=[
            dg.AssetDep("reward_model", partition_mapping=dg.AllPartitionMapping()),
            dg.AssetDep("raw_reward_model", partition_mapping=dg.AllPartitionMapping()),
            dg.AssetDep("gold", partition_mapping=dg.AllPartitionMapping()),
            "benchmark_items",
        ],
    )
    def benchmark_scores(
        context: dg.AssetExecutionContext, workspace: dg.ResourceParam[Workspace], pipes: dg.PipesSubprocessClient
    ) -> dg.MaterializeResult:
        """One model's score for every response of one benchmark, and what it comes to, with its interval."""
        lake, keys = workspace.lake, context.partition_key.keys_by_dimension
        model, benchmark = keys["model"], keys["benchmark"]
        try:
            trained, manifest = trained_model(workspace, model)
            items = lake.manifests("benchmark_items", benchmark=benchmark) or require_round(lake, "gold", last)
            inputs = fingerprint(settings, [], [*items, manifest])
            if done := current(lake, "benchmark_scores", keys, inputs):
                return published(done, unchanged=True)
            out = workspace.models / "evaluations" / model / benchmark
            path = benchmark_file(workspace, benchmark, out)
            run_process(
                context,
                pipes,
                "evaluation.run",
                "--model",
                trained["folder"],
                "--benchmark",
                f"{benchmark}={path}",
                "--out",
                out,
                "--embedding-cache",
                workspace.home / "embeddings",
                "--seed",
                settings.seed,
            )
        except SynprefError as error:
            raise failure(error) from error
        scores = pq.read_table(out / "scores.parquet")
        results = json.loads((out / "results.json").read_text("utf-8"))
        published_scores = lake.publish("benchmark_scores", scores, keys, inputs=inputs, info={"results": results})
        return published(published_scores, results=dg.MetadataValue.json(results))

    @dg.asset(group_name=GROUP, partitions_def=partitions.sizes, deps=[every_score])
    def candidate(context: dg.AssetExecutionContext, workspace: dg.ResourceParam[Workspace]) -> dg.MaterializeResult:
        """The trained model as a version of the registry, with the alias `candidate`."""
        try:
            version, tags = promoting.register_candidate(workspace, context.partition_key)
        except SynprefError as error:
            raise failure(error) from error
        return dg.MaterializeResult(metadata={"version": version, **tags})

    gate_check = dg.AssetCheckSpec(
        "candidate_beats_champion", asset="champion", description="The paired comparison lets the candidate through"
    )

    @dg.asset(group_name=GROUP, partitions_def=partitions.sizes, deps=[candidate], check_specs=[gate_check])
    def champion(context: dg.AssetExecutionContext, workspace: dg.ResourceParam[Workspace]) -> dg.MaterializeResult:
        """The gate: the candidate takes the champion's place only when a paired comparison says so."""
        try:
            promotion = promoting.promote(workspace, context.partition_key, created_at=now())
        except SynprefError as error:
            raise failure(error) from error
        rows = [{"set": name, **c.as_dict()} for name, c in promotion.decision.comparisons.items()]
        check = dg.AssetCheckResult(
            check_name=gate_check.name,
            passed=promotion.decision.promote or promotion.already_champion,
            severity=dg.AssetCheckSeverity.WARN,
            metadata={"reasons": "\n".join(promotion.decision.reasons)},
        )
        return dg.MaterializeResult(
            metadata={
                "promoted": promotion.promoted,
                "champion": promotion.champion,
                "candidate": promotion.candidate,
                "reasons": "\n".join(promotion.decision.reasons),
                "comparisons": markdown_table(rows),
            },
            check_results=[check],
        )

    @dg.asset(group_name=GROUP, deps=[champion])
    def run_report(context: dg.AssetExecutionContext, workspace: dg.ResourceParam[Workspace]) -> dg.MaterializeResult:
        """One page and one `summary.json` that say what was planted, what was found, and what it gave."""
        from assets.reward_models.reporting import write_run_report

        try:
            path, summary = write_run_report(workspace, finished_at=now())
        except SynprefError as error:
            raise failure(error) from error
        scores = {
            f"{m.name} on {m.set}": (m.accuracy, *(m.ci95 or (None, None)))
            for m in summary.models
            if m.accuracy is not None
        }
        return dg.MaterializeResult(
            metadata={
                "report": dg.MetadataValue.path(str(path)),
                "models": plot(plots.interval_chart(scores, title="Accuracy", unit="share right, 95 % interval")),
                "stages": markdown_table([s.model_dump() for s in summary.stages]),
                "planted": markdown_table([p.model_dump() for p in summary.planted]),
            }
        )

    return [
        loop_reward_model, gold_scores, gold_reward_model, best_reward_model, raw_reward_model, reward_model,
        benchmark_scores, candidate, champion, run_report,
    ]  # fmt: skip
