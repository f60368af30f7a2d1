"""Sending: a round's tasks with their texts go from the lake to the annotation desk."""

from __future__ import annotations

import uuid
from collections import defaultdict
from collections.abc import Collection
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from sqlalchemy import Engine

from assets.human_gold.desk.batches import Item, PushResult, Task, batch_progress, push_batch
from assets.human_gold.desk.views import EDITABLE_ATTRIBUTES
from assets.lake import Lake
from assets.pool import texts_of
from assets.workspace import Workspace

DESK_KEY = "desk_key"
"""Made when a round is first sent: a desk that was made anew has another, and is delivered from its beginning."""


def send_batch(workspace: Workspace, engine: Engine, round_name: str) -> PushResult | None:
    """Send a round's published tasks; sending them again adds nothing, and None says that nothing had changed.

    Tasks that were sent and are no longer wanted are withdrawn, unless they were answered.

    Raises:
        MissingUpstreamError: the round has no tasks yet.
    """
    settings, lake = workspace.settings, workspace.lake
    manifest = lake.require("annotation_tasks", round=round_name, todo=f"materialise annotation_tasks {round_name}")[0]
    before = info_of(engine, round_name)
    if before.get("tasks") == manifest.content_hash:
        return None
    info = {"tasks": manifest.content_hash, DESK_KEY: before.get(DESK_KEY) or uuid.uuid4().hex}
    tasks = lake.read("annotation_tasks", round=round_name).to_pylist()
    return push_batch(
        engine,
        round_name,
        settings.seed,
        items_of(lake, {task["pair_id"] for task in tasks}),
        [
            Task(
                task_id=task["task_id"],
                pair_id=task["pair_id"],
                purpose=task["purpose"],
                handle=task["person"],
                left_response=task["left_response"],
                priority=task["priority"],
                after_num_answers=task["after_num_answers"],
                known_verdict=task["known_verdict"],
                reason=task["reason"],
                due=task["due"],
            )
            for task in tasks
        ],
        info,
    )


def info_of(engine: Engine, round_name: str) -> dict[str, Any]:
    """What a round was sent with; empty when it was not."""
    return next((batch["info"] for batch in batch_progress(engine) if batch["round_name"] == round_name), {})


def items_of(lake: Lake, pair_ids: Collection[str]) -> list[Item]:
    """The pairs with everything that the desk shows or hides, in order of pair id."""
    texts = texts_of(lake, pair_ids, ("source", "prompt", "response_1", "response_2"))
    attributes = _attributes_of(lake, pair_ids)
    hidden = _hidden_labels(lake, pair_ids)
    return [
        Item(
            pair_id=pair,
            source=texts[pair]["source"],
            prompt=texts[pair]["prompt"],
            response_1=texts[pair]["response_1"],
            response_2=texts[pair]["response_2"],
            attributes=attributes.get(pair, {}),
            hidden=hidden.get(pair, {}),
        )
        for pair in sorted(pair_ids)
    ]


def _attributes_of(lake: Lake, pair_ids: Collection[str]) -> dict[str, dict]:
    names = [*EDITABLE_ATTRIBUTES, "writer", "writer_version"]
    rows = lake.read("attributes", ["pair_id", *names], _is_one_of(pair_ids)).to_pylist()
    found: dict[str, dict] = {}
    for row in rows:
        found.setdefault(row.pop("pair_id"), row)
    return found


def _hidden_labels(lake: Lake, pair_ids: Collection[str]) -> dict[str, dict]:
    """What others say of the pairs, for after the answer: the source's verdict and every judge's last one."""
    found: dict[str, dict] = defaultdict(lambda: {"source_verdict": None, "judges": []})
    pool = lake.read("candidate_pool", ["pair_id", "source_verdict"], _is_one_of(pair_ids))
    for row in pool.to_pylist():
        found[row["pair_id"]]["source_verdict"] = row["source_verdict"]
    judged = lake.read("label_events", ["pair_id", "labeller", "verdict"], _is_one_of(pair_ids), kind="judge")
    last: dict[tuple[str, str], str] = {(r["pair_id"], r["labeller"]): r["verdict"] for r in judged.to_pylist()}
    for (pair, judge), verdict in sorted(last.items()):
        found[pair]["judges"].append({"judge": judge, "verdict": verdict})
    return dict(found)


def _is_one_of(pair_ids: Collection[str]) -> pc.Expression:
    return pc.field("pair_id").isin(pa.array(sorted(pair_ids), pa.string()))
