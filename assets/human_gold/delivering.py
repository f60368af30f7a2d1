"""Delivering: finished answers and decisions go from the annotation desk to the ledger, each once.

The ledger knows an answer by its task and revision, so that a delivery repeated after a crash of either side adds
nothing. What was delivered last stands in the manifest of the round's events; a desk that was made anew is delivered
from its beginning.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

import pyarrow as pa
import pyarrow.compute as pc
from sqlalchemy import Engine

from assets.accounting import StageCounts
from assets.contracts import from_rows
from assets.human_gold.desk.delivery import answers_since, decisions_since, last_ids
from assets.human_gold.sending import DESK_KEY, info_of
from assets.identity import event_id
from assets.label_events import label_event
from assets.lake import Lake
from assets.partition_writer import Manifest

VERSIONS = {False: "page-1", True: "simulated-1"}
"""Version of the annotation protocol, by whether the person is simulated."""

_EVIDENCE = (
    *("task_id", "left_response", "shown_verdict", "reasons", "comment", "guideline_version", "active_seconds"),
    "revision",
)


@dataclass(frozen=True)
class Delivery:
    """What a delivery did.

    Attributes:
        manifest: of the round's events.
        num_new: events that were not in the ledger before.
    """

    manifest: Manifest
    num_new: int


def deliver(lake: Lake, engine: Engine, round_name: str, *, inputs: str = "") -> Delivery:
    """Append what people finished since the last delivery to the round's events.

    Args:
        inputs: fingerprint for the manifest; by default that of the version before.
    """
    partition = {"kind": "person", "batch": round_name}
    before = lake.manifest("label_events", partition)
    told = before.info if before is not None else {}
    desk_key = info_of(engine, round_name).get(DESK_KEY, "")
    same_desk = told.get(DESK_KEY) == desk_key
    last_answer, last_decision = (told["last_answer"], told["last_decision"]) if same_desk else (0, 0)
    answers = answers_since(engine, round_name, last_answer)
    decisions = decisions_since(engine, round_name, last_decision)
    events = [answer_event(row, round_name) for row in answers] + [decision_event(row, round_name) for row in decisions]
    info = {
        DESK_KEY: desk_key,
        "last_answer": max((row["answer_id"] for row in answers), default=last_answer),
        "last_decision": max((row["decision_id"] for row in decisions), default=last_decision),
    }
    wanted_inputs = inputs or (before.inputs if before is not None else "")
    told_without_counts = {name: value for name, value in told.items() if name != "counts"}
    if before is not None and not events and told_without_counts == info and before.inputs == wanted_inputs:
        return Delivery(before, 0)
    table = from_rows(events, "label_events")
    info["counts"] = answered(lake, round_name, table).as_dict()
    manifest = lake.append_events("label_events", table, partition, inputs=wanted_inputs, info=info)
    return Delivery(manifest, manifest.num_rows - (before.num_rows if before is not None else 0))


def has_news(lake: Lake, engine: Engine, round_name: str) -> bool:
    """Whether people finished anything of a round that was not delivered yet; a cheap look-up."""
    ids = last_ids(engine).get(round_name)
    if ids is None or ids == (0, 0):
        return False
    manifest = lake.manifest("label_events", {"kind": "person", "batch": round_name})
    told = manifest.info if manifest is not None else {}
    desk_key = info_of(engine, round_name).get(DESK_KEY, "")
    return (told.get(DESK_KEY), told.get("last_answer"), told.get("last_decision")) != (desk_key, *ids)


def answer_event(row: Mapping, round_name: str) -> dict:
    """The label event of one answer of the desk (a row of `answers_since`)."""
    extra = {"known_verdict": row["known_verdict"]}
    return _event(row, round_name, "person", row["task_id"], row["answered_at"], extra)


def decision_event(row: Mapping, round_name: str) -> dict:
    """The label event of an adjudicator's decision (a row of `decisions_since`)."""
    extra = {"adjudicated": True, "num_arguments": row["num_arguments"]}
    return _event(row, round_name, "adjudicator", f"case {row['case_id']}", row["decided_at"], extra)


def answered(lake: Lake, round_name: str, new: pa.Table) -> StageCounts:
    """Label tasks of a round: asked, answered by now, not answered yet.

    Args:
        new: events that are about to be appended.
    """
    asked = lake.read("annotation_tasks", ["task_id"], pc.field("purpose") == "label", round=round_name)
    wanted = set(asked["task_id"].to_pylist())
    done = {
        json.loads(evidence)["task_id"]
        for table in (lake.read("label_events", kind="person", batch=round_name), new)
        for evidence, kind in zip(table["evidence"].to_pylist(), table["labeller_kind"].to_pylist(), strict=True)
        if kind == "person"
    }
    left = len(wanted - done)
    return StageCounts(len(wanted), len(wanted) - left, {"not_answered": left} if left else {})


def _event(row: Mapping, round_name: str, kind: str, delivery: str, at: datetime, extra: Mapping) -> dict:
    version = VERSIONS[row["simulated"]]

    def delivered_as(revision: int) -> str:
        return delivery if revision == 0 else f"{delivery} revision {revision}"

    supersedes = None
    if row["revision"]:
        before = delivered_as(row["revision"] - 1)
        supersedes = event_id(row["pair_id"], row["handle"], version, round_name, before)
    edited = {
        name: {"from": row["attributes"].get(name), "to": value} for name, value in row["edited_attributes"].items()
    }
    evidence = {name: row.get(name) for name in _EVIDENCE} | {"edited_attributes": edited} | dict(extra)
    return label_event(
        pair_id=row["pair_id"],
        kind=kind,
        labeller=row["handle"],
        version=version,
        verdict=row["verdict"],
        strength=row["strength"],
        purpose=row.get("purpose", "label"),
        round_name=round_name,
        delivery=delivered_as(row["revision"]),
        created_at=at,
        simulated=row["simulated"],
        supersedes=supersedes,
        evidence={name: value for name, value in evidence.items() if value not in (None, [], {}, "")},
    )
