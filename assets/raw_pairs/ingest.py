"""Ingestion: one source streamed into the lake as pairs, label events, recorded verdicts, dead letters and truth."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from assets.accounting import StageCounts
from assets.contracts import from_rows
from assets.durable_files import sha256_of
from assets.errors import ConfigError, PartitionBusyError, SynprefError
from assets.identity import IDENTITY_VERSION, digest
from assets.lake import Lake
from assets.partition_writer import Manifest
from assets.raw_pairs import hub
from assets.raw_pairs.catalogue import require_files
from assets.raw_pairs.file_states import FileState
from assets.raw_pairs.growth import FileRecord, Version, in_known_order, start_in, version_of, whole_files_read
from assets.raw_pairs.ingest_report import IngestReport
from assets.raw_pairs.readers import Start
from assets.raw_pairs.reading import FileToRead, Progress, Reading, layout_at_start, layout_hash
from assets.raw_pairs.source_entry import SourceEntry
from assets.raw_pairs.source_files import SourceFile, files_at
from assets.raw_pairs.source_ledger import SourceLedger, one_truth_each, without_label_makers
from assets.raw_pairs.source_pass import TABLES, Delivery, Portion

READER_VERSION = "2"
"""Raised when the same file is to give other rows."""


def ingest_source(
    entry: SourceEntry,
    lake: Lake,
    *,
    seed: int,
    created_at: datetime,
    truth_path: Path | None = None,
    progress: Progress | None = None,
) -> IngestReport:
    """Read a source and publish its partitions of pairs, label_events, recorded_verdicts, dead_letters, sample_truth.

    A source that was read before and has only grown (see `growth`) is read where it is new; its published rows are
    taken over, and the tables are those of a full read. The pairs are published last: a run killed before that reads
    the source again, and the same rows give the same bytes.

    Args:
        seed: draws which labels get a planted error.
        created_at: time of the label events, with time zone.
        truth_path: Parquet with source, source_row (from 0), verdict (a, b, tie or null, in the file's order),
            planted and detail: what a made-up source knows by construction. It holds for every pair of the row, or
            for the one that a column `pair_number` names. A dead letter's truth has no pair id.
        progress: called after every block.

    Raises:
        ConfigError: no layout fits, or a file is not there.
        SynprefError: a file is damaged, cannot be fetched, or changed while it was read.
        PartitionBusyError: another process is ingesting the same source.
    """
    partition = {"source": entry.name}
    manifest = lake.manifest("pairs", partition)
    before = [FileRecord(**one) for one in manifest.info.get("files", ())] if manifest else []
    truth = _read_truth(truth_path, entry.name)
    stock = _take_stock(entry, before)
    settings = _settings(entry, seed, truth_path)
    inputs = digest("ingest", settings, stock.revision)
    if manifest is not None and manifest.inputs == inputs and lake.file_of(manifest).exists():
        return IngestReport.from_dict({**manifest.info["report"], "unchanged": True})
    version = f"{READER_VERSION}.{_label_settings(entry, seed)[:12]}"
    kept = None
    if manifest is not None and truth_path is None:
        kept = _what_stands(entry, lake, manifest, settings, before, stock)
    reading = Reading(
        Delivery(entry, seed, created_at, stock.revision, version),
        stock.to_read(before, kept),
        truth,
        first_offset=sum(record.end for record in before[: kept.num_files]) if kept else 0,
        num_before=kept.report.counts.rows_in if kept else 0,
    )
    total = Portion()
    num_pairs = 0
    with lake.writer("pairs", partition, inputs=inputs) as writer:
        if lake.manifest("pairs", partition) != manifest:
            raise PartitionBusyError(
                f"Another process has read the source {entry.name!r} meanwhile.",
                kept="what it published",
                todo="run again",
            )
        for rows in _published(lake, kept.pairs) if kept else ():
            writer.write(rows)
        with SourceLedger(lake, entry.name, created_at, inputs=inputs, follows=kept is not None) as ledger:
            narrow: dict[str, list[pa.Table]] = {"recorded_verdicts": [], "sample_truth": [], "dead_letters": []}
            for name, tables in narrow.items() if kept else ():
                tables.append(lake.read(name, source=entry.name))
            for portion in reading.portions(progress):
                writer.write(portion.tables["pairs"])
                num_pairs += len(portion.tables["pairs"])
                ledger.deliver(portion.tables["label_events"])
                for name, tables in narrow.items():
                    tables.append(portion.tables[name])
                total.add(portion)
            made = {name: pa.concat_tables(tables).to_pylist() if tables else [] for name, tables in narrow.items()}
            recorded, num_makers = without_label_makers(made["recorded_verdicts"], total.label_makers)
            truths, num_contradicting = one_truth_each(made["sample_truth"])
            report = IngestReport(
                source=entry.name,
                revision=stock.revision,
                layouts={name: layout.name for name, layout in reading.layouts.items()},
                score_rules={name: str(of.score_rule) for name, of in reading.layouts.items() if of.score_rule},
                counts=StageCounts(total.num_rows, total.num_rows_out, dict(sorted(total.dropped.items()))),
                num_pairs=num_pairs,
                left_out=dict(sorted(total.left_out.items())),
                problems=dict(sorted(total.problems.items())),
                verdicts=dict(sorted(total.verdicts.items())),
                recorded=dict(sorted(Counter(r["role"] for r in recorded).items())),
                num_label_makers_left_out=num_makers,
                num_planted_errors=total.num_planted,
                num_contradicting_truths=num_contradicting,
            )
            report = report.after(kept.report) if kept else report
            info = {"counts": report.counts.as_dict()}
            ledger.info |= info
        finished = {"recorded_verdicts": recorded, "sample_truth": truths, "dead_letters": made["dead_letters"]}
        for name, rows in finished.items():
            lake.publish(name, from_rows(rows, name), partition, inputs=inputs, info=info)
        files = [*(before[: kept.num_files] if kept else ()), *reading.records]
        writer.info |= {**info, "report": report.as_dict(), "settings": settings}
        writer.info["files"] = [record.as_dict() for record in files]
    return report


def source_files(entry: SourceEntry) -> tuple[str, list[SourceFile]]:
    """A source's files, and the hub's commit if they are of the hub.

    Raises:
        ConfigError: a file is not there.
        SynprefError: a store or the hub cannot be reached.
    """
    if entry.hub is not None:
        found = hub.files_of(entry.hub)
        return found.commit, list(found.files)
    require_files([entry])
    return "", files_at(entry.paths)


@dataclass(frozen=True)
class _Stock:
    """A source's files as they are now.

    Attributes:
        revision: hash of the files' versions, or the hub's commit.
    """

    revision: str
    files: Sequence[SourceFile]
    states: dict[str, FileState]
    versions: dict[str, Version]

    def to_read(self, before: Sequence[FileRecord], kept: _Kept | None) -> list[FileToRead]:
        """The files that were not read before; a grown one from where it has grown."""
        start = start_in(before[-1]) if kept and kept.num_files < len(before) else Start()
        rest = self.files[kept.num_files if kept else 0 :]
        return [
            FileToRead(file, self.states[file.name], self.versions[file.name], start if place == 0 else Start())
            for place, file in enumerate(rest)
        ]


@dataclass(frozen=True)
class _Kept:
    """What was published before and stands.

    Attributes:
        num_files: files that were read and are as they were.
    """

    pairs: Manifest
    report: IngestReport
    num_files: int


def _take_stock(entry: SourceEntry, before: Sequence[FileRecord]) -> _Stock:
    commit, found = source_files(entry)
    files = in_known_order(found, before)
    known = {record.name: record for record in before}
    # The states come first: what changes from here on is seen when the file has been read.
    states = {file.name: file.state() for file in files}
    # Only the last of the files that were read before may have grown.
    last = {before[-1].name: known[before[-1].name]} if before else {}
    versions = {file.name: version_of(file, last.get(file.name)) for file in files}
    revision = commit or digest("files", *(versions[file.name].value for file in files))
    return _Stock(revision, files, states, versions)


def _what_stands(
    entry: SourceEntry, lake: Lake, manifest: Manifest, settings: str, before: Sequence[FileRecord], stock: _Stock
) -> _Kept | None:
    """What need not be read again; None when everything must be."""
    # A verdict that made a label may stand in any row of the source, and so may the truth of a planted error.
    if entry.plant_errors is not None or (entry.votes is not None and entry.votes.use != "single_person"):
        return None
    manifests = [m for table in TABLES for m in (lake.manifest(table, _partition(table, entry.name)),)]
    # A run that was killed between two tables leaves them out of step.
    if manifest.info.get("settings") != settings or any(m is None or m.inputs != manifest.inputs for m in manifests):
        return None
    num_files = whole_files_read(before, [file.name for file in stock.files], stock.versions)
    if num_files is None:
        return None
    if num_files < len(before) and layout_hash(layout_at_start(entry, stock.files[num_files])) != before[-1].layout:
        return None
    try:
        for one in manifests:
            lake.verify(one)  # type: ignore[arg-type]
    except SynprefError:
        return None
    return _Kept(manifest, IngestReport.from_dict(manifest.info["report"]), num_files)


def _partition(table: str, source: str) -> dict[str, str]:
    return {"kind": "source", "batch": source} if table == "label_events" else {"source": source}


def _published(lake: Lake, manifest: Manifest) -> Iterator[pa.Table]:
    """A partition's rows, a row group at a time."""
    with pq.ParquetFile(lake.file_of(manifest)) as file:
        for group in range(file.metadata.num_row_groups):
            yield file.read_row_group(group)


def _label_settings(entry: SourceEntry, seed: int) -> str:
    """Hash of what makes a row's label: the version of the source's label events."""
    fields = {"layout", "columns", "score_weights", "label_values", "label_origin", "votes", "plant_errors"}
    return digest("labels", entry.model_dump_json(include=fields), str(seed) if entry.plant_errors else "")


def _settings(entry: SourceEntry, seed: int, truth_path: Path | None) -> str:
    """Hash of what, beside the files, the tables are made from."""
    # Which files of a hub's data set are read is a setting; where a copy of them lies is not.
    settings = entry.model_dump_json(exclude={"paths": True, "hub": {"copy_at"}})
    truth = sha256_of(truth_path) if truth_path is not None else ""
    return digest("settings", READER_VERSION, IDENTITY_VERSION, settings, str(seed), truth)


def _read_truth(path: Path | None, source: str) -> dict[int, list[dict[str, Any]]]:
    """Truth of a made-up source by row."""
    if path is None:
        return {}
    try:
        table = pq.read_table(path)
        table = table.filter(pc.field("source") == source)
        wanted = ["source_row", "verdict", "planted", "detail"]
        rows = table.select(wanted + ["pair_number"] * ("pair_number" in table.column_names)).to_pylist()
    except (OSError, KeyError, pa.ArrowInvalid) as error:
        raise ConfigError(f"A source's truth cannot be read: {error}.", where=str(path)) from error
    truth: dict[int, list[dict[str, Any]]] = {}
    for row in rows:
        truth.setdefault(row["source_row"], []).append({"pair_number": None, **row})
    return truth
