"""Weighing: how much each judge's verdict counts, from its accuracy on gold dev and from shared errors."""

from __future__ import annotations

import math
from collections.abc import Mapping

ASSUMED_ACCURACY = 0.75
"""Of a judge with too few labels on gold dev: halfway between chance and certainty. Never reported as measured."""


def shrunk_accuracy(num_right: float, num_labels: int, shrinkage_labels: int) -> float:
    """Accuracy with `shrinkage_labels` imagined half-right labels added, at least one, so it is never 0 or 1.

    >>> shrunk_accuracy(90, 100, 20), shrunk_accuracy(0, 0, 0)
    (0.8333333333333334, 0.5)
    """
    imagined = max(shrinkage_labels, 1)
    return (num_right + imagined / 2) / (num_labels + imagined)


def log_odds(probability: float) -> float:
    """Log-odds of a probability strictly between 0 and 1."""
    return math.log(probability / (1 - probability))


def weigh(accuracies: Mapping[str, float], error_correlations: Mapping[frozenset[str], float]) -> dict[str, float]:
    """Weights of the judges of one panel: log-odds of accuracy over one plus the correlations with the others.

    Two judges that always err together count as one; judges that err independently add up. Without the
    division a strong judge would be outvoted by weak ones that repeat each other.

    >>> weigh({"a": 0.75, "b": 0.75}, {frozenset("ab"): 1.0})["a"] == log_odds(0.75) / 2
    True

    Args:
        accuracies: by judge, above 0.5, already shrunk.
        error_correlations: by pair of judges, -1 to 1; an absent or negative one counts as 0.
    """
    weights = {}
    for name, accuracy in sorted(accuracies.items()):
        shared = math.fsum(
            max(0.0, error_correlations.get(frozenset((name, other)), 0.0)) for other in accuracies if other != name
        )
        weights[name] = log_odds(accuracy) / (1 + shared)
    return weights
