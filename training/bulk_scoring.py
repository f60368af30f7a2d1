"""Bulk scoring: any amount of work, cut into shards, by one process or one per GPU; what is done is never done again.

Shard i belongs to process i modulo n. A shard is scored alone, so its scores depend neither on the number of processes
nor on where a killed scoring was interrupted.
"""

from __future__ import annotations

import multiprocessing
import os
import queue
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from multiprocessing.queues import Queue
from typing import Any, Protocol

import numpy as np
import pyarrow as pa

from assets.errors import SynprefError
from training.data import Item
from training.score_shards import Say, ShardFolder
from training.scoring import Progress, RewardScorer
from training.tokenising import EncodedRow

NUM_THREADS = 2
"""Of each process; fixed, because the order of float sums depends on it."""
_LOG_S = 60.0
_NUM_NAMED = 10


@dataclass(frozen=True)
class Shard:
    """A piece of the work.

    Attributes:
        keys: one row per item; what stands beside the scores in the shard's file.
        names: what a person knows each item by.
        rows: the items' tokens, where somebody has made them already; there are no `items` then.
    """

    number: int
    items: Sequence[Item]
    keys: pa.Table
    names: Sequence[str]
    rows: Sequence[EncodedRow] | None = None


class Work(Protocol):
    """What is to be scored."""

    @property
    def num_items(self) -> Sequence[int]:
        """Of each shard."""
        ...

    @property
    def skips_refused(self) -> bool:
        """Whether an item that the model's template refuses is left without a score, with the reason, and the rest goes
        on."""
        ...

    def shards(self, numbers: Sequence[int]) -> Iterator[Shard]:
        """The shards of these numbers, ascending."""


@dataclass(frozen=True)
class ScoringJob:
    """Work and who does it, in a form that another process can be given.

    Attributes:
        open_work, open_scorer: called once in each process.
    """

    open_work: Callable[[], Work]
    open_scorer: Callable[[], RewardScorer]


def score_all(
    job: ScoringJob,
    num_items: Sequence[int],
    folder: ShardFolder,
    *,
    num_processes: int | None = None,
    say: Say,
    log: Say = lambda line: None,
) -> None:
    """Score every shard that is not there yet.

    Args:
        num_items: in each shard.
        num_processes: None for one per GPU, or one on the CPU.
        say: takes what a person must know.
        log: takes a line about the progress now and then.

    Raises:
        SynprefError: a score is not finite, the model or the input cannot be used, or a process died; the shards that
            are done stay.
    """
    done = folder.done(say)
    left = [number for number in range(len(num_items)) if number not in done]
    if done:
        say(f"{len(done)} of {len(num_items)} shards are scored already; going on with the rest")
    if not left:
        return
    total, before = sum(num_items), sum(num_items[number] for number in done)
    with _Watch(total, before, log) as progress:
        num = min(num_processes or _num_gpus(), len(left))
        if num == 1:
            _score_some(job, folder, left, progress)
        else:
            _in_processes(job, folder, [left[i::num] for i in range(num)], progress)


def _score_some(job: ScoringJob, folder: ShardFolder, numbers: Sequence[int], progress: Progress) -> None:
    import torch

    torch.set_num_threads(NUM_THREADS)
    scorer, work = job.open_scorer(), job.open_work()
    for shard in work.shards(numbers):
        folder.write(shard.number, score_shard(scorer, shard, skip_refused=work.skips_refused, progress=progress))


def score_shard(scorer: RewardScorer, shard: Shard, *, skip_refused: bool, progress: Progress) -> pa.Table:
    """The shard's keys with `score` (double), `num_truncated_tokens` and `problem` (why there is no score, or null).

    Raises:
        SynprefError: a score is not finite; the items are named.
    """
    problems: dict[int, str] = {}
    num = len(shard.names)
    try:
        if shard.rows is not None:
            result = scorer.score_encoded(shard.rows, progress=progress)
        else:
            result = scorer.score(shard.items, progress=progress)
    except SynprefError:
        problems = scorer.refusals(shard.items) if shard.rows is None else {}
        if not problems:
            raise
        if not skip_refused:
            named = [f"{shard.names[at]} ({reason})" for at, reason in list(problems.items())[:_NUM_NAMED]]
            raise SynprefError(
                f"The model's chat template refuses {len(problems)} items, e.g. {', '.join(named)}.",
                kept="the shards before",
                todo="leave these out of the selection",
            ) from None
        progress(len(problems))
        result = scorer.score([item for at, item in enumerate(shard.items) if at not in problems], progress=progress)
    taken = np.array([at for at in range(num) if at not in problems], dtype=np.int64)
    bad = taken[~np.isfinite(result.scores)]
    if len(bad):
        raise SynprefError(
            f"{len(bad)} scores are not finite: of {', '.join(shard.names[at] for at in bad[:_NUM_NAMED])}"
            f"{' and others' if len(bad) > _NUM_NAMED else ''}.",
            kept="the shards before",
            todo="look at these texts and at the model's weights; score in float32",
        )
    scores, truncated = np.zeros(num), np.zeros(num, np.int64)
    scores[taken], truncated[taken] = result.scores, result.num_truncated_tokens
    unscored = np.array([at in problems for at in range(num)], dtype=bool)
    table = shard.keys.append_column("score", pa.array(scores, pa.float64(), mask=unscored))
    table = table.append_column("num_truncated_tokens", pa.array(truncated, pa.int64(), mask=unscored))
    reasons = [problems.get(at) for at in range(num)]
    return table.append_column("problem", pa.array(reasons, pa.string()))


def _num_gpus() -> int:
    import torch

    return max(1, torch.cuda.device_count())


# --- several processes ---


def _in_processes(job: ScoringJob, folder: ShardFolder, numbers: Sequence[Sequence[int]], progress: Progress) -> None:
    # Fork would copy a CUDA context and locked threads.
    context = multiprocessing.get_context("spawn")
    messages: Queue[Any] = context.Queue()
    workers = [
        context.Process(target=_worker, args=(job, folder, own, rank, messages, os.getpid()), daemon=True)
        for rank, own in enumerate(numbers)
    ]
    try:
        for worker in workers:
            worker.start()
        num_ended = 0
        while num_ended < len(workers):
            try:
                message = messages.get(timeout=0.5)
            except queue.Empty:
                dead = [rank for rank, worker in enumerate(workers) if worker.exitcode not in (None, 0)]
                if dead:
                    raise SynprefError(
                        f"Scoring process {dead[0]} ended with code {workers[dead[0]].exitcode}.",
                        kept="the shards that are done",
                        todo="look at what it wrote above (memory?), then run the same command again",
                    ) from None
                continue
            if isinstance(message, int):
                progress(message)
            elif message is None:
                num_ended += 1
            else:
                raise message
    finally:
        for worker in workers:
            if worker.pid is not None:
                worker.terminate()
                worker.join()


def _worker(
    job: ScoringJob, folder: ShardFolder, numbers: Sequence[int], rank: int, messages: Queue[Any], parent: int
) -> None:
    import torch

    if torch.cuda.is_available():
        torch.cuda.set_device(rank % torch.cuda.device_count())

    def progress(done: int) -> None:
        if os.getppid() != parent:
            # The parent was killed; nobody would see an error.
            os._exit(1)
        messages.put(done)

    try:
        _score_some(job, folder, numbers, progress)
        messages.put(None)
    except SynprefError as error:
        messages.put(error)


# --- progress ---


class _Watch:
    """A bar with rate and time left where a person looks, and a line in the log now and then."""

    def __init__(self, total: int, done: int, log: Say) -> None:
        from tqdm import tqdm

        self._bar = tqdm(
            total=total, initial=done, desc="scoring", unit="response", mininterval=1, disable=None, file=sys.stderr
        )
        self._log, self._total, self._first, self._done = log, total, done, done
        self._started = self._logged = time.monotonic()

    def __enter__(self) -> Progress:
        return self._add

    def __exit__(self, *_: object) -> None:
        self._bar.close()

    def _add(self, done: int) -> None:
        self._bar.update(done)
        self._done += done
        now = time.monotonic()
        if now - self._logged >= _LOG_S:
            self._logged = now
            rate = (self._done - self._first) / (now - self._started)
            left = (self._total - self._done) / rate / 60
            self._log(f"{self._done:,} of {self._total:,} responses, {rate:.0f} a second, {left:.0f} min left")
