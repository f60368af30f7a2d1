"""What a command costs: wall time, CPU time and peak memory of it and all the processes it starts.

    python -m benchmarks.cost_of_run -- synpref demo

Memory is the sum of PSS (each shared page counted once, divided among those who share it), sampled twice a
second: a peak shorter than that is missed. The load average before the start is printed with it, because a
figure from a busy machine says little.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass

import psutil

_SAMPLE_EVERY_S = 0.5


@dataclass(frozen=True)
class Cost:
    """Cost of one command.

    Attributes:
        wall_s: from start to exit.
        cpu_s: user and system time of all its processes.
        peak_mb: highest sum of PSS over its processes and this one, in 10^6 bytes.
        load_before: mean number of running processes in the minute before the start.
        exit_code: the command's.
    """

    wall_s: float
    cpu_s: float
    peak_mb: float
    load_before: float
    num_cores: int
    exit_code: int


def measure(command: Sequence[str]) -> Cost:
    """Run a command and measure it; its output goes where ours goes."""
    load_before = os.getloadavg()[0]
    used = os.times()
    cpu_before = used.children_user + used.children_system
    started = time.monotonic()
    with PeakMemory() as memory:
        exit_code = subprocess.run(list(command), check=False).returncode
        wall_s = time.monotonic() - started
    used = os.times()
    return Cost(
        wall_s=round(wall_s, 1),
        cpu_s=round(used.children_user + used.children_system - cpu_before, 1),
        peak_mb=round(memory.peak / 1e6, 1),
        load_before=round(load_before, 2),
        num_cores=os.cpu_count() or 1,
        exit_code=exit_code,
    )


class PeakMemory:
    """Highest memory of this process and its children while the block runs; `peak` in bytes."""

    def __init__(self) -> None:
        self.peak = 0
        self._done = threading.Event()
        self._watcher = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> PeakMemory:
        self._watcher.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._watcher.join()

    def _watch(self) -> None:
        while not self._done.wait(_SAMPLE_EVERY_S):
            self.peak = max(self.peak, _tree_pss(os.getpid()))


def _tree_pss(pid: int) -> int:
    try:
        root = psutil.Process(pid)
        family = [root, *root.children(recursive=True)]
    except psutil.NoSuchProcess:
        return 0
    total = 0
    for process in family:
        try:
            total += process.memory_full_info().pss
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue  # It ended while we looked.
    return total


def main(arguments: Sequence[str] | None = None) -> int:
    """Entry point; exits with the command's own code."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.cost_of_run", description=__doc__.splitlines()[0])
    parser.add_argument("command", nargs="+", help="the command and its arguments, after --")
    cost = measure(parser.parse_args(arguments).command)
    print(json.dumps(asdict(cost)))
    return cost.exit_code


if __name__ == "__main__":
    sys.exit(main())
