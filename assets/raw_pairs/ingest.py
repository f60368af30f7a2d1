"""Ingestion: one source streamed into the lake as pairs, label events, recorded verdicts, dead letters and truth."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from itertools import chain, islice
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from assets.accounting import StageCounts
from assets.contracts import from_rows
from assets.durable_files import sha256_of
from assets.errors import ConfigError
from assets.identity import IDENTITY_VERSION, digest
from assets.lake import Lake
from assets.raw_pairs import hub
from assets.raw_pairs.catalogue import SourceEntry, require_files
from assets.raw_pairs.layouts import Layout
from assets.raw_pairs.outcomes import outcomes_of, whole_prompts
from assets.raw_pairs.parallel import map_in_order, num_workers
from assets.raw_pairs.readers import read_blocks, read_rows, rows_of
from assets.raw_pairs.rows import DeadLetter, ParsedPair
from assets.raw_pairs.source_ledger import SourceLedger, one_truth_each, without_label_makers
from assets.raw_pairs.source_pass import Delivery, Portion, Truth, layout_of, take_block

Progress = Callable[[int, float], None]
"""Called with rows done and the share of the files' bytes done, 0 to 1."""

_RECOGNISE_ROWS = 50
# Below this, starting processes takes longer than the reading.
_PARALLEL_BYTES = 64_000_000

READER_VERSION = "2"
"""Raised when the same file is to give other rows."""


@dataclass(frozen=True)
class IngestReport:
    """What became of a source.

    Attributes:
        revision: hash of the files' bytes, or the hub's commit.
        layouts: file to layout.
        counts: rows of the files in, rows that made pairs out, the rest by reason.
        num_pairs: rows of `pairs` (a ranking makes several of one row).
        left_out: pairs that rows of several completions could have made, by reason (see `completions.pairs_of`).
        score_rules: file to how ratings make a completion's score, where it has such.
        problems: pairs that are none, by problem; they are in `pairs` and dbt excludes them.
        verdicts: labels by verdict, `none` for a pair without one.
        recorded: recorded verdicts by role.
        num_label_makers_left_out: judges' verdicts not recorded since a label of the same pair was made from them.
        num_planted_errors: labels inverted on purpose.
        num_contradicting_truths: pairs whose truth is left out since rows contradict each other on it.
        unchanged: nothing was read, since the published partitions were made from the same files and settings.
    """

    source: str
    revision: str
    layouts: Mapping[str, str]
    counts: StageCounts
    num_pairs: int
    left_out: Mapping[str, int] = field(default_factory=dict)
    score_rules: Mapping[str, str] = field(default_factory=dict)
    problems: Mapping[str, int] = field(default_factory=dict)
    verdicts: Mapping[str, int] = field(default_factory=dict)
    recorded: Mapping[str, int] = field(default_factory=dict)
    num_label_makers_left_out: int = 0
    num_planted_errors: int = 0
    num_contradicting_truths: int = 0
    unchanged: bool = False

    def as_dict(self) -> dict[str, Any]:
        """Plain form for the manifest."""
        return {**asdict(self), "counts": self.counts.as_dict()}

    @classmethod
    def from_dict(cls, value: Mapping[str, Any]) -> IngestReport:
        """Inverse of `as_dict`."""
        return cls(**{**value, "counts": StageCounts.from_dict(value["counts"])})


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

    The pairs are published last: a run killed before that reads the source again, and the same rows give the
    same bytes.

    Args:
        seed: draws which labels get a planted error.
        created_at: time of the label events, with time zone.
        truth_path: Parquet with source, source_row (from 0), verdict (a, b, tie or null, in the file's order),
            planted and detail: what a made-up source knows by construction. It holds for every pair of the row, or
            for the one that a column `pair_number` names. A dead letter's truth has no pair id.
        progress: called after every block.

    Raises:
        ConfigError: no layout fits, or a file is not there.
        SynprefError: a file is damaged or cannot be fetched.
        PartitionBusyError: another process is ingesting the same source.
    """
    revision, files = _locate(entry)
    truth = _read_truth(truth_path, entry.name)
    inputs = _fingerprint(entry, revision, seed, truth_path)
    partition = {"source": entry.name}
    manifest = lake.manifest("pairs", partition)
    if manifest is not None and manifest.inputs == inputs and lake.file_of(manifest).exists():
        return IngestReport.from_dict({**manifest.info["report"], "unchanged": True})
    version = f"{READER_VERSION}.{_label_settings(entry, seed)[:12]}"
    delivery = Delivery(entry, seed, created_at, revision, version)
    total = Portion()
    layouts: dict[str, Layout] = {}
    num_pairs = 0
    with lake.writer("pairs", partition, inputs=inputs) as writer:
        with SourceLedger(lake, entry.name, created_at, inputs=inputs) as ledger:
            narrow: dict[str, list[pa.Table]] = {"recorded_verdicts": [], "sample_truth": [], "dead_letters": []}
            for portion in _read(delivery, files, truth, layouts, progress):
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
                revision=revision,
                layouts={name: layout.name for name, layout in layouts.items()},
                score_rules={name: str(of.score_rule) for name, of in layouts.items() if of.score_rule},
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
            info = {"counts": report.counts.as_dict()}
            ledger.info |= info
        finished = {"recorded_verdicts": recorded, "sample_truth": truths, "dead_letters": made["dead_letters"]}
        for name, rows in finished.items():
            lake.publish(name, from_rows(rows, name), partition, inputs=inputs, info=info)
        writer.info |= {**info, "report": report.as_dict()}
    return report


def _read(
    delivery: Delivery,
    files: Sequence[tuple[str, Path]],
    truth: Truth,
    layouts: dict[str, Layout],
    progress: Progress | None,
) -> Iterator[Portion]:
    """Portions of a source's files, in order; rows are numbered on from file to file.

    Args:
        layouts: is filled with the layout of each file.
    """
    sizes = [path.stat().st_size for _, path in files]
    shares: list[float] = []

    def jobs() -> Iterator[dict[str, Any]]:
        offset = num_before = 0
        for number, (name, path) in enumerate(files):
            blocks = read_blocks(path)
            first = next(blocks, None)
            layout = layout_of(delivery.entry, name, list(islice(rows_of(first), _RECOGNISE_ROWS)) if first else [])
            layouts[name] = layout
            end = 0
            for block in whole_prompts(chain([first] if first else [], blocks), layout):
                end = block.end
                shares.append((sum(sizes[:number]) + block.share_read * sizes[number]) / max(1, sum(sizes)))
                own = {n: truth[n] for n in range(offset + block.first, offset + block.end) if n in truth}
                yield {
                    "delivery": delivery,
                    "file": name,
                    "layout": layout,
                    "block": block,
                    "offset": offset,
                    "num_before": num_before,
                    "truth": own,
                }
                num_before += block.num_rows
            offset += end

    num_rows = 0
    workers = num_workers() if sum(sizes) >= _PARALLEL_BYTES else 1
    for number, portion in enumerate(map_in_order(take_block, jobs(), num_workers=workers)):
        num_rows += portion.num_rows
        if progress:
            progress(num_rows, shares[number])
        yield portion


@dataclass(frozen=True)
class LayoutReport:
    """What a look at a source's first rows found: for the person who adds it."""

    file: str
    layout: Layout
    pairs: tuple[ParsedPair, ...]
    dead_letters: tuple[tuple[int, DeadLetter], ...]

    @property
    def num_pairs(self) -> int:
        """Pairs in the rows that were looked at."""
        return len(self.pairs)


def check_source(entry: SourceEntry, num_rows: int = 100) -> list[LayoutReport]:
    """Recognise the layout of every file of a source and try its first rows; nothing is published.

    Raises:
        ConfigError, SynprefError: as `ingest_source`.
    """
    reports = []
    for name, path in _locate(entry)[1]:
        rows = list(islice(read_rows(path), num_rows))
        layout = layout_of(entry, name, rows)
        outcomes = list(outcomes_of(layout, rows, entry))
        letters = tuple((row.number, o.result) for o in outcomes if isinstance(o.result, DeadLetter) for row in o.rows)
        pairs = tuple(pair for o in outcomes if not isinstance(o.result, DeadLetter) for pair in o.result.pairs)
        reports.append(LayoutReport(name, layout, pairs, letters))
    return reports


def _locate(entry: SourceEntry) -> tuple[str, list[tuple[str, Path]]]:
    """Revision and files (name, path) of a source."""
    if entry.hub is not None:
        found = hub.fetch(entry.hub)
        return found.commit, list(found.files)
    require_files([entry])
    paths = [Path(p) for p in entry.paths]
    return digest("files", *map(sha256_of, paths)), [(path.name, path) for path in paths]


def _label_settings(entry: SourceEntry, seed: int) -> str:
    """Hash of what makes a row's label: the version of the source's label events."""
    fields = {"layout", "columns", "score_weights", "label_values", "label_origin", "votes", "plant_errors"}
    return digest("labels", entry.model_dump_json(include=fields), str(seed) if entry.plant_errors else "")


def _fingerprint(entry: SourceEntry, revision: str, seed: int, truth_path: Path | None) -> str:
    settings = entry.model_dump_json(exclude={"paths", "hub"})
    truth = sha256_of(truth_path) if truth_path is not None else ""
    return digest("ingest", READER_VERSION, IDENTITY_VERSION, revision, settings, str(seed), truth)


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
