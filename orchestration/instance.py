"""The Dagster instance of a workspace: its folder, its limits, no telemetry."""

from __future__ import annotations

import os
import socket
from typing import TYPE_CHECKING

import psutil

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
# A run that died holding a place in a pool gives it back.
run_monitoring:
  enabled: true
  free_slots_after_run_end_seconds: 60
"""
PROCESS_TAG = "synpref/process"


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


def process_tag() -> dict[str, str]:
    """Tag of a run that this process executes itself: host, pid and when the process began."""
    return {PROCESS_TAG: _process_name(psutil.Process())}


def end_dead_runs(instance: dg.DagsterInstance) -> int:
    """End the runs whose process is gone, so that the places they hold in pools are free again.

    Dagster learns of a run's end from its process; one that was killed says nothing, and whoever waits for its place
    in a pool would wait for ever. Only runs that carry `process_tag` of this host are judged.

    Returns:
        Runs that were ended.
    """
    import dagster as dg

    unfinished = [s for s in dg.DagsterRunStatus if s.value in ("NOT_STARTED", "STARTING", "STARTED", "CANCELING")]
    ended = 0
    for run in instance.get_runs(dg.RunsFilter(statuses=unfinished)):
        name = run.tags.get(PROCESS_TAG)
        if name is None or name in _living_processes(name):
            continue
        instance.report_run_failed(run, "The process that executed this run is gone: it was killed.")
        instance.event_log_storage.free_concurrency_slots_for_run(run.run_id)
        ended += 1
    return ended


def _living_processes(name: str) -> set[str]:
    """The process of that name if it lives, or lives on another host, of which nothing is known here."""
    host, pid, _ = name.rsplit(":", 2)
    if host != socket.gethostname():
        return {name}
    try:
        return {_process_name(psutil.Process(int(pid)))}
    except psutil.NoSuchProcess:
        return set()


def _process_name(process: psutil.Process) -> str:
    # A pid is used again; together with the time its process began it is unique.
    return f"{socket.gethostname()}:{process.pid}:{process.create_time():.0f}"


def open_instance(workspace: Workspace) -> dg.DagsterInstance:
    """The workspace's instance, which the UI shows too."""
    prepare_instance(workspace)
    import dagster as dg

    return dg.DagsterInstance.get()
