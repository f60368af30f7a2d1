"""Sending: a round's tasks with their texts go from the lake to the annotation desk."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection

import pyarrow as pa
import pyarrow.compute as pc
from sqlalchemy import Engine

from assets.human_gold.desk.batches import Item, KnownAnswer, PushResult, Task, batch_info, push_batch
from assets.human_gold.desk.views import EDITABLE_ATTRIBUTES
from assets.lake import Lake
from assets.pool import texts_of
from assets.workspace import Workspace

_SIDES = ("1", "2")


def send_batch(workspace: Workspace, engine: Engine, round_name: str) -> PushResult | None:
    """Send a round's published tasks; sending them again adds nothing, and None says that nothing had changed.

    Tasks that were sent and are no longer wanted are withdrawn, unless they were answered.

    Raises:
        MissingUpstreamError: the round has no tasks yet.
    """
    settings, lake = workspace.settings, workspace.lake
    manifest = lake.require("annotation_tasks", round=round_name, todo=f"materialise annotation_tasks {round_name}")[0]
    known = known_answers(workspace, round_name)
    info = {
        "tasks": manifest.content_hash,
        "known_answers": sorted(known.items()),
        "repeat_rate": settings.people.repeat_rate,
        "repeat_after": settings.people.repeat_after,
        "known_answer_rate": settings.people.known_answer_rate,
        "adjudicate": settings.people.adjudicate,
    }
    before = batch_info(engine, round_name)
    if before is not None and {name: before.get(name) for name in info} == _as_json(info):
        return None
    tasks = lake.read("annotation_tasks", round=round_name).to_pylist()
    return push_batch(
        engine,
        round_name,
        settings.seed,
        items_of(lake, {task["pair_id"] for task in tasks} | known.keys()),
        [
            Task(
                task_id=task["task_id"],
                pair_id=task["pair_id"],
                purpose="label",
                handle=task["person"],
                left_response=task["left_response"],
                priority=task["priority"],
                reason=task["reason"],
                due=task["due"],
            )
            for task in tasks
        ],
        [KnownAnswer(pair, verdict) for pair, verdict in sorted(known.items())],
        info,
    )


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


def known_answers(workspace: Workspace, round_name: str) -> dict[str, str]:
    """Pairs whose verdict is known well enough to measure people on, with that verdict, 1 or 2.

    From sources that the configuration trusts, and from gold of earlier rounds on which at least three people were of
    one mind. A pair that the round asks about is none.
    """
    settings, lake = workspace.settings, workspace.lake
    if not settings.people.known_answer_rate:
        return {}
    asked = set(lake.read("annotation_tasks", ["pair_id"], round=round_name)["pair_id"].to_pylist())
    found: dict[str, str] = {}
    if settings.people.known_answer_sources:
        trusted = pc.field("source").isin(list(settings.people.known_answer_sources))
        pool = lake.read("candidate_pool", ["pair_id", "source_verdict"], trusted)
        found |= dict(zip(pool["pair_id"].to_pylist(), pool["source_verdict"].to_pylist(), strict=True))
    position = settings.round_names.index(round_name)
    if position:
        unanimous = (pc.field("num_votes") >= 3) & (pc.field("agreement") == 1.0) & (pc.field("split") == "train")
        before = settings.round_names[position - 1]
        gold = lake.read("gold", ["pair_id", "verdict"], unanimous, as_of_round=before)
        found |= dict(zip(gold["pair_id"].to_pylist(), gold["verdict"].to_pylist(), strict=True))
    return {pair: verdict for pair, verdict in sorted(found.items()) if verdict in _SIDES and pair not in asked}


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


def _as_json(info: dict) -> dict:
    return info | {"known_answers": [list(pair) for pair in info["known_answers"]]}
