"""One pass over a source, a block of rows at a time: rows become pairs, label events, recorded verdicts and truth,
or dead letters. A block needs nothing but itself, so blocks may be taken by several processes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import pyarrow as pa

from assets.contracts import from_rows
from assets.label_events import SWAPPED_VERDICT
from assets.raw_pairs.canonical import canonical_verdict, has_planted_error, pair_row, recorded_row, source_event
from assets.raw_pairs.catalogue import SourceEntry
from assets.raw_pairs.layouts import Layout, recognise
from assets.raw_pairs.parsing import parse_row
from assets.raw_pairs.readers import Block, RawRow, rows_of
from assets.raw_pairs.recorded import SharedVotes, share_votes
from assets.raw_pairs.rows import DeadLetter, ParsedPair, RowProblem

TABLES = ("pairs", "label_events", "recorded_verdicts", "dead_letters", "sample_truth")
"""Tables that a pass makes rows of."""

Truth = Mapping[int, Sequence[Mapping[str, Any]]]
"""What a made-up source knows by construction, by row."""


def layout_of(entry: SourceEntry, file: str, rows: Sequence[RawRow]) -> Layout:
    """Layout of a file from its first rows; a file without a readable row has none to recognise."""
    values = [row.value for row in rows if row.value is not None]
    if not values:
        return Layout("none", {})
    columns = list(dict.fromkeys(column for value in values for column in value))
    where = f"source {entry.name}, file {file}"
    return recognise(columns, values, wanted=entry.layout, overrides=entry.columns, where=where)


def parse_raw(layout: Layout, raw: RawRow, entry: SourceEntry) -> list[ParsedPair] | DeadLetter:
    """Pairs of a row of a file, or its dead letter."""
    if raw.value is None:
        return DeadLetter("unreadable_row", raw.problem)
    if layout.name == "none":
        return DeadLetter("unreadable_row", "the first rows of the file are unreadable, so its layout is unknown")
    return parse_row(layout, raw.value, entry)


@dataclass(frozen=True)
class Delivery:
    """What is the same for every row of a source.

    Attributes:
        seed: draws which labels get a planted error.
        revision: of the source's files.
        version: of reader and settings, for the label events.
    """

    entry: SourceEntry
    seed: int
    created_at: datetime
    revision: str
    version: str


@dataclass
class Portion:
    """What became of a block.

    Attributes:
        tables: one table of its contract for each of `TABLES`.
        label_makers: pair id, labeller and response shown first of every verdict that a label was made from.
        num_rows_out: rows that made pairs.
        dropped: rows that made none, by reason.
        problems: pairs that are none, by problem.
        verdicts: labels by verdict, `none` for a pair without one.
    """

    tables: dict[str, pa.Table] = field(default_factory=dict)
    label_makers: set[tuple[str, str, int]] = field(default_factory=set)
    num_rows: int = 0
    num_rows_out: int = 0
    num_planted: int = 0
    dropped: Counter[str] = field(default_factory=Counter)
    problems: Counter[str] = field(default_factory=Counter)
    verdicts: Counter[str] = field(default_factory=Counter)

    def add(self, other: Portion) -> None:
        """Count another portion's rows in; its tables are left to the caller."""
        self.label_makers |= other.label_makers
        self.num_rows += other.num_rows
        self.num_rows_out += other.num_rows_out
        self.num_planted += other.num_planted
        self.dropped += other.dropped
        self.problems += other.problems
        self.verdicts += other.verdicts


def take_block(
    delivery: Delivery, file: str, layout: Layout, block: Block, *, offset: int, num_before: int, truth: Truth
) -> Portion:
    """Pairs and labels of a block.

    Args:
        offset: number of the file's first row in the source.
        num_before: rows of the source before the block, for `max_rows`.
        truth: by row of the source; only the block's own are looked at.
    """
    taker = _Taker(delivery, file, layout)
    limit = delivery.entry.max_rows
    for raw in rows_of(block):
        if limit is not None and num_before + taker.portion.num_rows >= limit:
            taker.portion.num_rows += 1
            taker.portion.dropped["beyond_max_rows"] += 1
            continue
        taker.portion.num_rows += 1
        row = offset + raw.number
        taker.take(raw, row, truth.get(row, ()))
    taker.portion.tables = {name: from_rows(rows, name) for name, rows in taker.rows.items()}
    return taker.portion


class _Taker:
    """Takes the rows of one block, one after the other."""

    def __init__(self, delivery: Delivery, file: str, layout: Layout) -> None:
        self.delivery, self.entry, self.file, self.layout = delivery, delivery.entry, file, layout
        self.portion = Portion()
        self.rows: dict[str, list[dict[str, Any]]] = {name: [] for name in TABLES}

    def take(self, raw: RawRow, source_row: int, truth: Sequence[Mapping[str, Any]]) -> None:
        outcome = parse_raw(self.layout, raw, self.entry)
        if not isinstance(outcome, DeadLetter):
            try:
                # A row is taken whole or not at all: every part is made before any is kept.
                made = [self._make(raw, source_row, pair) for pair in outcome]
            except RowProblem as problem:
                outcome = problem.letter
            else:
                self.portion.num_rows_out += 1
                for number, parts in enumerate(made):
                    self._keep(*parts, [item for item in truth if item["pair_number"] in (None, number)])
                return
        self.portion.dropped[outcome.reason] += 1
        letter = {"source": self.entry.name, "file": self.file, "source_row": source_row, "row_hash": raw.hash()}
        detail = outcome.detail.encode("utf-8", "replace").decode()
        self.rows["dead_letters"].append({**letter, "reason": outcome.reason, "detail": detail})
        for item in truth:
            self.rows["sample_truth"].append(_truth_row(item, None, f"row {source_row}"))

    def _make(self, raw: RawRow, source_row: int, pair: ParsedPair) -> tuple[ParsedPair, SharedVotes, dict, bool]:
        votes = share_votes(self.entry, raw.value or {}, pair)
        row, swapped = pair_row(self.entry, source_row, pair)
        return pair, votes, row, swapped

    def _keep(
        self, pair: ParsedPair, votes: SharedVotes, row: dict, swapped: bool, truth: list[Mapping[str, Any]]
    ) -> None:
        self.rows["pairs"].append(row)
        if row["problem"]:
            self.portion.problems[row["problem"]] += 1
        verdict = None if votes.verdict is None else canonical_verdict(votes.verdict, swapped=swapped)
        self.portion.verdicts[verdict or "none"] += 1
        if verdict is not None:
            self._label(pair, votes, row, verdict)
        for role, given in (("person", votes.people), ("judge", votes.judges)):
            for vote in given:
                self.rows["recorded_verdicts"].append(recorded_row(row, vote, role, swapped=swapped))
        if votes.made_by is not None:
            maker = recorded_row(row, votes.made_by, "judge", swapped=swapped)
            self.portion.label_makers.add((row["pair_id"], maker["labeller"], maker["first_shown"]))
        for item in truth:
            self.rows["sample_truth"].append(_truth_row(item, row["pair_id"], item["detail"] or "", swapped))

    def _label(self, pair: ParsedPair, votes: SharedVotes, row: dict, verdict: str) -> None:
        given, delivery = verdict, self.delivery
        if self.entry.plant_errors is not None and verdict in ("1", "2"):
            planted = has_planted_error(self.entry, row["pair_id"], delivery.seed)
            self.portion.num_planted += planted
            kind = f"{self.entry.plant_errors.kind}_error" if planted else "none"
            truth = {"pair_id": row["pair_id"], "verdict": verdict, "planted": kind, "detail": ""}
            self.rows["sample_truth"].append(truth)
            given = SWAPPED_VERDICT[verdict] if planted else verdict
        self.rows["label_events"].append(
            source_event(
                self.entry,
                row,
                given,
                version=delivery.version,
                revision=delivery.revision,
                votes=votes,
                margin=pair.margin,
                created_at=delivery.created_at,
            )
        )


def _truth_row(item: Mapping[str, Any], pair_id: str | None, detail: str, swapped: bool = False) -> dict[str, Any]:
    verdict = item["verdict"]
    return {
        "pair_id": pair_id,
        "verdict": None if verdict is None else canonical_verdict(verdict, swapped=swapped),
        "planted": item["planted"],
        "detail": detail,
    }
