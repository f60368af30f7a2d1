"""Readers: the rows of JSONL (plain, gzip or zstd) and Parquet files as plain values, a bad row apart from good ones.

A file is read in blocks, which may be parsed elsewhere than where they are read; memory is bounded by a block.
"""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq

from assets.errors import SynprefError
from assets.raw_pairs.json_lines import RawRow, parse_line
from assets.raw_pairs.source_files import SourceFile, as_file
from assets.raw_pairs.unpacking import GROWTH_FREE_BYTES, MAX_GROWTH, grown_too_much, unpacked

BLOCK_ROWS = 2048
_BLOCK_BYTES = 8_000_000
MAX_ROW_BYTES = 32_000_000
"""A longer line of JSONL, or a larger row of Parquet, is not parsed: it would take several times as much memory."""
_MAGIC = {b"PAR1": "parquet", b"\x1f\x8b": "gzip", b"\x28\xb5\x2f\xfd": "zstd"}
_JSONL_SUFFIXES = (".jsonl", ".ndjson", ".json")


@dataclass(frozen=True)
class FileKind:
    """What a file is: `parquet` or `jsonl`, and how JSONL is compressed (`gzip`, `zstd`), if it is."""

    format: str
    compression: str | None = None


def file_kind(file: SourceFile) -> FileKind:
    """What a file is, told by its first bytes and, for text, by its suffix.

    Raises:
        SynprefError: the file is missing, damaged or of another kind.
    """
    where = str(file)
    try:
        with file.open() as opened:
            head = opened.read(64)
    except OSError as error:
        raise SynprefError(
            f"A source's file cannot be read: {error.strerror}.", where=where, todo="check the path"
        ) from error
    kind = next((kind for magic, kind in _MAGIC.items() if head.startswith(magic)), None)
    if kind == "parquet":
        return FileKind("parquet")
    if kind is not None:
        return FileKind("jsonl", kind)
    if file.suffix == ".parquet":
        raise SynprefError("A file named .parquet is not Parquet.", where=where, todo="fetch it again")
    if file.suffix in (".gz", ".zst"):
        raise SynprefError(f"A file named {file.suffix} is not compressed so.", where=where, todo="fetch it again")
    if file.suffix not in _JSONL_SUFFIXES:
        raise SynprefError(
            f"Files ending in {file.suffix!r} cannot be read.",
            where=where,
            todo="use .jsonl (plain, .gz or .zst) or .parquet",
        )
    if head.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"["):
        raise SynprefError(
            "A JSON file holds one list instead of one object a line.", where=where, todo="write it as JSON lines"
        )
    return FileKind("jsonl")


@dataclass(frozen=True)
class Block:
    """Consecutive rows of a file, not yet parsed.

    Attributes:
        first, end: number of the first row, and of the row after the last.
        rows: lines of JSONL, blank ones too (a problem in place of a line that is too long), or Parquet rows.
        num_rows: rows in it, blank lines not counted.
        share_read: share of the file's bytes that has been read when this block ends, 0 to 1.
    """

    first: int
    end: int
    rows: tuple[bytes | RawRow, ...] | pa.RecordBatch
    num_rows: int
    share_read: float


@dataclass(frozen=True)
class Start:
    """Where the reading of a plain JSONL file begins: a byte at which a line begins, and that line's number."""

    byte: int = 0
    row: int = 0


_WHOLE = Start()


def read_blocks(file: Path | SourceFile, start: Start = _WHOLE) -> Iterator[Block]:
    """A file in blocks, in order.

    Args:
        start: later than the file's start only in plain JSONL.

    Raises:
        SynprefError: the file as a whole cannot be read (see `file_kind`) or is damaged.
    """
    file = as_file(file)
    kind = file_kind(file)
    assert start == _WHOLE or kind == FileKind("jsonl")
    yield from _parquet_blocks(file) if kind.format == "parquet" else _jsonl_blocks(file, kind.compression, start)


def rows_of(block: Block) -> Iterator[RawRow]:
    """The rows of a block; what is no usable row says why."""
    if isinstance(block.rows, pa.RecordBatch):
        yield from _parquet_rows(block.rows, block.first)
        return
    for number, line in enumerate(block.rows, start=block.first):
        if isinstance(line, RawRow):
            yield line
        elif line.strip():
            yield parse_line(number, line)


def read_rows(file: Path | SourceFile) -> Iterator[RawRow]:
    """Rows of a file, in order, without holding more than a block of them.

    Raises:
        SynprefError: as `read_blocks`.
    """
    for block in read_blocks(file):
        yield from rows_of(block)


def _damaged(file: SourceFile, error: Exception) -> SynprefError:
    return SynprefError(
        f"A Parquet file is damaged: {str(error)[:300]}.",
        where=str(file),
        kept="the source as it was published before, if it was",
        todo="fetch the file again",
    )


def _parquet_blocks(file: SourceFile) -> Iterator[Block]:
    number = num_bytes = 0
    try:
        opened = pq.ParquetFile(file.open_parquet())
    except (pa.ArrowInvalid, OSError) as error:
        raise _damaged(file, error) from error
    most = max(GROWTH_FREE_BYTES, MAX_GROWTH * file.state().size)
    with opened:
        total = opened.metadata.num_rows
        batches = opened.iter_batches(batch_size=_rows_of_a_batch(opened.metadata))
        while True:
            try:
                batch = next(batches)
                batch.validate(full=True)
            except StopIteration:
                return
            except (pa.ArrowInvalid, OSError) as error:
                raise _damaged(file, error) from error
            num_bytes += batch.nbytes
            if num_bytes > most:
                raise grown_too_much(str(file))
            end = number + len(batch)
            yield Block(number, end, batch, len(batch), end / max(1, total))
            number = end


def _rows_of_a_batch(metadata: pq.FileMetaData) -> int:
    """Rows to read at once: as many as a block holds, fewer where the rows of some group are large."""
    groups = [metadata.row_group(number) for number in range(metadata.num_row_groups)]
    largest = max((group.total_byte_size // max(1, group.num_rows) for group in groups), default=0)
    return max(1, min(BLOCK_ROWS, _BLOCK_BYTES // max(1, largest)))


def _parquet_rows(batch: pa.RecordBatch, first: int) -> Iterator[RawRow]:
    """Rows of a batch; one that is larger than a line may be is none."""
    if batch.nbytes <= MAX_ROW_BYTES:
        for number, value in enumerate(batch.to_pylist(), start=first):
            yield RawRow(number, value)
        return
    for place in range(len(batch)):
        row = batch.slice(place, 1)
        if (size := row.nbytes) <= MAX_ROW_BYTES:
            yield RawRow(first + place, row.to_pylist()[0])
            continue
        digest = RawRow(first + place, row.to_pylist()[0]).hash()
        yield RawRow(first + place, None, _too_large(size, "row"), digest=digest)


def _jsonl_blocks(file: SourceFile, compression: str | None, start: Start) -> Iterator[Block]:
    size = max(1, file.state().size)
    lines: list[bytes | RawRow] = []
    first, num_bytes, num_rows = start.row, 0, 0
    with file.open() as opened, contextlib.ExitStack() as stack:
        if start.byte:
            opened.seek(start.byte)
        text = stack.enter_context(unpacked(opened, compression, str(file))) if compression else opened
        for line in _lines(text, start.row):
            if not isinstance(line, RawRow):
                if first == 0 and not lines:
                    line = line.removeprefix(b"\xef\xbb\xbf")
                num_bytes += len(line)
            num_rows += isinstance(line, RawRow) or bool(line.strip())
            lines.append(line)
            if len(lines) >= BLOCK_ROWS or num_bytes >= _BLOCK_BYTES:
                end = first + len(lines)
                yield Block(first, end, tuple(lines), num_rows, min(1.0, opened.tell() / size))
                first, lines, num_bytes, num_rows = end, [], 0, 0
    if lines:
        yield Block(first, first + len(lines), tuple(lines), num_rows, 1.0)


def _too_large(size: int, what: str) -> str:
    return f"{size} bytes in one {what}; at most {MAX_ROW_BYTES} are read"


def _lines(file: BinaryIO, number: int) -> Iterator[bytes | RawRow]:
    """Lines, the first of this number; one that is too long is read past in pieces, hashed, and given as the row that
    it cannot be."""
    while line := file.readline(MAX_ROW_BYTES):
        if len(line) < MAX_ROW_BYTES or line.endswith(b"\n"):
            yield line
        else:
            state, length = hashlib.blake2b(line, digest_size=16), len(line)
            while not line.endswith(b"\n") and (line := file.readline(MAX_ROW_BYTES)):
                state.update(line)
                length += len(line)
            yield RawRow(number, None, _too_large(length, "line"), digest=state.hexdigest())
        number += 1
