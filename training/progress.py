"""Progress: all that a training has come to besides its weights and moments; a checkpoint holds it as JSON."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from training.curves import Point

# Settings that change no result but rounding: a run may be resumed with others.
_FREE_SETTINGS = ("checkpoints", "micro_batch_tokens", "compile", "activation_checkpointing", "zero")


@dataclass
class Progress:
    """How far a training is. There is no random state: the step's number and the seed say what is drawn.

    Attributes:
        step: steps done.
        best_step: whose weights are the best on dev so far; 0 before the first evaluation.
        best_key: accuracy and negative loss there.
        best_margins: chosen minus rejected scores of the dev pairs there.
        num_evals_since_best: evaluations since without gain.
        token_budget, num_halved: tokens computed at a time, and how often memory made that less.
        num_pairs: trained on so far, pairs of several epochs counted each time.
        trained_seconds, seconds: in steps alone, and with dev evaluation.
        resumed_at: steps that were gone on from.
        curves: every point so far; in a file of their own beside the JSON.
    """

    step: int = 0
    best_step: int = 0
    best_key: tuple[float, float] = (-1.0, 0.0)
    best_margins: list[float] = field(default_factory=list)
    num_evals_since_best: int = 0
    token_budget: int = 0
    num_halved: int = 0
    num_pairs: int = 0
    trained_seconds: float = 0.0
    seconds: float = 0.0
    resumed_at: list[int] = field(default_factory=list)
    curves: list[Point] = field(default_factory=list)

    def take_dev(self, key: tuple[float, float], margins: NDArray[np.float64]) -> bool:
        """Record an evaluation at the present step; returns whether it is the best so far."""
        if key <= self.best_key:
            self.num_evals_since_best += 1
            return False
        self.best_step, self.best_key, self.num_evals_since_best = self.step, key, 0
        self.best_margins = margins.tolist()
        return True

    def as_dict(self) -> dict[str, Any]:
        """For JSON, without the curves."""
        return {part.name: getattr(self, part.name) for part in fields(self) if part.name != "curves"}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any], curves: list[Point]) -> Progress:
        """Inverse of `as_dict`.

        Raises:
            TypeError: a value is missing or unknown.
        """
        accuracy, loss = values["best_key"]
        return cls(**{**values, "best_key": (accuracy, loss), "curves": curves})


def run_identity(recipe: Mapping[str, Any], seed: int, data: Mapping[str, str]) -> dict[str, Any]:
    """What makes two trainings the same run: a flat mapping in which only equal runs are equal.

    Args:
        recipe: as JSON values; what changes rounding alone (micro batches, ZeRO, compilation) is left out.
        data: fingerprints of the training pairs, the dev pairs and what else the run is made from.

    >>> run_identity({"loss": {"margin": 0.0}, "zero": None}, 7, {"pairs": "ab"})
    {'seed': 7, 'data.pairs': 'ab', 'recipe.loss.margin': 0.0}
    """
    kept = {name: value for name, value in recipe.items() if name not in _FREE_SETTINGS}
    return {"seed": seed, **_flat("data", data), **_flat("recipe", kept)}


def differences(here: Mapping[str, Any], there: Mapping[str, Any]) -> list[str]:
    """What differs between two runs, a sentence part each; empty when they are the same.

    >>> differences({"seed": 1, "a": 2}, {"seed": 3, "a": 2})
    ['seed is 1 here and 3 there']
    """
    names = sorted(here.keys() | there.keys())
    absent = "absent"
    return [
        f"{name} is {here.get(name, absent)!r} here and {there.get(name, absent)!r} there"
        for name in names
        if here.get(name, absent) != there.get(name, absent)
    ]


def _flat(prefix: str, values: Mapping[str, Any]) -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in values.items():
        flat |= _flat(f"{prefix}.{name}", value) if isinstance(value, Mapping) else {f"{prefix}.{name}": value}
    return flat
