"""Affording: what judging a round's pairs is expected to cost, and how many of them a budget reaches. Pure.

Only judges whose price is known beforehand, simulated and recorded ones, are reckoned with here. A language model's
calls are bounded one by one, before each is made.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from assets.llm_annotated.settings import BudgetSettings, JudgeSettings, VotingSettings


@dataclass(frozen=True)
class Afforded:
    """Targets within a budget, in the order given, and those beyond it."""

    targets: tuple[str, ...]
    over_budget: tuple[str, ...]
    usd: float


def afforded(targets: Sequence[str], usd_per_pair: Mapping[str, float] | float, limit: float | None) -> Afforded:
    """The first targets whose cost together stays within the limit.

    A target that is too dear ends the list, also where a cheaper one further down would still fit: what is asked is
    decided by the order of the targets and not by their price.

    Args:
        targets: the most wanted first.
        usd_per_pair: of each target, or of any.
        limit: US dollars; None sets no bound.

    >>> afforded(["a", "b", "c"], 0.5, 1.2)
    Afforded(targets=('a', 'b'), over_budget=('c',), usd=1.0)
    """
    spent = 0.0
    for at, target in enumerate(targets):
        usd = usd_per_pair if isinstance(usd_per_pair, float | int) else usd_per_pair[target]
        # A billionth of room, so that ten times ten cents are a dollar.
        if limit is not None and spent + usd > limit + 1e-9:
            return Afforded(tuple(targets[:at]), tuple(targets[at:]), spent)
        spent += usd
    return Afforded(tuple(targets), (), spent)


def usd_of_pairs(
    targets: Sequence[str],
    judges: Sequence[JudgeSettings],
    voting: VotingSettings,
    used: Collection[str],
    num_recorded: Mapping[str, Mapping[str, int]],
) -> dict[str, float]:
    """Most that judging each target can cost with the judges whose price is known, all tiers being asked.

    Args:
        used: judges that qualified, by their configured names.
        num_recorded: of recorded judges, verdicts on record by judge and pair.
    """
    found = dict.fromkeys(targets, 0.0)
    for judge in judges:
        if judge.name not in used or judge.provider == "llm" or not judge.usd_per_call:
            continue
        calls = 2 * (judge.votes_per_order or voting.votes_per_order)
        for target in found:
            if judge.provider == "recorded":
                calls = max(1, num_recorded.get(judge.name, {}).get(target, 0))
            found[target] += calls * judge.usd_per_call
    return found


def limit_of_round(budget: BudgetSettings, spent_in_round: float, spent_before: float) -> float | None:
    """What a round may still spend, US dollars; None where nothing bounds it.

    Args:
        spent_in_round: by the round so far, such as its qualification.
        spent_before: by everything before the round.
    """
    left = []
    if budget.max_usd_per_round is not None:
        left.append(budget.max_usd_per_round - spent_in_round)
    if budget.max_usd is not None:
        left.append(budget.max_usd - spent_before - spent_in_round)
    return max(0.0, min(left)) if left else None
