"""Files: writing a result so that a reader sees the old file or the whole new one, never half of it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from assets import durable_files
from assets.errors import SynprefError


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Like `durable_files.replacing`, with an error that says what to do.

    Raises:
        SynprefError: the folder cannot be written or the disk is full; what was there before stays.
    """
    try:
        with durable_files.replacing(path) as temporary:
            yield temporary
    except OSError as error:
        raise SynprefError(
            f"A result cannot be written: {error.strerror or error}.",
            where=str(path),
            kept="the file that was there before, if there was one",
            todo="make the folder writable and see that the disk is not full",
        ) from error


def write_text(path: Path, text: str) -> None:
    """Write UTF-8 text, replacing the file at once."""
    with replacing(path) as temporary:
        temporary.write_text(text, "utf-8")
