"""Batching: which pairs make a step, in which order, and which rows are scored together. Pure, seeded."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

# Pairs are sorted by length among this many batches at a time: little padding, and still a random order.
_POOL_BATCHES = 16


def epoch_batches(
    lengths: Sequence[int] | NDArray[np.int64], batch_pairs: int, seed: int, epoch: int
) -> list[NDArray[np.int64]]:
    """The batches of one epoch: every pair once, those of like length together, batches in random order.

    Args:
        lengths: tokens of each pair.
        batch_pairs: pairs a batch; the last of an epoch may have fewer.
        seed, epoch: together the order; the same two give the same batches.
    """
    rng = np.random.default_rng([seed, epoch])
    order = rng.permutation(len(lengths))
    sizes = np.asarray(lengths)
    batches: list[NDArray[np.int64]] = []
    for start in range(0, len(order), batch_pairs * _POOL_BATCHES):
        pool = order[start : start + batch_pairs * _POOL_BATCHES]
        pool = pool[np.argsort(sizes[pool], kind="stable")]
        batches += [pool[at : at + batch_pairs] for at in range(0, len(pool), batch_pairs)]
    return [batches[at] for at in rng.permutation(len(batches))]


def within_budget(lengths: Sequence[int], max_tokens: int) -> Iterator[list[int]]:
    """Indices in order of length, cut so that a batch padded to its longest has at most `max_tokens` tokens.

    A sequence longer than the budget makes a batch of its own.

    >>> list(within_budget([3, 1, 9, 2], 6))
    [[1, 3], [0], [2]]
    """
    batch: list[int] = []
    for index in np.argsort(np.asarray(lengths), kind="stable").tolist():
        if batch and (len(batch) + 1) * lengths[index] > max_tokens:
            yield batch
            batch = []
        batch.append(index)
    if batch:
        yield batch
