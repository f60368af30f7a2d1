"""Files: writing a result so that a reader sees the old file or the whole new one, never half of it."""

from __future__ import annotations

import contextlib
import os
import uuid
from collections.abc import Iterator
from pathlib import Path

from assets.errors import SynprefError


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Give a temporary path beside `path`; when the block ends without an error it is synced and takes its place.

    Raises:
        SynprefError: the folder cannot be written or the disk is full; what was there before stays.
    """
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        with temporary.open("rb+") as handle:
            os.fsync(handle.fileno())
        temporary.replace(path)
    except OSError as error:
        raise SynprefError(
            f"A result cannot be written: {error.strerror or error}.",
            where=str(path),
            kept="the file that was there before, if there was one",
            todo="make the folder writable and see that the disk is not full",
        ) from error
    finally:
        # A clean-up that fails must not hide why the write did.
        with contextlib.suppress(OSError):
            temporary.unlink()


def write_text(path: Path, text: str) -> None:
    """Write UTF-8 text, replacing the file at once."""
    with replacing(path) as temporary:
        temporary.write_text(text, "utf-8")
