"""Owners: which processes that claimed requests are still alive."""

from __future__ import annotations

import fcntl
import os
import uuid
from pathlib import Path


class Owner:
    """This process as the owner of its claims, for as long as it lives, however it ends.

    A lock on a file of its own says so: the kernel lets go of it with the process, and no number is used twice, as
    process ids are.

    Args:
        folder: of the files of all owners; made where it is missing.

    Raises:
        OSError: the folder cannot be written.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.name = uuid.uuid4().hex
        folder.mkdir(parents=True, exist_ok=True)
        self._file = os.open(folder / self.name, os.O_CREAT | os.O_RDWR, 0o600)
        fcntl.flock(self._file, fcntl.LOCK_EX)

    def lives(self, name: str) -> bool:
        """Whether the owner of this name lives."""
        try:
            file = os.open(self._folder / name, os.O_RDWR)
        except FileNotFoundError:
            return False
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        else:
            return False
        finally:
            os.close(file)

    def forget(self, name: str) -> None:
        """Take away the file of a dead owner."""
        (self._folder / name).unlink(missing_ok=True)

    def die(self) -> None:
        """This owner lives no longer."""
        os.close(self._file)
