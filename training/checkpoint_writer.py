"""Checkpoint writer: copies a state while training waits, and writes it while training goes on."""

from __future__ import annotations

import contextlib
import json
import queue
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import torch

from training.checkpoint_files import CheckpointError, write_checkpoint
from training.curves import Point
from training.progress import Progress

# Bytes of one file; also what is handed to the writing thread at a time.
SHARD_BYTES = 2 * 2**30
# So many wait at most, lest a state larger than main memory fill it: training then waits for the disk.
_SHARDS_WAITING = 8
Shards = queue.Queue[dict[str, torch.Tensor] | None]
"""Parts of a state on their way to the disk; None is the end, an empty part says that the rest will not come."""


class CheckpointWriter:
    """One thread that writes one checkpoint at a time into a folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="checkpoint")
        self._writing: Future[None] | None = None

    @property
    def is_done(self) -> bool:
        """Whether a checkpoint was written, or failed, that nobody has waited for."""
        return self._writing is not None and self._writing.done()

    def start(
        self,
        progress: Progress,
        facts: Mapping[str, Any],
        state: Iterable[tuple[str, torch.Tensor]],
        then: Callable[[], None],
    ) -> None:
        """Copy progress and state, and begin to write them; the one before must be waited for.

        Args:
            facts: for the manifest.
            then: called in the thread when it is on disk.

        Raises:
            CheckpointError: a value of the state is not finite; nothing is written.
        """
        assert self._writing is None
        shards: Shards = queue.Queue(_SHARDS_WAITING)
        # The loop goes on changing them.
        frozen, curves = json.loads(json.dumps(progress.as_dict())), list(progress.curves)
        self._writing = self._thread.submit(self._write, frozen, curves, facts, shards, then)
        try:
            self._hand_over(state, shards)
        except BaseException:
            shards.put({})
            raise
        finally:
            shards.put(None)

    def wait(self) -> None:
        """Wait for the checkpoint being written, and raise what kept it from being written."""
        writing, self._writing = self._writing, None
        if writing is not None:
            writing.result()

    def close(self) -> None:
        """End the thread, after what it is writing."""
        self._thread.shutdown()

    def _hand_over(self, state: Iterable[tuple[str, torch.Tensor]], shards: Shards) -> None:
        shard: dict[str, torch.Tensor] = {}
        size = 0
        for name, tensor in state:
            if not torch.isfinite(tensor).all():
                raise CheckpointError(
                    f"A checkpoint was not written: {name} has values that are not finite.",
                    where=str(self._folder),
                    kept="the checkpoints before",
                    todo="lower the learning rate, or train in float32",
                )
            shard[name] = tensor.contiguous()
            size += tensor.nbytes
            if size >= SHARD_BYTES:
                shards.put(shard)
                shard, size = {}, 0
        if shard:
            shards.put(shard)

    def _write(
        self,
        progress: dict[str, Any],
        curves: list[Point],
        facts: Mapping[str, Any],
        shards: Shards,
        then: Callable[[], None],
    ) -> None:
        parts = _until_end(shards)
        try:
            write_checkpoint(self._folder, progress, curves, facts, parts)
        except _GivenUpError:
            return
        finally:
            # Whoever fills the queue must not wait for a writer that has failed.
            with contextlib.suppress(_GivenUpError):
                for _ in parts:
                    pass
        then()


class _GivenUpError(Exception):
    """The state could not be read to its end."""


def _until_end(shards: Shards) -> Iterator[dict[str, torch.Tensor]]:
    while (shard := shards.get()) is not None:
        if not shard:
            raise _GivenUpError
        yield shard
