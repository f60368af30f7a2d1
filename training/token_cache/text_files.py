"""Text files: which of them has a pair, and whether it is still the file whose tokens are cached."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from assets.durable_files import sha256_of, write_atomically
from assets.errors import ContractError, SynprefError
from training.data import TEXT_COLUMNS, check_text_columns
from training.token_cache.pair_keys import Keys, keys_of, positions_in

# As `assets.partition_writer` names them.
_LAKE_NAME = re.compile(r"data-([0-9a-f]{16})\.parquet")
_IDS_AT_ONCE = 262_144
# Small, so that a file of one large row group is read in bounded memory too.
_ROWS_AT_ONCE = 1_024


@dataclass(frozen=True)
class Places:
    """Where wanted pairs have their text: the first row of the first file that has them.

    Attributes:
        file: int16[n], -1 where no file has it.
        row: int64[n], counted over the whole file.
    """

    file: NDArray[np.int16]
    row: NDArray[np.int64]


def locate(files: Sequence[Path], wanted: Keys) -> Places:
    """Find pairs by their keys.

    Args:
        wanted: sorted, each once.

    Raises:
        ContractError: a file is missing, damaged or no file of the pairs table.
    """
    places = Places(np.full(len(wanted), -1, np.int16), np.zeros(len(wanted), np.int64))
    for number, path in enumerate(files):
        first = 0
        for ids in _id_batches(path):
            at = positions_in(wanted, keys_of(ids))
            here = np.flatnonzero(at >= 0)
            here = here[places.file[at[here]] < 0][::-1]
            # Of rows that have the same pair the last assigned counts: the first one.
            places.row[at[here]] = first + here
            places.file[at[here]] = number
            first += len(ids)
    return places


def _id_batches(path: Path) -> Iterator[pa.Array]:
    try:
        with pq.ParquetFile(path) as file:
            check_text_columns(file.schema_arrow, path)
            for batch in file.iter_batches(_IDS_AT_ONCE, columns=["pair_id"]):
                yield batch.column(0)
    except (OSError, pa.ArrowInvalid) as error:
        raise ContractError(f"A text file cannot be read: {error}.", where=str(path)) from error


def read_rows(path: Path, rows: NDArray[np.int64]) -> Iterator[pa.Table]:
    """Texts of some rows, about a thousand at a time.

    Args:
        rows: ascending, counted over the whole file.
    """
    try:
        with pq.ParquetFile(path) as file:
            first = 0
            for group in range(file.num_row_groups):
                end = first + file.metadata.row_group(group).num_rows
                low, high = np.searchsorted(rows, [first, end])
                if low < high:
                    yield from _rows_of_group(file, group, rows[low:high] - first)
                first = end
    except (OSError, pa.ArrowInvalid) as error:
        raise ContractError(f"A text file cannot be read: {error}.", where=str(path)) from error


def _rows_of_group(file: pq.ParquetFile, group: int, rows: NDArray[np.int64]) -> Iterator[pa.Table]:
    first = 0
    for batch in file.iter_batches(_ROWS_AT_ONCE, row_groups=[group], columns=TEXT_COLUMNS):
        low, high = np.searchsorted(rows, [first, first + len(batch)])
        if low < high:
            yield pa.Table.from_batches([batch]).take(pa.array(rows[low:high] - first))
        first += len(batch)


def content_sha256(path: Path, memo: Path) -> str:
    """SHA-256 of a text file, computed anew when its size or time of change has changed.

    Args:
        memo: folder that remembers.

    Raises:
        ContractError: the file's name says another hash, as files of the lake do.
    """
    state = state_of(path)
    note = memo / f"{hashlib.blake2b(str(path.resolve()).encode(), digest_size=8).hexdigest()}.json"
    try:
        remembered = json.loads(note.read_text("utf-8"))
        sha = remembered["sha256"] if remembered["state"] == state else None
    except (OSError, ValueError, KeyError, TypeError):
        sha = None
    if sha is None:
        sha = sha256_of(path)
        write_atomically(note, json.dumps({"path": str(path), "state": state, "sha256": sha}))
    named = _LAKE_NAME.fullmatch(path.name)
    if named is not None and not sha.startswith(named[1]):
        raise ContractError(
            f"A text file's bytes are not those that its name says: they have the hash {sha[:16]}.",
            where=str(path),
            kept="the token cache, and all labels",
            todo="materialise the source again",
        )
    return sha


def state_of(path: Path) -> list[int]:
    """What changes when a file is written to: size in bytes, time of change in nanoseconds, inode."""
    found = path.stat()
    return [found.st_size, found.st_mtime_ns, found.st_ino]


def refuse_change(path: Path, before: list[int]) -> None:
    """Raise when a text file was written to while it was read."""
    if state_of(path) != before:
        raise SynprefError(
            "A text file was changed while it was tokenised.",
            where=str(path),
            kept="the token cache as it was",
            todo="wait until the source is written, then run again",
        )
