"""Loss: Bradley-Terry on the margin between the chosen and the rejected response, and its calibration."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import torch

# Below this many dev pairs a temperature says more about the draw than about the model.
MIN_PAIRS_FOR_TEMPERATURE = 20
# Inverse temperatures looked at; a dev set that is all right (or all wrong) ends on a bound.
_MIN_INVERSE, _MAX_INVERSE = 0.05, 20.0


def bradley_terry(chosen: torch.Tensor, rejected: torch.Tensor) -> torch.Tensor:
    """-log sigmoid(chosen - rejected) of each pair, float32[n] (paper, section 7: nothing is added to it).

    The margin is taken in float32 whatever the model computes in: two scores of about 20 differ by 0.1 in
    bfloat16 or not at all.
    """
    import torch

    return -torch.nn.functional.logsigmoid(chosen.float() - rejected.float())


def fit_temperature(margins: NDArray[np.float64]) -> float | None:
    """T > 0 that minimises the mean of -log sigmoid(margin / T) over dev pairs; None below 20 pairs.

    The loss is convex in 1/T, so the root of its slope is found by bisection.

    >>> margins = np.array([2.0] * 30 + [-2.0] * 10)  # right three times in four: sigmoid(2 / T) = 0.75
    >>> round(fit_temperature(margins), 3)
    1.82
    """
    if len(margins) < MIN_PAIRS_FOR_TEMPERATURE:
        return None
    low, high = _MIN_INVERSE, _MAX_INVERSE
    for _ in range(60):
        middle = (low + high) / 2
        # Slope of the loss in 1/T; tanh keeps the sigmoid of large margins from overflowing.
        slope = -float(np.mean(margins * 0.5 * (1 - np.tanh(middle * margins / 2))))
        low, high = (middle, high) if slope < 0 else (low, middle)
    return 2 / (low + high)
