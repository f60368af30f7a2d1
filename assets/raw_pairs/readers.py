"""Readers: the rows of JSONL (plain, gzip or zstd) and Parquet files as plain values, a bad row apart from good ones.

A file is read in blocks, which may be parsed elsewhere than where they are read; memory is bounded by a block.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import orjson
import pyarrow as pa
import pyarrow.parquet as pq

from assets.errors import SynprefError
from assets.raw_pairs.unpacking import unpacked

BLOCK_ROWS = 2048
_BLOCK_BYTES = 8_000_000
MAX_ROW_BYTES = 32_000_000
"""A longer line of JSONL is not parsed: it would take several times its length in memory."""
_MAGIC = {b"PAR1": "parquet", b"\x1f\x8b": "gzip", b"\x28\xb5\x2f\xfd": "zstd"}
_KEY_END = re.compile(rb'"[ \t\r\n]*:')
_LARGEST_EXACT = 2.0**53
_JSONL_SUFFIXES = (".jsonl", ".ndjson", ".json")


@dataclass(frozen=True)
class RawRow:
    """One row of a file.

    Attributes:
        number: from 0; in JSONL, the line, blank lines counted.
        value: column to value; None when the row cannot be read.
        problem: why it cannot be read.
        raw: the row's bytes, where the format has them.
        digest: hash of the row's bytes where they were not kept.
    """

    number: int
    value: dict[str, Any] | None
    problem: str = ""
    raw: bytes | None = None
    digest: str = ""

    def hash(self) -> str:
        """BLAKE2b-128 of the row's bytes, or of its values as JSON where the format has no bytes of a row."""
        if self.digest:
            return self.digest
        raw = self.raw
        if raw is None:
            raw = json.dumps(self.value, sort_keys=True, default=str).encode()
        return hashlib.blake2b(raw, digest_size=16).hexdigest()


@dataclass(frozen=True)
class FileKind:
    """What a file is: `parquet` or `jsonl`, and how JSONL is compressed (`gzip`, `zstd`), if it is."""

    format: str
    compression: str | None = None


def file_kind(path: Path) -> FileKind:
    """What a file is, told by its first bytes and, for text, by its suffix.

    Raises:
        SynprefError: the file is missing, damaged or of another kind.
    """
    try:
        with path.open("rb") as file:
            head = file.read(64)
    except OSError as error:
        raise SynprefError(
            f"A source's file cannot be read: {error.strerror}.", where=str(path), todo="check the path"
        ) from error
    kind = next((kind for magic, kind in _MAGIC.items() if head.startswith(magic)), None)
    if kind == "parquet":
        return FileKind("parquet")
    if kind is not None:
        return FileKind("jsonl", kind)
    if path.suffix.lower() == ".parquet":
        raise SynprefError("A file named .parquet is not Parquet.", where=str(path), todo="fetch it again")
    if path.suffix.lower() in (".gz", ".zst"):
        raise SynprefError(f"A file named {path.suffix} is not compressed so.", where=str(path), todo="fetch it again")
    if path.suffix.lower() not in _JSONL_SUFFIXES:
        raise SynprefError(
            f"Files ending in {path.suffix!r} cannot be read.",
            where=str(path),
            todo="use .jsonl (plain, .gz or .zst) or .parquet",
        )
    if head.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"["):
        raise SynprefError(
            "A JSON file holds one list instead of one object a line.", where=str(path), todo="write it as JSON lines"
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


def read_blocks(path: Path) -> Iterator[Block]:
    """A file in blocks, in order.

    Raises:
        SynprefError: the file as a whole cannot be read (see `file_kind`) or is damaged.
    """
    kind = file_kind(path)
    yield from _parquet_blocks(path) if kind.format == "parquet" else _jsonl_blocks(path, kind.compression)


def rows_of(block: Block) -> Iterator[RawRow]:
    """The rows of a block; what is no usable row says why."""
    if isinstance(block.rows, pa.RecordBatch):
        for number, value in enumerate(block.rows.to_pylist(), start=block.first):
            yield RawRow(number, value)
        return
    for number, line in enumerate(block.rows, start=block.first):
        if isinstance(line, RawRow):
            yield line
        elif line.strip():
            yield _parse_line(number, line)


def read_rows(path: Path) -> Iterator[RawRow]:
    """Rows of a file, in order, without holding more than a block of them.

    Raises:
        SynprefError: as `read_blocks`.
    """
    for block in read_blocks(path):
        yield from rows_of(block)


def _opened(path: Path) -> pq.ParquetFile:
    try:
        return pq.ParquetFile(path)
    except (pa.ArrowInvalid, OSError) as error:
        raise _damaged(path, error) from error


def _damaged(path: Path, error: Exception) -> SynprefError:
    return SynprefError(
        f"A Parquet file is damaged: {str(error)[:300]}.",
        where=str(path),
        kept="the source as it was published before, if it was",
        todo="fetch the file again",
    )


def _parquet_blocks(path: Path) -> Iterator[Block]:
    number = 0
    with _opened(path) as file:
        total = file.metadata.num_rows
        batches = file.iter_batches(batch_size=BLOCK_ROWS)
        while True:
            try:
                batch = next(batches)
                batch.validate(full=True)
            except StopIteration:
                return
            except (pa.ArrowInvalid, OSError) as error:
                raise _damaged(path, error) from error
            yield Block(number, number + len(batch), batch, len(batch), (number + len(batch)) / max(1, total))
            number += len(batch)


def _jsonl_blocks(path: Path, compression: str | None) -> Iterator[Block]:
    size = max(1, path.stat().st_size)
    lines: list[bytes | RawRow] = []
    first = num_bytes = num_rows = 0
    with path.open("rb") as file, contextlib.ExitStack() as stack:
        text = stack.enter_context(unpacked(file, compression, path)) if compression else file
        for line in _lines(text):
            if not isinstance(line, RawRow):
                if first == 0 and not lines:
                    line = line.removeprefix(b"\xef\xbb\xbf")
                num_bytes += len(line)
            num_rows += isinstance(line, RawRow) or bool(line.strip())
            lines.append(line)
            if len(lines) >= BLOCK_ROWS or num_bytes >= _BLOCK_BYTES:
                yield Block(first, first + len(lines), tuple(lines), num_rows, min(1.0, file.tell() / size))
                first, lines, num_bytes, num_rows = first + len(lines), [], 0, 0
    if lines:
        yield Block(first, first + len(lines), tuple(lines), num_rows, 1.0)


def _lines(file: BinaryIO) -> Iterator[bytes | RawRow]:
    """Lines; one that is too long is read past in pieces, hashed, and given as the row it cannot be."""
    number = 0
    while line := file.readline(MAX_ROW_BYTES):
        if len(line) < MAX_ROW_BYTES or line.endswith(b"\n"):
            yield line
        else:
            state, length = hashlib.blake2b(line, digest_size=16), len(line)
            while not line.endswith(b"\n") and (line := file.readline(MAX_ROW_BYTES)):
                state.update(line)
                length += len(line)
            problem = f"{length} bytes in one line; at most {MAX_ROW_BYTES} are read"
            yield RawRow(number, None, problem, digest=state.hexdigest())
        number += 1


def _parse_line(number: int, line: bytes) -> RawRow:
    """A line as a row. The fast parser decides where it can; what it refuses, and keys that stand twice, are looked
    at by the exact one, whose problems people read."""
    try:
        value = orjson.loads(line)
        # Every key stands before a colon; more of them than keys means a key twice, or such a thing inside a text.
        if isinstance(value, dict) and len(_KEY_END.findall(line)) == _num_keys(value):
            return RawRow(number, value, raw=line)
    except (ValueError, RecursionError):
        pass
    return _parse_exactly(number, line)


def _num_keys(value: dict | list) -> int:
    """Keys in all objects of a value. Raises ValueError where a number may have lost digits to the fast parser."""
    total = len(value) if isinstance(value, dict) else 0
    for item in value.values() if isinstance(value, dict) else value:
        if isinstance(item, (dict, list)):
            total += _num_keys(item)
        elif isinstance(item, float) and not -_LARGEST_EXACT < item < _LARGEST_EXACT:
            raise ValueError
    return total


def _parse_exactly(number: int, line: bytes) -> RawRow:
    try:
        value = json.loads(line.decode("utf-8"), object_pairs_hook=_without_doubles)
    except UnicodeDecodeError as error:
        return RawRow(number, None, f"not UTF-8: {error.reason} at byte {error.start}", line)
    except json.JSONDecodeError as error:
        return RawRow(number, None, f"not JSON: {error.msg} at character {error.pos}", line)
    except (ValueError, RecursionError) as error:
        return RawRow(number, None, f"not usable JSON: {str(error)[:200]}", line)
    if not isinstance(value, dict):
        return RawRow(number, None, f"not a JSON object but {type(value).__name__}", line)
    return RawRow(number, value, raw=line)


def _without_doubles(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) != len(pairs):
        raise ValueError("a key stands twice in one object")
    return value
