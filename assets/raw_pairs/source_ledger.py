"""What of a source's delivery is new to the ledger, and which verdicts and truths may stand beside its labels."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Set
from datetime import datetime
from typing import Any

import pyarrow as pa

from assets.identity import event_id
from assets.label_events import label_event

Row = dict[str, Any]


def what_is_new(before: pa.Table, delivered: Iterable[Row], created_at: datetime) -> list[Row]:
    """Label events to append so that the ledger's current ones are those delivered; nothing is taken back from it.

    An event that is current already adds nothing. One for a row whose label, file or settings changed supersedes
    the row's event before it. A row that is gone gets a retraction: an `undecided` that supersedes its last event.

    Args:
        before: the source's partition of `label_events`.
        delivered: one event per pair and row, evidence naming its `source_row`.
    """
    events = before.select(
        ["event_id", "pair_id", "labeller", "labeller_version", "round", "supersedes", "evidence"]
    ).to_pylist()
    superseded = {e["supersedes"] for e in events}
    known = {e["event_id"] for e in events}
    current = {_row_key(e): e for e in events if e["event_id"] not in superseded}
    new, keys = [], set()
    for event in delivered:
        key = _row_key(event)
        keys.add(key)
        last = current.get(key)
        if last is None:
            new.append(event)
        elif last["event_id"] != event["event_id"]:
            new.append(_following(event, last["event_id"], known))
    for key, last in current.items():
        if key not in keys and not json.loads(last["evidence"]).get("retracted"):
            new.append(_retraction(last, created_at))
    return new


def _row_key(event: Mapping[str, Any]) -> tuple[str, int]:
    return event["pair_id"], json.loads(event["evidence"])["source_row"]


def _following(event: Row, last: str, known: Set[str]) -> Row:
    """The event as the successor of another. One that was current before, and is again, needs an id of its own."""
    name = event["event_id"]
    if name in known:
        parts = (event["pair_id"], event["labeller"], event["labeller_version"], event["round"])
        name = event_id(*parts, f"{name} after {last}")
    return {**event, "event_id": name, "supersedes": last}


def _retraction(last: Row, created_at: datetime) -> Row:
    return label_event(
        pair_id=last["pair_id"],
        kind="source",
        labeller=last["labeller"],
        version=last["labeller_version"],
        verdict="undecided",
        round_name=last["round"],
        delivery=f"retraction of {last['event_id']}",
        created_at=created_at,
        supersedes=last["event_id"],
        evidence={"source_row": _row_key(last)[1], "retracted": True},
    )


def without_label_makers(recorded: Iterable[Row], makers: Set[tuple[str, str, int]]) -> tuple[list[Row], int]:
    """Recorded verdicts without those judges' that made a label of the same pair, in another row of the source.

    Args:
        makers: pair id, labeller and response shown first of every verdict that a label was made from.

    Returns:
        Rows in order of pair, row, role and position, and how many were left out.
    """
    rows = list(recorded)
    kept = [r for r in rows if r["role"] != "judge" or (r["pair_id"], r["labeller"], r["first_shown"]) not in makers]
    kept.sort(key=lambda r: (r["pair_id"], r["source_row"], r["role"], r["position"], r["labeller"]))
    return kept, len(rows) - len(kept)


def one_truth_each(truths: Iterable[Row]) -> tuple[list[Row], int]:
    """Truths without repetitions, in order of pair; where rows contradict each other on a pair, none is known.

    Returns:
        Rows with unique (pair_id, planted, detail), and the number of pairs left out.
    """
    verdicts: dict[str | None, set[str | None]] = {}
    unique: dict[tuple, Row] = {}
    for row in truths:
        verdicts.setdefault(row["pair_id"], set()).add(row["verdict"])
        unique.setdefault((row["pair_id"], row["planted"], row["detail"]), row)
    contradicting = {pair for pair, said in verdicts.items() if pair is not None and len(said - {None}) > 1}
    kept = [r for r in unique.values() if r["pair_id"] not in contradicting]
    kept.sort(key=lambda r: (r["pair_id"] or "", r["planted"], r["detail"]))
    return kept, len(contradicting)
