"""Chance: random numbers drawn from a hash of what they are for.

A draw depends on its fields alone (seed, labeller, pair, order, vote), so that results do not change with the
order of the pairs, with the batch, or with the process that computes them.
"""

from __future__ import annotations

import hashlib
from statistics import NormalDist

_STANDARD_NORMAL = NormalDist()
# 52 bits of the hash: as many as a float of [0.5, 1) can tell apart.
_HEX_DIGITS, _STEPS = 13, 16.0**13


def rank_key(*fields: str | int) -> str:
    """32 hex digits by which to sort when the order shall be random but fixed."""
    # Each field with its length before it, so that no two lists read alike; one string, because draws are many.
    text = "".join([f"{len(part)}:{part}" for part in map(str, fields)])
    return hashlib.blake2b(text.encode(), digest_size=16, person=b"chance").hexdigest()


def uniform(*fields: str | int) -> float:
    """A draw from the open interval (0, 1).

    >>> uniform(7, "ada", "pair") == uniform(7, "ada", "pair") != uniform(8, "ada", "pair")
    True
    """
    return (int(rank_key(*fields)[:_HEX_DIGITS], 16) + 0.5) / _STEPS


def normal(*fields: str | int) -> float:
    """A draw from the standard normal distribution."""
    return _STANDARD_NORMAL.inv_cdf(uniform(*fields))


def normal_quantile(share: float) -> float:
    """The standard normal's quantile; infinite at 0 and 1, so that "never" and "always" need no special case."""
    if share <= 0:
        return float("-inf")
    return float("inf") if share >= 1 else _STANDARD_NORMAL.inv_cdf(share)


def simulated_name(name: str) -> str:
    """The name under which a simulated labeller appears everywhere; naming twice changes nothing.

    >>> simulated_name("ada"), simulated_name("simulated_judge_a")
    ('simulated ada', 'simulated_judge_a')
    """
    return name if name.casefold().startswith("simulated") else f"simulated {name}"
