"""The Dagster instance of a workspace: its folder, its limits, no telemetry."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from assets.durable_files import write_atomically
from assets.workspace import Workspace

if TYPE_CHECKING:
    import dagster as dg

# dbt and its DuckDB file stand one run at a time; `granularity: op` makes the limit hold inside a run too.
# Two runs at once suit a machine of two cores; raise `max_concurrent_runs` on a larger one.
INSTANCE_YAML = """\
telemetry:
  enabled: false
nux:
  enabled: false
concurrency:
  pools:
    default_limit: 1
    granularity: op
  runs:
    max_concurrent_runs: 2
"""


def silence_telemetry() -> None:
    """No dependency may phone home, whichever way the project is started."""
    for name, value in {
        "DAGSTER_DISABLE_TELEMETRY": "yes",
        "DBT_SEND_ANONYMOUS_USAGE_STATS": "false",
        "DO_NOT_TRACK": "1",
        "GX_ANALYTICS_ENABLED": "false",
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "MLFLOW_ALLOW_PICKLE_DESERIALIZATION": "false",
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "TOKENIZERS_PARALLELISM": "false",
    }.items():
        os.environ.setdefault(name, value)


def prepare_instance(workspace: Workspace) -> None:
    """Write the instance's settings where there are none yet, and point DAGSTER_HOME at them."""
    silence_telemetry()
    workspace.make_home()
    settings = workspace.dagster_home / "dagster.yaml"
    if not settings.exists():
        write_atomically(settings, INSTANCE_YAML)
    os.environ["DAGSTER_HOME"] = str(workspace.dagster_home)
    os.environ["SYNPREF_CONFIG"] = str(workspace.config_path)
    os.environ["SYNPREF_HOME"] = str(workspace.home)


def open_instance(workspace: Workspace) -> dg.DagsterInstance:
    """The workspace's instance, which the UI shows too."""
    prepare_instance(workspace)
    import dagster as dg

    return dg.DagsterInstance.get()
