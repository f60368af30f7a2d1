"""Readers: the rows of JSONL and Parquet files as plain values, a bad row apart from the good ones."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from assets.errors import SynprefError

BATCH_ROWS = 1024
_MAGIC = {b"PAR1": "parquet", b"\x1f\x8b": "gzip", b"\x28\xb5\x2f\xfd": "zstd"}
_JSONL_SUFFIXES = (".jsonl", ".ndjson", ".json")


@dataclass(frozen=True)
class RawRow:
    """One row of a file.

    Attributes:
        number: from 0; in JSONL, the line, blank lines counted.
        value: column to value; None when the row cannot be read.
        problem: why it cannot be read.
        raw: the row's bytes, where the format has them.
    """

    number: int
    value: dict[str, Any] | None
    problem: str = ""
    raw: bytes | None = None

    def hash(self) -> str:
        """BLAKE2b-128 of the row's bytes, or of its values as JSON where the format has no bytes of a row."""
        raw = self.raw
        if raw is None:
            raw = json.dumps(self.value, sort_keys=True, default=str).encode()
        return hashlib.blake2b(raw, digest_size=16).hexdigest()


def file_kind(path: Path) -> str:
    """`parquet` or `jsonl`, told by the file's first bytes and, for text, by its suffix.

    Raises:
        SynprefError: the file is missing, compressed, damaged or of another kind.
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
        return kind
    if kind is not None:
        raise SynprefError(f"A source's file is compressed with {kind}.", where=str(path), todo="unpack it first")
    if path.suffix.lower() == ".parquet":
        raise SynprefError("A file named .parquet is not Parquet.", where=str(path), todo="fetch it again")
    if path.suffix.lower() not in _JSONL_SUFFIXES:
        raise SynprefError(
            f"Files ending in {path.suffix!r} cannot be read.", where=str(path), todo="use .jsonl or .parquet"
        )
    if head.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"["):
        raise SynprefError(
            "A JSON file holds one list instead of one object a line.", where=str(path), todo="write it as JSON lines"
        )
    return "jsonl"


def count_rows(path: Path) -> int | None:
    """Rows of a file where its header tells them, else None."""
    if file_kind(path) != "parquet":
        return None
    with _opened(path) as file:
        return file.metadata.num_rows


def read_rows(path: Path) -> Iterator[RawRow]:
    """Rows of a file, in order, without holding more than a batch of them.

    Raises:
        SynprefError: the file as a whole cannot be read (see `file_kind`) or is damaged.
    """
    yield from _read_parquet(path) if file_kind(path) == "parquet" else _read_jsonl(path)


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


def _read_parquet(path: Path) -> Iterator[RawRow]:
    number = 0
    with _opened(path) as file:
        batches = file.iter_batches(batch_size=BATCH_ROWS)
        while True:
            try:
                rows = next(batches).to_pylist()
            except StopIteration:
                return
            except (pa.ArrowInvalid, OSError, UnicodeDecodeError) as error:
                raise _damaged(path, error) from error
            for value in rows:
                yield RawRow(number, value)
                number += 1


def _read_jsonl(path: Path) -> Iterator[RawRow]:
    with path.open("rb") as file:
        for number, line in enumerate(file):
            if number == 0:
                line = line.removeprefix(b"\xef\xbb\xbf")
            if line.strip():
                yield _read_line(number, line)


def _read_line(number: int, line: bytes) -> RawRow:
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
