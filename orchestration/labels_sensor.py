"""The sensor of finished labels: what people finish at the annotation page reaches the ledger, and gold follows."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

import dagster as dg

from assets.errors import PartitionBusyError
from assets.human_gold.collecting import open_desk
from assets.human_gold.delivering import deliver, has_news
from assets.workspace import Workspace
from orchestration.glue import now

POLL_SECONDS = 15
REFRESH_EVERY = timedelta(minutes=5)
"""While people work, gold is made anew this often; once they pause, at the next look."""


def build_labels_sensor(workspace: Workspace, refresh_gold: Any) -> dg.SensorDefinition:
    """The sensor, for configurations whose people are real."""

    @dg.sensor(
        name="finished_labels",
        job=refresh_gold,
        minimum_interval_seconds=POLL_SECONDS,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Appends finished answers and decisions of the annotation page to the ledger, then refreshes gold.",
    )
    def finished_labels(context: dg.SensorEvaluationContext) -> dg.SensorResult | dg.SkipReason:
        pending = _read_cursor(context.cursor)
        delivered: dict[str, int] = {}
        busy: list[str] = []
        with open_desk(workspace) as engine:
            for round_name in workspace.settings.round_names:
                if not has_news(workspace.lake, engine, round_name):
                    continue
                try:
                    delivered[round_name] = deliver(workspace.lake, engine, round_name).num_new
                except PartitionBusyError:
                    # A run is collecting the same labels: what it leaves is delivered at the next look.
                    busy.append(round_name)
        requests, waiting = due_refreshes(pending, set(delivered), now())
        cursor = json.dumps(waiting, sort_keys=True)
        if not requests:
            context.update_cursor(cursor)
            return dg.SkipReason(_words(delivered, busy))
        return dg.SensorResult(
            run_requests=[
                dg.RunRequest(run_key=f"{name}-{_version(workspace, name)}", partition_key=name) for name in requests
            ],
            cursor=cursor,
        )

    return finished_labels


def due_refreshes(
    pending: Mapping[str, str | None], delivered: set[str], at: datetime
) -> tuple[list[str], dict[str, str]]:
    """Which rounds' gold is to be made anew now, and which wait, since when.

    Args:
        pending: rounds with labels that gold has not seen, and the time of the first of them.
        delivered: rounds that got labels at this look.

    >>> at = datetime.fromisoformat("2026-01-01T10:00:00+00:00")
    >>> due_refreshes({}, {"round_0"}, at)
    ([], {'round_0': '2026-01-01T10:00:00+00:00'})
    >>> due_refreshes({"round_0": "2026-01-01T09:59:45+00:00"}, set(), at)
    (['round_0'], {})
    >>> due_refreshes({"round_0": "2026-01-01T09:55:00+00:00"}, {"round_0"}, at)
    (['round_0'], {})
    """
    waiting = {name: since for name, since in pending.items() if since}
    waiting |= {name: at.isoformat() for name in delivered if name not in waiting}
    due = sorted(
        name
        for name, since in waiting.items()
        if name not in delivered or at - datetime.fromisoformat(since) >= REFRESH_EVERY
    )
    return due, {name: since for name, since in sorted(waiting.items()) if name not in due}


def _read_cursor(cursor: str | None) -> dict[str, str]:
    return json.loads(cursor) if cursor else {}


def _version(workspace: Workspace, round_name: str) -> str:
    manifest = workspace.lake.manifest("label_events", {"kind": "person", "batch": round_name})
    return manifest.content_hash if manifest is not None else "none"


def _words(delivered: Mapping[str, int], busy: list[str]) -> str:
    told = [f"{num:,} new labels of {name} are in the ledger" for name, num in delivered.items()]
    told += [f"{name} is being collected by a run" for name in busy]
    return "; ".join(told) or "nobody finished anything"
