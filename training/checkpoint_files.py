"""Checkpoint files: one checkpoint's folder, written whole or not at all, and believed only where its hashes agree.

A folder `step-00000100` holds `state-NNNNN.safetensors`, `progress.json`, `curves.parquet` and, written last,
`manifest.json` with the SHA-256 of each.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
import shutil
import uuid
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from assets.durable_files import sha256_of, sync, write_atomically
from assets.errors import PartitionBusyError, SynprefError
from training.curves import Point, read_curves, write_curves
from training.progress import Progress

FORMAT = 1
_MANIFEST, _PROGRESS, _CURVES = "manifest.json", "progress.json", "curves.parquet"
_LOCK = "lock"
_NAME = re.compile(r"step-(\d{8,})")


class CheckpointError(SynprefError):
    """A checkpoint cannot be used or written."""


def folder_name(step: int) -> str:
    """Name of a step's checkpoint.

    >>> folder_name(100)
    'step-00000100'
    """
    return f"step-{step:08d}"


def steps_in(folder: Path) -> list[int]:
    """Steps whose checkpoints lie in a folder, sound or not, newest first."""
    found = (_NAME.fullmatch(path.name) for path in folder.glob("step-*"))
    return sorted((int(match[1]) for match in found if match), reverse=True)


def remove_leftovers(folder: Path) -> None:
    """Remove what a killed writer left; nobody else may be writing."""
    for leftover in folder.glob(".step-*.tmp"):
        shutil.rmtree(leftover, ignore_errors=True)


def write_checkpoint(
    folder: Path, progress: Mapping[str, Any], curves: list[Point], facts: Mapping[str, Any], shards: Iterator[dict]
) -> None:
    """Write a checkpoint beside its place and move it there when all of it is on disk.

    Args:
        folder: of all checkpoints.
        progress: `Progress.as_dict()`.
        facts: for the manifest, beside step and hashes.
        shards: parts of the state, float32 tensors by name.

    Raises:
        OSError, SafetensorError: it could not be written, e.g. on a full disk; what is there stays as it was.
    """
    target = folder / folder_name(progress["step"])
    temporary = folder / f".{target.name}.{uuid.uuid4().hex}.tmp"
    temporary.mkdir()
    try:
        for number, shard in enumerate(shards, start=1):
            save_file(shard, temporary / f"state-{number:05d}.safetensors")
        write_curves(curves, temporary / _CURVES)
        (temporary / _PROGRESS).write_text(json.dumps(progress), "utf-8")
        files = {}
        for path in sorted(temporary.iterdir()):
            sync(path)
            files[path.name] = sha256_of(path)
        manifest = {**facts, "format": FORMAT, "step": progress["step"], "files": files}
        write_atomically(temporary / _MANIFEST, json.dumps(manifest, indent=1, sort_keys=True))
        if target.exists():
            # One that was refused, or is of steps that are being done again.
            shutil.rmtree(target)
        temporary.rename(target)
        sync(folder)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def read_manifest(folder: Path, step: int) -> dict[str, Any]:
    """The manifest of a step's checkpoint; its files may still be others than it says.

    Raises:
        CheckpointError: there is none, it cannot be read, or it lies under another step's name.
    """
    path = folder / folder_name(step)
    try:
        manifest = json.loads((path / _MANIFEST).read_text("utf-8"))
        said_step, files = manifest["step"], dict(manifest["files"])
        known = manifest["format"] == FORMAT
    except FileNotFoundError:
        raise CheckpointError("incomplete: it has no manifest", where=str(path)) from None
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise CheckpointError(f"damaged: its manifest cannot be read ({error!r})", where=str(path)) from error
    if not known or not {_PROGRESS, _CURVES} <= files.keys():
        raise CheckpointError("of another format", where=str(path))
    if said_step != step:
        raise CheckpointError(f"stale: its manifest is of step {said_step}", where=str(path))
    return manifest


def verified(folder: Path, step: int) -> dict[str, Any]:
    """The manifest of a step's checkpoint, every file of which is the one that was written.

    Raises:
        CheckpointError: it is incomplete, damaged, or lies under another step's name.
    """
    path = folder / folder_name(step)
    manifest = read_manifest(folder, step)
    files = manifest["files"]
    for name, sha in files.items():
        try:
            sound = sha256_of(path / name) == sha
        except OSError:
            raise CheckpointError(f"incomplete: {name} is missing or cannot be read", where=str(path)) from None
        if not sound:
            raise CheckpointError(f"damaged: {name} is not the file that was written", where=str(path))
    return manifest


def read_progress(folder: Path, step: int) -> Progress:
    """Progress of a verified checkpoint."""
    path = folder / folder_name(step)
    try:
        values = json.loads((path / _PROGRESS).read_text("utf-8"))
        return Progress.from_dict(values, read_curves(path / _CURVES))
    except (ValueError, TypeError, KeyError) as error:
        raise CheckpointError(f"damaged: its progress cannot be read ({error!r})", where=str(path)) from error


class StoredState(Mapping[str, torch.Tensor]):
    """The state in a verified checkpoint, a tensor read from disk when it is asked for.

    A tensor with a value that is not finite raises a CheckpointError.
    """

    def __init__(self, folder: Path, step: int) -> None:
        self._path = folder / folder_name(step)
        self._file_of: dict[str, Any] = {}
        try:
            for path in sorted(self._path.glob("state-*.safetensors")):
                file = safe_open(path, framework="pt")
                self._file_of |= dict.fromkeys(file.keys(), file)
        except SafetensorError as error:
            raise CheckpointError(f"damaged: {error}", where=str(self._path)) from error

    def __getitem__(self, name: str) -> torch.Tensor:
        tensor = self._file_of[name].get_tensor(name)
        if not torch.isfinite(tensor).all():
            raise CheckpointError(
                f"A checkpoint holds values that are not finite, in {name}.",
                where=str(self._path),
                todo="remove this checkpoint; training goes on from the one before",
            )
        return tensor

    def __iter__(self) -> Iterator[str]:
        return iter(self._file_of)

    def __len__(self) -> int:
        return len(self._file_of)


def locked(folder: Path) -> int:
    """A descriptor that holds the folder's lock, which ends with the process, however it ends.

    Raises:
        PartitionBusyError: another process holds it.
    """
    lock = os.open(folder / _LOCK, os.O_CREAT | os.O_RDWR, 0o666)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(lock)
        raise PartitionBusyError(
            "Another process is training this run.", where=str(folder), todo="wait for it, or end it"
        ) from None
    return lock
