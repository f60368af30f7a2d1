"""What of a source's delivery is new to the ledger, and which verdicts and truths may stand beside its labels."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Set
from datetime import datetime
from types import TracebackType
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from assets.contracts import from_rows
from assets.identity import event_id
from assets.label_events import label_event
from assets.lake import Lake
from assets.partition_writer import PartitionWriter

Row = dict[str, Any]

_SAID = ("labeller_version", "verdict", "strength", "confidence", "simulated", "evidence")
"""What an event says of its row; two that agree in it are one label, delivered twice."""


class SourceLedger:
    """Takes a source's label events, a block after the other, and appends what is new when its block ends.

    A source that was never read before is streamed, and so are the events of new rows that follow those in the
    ledger. Otherwise what is delivered is compared with what the ledger holds, which takes memory for its events.
    """

    def __init__(self, lake: Lake, source: str, created_at: datetime, *, inputs: str, follows: bool = False) -> None:
        self.info: dict[str, Any] = {}
        """May be filled until the block ends; published with the manifest."""
        self._lake, self._created_at, self._inputs = lake, created_at, inputs
        self._partition = {"kind": "source", "batch": source}
        self._manifest = lake.manifest("label_events", self._partition)
        # What was taken back once may be delivered again: only a comparison tells that from a label in force.
        fresh = self._manifest is None or not self._manifest.num_rows
        self._streams = fresh or (follows and not self._supersedes())
        self._whole = not follows
        self._delivered: list[pa.Table] = []
        self._writer: PartitionWriter | None = None
        self._num_rows = 0

    def _supersedes(self) -> bool:
        named = self._lake.read("label_events", ["supersedes"], **self._partition)
        return named["supersedes"].null_count < len(named)

    def __enter__(self) -> SourceLedger:
        if self._streams:
            self._writer = self._lake.writer("label_events", self._partition, inputs=self._inputs)
            self._writer.__enter__()
            if self._manifest is not None:
                with pq.ParquetFile(self._lake.file_of(self._manifest)) as file:
                    for group in range(file.metadata.num_row_groups):
                        self._writer.write(file.read_row_group(group))
                self._num_rows = self._manifest.num_rows
        return self

    def deliver(self, events: pa.Table) -> None:
        """Take the events of a block."""
        if self._writer is None:
            self._delivered.append(events)
            return
        seq = pa.array(range(self._num_rows, self._num_rows + len(events)), pa.int64())
        self._writer.write(events.set_column(events.schema.get_field_index("seq"), "seq", seq))
        self._num_rows += len(events)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._writer is not None:
            self._writer.info |= self.info
            self._writer.__exit__(kind, error, trace)
        elif kind is None:
            before = self._lake.read("label_events", **self._partition)
            delivered = [row for table in self._delivered for row in table.to_pylist()]
            new = what_is_new(before, delivered, self._created_at, whole=self._whole)
            rows = from_rows(new, "label_events")
            self._lake.append_events("label_events", rows, self._partition, inputs=self._inputs, info=self.info)


def what_is_new(before: pa.Table, delivered: Iterable[Row], created_at: datetime, *, whole: bool = True) -> list[Row]:
    """Label events to append so that the ledger's current ones are those delivered; nothing is taken back from it.

    A label that is in force already adds nothing, whatever id it has there. One for a row whose label or settings
    changed supersedes the row's event before it. A row that is gone gets a retraction: an `undecided` that supersedes
    its last event.

    Args:
        before: the source's partition of `label_events`.
        delivered: one event per pair and `source_row`.
        whole: whether the source was read whole; of a part, rows that are not in it are not gone.
    """
    names = ["event_id", "pair_id", "labeller", "round", "source_row", "supersedes", *_SAID]
    events = before.select(names).to_pylist()
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
        elif any(last[name] != event[name] for name in _SAID):
            new.append(_following(event, last["event_id"], known))
    for key, last in current.items():
        if whole and key not in keys and not json.loads(last["evidence"]).get("retracted"):
            new.append(_retraction(last, created_at))
    return new


def _row_key(event: Mapping[str, Any]) -> tuple[str, int]:
    return event["pair_id"], event["source_row"]


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
        source_row=last["source_row"],
        evidence={"retracted": True},
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
