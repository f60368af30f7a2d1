"""dbt layers as Dagster assets: one asset definition a layer, its models' tests as asset checks.

A layer runs in a folder of its own; what it wrote is published into the lake by rename, model by model.
"""

from __future__ import annotations

import shutil
import uuid
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import dagster as dg
import pyarrow.parquet as pq
from dagster_dbt import DagsterDbtTranslator, dbt_assets

from assets.accounting import StageCounts
from assets.contracts import TABLES
from assets.errors import SynprefError
from assets.lake import Manifest
from assets.settings import Workspace
from assets.staleness import current, fingerprint
from orchestration.dbt_layers import DbtLayerResult, ensure_manifest, run_dbt_layer
from orchestration.glue import FAILED_CHECK_STOPS, FAILED_CHECK_WARNS, failure, published

# Every table that staging models read: the lake's name, filters of its partitions, and the name dbt knows.
LAKE_INPUTS: dict[str, tuple[str, dict[str, str]]] = {
    "pairs": ("pairs", {}),
    "benchmark_items": ("benchmark_items", {}),
    "prompt_splits": ("prompt_splits", {}),
    "source_label_events": ("label_events", {"kind": "source"}),
    "person_label_events": ("label_events", {"kind": "person"}),
    "judge_label_events": ("label_events", {"kind": "judge"}),
    "pair_scores": ("pair_scores", {}),
}


class LayerTranslator(DagsterDbtTranslator):
    """Asset keys, groups and descriptions as the models' yml gives them."""

    def get_tags(self, dbt_resource_props: Mapping[str, Any]) -> Mapping[str, str]:
        """Layers are an affair of dbt; the UI shows groups."""
        return {}


def build_layer(
    name: str,
    *,
    select: str,
    variables: Callable[[Workspace, str | None], dict[str, Any]],
    inputs: tuple[str, ...],
    sections: tuple[str, ...],
    partitions_def: dg.PartitionsDefinition | None = None,
    partition_of: Callable[[str, str | None], dict[str, str]] = lambda table, key: {},
    tables: tuple[str, ...],
    counts: Callable[[str, Workspace, DbtLayerResult], StageCounts | None] = lambda *_: None,
) -> dg.AssetsDefinition:
    """One dbt layer as a Dagster asset definition.

    Args:
        select: dbt's selection of the layer's models.
        variables: dbt variables from the workspace and the partition key.
        inputs: names of `LAKE_INPUTS`, or tables of earlier layers, whose content the layer depends on.
        sections: concerns of the configuration it depends on.
        partition_of: lake partition that a table of this layer is published to.
        tables: models that are tables of the lake; the other models of the layer live in the database alone.
        counts: row accounting of a table, for its manifest.
    """

    @dbt_assets(
        manifest=ensure_manifest(),
        select=select,
        name=name,
        partitions_def=partitions_def,
        dagster_dbt_translator=LayerTranslator(),
        pool="duckdb",
    )
    def layer(context: dg.AssetExecutionContext, workspace: dg.ResourceParam[Workspace]) -> Iterator[Any]:
        key = context.partition_key if context.has_partition_key else None
        lake = workspace.lake
        upstream = [m for i in inputs for m in _manifests(workspace, i)]
        values = variables(workspace, key)
        inputs_hash = fingerprint(workspace.settings, sections, upstream, select, repr(sorted(values.items())))
        done = {t: current(lake, t, partition_of(t, key), inputs_hash) for t in tables}
        out = workspace.home / "tmp" / f"dbt-{uuid.uuid4().hex}"
        try:
            # Run even when nothing changed and someone asks for the checks: they are cheap and show in the UI.
            result = run_dbt_layer(
                select,
                lake_files=lake_files(workspace),
                out=out,
                duckdb_file=workspace.duckdb_file,
                variables=values,
            )
            manifests = {}
            for table in tables:
                info = {}
                if (table_counts := counts(table, workspace, result)) is not None:
                    info["counts"] = table_counts.as_dict()
                manifests[table] = done[table] or lake.publish(
                    table,
                    pq.read_table(result.models[table].path),
                    partition_of(table, key),
                    inputs=inputs_hash,
                    info=info,
                )
        except SynprefError as error:
            raise failure(error) from error
        finally:
            shutil.rmtree(out, ignore_errors=True)
        yield from _events(context, result, manifests, {t for t in tables if done[t]})

    return layer


def lake_files(workspace: Workspace) -> dict[str, list[str]]:
    """Current files of every table that dbt reads, for the variable `lake_files`."""
    lake = workspace.lake
    files = {name: lake.readable_files(table, **where) for name, (table, where) in LAKE_INPUTS.items()}
    files |= {t: lake.readable_files(t) for t in TABLES if t not in files}
    return {name: [str(path) for path in paths] for name, paths in files.items()}


def _manifests(workspace: Workspace, name: str) -> list[Manifest]:
    table, where = LAKE_INPUTS.get(name, (name, {}))
    return workspace.lake.manifests(table, **where)


def _events(
    context: dg.AssetExecutionContext, result: DbtLayerResult, manifests: Mapping[str, Manifest], unchanged: set[str]
) -> Iterator[Any]:
    """Materializations of the layer's models and results of their tests."""
    tests = {t.name: t for t in result.tests}
    for key in sorted(context.selected_asset_keys):
        table = key.path[-1] if key.path[-1] != "filtered_mixture" else "mixtures"
        if table in manifests:
            event = published(manifests[table], unchanged=table in unchanged)
            yield event._replace(asset_key=key)
        else:
            yield dg.MaterializeResult(asset_key=key)
    for check in sorted(context.selected_asset_check_keys):
        test = tests.get(check.name)
        if test is None:
            continue
        yield dg.AssetCheckResult(
            asset_key=check.asset_key,
            check_name=check.name,
            passed=test.passed,
            severity=FAILED_CHECK_STOPS if test.severity == "error" else FAILED_CHECK_WARNS,
            metadata={"failures": test.failures, "message": test.message or ""},
        )
