"""Definitions: everything Dagster loads, built from one configuration.

`build_definitions` serves production and tests alike; the module's `defs` is what `dagster dev` finds, for the
configuration that SYNPREF_CONFIG names.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

import dagster as dg

import assets.filtered_mixture.assets as filtered_mixture
import assets.human_gold.assets as human_gold
import assets.llm_annotated.assets as llm_annotated
import assets.raw_pairs.assets as raw_pairs
import assets.raw_pairs.overlap.assets as overlap
import assets.reward_models.assets as reward_models
from assets.raw_pairs.catalogue import load_catalogue
from assets.settings import REPOSITORY
from assets.workspace import Workspace
from orchestration.automation import build_automation
from orchestration.instance import silence_telemetry
from orchestration.partitions import Partitions

ROOMS = (raw_pairs, overlap, human_gold, llm_annotated, filtered_mixture, reward_models)


def build_definitions(workspace: Workspace, *, resource_overrides: Mapping[str, Any] | None = None) -> dg.Definitions:
    """All assets, checks, jobs, schedules and sensors of a configuration.

    Args:
        workspace: where the run's things lie.
        resource_overrides: resources to replace, for tests.
    """
    silence_telemetry()
    partitions = Partitions.of(workspace.settings)
    definitions = [item for room in ROOMS for item in room.build(workspace.settings, partitions)]
    checks = [d for d in definitions if isinstance(d, dg.AssetChecksDefinition)]
    automation = build_automation(workspace, partitions)
    return dg.Definitions(
        assets=[d for d in definitions if d not in checks],
        asset_checks=checks,
        resources={"workspace": workspace, "pipes": dg.PipesSubprocessClient(), **(resource_overrides or {})},
        jobs=automation.jobs,
        schedules=automation.schedules,
        sensors=automation.sensors,
    )


def sync_sources(workspace: Workspace, instance: dg.DagsterInstance) -> list[str]:
    """Make the source partitions what the catalogue says; returns the sources in the catalogue's order.

    A source that left the catalogue loses its partition key; what it published stays in the lake.
    """
    names = [entry.name for entry in load_catalogue(workspace.catalogue_path, workspace)]
    known = instance.get_dynamic_partitions("sources")
    instance.add_dynamic_partitions("sources", [n for n in names if n not in known])
    for gone in set(known) - set(names):
        instance.delete_dynamic_partition("sources", gone)
    return names


def _definitions_of_environment() -> dg.Definitions:
    return build_definitions(Workspace(os.environ.get("SYNPREF_CONFIG") or REPOSITORY / "configs" / "sample.yaml"))


defs = _definitions_of_environment()
