"""How one person errs: the numbers of the crowd model with their intervals, and the matrix they make."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from assets.human_gold.agreement.inference import Rates


@dataclass(frozen=True)
class Estimate:
    """A share with its 95 % credible interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class PersonConfusion:
    """One person as the crowd model sees them. Intervals are posterior ones (see `people_confusions`).

    Attributes:
        person: as in the label events; `simulated` for people who are none.
        num_votes: decided votes.
        right, wrong_side, missed: on pairs with a better side, the share of verdicts that name it, that name the other,
            that say tie.
        tie_seen: on true ties, the share of verdicts that say so.
        accuracy: share of right verdicts over the crowd's mixture of sided pairs and ties.
        weight: log-odds that one verdict for a side adds to that side; 0 is ignored, below 0 inverted.
        worse_than_chance: wrong_side is above right with 97.5 % probability.
    """

    person: str
    simulated: bool
    num_votes: int
    right: Estimate
    wrong_side: Estimate
    missed: Estimate
    tie_seen: Estimate
    accuracy: Estimate
    weight: float
    worse_than_chance: bool

    def matrix(self) -> np.ndarray:
        """Probability of each verdict (columns 1, 2, tie) under each truth (rows), [3, 3]."""
        right, wrong, missed = self.right.value, self.wrong_side.value, self.missed.value
        side = (1 - self.tie_seen.value) / 2
        return np.array([[right, wrong, missed], [wrong, right, missed], [side, side, self.tie_seen.value]])

    def as_dict(self) -> dict:
        """Plain form for manifests and reports."""
        return asdict(self)

    def row(self) -> dict:
        """One row of a table."""
        row: dict = {"person": self.person, "num_votes": self.num_votes}
        for name in ("accuracy", "right", "wrong_side", "missed", "tie_seen"):
            estimate: Estimate = getattr(self, name)
            row |= {name: estimate.value, f"{name}_low": estimate.low, f"{name}_high": estimate.high}
        return row | {"weight": self.weight, "worse_than_chance": self.worse_than_chance}


def people_confusions(
    names: Sequence[str],
    simulated: np.ndarray,
    num_votes: np.ndarray,
    sizes: tuple[np.ndarray, np.ndarray],
    rates: Rates,
) -> tuple[PersonConfusion, ...]:
    """Rates with posterior intervals.

    Each rate's posterior is a beta distribution: the prior around all people's mean, and the person's effective
    answers, which are fewer as the truth of their pairs is less sure.

    Args:
        names, simulated, num_votes: by person.
        sizes: effective number of answers behind each rate, of sided pairs [people, 3] and of ties [people, 2].
        rates: the estimates.
    """
    sided_of = _betas(rates.sided, sizes[0])
    tie_of = _betas(rates.tie, sizes[1])
    found = []
    for n, name in enumerate(names):
        right, wrong, missed = (_estimate(*sided_of[k], n) for k in range(3))
        seen = _estimate(*tie_of[0], n)
        found.append(
            PersonConfusion(
                person=name,
                simulated=bool(simulated[n]),
                num_votes=int(num_votes[n]),
                right=right,
                wrong_side=wrong,
                missed=missed,
                tie_seen=seen,
                accuracy=_accuracy(sided_of[0], tie_of[0], rates.tie_rate, n),
                weight=float(np.log(right.value / wrong.value)),
                worse_than_chance=_is_worse(sided_of[0], sided_of[1], n),
            )
        )
    return tuple(found)


def _betas(rates: np.ndarray, sizes: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
    return [(sizes[:, k] * rates[:, k], sizes[:, k] * (1 - rates[:, k])) for k in range(rates.shape[1])]


def _estimate(a: np.ndarray, b: np.ndarray, n: int) -> Estimate:
    from scipy.stats import beta

    low, high = beta.ppf([0.025, 0.975], a[n], b[n])
    return Estimate(float(a[n] / (a[n] + b[n])), float(low), float(high))


def _accuracy(
    sided: tuple[np.ndarray, np.ndarray], tie: tuple[np.ndarray, np.ndarray], share: float, n: int
) -> Estimate:
    """Over sided pairs and ties in the crowd's mixture; the beta with the mixture's mean and variance."""
    mean, variance = 0.0, 0.0
    for (a, b), weight in ((sided, 1 - share), (tie, share)):
        total = a[n] + b[n]
        mean += weight * a[n] / total
        variance += weight**2 * a[n] * b[n] / (total**2 * (total + 1))
    size = mean * (1 - mean) / variance - 1
    return _estimate(np.array([size * mean]), np.array([size * (1 - mean)]), 0)


def _is_worse(right: tuple[np.ndarray, np.ndarray], wrong: tuple[np.ndarray, np.ndarray], n: int) -> bool:
    """Among verdicts for a side, whether the wrong side has more than half with 97.5 % probability."""
    from scipy.stats import beta

    return float(beta.cdf(0.5, right[0][n], wrong[0][n])) > 0.975
