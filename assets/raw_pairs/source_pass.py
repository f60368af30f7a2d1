"""One pass over a source, a block of rows at a time: rows become pairs, label events, recorded verdicts and truth,
or dead letters. A block needs nothing but itself, so blocks may be taken by several processes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import pyarrow as pa

from assets.contracts import from_rows
from assets.identity import storable
from assets.label_events import SWAPPED_VERDICT
from assets.raw_pairs.canonical import canonical_verdict, has_planted_error, pair_row, recorded_row, source_event
from assets.raw_pairs.layouts import Layout, recognise
from assets.raw_pairs.outcomes import Outcome, outcomes_of
from assets.raw_pairs.readers import Block, RawRow, rows_of
from assets.raw_pairs.recorded import SharedVotes, share_votes
from assets.raw_pairs.rows import DeadLetter, ParsedPair, RowProblem
from assets.raw_pairs.source_entry import SourceEntry

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
    return recognise(
        columns,
        values,
        wanted=entry.layout,
        overrides=entry.columns,
        label_values=entry.label_values,
        score_weights=entry.score_weights,
        where=where,
    )


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
        left_out: pairs that rows could have made, by reason.
        verdicts: labels by verdict, `none` for a pair without one.
    """

    tables: dict[str, pa.Table] = field(default_factory=dict)
    label_makers: set[tuple[str, str, int]] = field(default_factory=set)
    num_rows: int = 0
    num_rows_out: int = 0
    num_planted: int = 0
    dropped: Counter[str] = field(default_factory=Counter)
    problems: Counter[str] = field(default_factory=Counter)
    left_out: Counter[str] = field(default_factory=Counter)
    verdicts: Counter[str] = field(default_factory=Counter)

    def add(self, other: Portion) -> None:
        """Count another portion's rows in; its tables are left to the caller."""
        self.label_makers |= other.label_makers
        self.num_rows += other.num_rows
        self.num_rows_out += other.num_rows_out
        self.num_planted += other.num_planted
        self.dropped += other.dropped
        self.problems += other.problems
        self.left_out += other.left_out
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
    rows = taker.within_limit(rows_of(block), num_before)
    for outcome in outcomes_of(layout, rows, delivery.entry):
        first = offset + outcome.rows[0].number
        taker.take(outcome, offset, truth.get(first, ()))
    taker.portion.tables = {name: from_rows(rows, name) for name, rows in taker.rows.items()}
    return taker.portion


class _Taker:
    """Takes what the rows of one block became, one after the other."""

    def __init__(self, delivery: Delivery, file: str, layout: Layout) -> None:
        self.delivery, self.entry, self.file, self.layout = delivery, delivery.entry, file, layout
        self.portion = Portion()
        self.rows: dict[str, list[dict[str, Any]]] = {name: [] for name in TABLES}

    def within_limit(self, rows: Iterable[RawRow], num_before: int) -> Iterator[RawRow]:
        """Count rows, and pass on those that `max_rows` allows."""
        limit = self.entry.max_rows
        for raw in rows:
            self.portion.num_rows += 1
            if limit is None or num_before + self.portion.num_rows <= limit:
                yield raw
            else:
                self.portion.dropped["beyond_max_rows"] += 1

    def take(self, outcome: Outcome, offset: int, truth: Sequence[Mapping[str, Any]]) -> None:
        """Keep the pairs of an outcome, or its dead letters.

        Args:
            offset: number of the file's first row in the source.
            truth: of the outcome's first row.
        """
        first, result = outcome.rows[0], outcome.result
        if not isinstance(result, DeadLetter):
            try:
                # A row is taken whole or not at all: every part is made before any is kept.
                made = [self._make(first, offset + first.number, pair) for pair in result.pairs]
            except RowProblem as problem:
                result = problem.letter
            else:
                self.portion.num_rows_out += len(outcome.rows)
                self.portion.left_out.update(result.left_out)
                for number, parts in enumerate(made):
                    self._keep(*parts, [item for item in truth if item["pair_number"] in (None, number)])
                return
        detail = result.detail.encode("utf-8", "replace").decode()
        for raw in outcome.rows:
            self.portion.dropped[result.reason] += 1
            letter = {"source": self.entry.name, "file": self.file, "source_row": offset + raw.number}
            letter |= {"row_hash": raw.hash(), "reason": result.reason, "detail": detail}
            self.rows["dead_letters"].append(letter)
        for item in truth:
            self.rows["sample_truth"].append(_truth_row(item, None, f"row {offset + first.number}"))

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
                revision=_what_is_said(given, votes, pair),
                votes=votes,
                pair=pair,
                created_at=delivery.created_at,
            )
        )


def _what_is_said(verdict: str, votes: SharedVotes, pair: ParsedPair) -> str:
    """What makes a delivery of a row's label recognisable: what it says of the pair, whatever else its file holds.

    A file that got more rows, or others, delivers the labels of the rows that stayed once more, not anew.
    """
    made_by = votes.made_by.labeller if votes.made_by else "person" if votes.people else ""
    return f"{verdict}:{pair.margin}:{pair.agreement}:{storable(made_by)}"


def _truth_row(item: Mapping[str, Any], pair_id: str | None, detail: str, swapped: bool = False) -> dict[str, Any]:
    verdict = item["verdict"]
    return {
        "pair_id": pair_id,
        "verdict": None if verdict is None else canonical_verdict(verdict, swapped=swapped),
        "planted": item["planted"],
        "detail": detail,
    }
