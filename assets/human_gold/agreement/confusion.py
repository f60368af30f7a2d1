"""How one person errs: the numbers of the crowd model with their intervals, and the matrix they make."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from assets.human_gold.agreement.rates import Rates


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
    right, wrong, missed = (_estimates(*beta) for beta in _betas(rates.sided, sizes[0]))
    seen = _estimates(*_betas(rates.tie, sizes[1])[0])
    accuracy = _estimates(*_mixed(_betas(rates.sided, sizes[0])[0], _betas(rates.tie, sizes[1])[0], rates.tie_rate))
    worse = _probably_worse(_betas(rates.sided, sizes[0]))
    return tuple(
        PersonConfusion(
            person=name,
            simulated=bool(simulated[n]),
            num_votes=int(num_votes[n]),
            right=right[n],
            wrong_side=wrong[n],
            missed=missed[n],
            tie_seen=seen[n],
            accuracy=accuracy[n],
            weight=float(np.log(right[n].value / wrong[n].value)),
            worse_than_chance=bool(worse[n]),
        )
        for n, name in enumerate(names)
    )


Beta = tuple[np.ndarray, np.ndarray]
"""Both parameters of everyone's beta distribution."""


def _betas(rates: np.ndarray, sizes: np.ndarray) -> list[Beta]:
    return [(sizes[:, k] * rates[:, k], sizes[:, k] * (1 - rates[:, k])) for k in range(rates.shape[1])]


def _estimates(a: np.ndarray, b: np.ndarray) -> list[Estimate]:
    from scipy.special import betaincinv

    low, high = betaincinv(a, b, 0.025), betaincinv(a, b, 0.975)
    return [Estimate(float(v), float(x), float(y)) for v, x, y in zip(a / (a + b), low, high, strict=True)]


def _mixed(sided: Beta, tie: Beta, tie_rate: float) -> Beta:
    """Right verdicts over sided pairs and ties in the crowd's mixture: the beta with that mean and variance."""
    mean, variance = np.zeros_like(sided[0]), np.zeros_like(sided[0])
    for (a, b), weight in ((sided, 1 - tie_rate), (tie, tie_rate)):
        total = a + b
        mean += weight * a / total
        variance += weight**2 * a * b / (total**2 * (total + 1))
    size = mean * (1 - mean) / variance - 1
    return size * mean, size * (1 - mean)


def _probably_worse(sided: list[Beta]) -> np.ndarray:
    """Among verdicts for a side, whether the wrong one has more than half with 97.5 % probability."""
    from scipy.special import betainc

    return betainc(sided[0][0], sided[1][0], 0.5) > 0.975
