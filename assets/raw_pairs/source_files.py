"""Source files: where the bytes of a source come from, and what tells one version of them from another."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO, Protocol

from assets.raw_pairs.file_states import FileState
from assets.raw_pairs.remote_files import RemoteFile, expanded, is_url

_PIECE = 1 << 20
# Lines of a few kilobytes come twice as fast as through the default buffer of 8 KB.
BUFFER_BYTES = 1 << 18


class SourceFile(Protocol):
    """A file that can be read from its start, as often as needed; as text it is its path or URL."""

    @property
    def name(self) -> str:
        """What reports call it; unique within its source."""

    @property
    def suffix(self) -> str:
        """Last ending of the name, in lower case, with its dot."""

    def open(self) -> BinaryIO:
        """The file's bytes."""

    def open_parquet(self) -> Any:
        """What Arrow opens as a Parquet file."""

    def state(self) -> FileState:
        """Size and version as of now."""


@dataclass(frozen=True)
class LocalFile:
    """A file on this machine."""

    name: str
    path: Path

    def __str__(self) -> str:
        return str(self.path)

    @property
    def suffix(self) -> str:
        """See `SourceFile`."""
        return self.path.suffix.lower()

    def open(self) -> BinaryIO:
        """See `SourceFile`."""
        return self.path.open("rb", buffering=BUFFER_BYTES)

    def open_parquet(self) -> Any:
        """See `SourceFile`."""
        return self.path

    def state(self) -> FileState:
        """Size, and time of change with inode as version."""
        found = self.path.stat()
        return FileState(found.st_size, f"{found.st_mtime_ns}:{found.st_ino}")


def as_file(path: Path | SourceFile) -> SourceFile:
    """A path as a source's file."""
    return LocalFile(path.name, path) if isinstance(path, Path) else path


def files_at(locations: Iterable[str]) -> list[SourceFile]:
    """Files of paths and URLs, in order; the pattern of a URL stands for its files in order of name.

    Raises:
        ConfigError: no driver for a URL is installed, or nothing matches one.
    """
    places: list[str] = []
    for location in locations:
        places += expanded(location) if is_url(location) else [location]
    names = unique_names(places)
    return [
        RemoteFile(name, place) if is_url(place) else LocalFile(name, Path(place))
        for name, place in zip(names, places, strict=True)
    ]


def unique_names(places: list[str]) -> list[str]:
    """The last parts of paths or URLs, as many of them as tell all apart.

    >>> unique_names(["/a/x.jsonl", "/a/y.jsonl"]), unique_names(["/a/1/x.jsonl", "/a/2/x.jsonl"])
    (['x.jsonl', 'y.jsonl'], ['1/x.jsonl', '2/x.jsonl'])
    """
    parts = [
        PurePosixPath(place.partition("://")[2].partition("?")[0] if is_url(place) else place).parts for place in places
    ]
    for length in range(1, max(map(len, parts), default=0) + 1):
        names = ["/".join(part[-length:]) for part in parts]
        if max(Counter(names).values()) == 1:
            return names
    return [f"{number}/{part[-1]}" for number, part in enumerate(parts)]


def sha256_of_file(file: SourceFile, prefix: int | None = None) -> tuple[str, str | None]:
    """SHA-256 of a file's bytes, and of the first `prefix` of them where it has as many; read in pieces."""
    whole, at_prefix, seen = hashlib.sha256(), None, 0
    with file.open() as stream:
        while True:
            size = _PIECE if prefix is None or seen >= prefix else min(_PIECE, prefix - seen)
            piece = stream.read(size)
            if not piece:
                break
            whole.update(piece)
            seen += len(piece)
            if seen == prefix:
                at_prefix = whole.hexdigest()
    return whole.hexdigest(), at_prefix
