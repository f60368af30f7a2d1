"""Row groups: one pure function over a published partition, a row group at a time, on a few threads."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

import pyarrow as pa
import pyarrow.parquet as pq

from assets.lake import Lake
from assets.partition_writer import Manifest
from assets.raw_pairs.parallel import num_workers

Result = TypeVar("Result")
Progress = Callable[[int, float], None]
"""Called with rows done and the share of the partition's rows done, 0 to 1."""


def map_row_groups(
    function: Callable[[pa.Table, int], Result],
    lake: Lake,
    manifest: Manifest,
    columns: Sequence[str],
    *,
    progress: Progress | None = None,
) -> Iterator[Result]:
    """Results of `function(rows, position of the first row)` for every row group, in order.

    Threads serve where the work is done by Arrow or by native loops, both of which leave Python's lock. At most one
    row group more than there are threads is in memory.
    """
    waiting: deque[tuple[int, Future[Result]]] = deque()
    done = 0
    workers = num_workers()
    path = lake.file_of(manifest)
    with ThreadPoolExecutor(workers) as threads, pq.ParquetFile(path) as file:

        def result_of_first() -> Result:
            nonlocal done
            num_rows, future = waiting.popleft()
            result = future.result()
            done += num_rows
            if progress:
                progress(done, done / max(1, manifest.num_rows))
            return result

        def work(group: int, first: int) -> Result:
            # A reader of its own: one Parquet reader must not serve two threads.
            with pq.ParquetFile(path) as own:
                return function(own.read_row_group(group, columns=list(columns)), first)

        first = 0
        for group in range(file.metadata.num_row_groups):
            num_rows = file.metadata.row_group(group).num_rows
            waiting.append((num_rows, threads.submit(work, group, first)))
            first += num_rows
            if len(waiting) > workers:
                yield result_of_first()
        while waiting:
            yield result_of_first()
