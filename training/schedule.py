"""Schedule: the learning rate of a step, and which pairs a step trains on. Pure: the step says it all."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from training.batching import epoch_batches
from training.recipe import TrainingRecipe


def learning_rate(step: int, total: int, recipe: TrainingRecipe) -> float:
    """Rate of a step, counted from 0: linear warm-up from one part to all, then constant or linear towards 0.

    No step has rate 0: a warm-up of w steps starts at 1 / (w + 1), and the last linear step has one part left.
    """
    warmup = round(recipe.warmup_share * total)
    if step < warmup:
        return recipe.learning_rate * (step + 1) / (warmup + 1)
    if recipe.schedule == "constant":
        return recipe.learning_rate
    return recipe.learning_rate * (total - step) / (total - warmup)


class BatchOrder:
    """Which pairs each step trains on; the last batch of an epoch holds what is left.

    Args:
        lengths: int64[n], cost of each pair.
        seed: of the order of every epoch.
    """

    def __init__(self, lengths: NDArray[np.int64], recipe: TrainingRecipe, seed: int) -> None:
        self._lengths, self._batch_pairs, self._seed = lengths, recipe.batch_pairs, seed
        self.steps_per_epoch = -(-len(lengths) // recipe.batch_pairs)
        self.num_steps = min(recipe.max_steps, recipe.max_epochs * self.steps_per_epoch)
        self._epoch: tuple[int, list[NDArray[np.int64]]] = (-1, [])

    def batch(self, step: int) -> list[int]:
        """Indices of the pairs of a step, counted from 0."""
        epoch, place = divmod(step, self.steps_per_epoch)
        if self._epoch[0] != epoch:
            self._epoch = epoch, epoch_batches(self._lengths, self._batch_pairs, self._seed, epoch)
        return self._epoch[1][place].tolist()
