"""Loss: Bradley-Terry on the margin between the chosen and the rejected response, and its calibration."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from training.recipe import LossSettings

if TYPE_CHECKING:
    import torch

# Below this many dev pairs a temperature says more about the draw than about the model.
MIN_PAIRS_FOR_TEMPERATURE = 20
# Inverse temperatures looked at; a dev set that is all right (or all wrong) ends on a bound.
_MIN_INVERSE, _MAX_INVERSE = 0.05, 20.0


def bradley_terry(chosen: torch.Tensor, rejected: torch.Tensor, settings: LossSettings | None = None) -> torch.Tensor:
    """Loss of each pair, float32[n]; with the default settings -log sigmoid(chosen - rejected) (paper, section 7).

    With margin m, smoothing e and centring c, and d = chosen - rejected:
    -(1 - e) log sigmoid(d - m) - e log sigmoid(-d - m) + c (chosen + rejected)^2. A wrong label is one whose sides
    are exchanged, so the margin is asked of the other side there.

    All of it is float32 whatever the model computes in: two scores of about 20 differ by 0.1 in bfloat16 or not
    at all.
    """
    import torch

    settings = settings or LossSettings()
    chosen, rejected = chosen.float(), rejected.float()
    lead = chosen - rejected
    log_sigmoid = torch.nn.functional.logsigmoid
    loss = -(1 - settings.label_smoothing) * log_sigmoid(lead - settings.margin)
    # Terms that are switched off are left out, not multiplied by 0: 0 times infinity is not a number.
    if settings.label_smoothing:
        loss = loss - settings.label_smoothing * log_sigmoid(-lead - settings.margin)
    if settings.centring:
        loss = loss + settings.centring * (chosen + rejected).square()
    return loss


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
