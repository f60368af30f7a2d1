"""Metering: what a step is measured by besides its loss: speed, share of peak, padding, memory, time left."""

from __future__ import annotations

import resource
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

import numpy as np
import torch
from numpy.typing import NDArray

# The time left is told from the mean of so many steps: one epoch's steps differ in length by a factor of ten.
_STEPS_OF_MEAN = 100
_GIB = 2**30

PairFlops = Callable[[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]], float]
"""From int64[n] tokens of prompts, chosen and rejected responses to the model FLOPs of training on those pairs."""


@runtime_checkable
class CountsPositions(Protocol):
    """A backbone that computes other positions than a batch padded to its longest pair."""

    def num_positions(self, lengths: Sequence[int]) -> int:
        """Positions computed for pairs of these costs together, padding included."""


def num_positions(backbone: object, lengths: Sequence[int]) -> int:
    """Positions computed for pairs of these costs together; padded to the longest unless the backbone counts.

    >>> num_positions(None, [3, 5])
    10
    """
    if isinstance(backbone, CountsPositions):
        return backbone.num_positions(lengths)
    return len(lengths) * max(lengths, default=0)


@dataclass
class Meter:
    """Measures steps; rates are of this process's clock and all processes' work.

    Attributes:
        pair_flops: FLOPs of some pairs, unshared and unpadded; None where the model's are not written out.
        peak_flops: FLOP/s that the device's matrix products reach, measured once; None when nobody measured it.
    """

    pair_flops: PairFlops | None = None
    peak_flops: float | None = None
    _seconds: deque[float] = field(default_factory=lambda: deque(maxlen=_STEPS_OF_MEAN))

    def flops(self, sizes: NDArray[np.int64]) -> float:
        """FLOPs of training on pairs of sizes int64[n, 3] (prompt, chosen, rejected); NaN when not known."""
        return float("nan") if self.pair_flops is None else self.pair_flops(*sizes.T)

    def measures(
        self, started: float, *, tokens: float, pairs: float, flops: float, world_size: int, steps_left: int
    ) -> dict[str, float]:
        """Measures of a step by name, for curves.

        Args:
            started: `time.monotonic()` at its beginning.
            tokens, pairs, flops: of the step, all processes together.
        """
        seconds = max(time.monotonic() - started, 1e-9)
        self._seconds.append(seconds)
        values = {
            "speed/tokens_per_second": tokens / seconds,
            "speed/pairs_per_second": pairs / seconds,
            "speed/memory_gib": peak_memory() / _GIB,
            "speed/seconds_left": sum(self._seconds) / len(self._seconds) * steps_left,
        }
        if self.peak_flops is not None and not np.isnan(flops):
            values["speed/share_of_peak"] = flops / seconds / (self.peak_flops * world_size)
        return values


def meter_for(module: torch.nn.Module, device: torch.device, precision: str) -> Meter:
    """A meter that knows the share of peak on a GPU, measured once, where the model's FLOPs are written out.

    On a CPU, whose peak depends on what else it does, none is said.
    """
    if device.type != "cuda":
        return Meter()
    from transformers import PreTrainedModel

    from training.flops import ARCHITECTURES, decoder_shape, matrix_peak, pair_flops

    if not isinstance(module, PreTrainedModel) or module.config.get_text_config().model_type not in ARCHITECTURES:
        return Meter()
    shape = decoder_shape(module.config)
    dtype = torch.float32 if precision == "float32" else torch.bfloat16
    return Meter(lambda *sizes: float(np.sum(pair_flops(shape, *sizes).training)), matrix_peak(device, dtype))


def peak_memory() -> int:
    """Bytes this process has held at most: of its GPU where it has one, else of main memory."""
    if torch.cuda.is_available():
        return torch.cuda.max_memory_allocated()
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
