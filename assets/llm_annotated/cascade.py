"""Cascade: which tier each judge is in, how often it is asked, and what not asking the dearer tiers saved."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from assets.chance import simulated_name
from assets.llm_annotated.settings import JudgeSettings, VotingSettings


@dataclass(frozen=True)
class JudgePlan:
    """How a judge is asked.

    Attributes:
        tier: 0 is asked about every pair, the next where the panel so far is undecided.
        votes_per_order: None: as `VotingSettings` says.
    """

    tier: int = 0
    votes_per_order: int | None = None

    def votes(self, voting: VotingSettings) -> int:
        """Repetitions in each display order."""
        return self.votes_per_order or voting.votes_per_order


@dataclass(frozen=True)
class Saving:
    """What the cascade did not ask for, of one judge.

    Attributes:
        num_pairs: pairs it was asked about; num_spared: pairs it was not.
        num_calls_spared: calls that these would have taken.
        usd_spared: what they would have cost, at this judge's mean cost of a call.
    """

    num_pairs: int
    num_spared: int
    num_calls_spared: int
    usd_spared: float


def plans_of(judges: Sequence[JudgeSettings]) -> dict[str, JudgePlan]:
    """Plans by the name that a judge has in label events."""
    return {
        simulated_name(one.name) if one.provider == "simulated" else one.name: JudgePlan(one.tier, one.votes_per_order)
        for one in judges
    }


def total_saving(savings: Mapping[str, Saving]) -> dict[str, float]:
    """Calls and dollars over all judges, for manifests and reports."""
    return {
        "calls_spared": sum(one.num_calls_spared for one in savings.values()),
        "usd_spared": sum(one.usd_spared for one in savings.values()),
    }
