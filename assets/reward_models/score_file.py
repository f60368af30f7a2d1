"""Score file: `synpref score` behind its command line. A file of rows in, a file of scores and one of bad rows out."""

from __future__ import annotations

import functools
import itertools
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from assets.durable_files import sha256_of
from assets.errors import ConfigError, SynprefError
from assets.raw_pairs.json_lines import RawRow
from assets.raw_pairs.readers import read_blocks, rows_of
from assets.reward_models.response_rows import BadRow, ResponseRow, read_row
from training.bulk_scoring import ScoringJob, Shard, score_all
from training.score import shards_beside
from training.score_output import KEYS, FileReport, letter, letters_file, publish, write_letters, written_report
from training.score_shards import Say, ShardFolder, shard_folder
from training.scorer_facts import ScorerFacts
from training.scoring import RewardScorer

SHARD_ROWS = 512


@dataclass(frozen=True)
class FileWork:
    """Implements `training.bulk_scoring.Work` over a file, `SHARD_ROWS` rows a shard.

    Attributes:
        state: size and time of change, when the file's hash was taken.
        num_items: responses in each shard; empty before the file was read through.
    """

    path: Path
    state: tuple[int, int]
    id_column: str | None
    num_items: tuple[int, ...] = ()

    skips_refused = True

    def shards(self, numbers: Sequence[int]) -> Iterator[Shard]:
        """See `Work`.

        Raises:
            SynprefError: the file is no longer what it was.
        """
        self.check()
        wanted, last = set(numbers), max(numbers, default=-1)
        for number, rows in _pieces(self.path, wanted):
            good = [(row, read) for row, read in self.read(rows) if isinstance(read, ResponseRow)]
            keys = [
                {"row": row.number, "id": read.id, "response_index": at, "hash": row.hash()}
                for row, read in good
                for at in range(len(read.responses))
            ]
            names = [f"row {key['row']}, response {key['response_index']}" for key in keys]
            items = [(read.turns, response) for _, read in good for response in read.responses]
            yield Shard(number, items, pa.Table.from_pylist(keys, schema=KEYS), names)
            if number == last:
                break
        self.check()

    def read(self, rows: Sequence[RawRow]) -> Iterator[tuple[RawRow, ResponseRow | BadRow]]:
        """What each row asks for."""
        for row in rows:
            unread = BadRow("unreadable_row", row.problem)
            yield row, unread if row.value is None else read_row(row.value, self.id_column)

    def check(self) -> None:
        """Raise when the file changed since its hash was taken."""
        if _state(self.path) != self.state:
            raise SynprefError(
                "The input changed while it was scored.",
                where=str(self.path),
                todo="wait until it is written, then run the same command again with --restart",
            )

    def read_through(self, letters: Path) -> tuple[FileWork, int, Counter[str]]:
        """Find how the file is cut, before anything is computed; bad rows are written to `letters`.

        Returns:
            The work with `num_items`, the number of rows, and bad rows by reason.
        """
        sizes: list[int] = []
        num_rows = 0

        def bad_rows() -> Iterator[dict[str, Any]]:
            nonlocal num_rows
            for _, rows in _pieces(self.path, None):
                sizes.append(0)
                for row, read in self.read(rows):
                    num_rows += 1
                    if isinstance(read, BadRow):
                        yield letter(row.number, row.hash(), read.reason, read.detail)
                    else:
                        sizes[-1] += len(read.responses)

        counted = write_letters(letters, bad_rows())
        self.check()
        return FileWork(self.path, self.state, self.id_column, tuple(sizes)), num_rows, counted


def score_file(
    source: Path,
    output: Path,
    open_scorer: Callable[[], RewardScorer],
    facts: ScorerFacts,
    *,
    id_column: str | None = None,
    num_processes: int | None = None,
    restart: bool = False,
    say: Say,
) -> FileReport:
    """Score a file. A killed scoring goes on where it was, and ends with the bytes of a calm one.

    Args:
        output: ends in .parquet or .jsonl.
        open_scorer: called in each process; gives what `facts` describes.
        restart: remove shards that another model or input left here, instead of refusing to go on.

    Raises:
        SynprefError: the file cannot be read, no row can be scored, a score is not finite, or shards of another
            scoring lie here.
    """
    if not source.is_file():
        raise ConfigError("There is no such input file.", where=str(source), todo="check the path")
    work = FileWork(source, _state(source), id_column)
    about = {
        "scorer": facts.as_dict(),
        "input_sha256": sha256_of(source),
        "id_column": id_column,
        "shard_rows": SHARD_ROWS,
    }
    if report := written_report(output, about):
        say(f"these scores are there already: {output}")
        return report
    with shard_folder(shards_beside(output), about, redo=restart, say=say) as shards:
        work, num_rows, bad_rows = work.read_through(letters_file(output))
        if not sum(work.num_items):
            shards.remove()
            raise SynprefError(
                f"None of {num_rows} rows can be scored{': ' if bad_rows else ''}{_counted(bad_rows)}.",
                where=str(source),
                todo=f"look at {letters_file(output)}" if bad_rows else "give a file with rows",
            )
        job = ScoringJob(functools.partial(_itself, work), open_scorer)
        score_all(job, work.num_items, shards, num_processes=num_processes, say=say)
        report = publish(output, _Tables(shards, len(work.num_items)), about, num_rows=num_rows, bad_rows=bad_rows)
        shards.remove()
    return report


@dataclass(frozen=True)
class _Tables:
    """A scoring's shards, as often as they are asked for."""

    shards: ShardFolder
    num: int

    def __iter__(self) -> Iterator[pa.Table]:
        return self.shards.tables(self.num, lambda line: None)


def _itself(work: FileWork) -> FileWork:
    return work


def _counted(counts: Counter[str]) -> str:
    return ", ".join(f"{n} {reason}" for reason, n in counts.most_common())


def _pieces(path: Path, wanted: set[int] | None) -> Iterator[tuple[int, list[RawRow]]]:
    """Shards of a file by number; those that are not wanted are read past, not parsed. None wants all."""
    number = 0
    for block in read_blocks(path):
        size = -(-block.num_rows // SHARD_ROWS)
        if wanted is None or not wanted.isdisjoint(range(number, number + size)):
            rows = rows_of(block)
            for at in range(number, number + size):
                piece = list(itertools.islice(rows, SHARD_ROWS))
                if wanted is None or at in wanted:
                    yield at, piece
        number += size


def _state(path: Path) -> tuple[int, int]:
    found = path.stat()
    return found.st_size, found.st_mtime_ns
