"""Growth: how much of a source was read before and stands as it was, so that only what follows it need be read.

A source that has only grown has the files it had, unchanged and in the order they had, but that the last of them, if
it is plain JSONL, may have lines after those it had; and files that are new. Anything else is read again from the
start. A compressed file, a Parquet file or a remote one that changed is another file.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from assets.raw_pairs.readers import FileKind, Start, file_kind
from assets.raw_pairs.source_files import LocalFile, SourceFile, sha256_of_file


@dataclass(frozen=True)
class FileRecord:
    """What was read of a file.

    Attributes:
        version: SHA-256 of its bytes, or the version that its store gives.
        size: bytes.
        end: number after the file's last row; lines of JSONL, blank ones counted.
        layout: hash of its layout; empty where rows cannot be read on from the middle.
    """

    name: str
    version: str
    size: int
    end: int
    layout: str

    def as_dict(self) -> dict[str, Any]:
        """Plain form for the manifest."""
        return asdict(self)


@dataclass(frozen=True)
class Version:
    """A file as it is now.

    Attributes:
        value: as `FileRecord.version`.
        grown: the bytes that were read before are there, end with a line, and others follow.
    """

    value: str
    grown: bool = False


def in_known_order(files: Sequence[SourceFile], before: Sequence[FileRecord]) -> list[SourceFile]:
    """The files that were read before, in the order they were read, then the others as given.

    So a new file whose name sorts between others moves none of their rows.
    """
    place = {record.name: number for number, record in enumerate(before)}
    return sorted(files, key=lambda file: place.get(file.name, len(place)))


def version_of(file: SourceFile, before: FileRecord | None) -> Version:
    """Version of a file, and whether it has only grown.

    Raises:
        SynprefError: the file cannot be read.
    """
    state = file.state()
    if not isinstance(file, LocalFile) and state.version:
        return Version(f"{state.size}, {state.version}")
    prefix = before.size if before is not None and 0 < before.size < state.size else None
    sha, at_prefix = sha256_of_file(file, prefix)
    if before is None or prefix is None or at_prefix != before.version:
        return Version(sha)
    return Version(sha, grown=_ends_a_line(file, prefix))


def _ends_a_line(file: SourceFile, size: int) -> bool:
    if not isinstance(file, LocalFile) or file_kind(file) != FileKind("jsonl"):
        return False
    with file.open() as opened:
        opened.seek(size - 1)
        return opened.read(1) == b"\n"


def whole_files_read(before: Sequence[FileRecord], names: Sequence[str], versions: Mapping[str, Version]) -> int | None:
    """How many of the files, in order, were read as they are; None when what was read before does not stand.

    One less than were read before means that the last of these has grown.
    """
    if not before or [record.name for record in before] != list(names[: len(before)]):
        return None
    same = [versions[record.name].value == record.version for record in before]
    if all(same):
        return len(before)
    last = before[-1]
    if all(same[:-1]) and versions[last.name].grown and last.layout:
        return len(before) - 1
    return None


def start_in(record: FileRecord) -> Start:
    """Where the reading of a grown file goes on."""
    return Start(record.size, record.end)
