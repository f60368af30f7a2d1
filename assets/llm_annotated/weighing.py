"""Weighing: how much each judge's verdict counts, from its accuracy on gold dev and from shared errors."""

from __future__ import annotations

import math
from collections.abc import Mapping

ASSUMED_ACCURACY = 0.75
"""Of a judge with too few labels on gold dev: halfway between chance and certainty. Never reported as measured."""

ASSUMED_CORRELATION = 0.5
"""Of the errors of two judges with too few shared labels. Judges err together more often than not, and taking unknown
ones for independent would let several unmeasured judges outvote a measured one."""

# Least eigenvalue of the correlations, so that judges who always err together share their weight equally.
_RIDGE = 1e-6


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
    """Weights of the judges of one panel: their log-odds of being right, freed of what they share.

    The weights w solve C w = l under w >= 0, where l are the log-odds of the accuracies and C the correlations of the
    errors: the best linear combination when errors are jointly normal. Judges that err independently keep their
    log-odds and add up; n judges of equal accuracy and correlation c get 1 / (1 + (n - 1) c) of it each; a weak judge
    whose errors a strong one shares adds nothing and gets 0. No judge counts against its own verdict.

    >>> weights = weigh({"a": 0.75, "b": 0.75}, {frozenset("ab"): 1.0})
    >>> round(weights["a"] / log_odds(0.75), 3), round(weights["b"] / log_odds(0.75), 3)
    (0.5, 0.5)

    Args:
        accuracies: by judge, already shrunk; one of 0.5 or below gets no weight.
        error_correlations: by pair of judges, -1 to 1; an absent or negative one counts as 0.
    """
    import numpy as np
    from scipy.optimize import nnls

    names = sorted(accuracies)
    if not names:
        return {}
    odds = np.array([max(0.0, log_odds(accuracies[name])) for name in names])
    shared = np.eye(len(names))
    for row, name in enumerate(names):
        for column, other in enumerate(names):
            if row != column:
                shared[row, column] = min(1.0, max(0.0, error_correlations.get(frozenset((name, other)), 0.0)))
    # Correlations that were measured pair by pair need not fit together; all are drawn towards 0 until they do, which
    # keeps them from turning negative as the nearest matrix that fits would.
    least = float(np.linalg.eigvalsh(shared)[0])
    if least < _RIDGE:
        drawn = (_RIDGE - least) / (1 - least)
        shared = (1 - drawn) * shared + drawn * np.eye(len(names))
    root = np.linalg.cholesky(shared)
    found, _ = nnls(root.T, np.linalg.solve(root, odds))
    # Rounded: what is equal by symmetry stays equal, whichever judge comes first.
    return {name: round(float(weight), 9) for name, weight in zip(names, found, strict=True)}
