"""Stopwatch: when each step ended, how many positions the model computed in it, and how much memory it took."""

from __future__ import annotations

import itertools
import resource
import time
from dataclasses import dataclass, field
from typing import Any

import psutil
import torch


@dataclass
class Stopwatch:
    """Marks the ends of steps of one process.

    Attributes:
        marks: seconds since the process was created, one per step.
        processor: seconds of all the process's threads on a CPU up to each mark.
        positions: token positions, padding included, that went into the model up to each mark.
    """

    device: torch.device
    marks: list[float] = field(default_factory=list)
    processor: list[float] = field(default_factory=list)
    positions: list[int] = field(default_factory=list)
    _positions: int = 0

    def watch(self, decoder: torch.nn.Module) -> None:
        """Count what goes into a decoder from here on."""
        decoder.register_forward_pre_hook(self._count, with_kwargs=True)

    def _count(self, module: torch.nn.Module, arguments: tuple, named: dict[str, Any]) -> None:
        ids = named.get("input_ids")
        self._positions += (arguments[0] if ids is None else ids).numel()

    def mark(self) -> None:
        """A step has ended, on the device too."""
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
        self.marks.append(time.time() - psutil.Process().create_time())
        self.processor.append(time.process_time())
        self.positions.append(self._positions)

    def result(self, warmup: int) -> dict[str, Any]:
        """Seconds of each step after the warm-up, and what came before.

        `startup_s` is everything up to the end of the warm-up beyond what its steps take later: imports, loading,
        compiling.
        """
        ends = self.marks[warmup - 1 :]
        steps = [after - before for before, after in itertools.pairwise(ends)]
        usual = sorted(steps)[len(steps) // 2]
        return {
            "step_s": [round(seconds, 4) for seconds in steps],
            "cpu_s": round(self.processor[-1] - self.processor[warmup - 1], 3),
            "startup_s": round(max(0.0, ends[0] - warmup * usual), 2),
            "first_step_s": round(self.marks[0], 2),
            "computed_positions": self.positions[-1] - self.positions[warmup - 1],
            "peak_memory_bytes": self.peak_memory(),
        }

    def peak_memory(self) -> int:
        """Bytes: what torch allocated on the GPU, or this process's largest resident size on a CPU."""
        if self.device.type == "cuda":
            return torch.cuda.max_memory_allocated(self.device)
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
