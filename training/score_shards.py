"""Score shards: a long scoring's results on disk in pieces, each whole or not there, and what they are scores of."""

from __future__ import annotations

import contextlib
import hashlib
import json
import re
import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import filelock
import pyarrow as pa
import pyarrow.parquet as pq

from assets.durable_files import replacing, sha256_of, write_atomically
from assets.errors import PartitionBusyError, SynprefError

Say = Callable[[str], None]
_MANIFEST, _LOCK = "manifest.json", "lock"
_NAME = re.compile(r"shard-([0-9a-f]{12})-(\d{7})-([0-9a-f]{16})\.parquet")


@dataclass(frozen=True)
class ShardFolder:
    """The shards of one scoring.

    A file's name holds the hash of what is scored by what, its number and the hash of its bytes: a shard of another
    model or input, or a damaged one, can never pass for one of these, whoever wrote it and whenever.
    """

    folder: Path
    about: str

    def done(self, say: Say) -> dict[int, Path]:
        """Whole shards by number; a damaged one is removed, said so, and counts as not there."""
        found: dict[int, Path] = {}
        for path in sorted(self.folder.glob(f"shard-{self.about}-*.parquet")):
            name = _NAME.fullmatch(path.name)
            if name is None:
                continue
            if sha256_of(path)[:16] == name[3]:
                found[int(name[2])] = path
            else:
                say(f"shard {int(name[2])} is damaged and is scored again: {path}")
                path.unlink()
        return found

    def write(self, number: int, table: pa.Table) -> None:
        """Publish a shard; the same rows give the same bytes."""
        sink = pa.BufferOutputStream()
        pq.write_table(table, sink, compression="zstd")
        data = sink.getvalue().to_pybytes()
        name = f"shard-{self.about}-{number:07d}-{hashlib.sha256(data).hexdigest()[:16]}.parquet"
        with replacing(self.folder / name) as temporary:
            temporary.write_bytes(data)

    def tables(self, num_shards: int, say: Say) -> Iterator[pa.Table]:
        """The shards' rows, in order.

        Raises:
            SynprefError: a shard is not there, or no longer whole.
        """
        done = self.done(say)
        for number in range(num_shards):
            if number not in done:
                raise SynprefError(
                    f"Shard {number} of {num_shards} is not there.",
                    where=str(self.folder),
                    kept=f"{len(done)} shards",
                    todo="run the same command again",
                )
            yield pq.read_table(done[number], partitioning=None)

    def remove(self) -> None:
        """Remove the shards, once what they were made for is written."""
        shutil.rmtree(self.folder, ignore_errors=True)


@contextlib.contextmanager
def shard_folder(folder: Path, about: Mapping[str, Any], *, redo: bool, say: Say) -> Iterator[ShardFolder]:
    """The folder of a scoring, to go on in if it was begun; this process has it to itself meanwhile.

    Args:
        about: JSON values that name everything a score depends on, and how the input is cut.
        redo: whether shards of anything else are removed, said so; otherwise they are refused.

    Raises:
        SynprefError: it holds shards of another scoring, and `redo` is not set.
        PartitionBusyError: another process is scoring into it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    lock = filelock.FileLock(folder / _LOCK)
    try:
        lock.acquire(timeout=0)
    except filelock.Timeout:
        raise PartitionBusyError(
            "Another process is scoring into the same place.", where=str(folder), todo="wait until it ends"
        ) from None
    try:
        _agree(folder, json.loads(json.dumps(about)), redo=redo, say=say)
        yield ShardFolder(folder, _digest(about))
    finally:
        lock.release()


def _agree(folder: Path, about: dict[str, Any], *, redo: bool, say: Say) -> None:
    """Make the manifest say what is scored now, or raise because it says something else."""
    path = folder / _MANIFEST
    held = _manifest(path)
    if held == about:
        return
    shards = list(folder.glob("shard-*.parquet"))
    if shards:
        differing = differences(held or {}, about)
        if not redo:
            raise SynprefError(
                f"{len(shards)} shards that lie here are of another scoring: {differing}.",
                where=str(folder),
                kept="these shards",
                todo="finish that scoring with what it was begun with, name another output, or begin again (restart)",
            )
        say(f"{len(shards)} shards of another scoring are removed ({differing}): {folder}")
        for shard in shards:
            shard.unlink()
    write_atomically(path, json.dumps(about, indent=1, sort_keys=True))


def differences(held: Mapping[str, Any], asked: Mapping[str, Any], prefix: str = "") -> str:
    """What two manifests do not have in common, as a sentence's part.

    >>> differences({"scorer": {"max_tokens": 8}, "n": 1}, {"scorer": {"max_tokens": 9}, "n": 1})
    'scorer.max_tokens was 8 and is 9'
    """
    said = []
    for name in sorted({*held, *asked}):
        old, new = held.get(name), asked.get(name)
        if isinstance(old, dict) and isinstance(new, dict):
            said.append(differences(old, new, f"{prefix}{name}."))
        elif old != new:
            said.append(f"{prefix}{name} was {old} and is {new}")
    return "; ".join(part for part in said if part)


def _manifest(path: Path) -> dict[str, Any] | None:
    try:
        found = json.loads(path.read_text("utf-8"))
    except (FileNotFoundError, ValueError):
        return None
    return found if isinstance(found, dict) else None


def _digest(about: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(about, sort_keys=True).encode()).hexdigest()[:12]
