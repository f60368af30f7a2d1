"""Resuming: which checkpoints a training writes and keeps, and which one a killed training goes on from."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError

from assets.durable_files import write_atomically
from training.checkpoint_files import (
    CheckpointError,
    StoredState,
    folder_name,
    locked,
    read_manifest,
    read_progress,
    remove_leftovers,
    steps_in,
    verified,
)
from training.checkpoint_writer import CheckpointWriter
from training.engine import Engine
from training.progress import Progress, differences
from training.recipe import CheckpointSettings

_RUN = "run.json"
Key = tuple[float, float]


def checkpoints_folder(output: Path) -> Path:
    """Where the checkpoints of the training that leaves `output` lie: beside it."""
    return output.with_name(f"{output.name}.checkpoints")


def to_keep(held: Mapping[int, tuple[Key | None, int]], keep_last: int, keep_best: int) -> set[int]:
    """Steps whose checkpoints stay.

    The newest; the best; and whichever the newest call their best, so that each of them can be gone on from alone.

    Args:
        held: for each step its own key on dev (None where dev was not looked at) and the best step as of then (0
            for none).

    >>> sorted(to_keep({10: ((0.7, 0), 10), 20: ((0.6, 0), 10), 30: ((0.8, 0), 30)}, keep_last=2, keep_best=1))
    [10, 20, 30]
    >>> sorted(to_keep({10: ((0.7, 0), 10), 20: ((0.6, 0), 10), 30: ((0.8, 0), 30)}, keep_last=1, keep_best=1))
    [30]
    """
    newest = sorted(held, reverse=True)[:keep_last]
    # Of equally good ones the earliest, as training itself chooses.
    judged = sorted((step for step in held if held[step][0] is not None), key=lambda step: (held[step][0], -step))
    return {*newest, *judged[-keep_best:], *(held[step][1] for step in newest if held[step][1] in held)}


class Checkpoints:
    """The checkpoints of one run. The first process reads their hashes, writes and removes; all call alike.

    Args:
        identity: `training.progress.run_identity` of the run.
        is_first: whether this process writes.

    Raises:
        PartitionBusyError: another process is training this run.
    """

    def __init__(
        self,
        folder: Path,
        settings: CheckpointSettings,
        identity: Mapping[str, Any],
        *,
        is_first: bool = True,
        log: Callable[[str], None] = lambda line: None,
    ) -> None:
        self.folder, self._settings, self._is_first, self._log = folder, settings, is_first, log
        # As JSON gives it back, to be compared with what is read.
        self._identity = json.loads(json.dumps(identity))
        self._held: dict[int, tuple[Key | None, int]] = {}
        self._lock: int | None = None
        self._writer = CheckpointWriter(folder)
        if is_first:
            folder.mkdir(parents=True, exist_ok=True)
            self._lock = locked(folder)
            remove_leftovers(folder)

    def is_due(self, step: int, *, is_best: bool) -> bool:
        """Whether a checkpoint is written after this step."""
        return is_best or step % self._settings.every_steps == 0

    def recorded(self) -> dict[str, Any]:
        """What `record` last wrote for this very run; empty for another run or none."""
        try:
            found = json.loads((self.folder / _RUN).read_text("utf-8"))
            return found["notes"] if found["identity"] == self._identity else {}
        except (OSError, ValueError, KeyError, TypeError):
            return {}

    def record(self, notes: Mapping[str, Any]) -> None:
        """Note something of the run from its very start on, before there is a checkpoint."""
        if self._is_first:
            content = {"identity": self._identity, "notes": dict(notes)}
            write_atomically(self.folder / _RUN, json.dumps(content, indent=1, sort_keys=True))

    def resume(self, engine: Engine) -> Progress | None:
        """Put the newest sound checkpoint into the engine; None where there is no checkpoint.

        Unsound ones are named in the log and passed over.

        Raises:
            CheckpointError: there are checkpoints, but none is sound, or they are of another run.
        """
        step, failed = -1, None
        if self._is_first:
            try:
                step = self._newest_sound() or 0
            except CheckpointError as error:
                failed = error
        # The first process alone reads all hashes; the others learn the step from it, or that there is none.
        step = int(engine.total(torch.tensor([step if self._is_first else 0], dtype=torch.float64)).item())
        if step < 0:
            raise failed or CheckpointError("The first process found no checkpoint to go on from; see its message.")
        if step == 0:
            return None
        progress = read_progress(self.folder, step)
        engine.load_state(StoredState(self.folder, step))
        progress.resumed_at.append(step)
        self._log(f"goes on from step {step}: {self.folder / folder_name(step)}")
        return progress

    def load(self, step: int) -> Mapping[str, torch.Tensor]:
        """The state of a checkpoint of this run; the first process verifies it once more.

        Raises:
            CheckpointError: it is not the one that was written.
        """
        self.wait()
        if self._is_first:
            try:
                verified(self.folder, step)
            except CheckpointError as error:
                raise CheckpointError(
                    f"A checkpoint cannot be used, it is {error.what}.",
                    where=error.where,
                    kept="the other checkpoints",
                    todo="start again: training goes on from the newest sound one",
                ) from error
        return StoredState(self.folder, step)

    def save(self, progress: Progress, key: Key | None, engine: Engine) -> None:
        """Copy the state and write it while training goes on; waits for the checkpoint before.

        Args:
            key: of the present weights on dev; None where dev was not looked at.

        Raises:
            CheckpointError: the one before could not be written, or a weight is not finite.
        """
        self.wait()
        if not self._is_first:
            # Collecting a state that is spread over processes needs all of them.
            for _ in engine.state():
                pass
            return
        facts = {"run": self._identity, "dev_key": key, "best_step": progress.best_step}
        step = progress.step
        self._writer.start(progress, facts, engine.state(), lambda: self._keep_few(step, key, facts["best_step"]))

    def poll(self) -> None:
        """Raise what the writing thread met, without waiting for it."""
        if self._writer.is_done:
            self.wait()

    def wait(self) -> None:
        """Wait until the checkpoint being written is on disk.

        Raises:
            CheckpointError: it could not be written.
        """
        try:
            self._writer.wait()
        except (OSError, SafetensorError) as error:
            kept = ", ".join(folder_name(step) for step in steps_in(self.folder)) or "no checkpoint"
            raise CheckpointError(
                f"A checkpoint could not be written: {error}.",
                where=str(self.folder),
                kept=kept,
                todo="make room, then start again: training goes on from the newest of these",
            ) from error

    def close(self, *, done: bool) -> None:
        """End of the training: wait for the writer; when the model is written, remove what is no longer needed."""
        try:
            self.wait()
        finally:
            self._writer.close()
            if self._is_first and done and not self._settings.keep_when_done:
                shutil.rmtree(self.folder, ignore_errors=True)
            if self._lock is not None:
                os.close(self._lock)
                self._lock = None

    def _newest_sound(self) -> int | None:
        refused = []
        for step in steps_in(self.folder):
            try:
                manifest = verified(self.folder, step)
                best = read_progress(self.folder, step).best_step
                if best not in (0, step):
                    self._best_is_sound(best)
            except CheckpointError as error:
                refused.append(f"{folder_name(step)} is {error.what}")
                self._log(f"checkpoint refused: {refused[-1]}")
                continue
            differing = differences(self._identity, manifest.get("run", {}))
            if differing:
                raise CheckpointError(
                    f"The checkpoints are of another run: {'; '.join(differing)}.",
                    where=str(self.folder),
                    kept="these checkpoints",
                    todo="name another output_dir, or remove the folder to begin anew",
                )
            self._held = self._held_until(step)
            return step
        if refused:
            raise CheckpointError(
                f"No checkpoint can be gone on from: {'; '.join(refused)}.",
                where=str(self.folder),
                todo="remove the folder to begin anew",
            )
        return None

    def _best_is_sound(self, step: int) -> None:
        try:
            verified(self.folder, step)
        except CheckpointError as error:
            raise CheckpointError(f"of no use, for its best, {folder_name(step)}, is {error.what}") from error

    def _held_until(self, step: int) -> dict[int, tuple[Key | None, int]]:
        """What is known of the checkpoints up to a step; later ones were refused and are written anew."""
        held: dict[int, tuple[Key | None, int]] = {}
        for older in steps_in(self.folder):
            try:
                manifest = read_manifest(self.folder, older)
                key = tuple(manifest["dev_key"]) if manifest["dev_key"] else None
                held |= {older: (key, manifest["best_step"])} if older <= step else {}
            except (CheckpointError, KeyError, TypeError):
                continue
        return held

    def _keep_few(self, step: int, key: Key | None, best_step: int) -> None:
        """Remove what is superseded by a checkpoint that has just been written; runs in the writing thread."""
        self._held[step] = key, best_step
        for old in set(self._held) - to_keep(self._held, self._settings.keep_last, self._settings.keep_best):
            del self._held[old]
            shutil.rmtree(self.folder / folder_name(old))
