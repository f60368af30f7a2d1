"""Stored texts: where selected pairs lie in the text files, and their texts a slice at a time.

A pool of millions is never held as text: ids and places take 46 bytes a pair, text one row group at a time.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from assets.contracts import contract_of
from assets.errors import ContractError, SynprefError
from training.data import TEXT_COLUMNS, PairText

_BATCH_ROWS = 65_536


def read_ids(path: Path) -> NDArray[np.bytes_]:
    """The pair ids of a selection, ascending.

    Raises:
        ContractError: the file is missing, has no text column `pair_id`, has a null in it or names a pair twice.
    """
    parts = [np.zeros(0, "S1")]
    try:
        with pq.ParquetFile(path) as file:
            if "pair_id" not in file.schema_arrow.names:
                raise ContractError("A selection lacks the column pair_id.", where=str(path))
            for batch in file.iter_batches(_BATCH_ROWS, columns=["pair_id"]):
                parts.append(_as_bytes(batch.column(0), path))
    except (OSError, pa.ArrowInvalid) as error:
        raise ContractError(f"A selection cannot be read: {error}.", where=str(path)) from error
    ids = np.sort(np.concatenate(parts))
    doubled = np.flatnonzero(ids[1:] == ids[:-1])
    if len(doubled):
        raise ContractError(
            f"A selection names pair {ids[doubled[0]].decode()} twice.", where=str(path), todo="give every pair one row"
        )
    return ids


@dataclass(frozen=True)
class StoredTexts:
    """Selected pairs in the order in which their texts lie.

    Attributes:
        files: that were searched.
        ids: ascending.
        order: position in `ids` of the n-th pair that lies in the files.
        file, group, row: where the n-th pair lies; `row` counts within its row group.
    """

    files: tuple[Path, ...]
    ids: NDArray[np.bytes_]
    order: NDArray[np.int64]
    file: NDArray[np.int16]
    group: NDArray[np.int32]
    row: NDArray[np.int32]

    def slices(self, starts: Sequence[int], size: int) -> Iterator[tuple[list[str], list[PairText]]]:
        """Ids and texts of `size` pairs from each start, fewer at the end; no more than a row group is read ahead."""
        held: tuple[int, int] | None = None
        table = pa.table({})
        opened, number = None, -1
        try:
            for start in starts:
                texts: list[PairText] = []
                for at, end in self._runs(start, min(start + size, len(self.order))):
                    place = int(self.file[at]), int(self.group[at])
                    if place[0] != number:
                        if opened is not None:
                            opened.close()
                        number, opened = place[0], _open(self.files[place[0]])
                    if place != held:
                        assert opened is not None
                        held, table = place, _read_group(opened, place[1], self.files[number])
                    texts += [pair_text(row) for row in table.take(pa.array(self.row[at:end])).to_pylist()]
                yield [self.ids[i].decode() for i in self.order[start : start + size]], texts
        finally:
            if opened is not None:
                opened.close()

    def _runs(self, start: int, end: int) -> Iterator[tuple[int, int]]:
        """Stretches of pairs that lie in one row group."""
        places = self.file[start:end].astype(np.int64) << 32 | self.group[start:end]
        cuts = [0, *(np.flatnonzero(np.diff(places)) + 1).tolist(), end - start]
        for first, last in itertools.pairwise(cuts):
            if last > first:
                yield start + first, start + last


def locate(files: Sequence[Path], ids: NDArray[np.bytes_]) -> StoredTexts:
    """Find selected pairs; one that several files have counts where it comes first.

    Args:
        ids: ascending, each once.

    Raises:
        ContractError: a file is missing, damaged or no file of the pairs table.
        SynprefError: a pair is in no file.
    """
    left = np.ones(len(ids), bool)
    order: list[NDArray[np.int64]] = [np.zeros(0, np.int64)]
    places: list[tuple[int, int, NDArray[np.int32]]] = []
    for number, path in enumerate(files):
        with _open(path) as opened:
            for group in range(opened.num_row_groups):
                found, rows = _find(_group_ids(opened, group, path), ids, left)
                order.append(found)
                places.append((number, group, rows))
    if left.any():
        raise SynprefError(
            f"{left.sum()} selected pairs have no text, e.g. {ids[np.argmax(left)].decode()}.",
            todo="give all the text files the selection was made from",
        )
    sizes = [len(rows) for _, _, rows in places]
    return StoredTexts(
        tuple(files),
        ids,
        np.concatenate(order),
        np.repeat(np.array([number for number, _, _ in places], np.int16), sizes),
        np.repeat(np.array([group for _, group, _ in places], np.int32), sizes),
        np.concatenate([np.zeros(0, np.int32), *(rows for _, _, rows in places)]),
    )


def _find(
    there: NDArray[np.bytes_], ids: NDArray[np.bytes_], left: NDArray[np.bool_]
) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
    """Positions in `ids` of a group's rows that are still looked for, and those rows; they are looked for no more."""
    if not len(ids) or not len(there):
        return np.zeros(0, np.int64), np.zeros(0, np.int32)
    at = np.minimum(np.searchsorted(ids, there), len(ids) - 1)
    rows = np.flatnonzero((ids[at] == there) & left[at])
    # The first of two rows of one pair counts.
    _, first = np.unique(at[rows], return_index=True)
    rows = rows[np.sort(first)]
    left[at[rows]] = False
    return at[rows], rows.astype(np.int32)


def pair_text(row: dict) -> PairText:
    """A row of the pairs table as text; what is null there is empty."""
    prompt = tuple((turn["role"], turn["content"] or "") for turn in row["prompt"] or ())
    return PairText(prompt, row["response_1"] or "", row["response_2"] or "")


def _open(path: Path) -> pq.ParquetFile:
    try:
        file = pq.ParquetFile(path)
    except (OSError, pa.ArrowInvalid) as error:
        raise ContractError(f"A text file cannot be read: {error}.", where=str(path)) from error
    schema, expected = file.schema_arrow, contract_of("pairs").schema
    wrong = [
        n for n in TEXT_COLUMNS if n not in schema.names or not schema.field(n).type.equals(expected.field(n).type)
    ]
    if wrong:
        file.close()
        raise ContractError(
            f"A text file lacks the columns {wrong}, or has them of another type.",
            where=str(path),
            todo="give files of the pairs table (assets/contracts.py)",
        )
    return file


def _group_ids(file: pq.ParquetFile, group: int, path: Path) -> NDArray[np.bytes_]:
    try:
        return _as_bytes(file.read_row_group(group, columns=["pair_id"])["pair_id"].combine_chunks(), path)
    except (OSError, pa.ArrowInvalid) as error:
        raise ContractError(f"A text file cannot be read: {error}.", where=str(path)) from error


def _read_group(file: pq.ParquetFile, group: int, path: Path) -> pa.Table:
    try:
        return file.read_row_group(group, columns=TEXT_COLUMNS[1:])
    except (OSError, pa.ArrowInvalid) as error:
        raise ContractError(f"A text file cannot be read: {error}.", where=str(path)) from error


def _as_bytes(column: pa.Array, path: Path) -> NDArray[np.bytes_]:
    if column.null_count or not pa.types.is_string(column.type):
        raise ContractError("The column pair_id is no text, or has nulls.", where=str(path))
    try:
        return column.to_numpy(zero_copy_only=False).astype("S") if len(column) else np.zeros(0, "S1")
    except UnicodeEncodeError as error:
        raise ContractError(f"A pair id is no hex digits: {error.object!r:.80}.", where=str(path)) from error
