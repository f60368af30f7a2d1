"""One pass over a source: every row becomes pairs, label events, recorded verdicts and truth, or a dead letter."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from itertools import chain, islice
from pathlib import Path
from typing import Any

from assets.label_events import SWAPPED_VERDICT
from assets.raw_pairs.canonical import canonical_verdict, has_planted_error, pair_row, recorded_row, source_event
from assets.raw_pairs.catalogue import SourceEntry
from assets.raw_pairs.layouts import Layout, recognise
from assets.raw_pairs.parsing import parse_row
from assets.raw_pairs.readers import RawRow, count_rows, read_rows
from assets.raw_pairs.recorded import SharedVotes, share_votes
from assets.raw_pairs.rows import DeadLetter, ParsedPair, RowProblem

Progress = Callable[[int, int | None], None]
"""Called with rows done and rows in all; None where the files do not tell."""

_RECOGNISE_ROWS = 50
_FLUSH_ROWS = 2048


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


class SourcePass:
    """Reads a source's files once. Pairs go to `write` in batches; narrow rows are kept until the end.

    Args:
        write: takes rows of `pairs`.
        version: of reader and settings, for the label events.
    """

    def __init__(
        self,
        entry: SourceEntry,
        write: Callable[[list[dict[str, Any]]], None],
        *,
        seed: int,
        created_at: datetime,
        revision: str,
        version: str,
    ) -> None:
        self.entry, self.seed, self.created_at = entry, seed, created_at
        self.revision, self.version = revision, version
        self._write = write
        self.rows: dict[str, list[dict[str, Any]]] = {
            name: [] for name in ("label_events", "recorded_verdicts", "dead_letters", "sample_truth")
        }
        self.label_makers: set[tuple[str, str, int]] = set()
        self._pairs: list[dict[str, Any]] = []
        self.layouts: dict[str, str] = {}
        self.num_rows = self.num_rows_out = self.num_pairs = self.num_planted = 0
        self.dropped: Counter[str] = Counter()
        self.problems: Counter[str] = Counter()
        self.verdicts: Counter[str] = Counter()

    def read(
        self, files: Sequence[tuple[str, Path]], truth: Mapping[int, list[dict[str, Any]]], progress: Progress | None
    ) -> None:
        """Read every file; rows are numbered on from file to file."""
        totals = [count_rows(path) for _, path in files]
        total = None if None in totals else sum(t or 0 for t in totals)
        offset = 0
        for name, path in files:
            rows = read_rows(path)
            first = list(islice(rows, _RECOGNISE_ROWS))
            layout = layout_of(self.entry, name, first)
            self.layouts[name] = layout.name
            last = -1
            for raw in chain(first, rows):
                self.num_rows += 1
                last = raw.number
                self._take(name, raw, offset + raw.number, layout, truth.get(offset + raw.number, []))
                if len(self._pairs) >= _FLUSH_ROWS:
                    self._flush()
                    if progress:
                        progress(self.num_rows, total)
            offset += last + 1
        self._flush()
        if progress:
            progress(self.num_rows, total)

    def _flush(self) -> None:
        self.num_pairs += len(self._pairs)
        if self._pairs:
            self._write(self._pairs)
        self._pairs = []

    def _take(self, file: str, raw: RawRow, source_row: int, layout: Layout, truth: list[dict[str, Any]]) -> None:
        if self.entry.max_rows is not None and self.num_rows > self.entry.max_rows:
            self.dropped["beyond_max_rows"] += 1
            return
        outcome = parse_raw(layout, raw, self.entry)
        if not isinstance(outcome, DeadLetter):
            try:
                # A row is taken whole or not at all: every part is made before any is kept.
                made = [self._make(raw, source_row, pair) for pair in outcome]
            except RowProblem as problem:
                outcome = problem.letter
            else:
                self.num_rows_out += 1
                for number, parts in enumerate(made):
                    self._keep(*parts, [item for item in truth if item["pair_number"] in (None, number)])
                return
        self.dropped[outcome.reason] += 1
        letter = {"source": self.entry.name, "file": file, "source_row": source_row, "row_hash": raw.hash()}
        detail = outcome.detail.encode("utf-8", "replace").decode()
        self.rows["dead_letters"].append({**letter, "reason": outcome.reason, "detail": detail})
        for item in truth:
            self.rows["sample_truth"].append(_truth_row(item, None, f"row {source_row}"))

    def _make(self, raw: RawRow, source_row: int, pair: ParsedPair) -> tuple[ParsedPair, SharedVotes, dict, bool]:
        votes = share_votes(self.entry, raw.value or {}, pair)
        row, swapped = pair_row(self.entry, source_row, pair)
        return pair, votes, row, swapped

    def _keep(self, pair: ParsedPair, votes: SharedVotes, row: dict, swapped: bool, truth: list[dict]) -> None:
        self._pairs.append(row)
        if row["problem"]:
            self.problems[row["problem"]] += 1
        verdict = None if votes.verdict is None else canonical_verdict(votes.verdict, swapped=swapped)
        self.verdicts[verdict or "none"] += 1
        if verdict is not None:
            self._label(pair, votes, row, verdict)
        for role, given in (("person", votes.people), ("judge", votes.judges)):
            for vote in given:
                self.rows["recorded_verdicts"].append(recorded_row(row, vote, role, swapped=swapped))
        if votes.made_by is not None:
            maker = recorded_row(row, votes.made_by, "judge", swapped=swapped)
            self.label_makers.add((row["pair_id"], maker["labeller"], maker["first_shown"]))
        for item in truth:
            self.rows["sample_truth"].append(_truth_row(item, row["pair_id"], item["detail"] or "", swapped))

    def _label(self, pair: ParsedPair, votes: SharedVotes, row: dict, verdict: str) -> None:
        given = verdict
        if self.entry.plant_errors is not None and verdict in ("1", "2"):
            planted = has_planted_error(self.entry, row["pair_id"], self.seed)
            self.num_planted += planted
            kind = f"{self.entry.plant_errors.kind}_error" if planted else "none"
            truth = {"pair_id": row["pair_id"], "verdict": verdict, "planted": kind, "detail": ""}
            self.rows["sample_truth"].append(truth)
            given = SWAPPED_VERDICT[verdict] if planted else verdict
        self.rows["label_events"].append(
            source_event(
                self.entry,
                row,
                given,
                version=self.version,
                revision=self.revision,
                votes=votes,
                margin=pair.margin,
                created_at=self.created_at,
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
