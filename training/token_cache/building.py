"""Building: tokenises the pairs that the cache lacks, in this process or in many, and publishes them in segments."""

from __future__ import annotations

import contextlib
import os
import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from queue import SimpleQueue

import filelock
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from assets.errors import SynprefError
from training.template_tokeniser import TemplateTokeniser, TokeniserSource
from training.token_cache.encoding import EncodedPart, PairEncoder, token_dtype
from training.token_cache.pair_keys import Keys, positions_in
from training.token_cache.pool import TokenPool
from training.token_cache.segments import Segment, SegmentWriter, remove_unusable, segments_in
from training.token_cache.text_files import content_sha256, locate, read_rows, refuse_change, state_of
from training.token_cache.worker import Worker

SEGMENT_PAIRS = 65_536
"""A killed build begins again with its last unfinished segment: a minute or two of work on two cores."""
# A worker is started for so many pairs: it needs about a second before its first.
_PAIRS_PER_WORKER = 2_000
# A part goes to a worker at a time; bounded in characters too, so that long texts spread over the workers.
_PART_PAIRS, _PART_BYTES = 256, 2_000_000

Say = Callable[[str], None]


def cached_tokens(
    folder: Path, text_files: Sequence[Path], wanted: Keys, tokeniser: TemplateTokeniser, say: Say = lambda line: None
) -> TokenPool:
    """Tokens of the wanted pairs; those that the cache lacks are made and kept.

    Two processes that lack the same pairs: one tokenises them, the other waits and finds them.

    Args:
        folder: of all token caches.
        wanted: sorted, each once; pairs that no file has are told by the pool.

    Raises:
        ContractError: a text file cannot be read, or is not the one that its name says.
    """
    places = locate(text_files, wanted)
    mine = folder / tokeniser.source.fingerprint
    pool = TokenPool(wanted)
    work: list[_Work] = []
    for number in np.unique(places.file[places.file >= 0]).tolist():
        at = np.flatnonzero(places.file == number)
        work.append(_Work(folder, mine, text_files[number], at, places.row[at], wanted[at]))
    num_missing = sum(one.num_missing for one in work)
    with _tokenising(tokeniser, num_missing) as tokenise:
        for one in work:
            if one.num_missing:
                one.complete(tokenise, say)
            pool.add(one.at, one.segments)
    return pool


class _Work:
    """The wanted pairs of one text file, and the segments that have them."""

    def __init__(
        self, folder: Path, mine: Path, path: Path, at: NDArray[np.int64], rows: NDArray[np.int64], wanted: Keys
    ) -> None:
        self.at = at
        self._path, self._rows, self._wanted = path, rows, wanted
        self._sha = content_sha256(path, folder / "text_files")
        self._target = mine / f"text-{self._sha[:16]}"
        self.segments, _ = segments_in(self._target)
        self.num_missing = len(_missing(self.segments, wanted))

    def complete(self, tokenise: Tokenise, say: Say) -> None:
        """Make what is missing, unless another process has meanwhile."""
        self._target.mkdir(parents=True, exist_ok=True)
        with _lock(self._target, say):
            self.segments, damaged = segments_in(self._target)
            for error in damaged:
                say(f"{error} It is removed; its pairs are tokenised again.")
            remove_unusable(self._target, damaged)
            rows = np.sort(self._rows[_missing(self.segments, self._wanted)])
            try:
                self.segments += tokenise(self._target, self._path, rows, self._sha)
            except OSError as error:
                raise SynprefError(
                    f"The token cache cannot be written: {error.strerror}.",
                    where=str(self._target),
                    kept="its segments that are whole",
                    todo="free disk space, or set another folder (token_cache), and run again",
                ) from error


def _missing(segments: Sequence[Segment], wanted: Keys) -> NDArray[np.int64]:
    """Positions of the wanted pairs that no segment has."""
    lacking = np.ones(len(wanted), bool)
    for segment in segments:
        at = positions_in(wanted, np.asarray(segment.index["key"]))
        lacking[at[at >= 0]] = False
    return np.flatnonzero(lacking)


@contextlib.contextmanager
def _lock(target: Path, say: Say) -> Iterator[None]:
    """Hold a folder for writing; the lock ends with its process."""
    lock = filelock.FileLock(target / ".lock")
    try:
        lock.acquire(timeout=0)
    except filelock.Timeout:
        say(f"another process is tokenising the same texts; waiting for it ({target})")
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


Tokenise = Callable[[Path, Path, NDArray[np.int64], str], list[Segment]]
"""From a folder, a text file, its rows to tokenise and its hash to new segments."""


@contextlib.contextmanager
def _tokenising(tokeniser: TemplateTokeniser, num_pairs: int) -> Iterator[Tokenise]:
    """What makes segments: one bar and one set of processes for all text files."""
    from tqdm import tqdm

    if not num_pairs:
        yield lambda target, path, rows, sha: []
        return
    num_workers = min(len(os.sched_getaffinity(0)), num_pairs // _PAIRS_PER_WORKER)
    about = {"tokeniser": tokeniser.describe()}
    with (
        _encoder(tokeniser, num_workers) as encode,
        tqdm(total=num_pairs, desc="tokenising", unit="pair", mininterval=2, disable=None, file=sys.stderr) as bar,
    ):

        def tokenise(target: Path, path: Path, rows: NDArray[np.int64], sha: str) -> list[Segment]:
            said = {**about, "text_file": path.name, "text_sha256": sha}
            parts = encode(_parts(read_rows(path, rows)))
            return list(_segments(target, path, parts, token_dtype(tokeniser.vocabulary_size), said, bar.update))

        yield tokenise


def _segments(
    target: Path,
    path: Path,
    parts: Iterator[EncodedPart],
    dtype: np.dtype,
    about: dict,
    done: Callable[[int], object],
) -> Iterator[Segment]:
    before = state_of(path)
    writer: SegmentWriter | None = None
    try:
        for part in parts:
            writer = writer or SegmentWriter(target, dtype)
            writer.add(part)
            done(len(part.index))
            if writer.num_pairs >= SEGMENT_PAIRS:
                refuse_change(path, before)
                yield writer.publish(about)
                writer = None
        refuse_change(path, before)
        if writer is not None:
            yield writer.publish(about)
            writer = None
    finally:
        if writer is not None:
            writer.discard()


def _parts(tables: Iterable[pa.Table]) -> Iterator[pa.Table]:
    """Tables cut into parts of like work."""
    for table in tables:
        sizes = np.zeros(len(table), np.int64)
        for name in ("response_1", "response_2"):
            sizes += pc.fill_null(pc.binary_length(table[name]), 0).to_numpy()
        start, size = 0, 0
        for at, own in enumerate(sizes.tolist()):
            if at > start and (at - start >= _PART_PAIRS or size + own > _PART_BYTES):
                yield table.slice(start, at - start)
                start, size = at, 0
            size += own
        yield table.slice(start)


Encode = Callable[[Iterable[pa.Table]], Iterator[EncodedPart]]


@contextlib.contextmanager
def _encoder(tokeniser: TemplateTokeniser, num_workers: int) -> Iterator[Encode]:
    """What turns parts into tokens, in order: this process's own threads for few, processes for many."""
    if num_workers <= 1:
        yield lambda parts: map(PairEncoder(tokeniser).encode, parts)
        return
    with _Workers(tokeniser.source, num_workers) as workers:
        yield workers.encode


class _Workers:
    """Worker processes, a thread of ours waiting on each."""

    def __init__(self, source: TokeniserSource, num_workers: int) -> None:
        self._num_workers = num_workers
        self._all = [Worker(source) for _ in range(num_workers)]
        self._idle: SimpleQueue[Worker] = SimpleQueue()
        for worker in self._all:
            self._idle.put(worker)
        self._threads = ThreadPoolExecutor(num_workers)

    def __enter__(self) -> _Workers:
        return self

    def __exit__(self, *error: object) -> None:
        for worker in self._all:
            worker.close()
        self._threads.shutdown(cancel_futures=True)

    def encode(self, parts: Iterable[pa.Table]) -> Iterator[EncodedPart]:
        """Results in the order of the parts; twice as many parts as workers are held at most."""
        waiting: deque[Future[EncodedPart]] = deque()
        for part in parts:
            waiting.append(self._threads.submit(self._encode, part))
            if len(waiting) >= 2 * self._num_workers:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()

    def _encode(self, part: pa.Table) -> EncodedPart:
        worker = self._idle.get()
        try:
            return worker.encode(part)
        finally:
            self._idle.put(worker)
