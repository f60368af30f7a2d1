"""Durable files: written whole or not at all, and on disk before anything points to them."""

from __future__ import annotations

import contextlib
import fcntl
import glob
import hashlib
import os
import uuid
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Give a temporary path beside `path`; when the block ends without an error it is synced and takes its place.

    A reader sees the old or the new version, never half of one. What writers of the same file left behind when they
    were killed is removed first.

    Raises:
        OSError: the folder cannot be written or the disk is full; what was there before stays.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    _remove_abandoned(path)
    temporary, lock = _create_locked(path)
    try:
        yield temporary
        sync(temporary)
        temporary.replace(path)
        sync(path.parent)
    finally:
        # A clean-up that fails must not hide why the write did.
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
        os.close(lock)


def write_atomically(path: Path, text: str) -> None:
    """Write a small UTF-8 text file, replacing what was there at once; see `replacing`."""
    with replacing(path) as temporary:
        temporary.write_text(text, "utf-8")


def _create_locked(path: Path) -> tuple[Path, int]:
    """A new temporary file and the descriptor that holds its lock, which ends with the process, however it ends."""
    while True:
        temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}.tmp")
        lock = os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o666)
        fcntl.flock(lock, fcntl.LOCK_EX)
        # Between the two lines above another writer may have taken the file for abandoned.
        if temporary.exists():
            return temporary, lock
        os.close(lock)


def _remove_abandoned(path: Path) -> None:
    for leftover in path.parent.glob(f".{glob.escape(path.name)}.*.tmp"):
        with contextlib.suppress(FileNotFoundError):
            lock = os.open(leftover, os.O_RDWR)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                leftover.unlink()
            except BlockingIOError:
                pass  # Its writer lives.
            finally:
                os.close(lock)


def sync(path: Path) -> None:
    """Wait until a file's bytes, or a folder's entries, are on disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sha256_of(path: Path) -> str:
    """SHA-256 of a file's bytes, 64 hex digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
