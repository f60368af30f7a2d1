"""Unpacking: the text of a compressed file, refused where it grows as no text does."""

from __future__ import annotations

import io
from typing import Any, BinaryIO

import pyarrow as pa

from assets.errors import SynprefError

# Text seldom shrinks to a twentieth; a file that grows by more than this has been made to fill a disk.
MAX_GROWTH = 300
GROWTH_FREE_BYTES = 64_000_000


def unpacked(file: BinaryIO, compression: str, where: str) -> BinaryIO:
    """The text of a compressed file, members after each other read on.

    Args:
        file: opened for reading at its start; its position tells how much has been read.
        compression: `gzip` or `zstd`.
        where: named in errors.

    Raises:
        SynprefError: while reading, when the file is damaged or grows more than `MAX_GROWTH` times.
    """
    return io.BufferedReader(_Unpacking(file, compression, where), buffer_size=1 << 20)


def grown_too_much(where: str) -> SynprefError:
    """The error for a file that grows as no text does."""
    return SynprefError(
        f"A compressed file grows more than {MAX_GROWTH} times as it is unpacked.",
        where=where,
        kept="the source as it was published before, if it was",
        todo="look at where it comes from; if it is meant so, unpack it first",
    )


class _Unpacking(io.RawIOBase):
    """A compressed file's text, as long as its growth is that of text."""

    def __init__(self, file: BinaryIO, compression: str, where: str) -> None:
        self._file, self._where = file, where
        self._stream = pa.CompressedInputStream(pa.PythonFile(file, "r"), compression)
        self._num_bytes = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        try:
            data = self._stream.read(len(buffer))
        except (pa.ArrowInvalid, OSError) as error:
            raise SynprefError(
                f"A compressed file is damaged: {str(error)[:300]}.",
                where=self._where,
                kept="the source as it was published before, if it was",
                todo="fetch the file again",
            ) from error
        self._num_bytes += len(data)
        if self._num_bytes > max(GROWTH_FREE_BYTES, MAX_GROWTH * self._file.tell()):
            raise grown_too_much(self._where)
        buffer[: len(data)] = data
        return len(data)
