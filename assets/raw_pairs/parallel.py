"""Parallel: one function over many jobs in several processes, the results in the order of the jobs."""

from __future__ import annotations

import os
import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from importlib.abc import MetaPathFinder
from multiprocessing import get_context
from typing import Any, TypeVar

from assets.errors import ConfigError, SynprefError

Result = TypeVar("Result")


def num_workers() -> int:
    """Processes to use: SYNPREF_WORKERS, by default one a core.

    Raises:
        ConfigError: the variable is no whole number of at least 1.
    """
    given = os.environ.get("SYNPREF_WORKERS")
    if not given:
        return os.cpu_count() or 1
    if not given.isdecimal() or int(given) < 1:
        raise ConfigError(f"SYNPREF_WORKERS is {given!r}.", todo="set it to a whole number of at least 1")
    return int(given)


def map_in_order(
    function: Callable[..., Result], jobs: Iterable[Mapping[str, Any]], *, num_workers: int
) -> Iterator[Result]:
    """Call a function of a module with each job's arguments; at most two jobs a worker are held at once.

    Args:
        num_workers: with 1 the calls are made here, without a process.

    Raises:
        SynprefError: a worker died, for want of memory as a rule. What a call raises is raised here.
    """
    if num_workers <= 1:
        for job in jobs:
            yield function(**job)
        return
    # Forking a process that has threads (Arrow's, Dagster's) may deadlock the child.
    with ProcessPoolExecutor(num_workers, mp_context=get_context("spawn"), initializer=_without_pandas) as pool:
        waiting: deque = deque()
        try:
            for job in jobs:
                waiting.append(pool.submit(function, **job))
                if len(waiting) >= 2 * num_workers:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        except BrokenProcessPool as error:
            raise SynprefError(
                "A worker process was killed.",
                kept="what was published before",
                todo="free some memory, or set SYNPREF_WORKERS to 1, and run again",
            ) from error
        finally:
            for job_left in waiting:
                job_left.cancel()


class _NoPandas(MetaPathFinder):
    """Makes pandas look as if it were not installed."""

    def find_spec(self, fullname: str, path: Any = None, target: Any = None) -> None:
        if fullname == "pandas":
            raise ModuleNotFoundError("workers do without pandas", name=fullname)


def _without_pandas() -> None:
    """Keep Arrow from importing pandas in this process, which it does at its first conversion only to see whether a
    value is of pandas; that takes as long as all else that a worker imports."""
    sys.meta_path.insert(0, _NoPandas())
