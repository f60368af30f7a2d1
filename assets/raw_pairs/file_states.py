"""File states: what tells, without reading a file, that it is another one than before."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class FileState:
    """Size and version of a file.

    Attributes:
        size: bytes.
        version: time of change and inode of a local file; the store's own version or hash of a remote one, else its
            time of change; the commit of a hub's file. Empty where there is none of them.
    """

    size: int
    version: str
