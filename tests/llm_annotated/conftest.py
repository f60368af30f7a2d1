"""Judges and gold for the tests of this room."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import pytest

from assets.contracts import from_rows
from assets.llm_annotated.judging import JudgeReply, both_orders


@dataclass(frozen=True)
class RuleJudge:
    """Answers by a function of the call; what a provider of one's own looks like."""

    name: str
    rule: Callable
    version: str = "1"
    simulated: bool = False
    orders: Sequence[int] = (1, 2)
    usd: float = 0.0

    def plan(self, pair_id, votes_per_order):
        return [(first, vote) for first, vote in both_orders(votes_per_order) if first in self.orders]

    def estimate_usd(self, calls):
        return len(calls) * self.usd

    def answer(self, calls, *, batch=""):
        replies = []
        for call in calls:
            verdict = self.rule(call)
            replies.append(JudgeReply(verdict, "ok" if verdict else "refused", cost_usd=self.usd))
        return replies


@pytest.fixture
def rule_judge():
    return RuleJudge


def balanced_truth(n: int) -> dict[str, str]:
    """n pairs, half of them "1", in no order that a hash would know."""
    return {f"pair-{i:05d}": "12"[i % 2] for i in range(n)}


@pytest.fixture
def truth_of():
    return balanced_truth


def gold_table(verdicts: Mapping[str, str], split: str = "dev", clusters: Mapping[str, str] | None = None):
    """Contract `gold`; every pair its own prompt unless clusters are given."""
    rows = [
        {
            "as_of_round": "round_0",
            "pair_id": pair,
            "prompt_id": f"prompt {pair}",
            "prompt_cluster_id": (clusters or {}).get(pair, f"cluster {pair}"),
            "split": split,
            "verdict": verdict,
            "confidence": 1.0,
            "num_votes": 3,
            "agreement": 1.0,
        }
        for pair, verdict in verdicts.items()
    ]
    return from_rows(rows, "gold")


@pytest.fixture
def gold_of():
    return gold_table


def recorded_table(*rows):
    """(pair, labeller, first_shown, position, verdict[, role[, source_row]])"""
    return from_rows(
        [
            {
                "pair_id": pair,
                "source": "reviews",
                "source_row": rest[1] if len(rest) > 1 else 0,
                "role": rest[0] if rest else "judge",
                "labeller": labeller,
                "first_shown": first,
                "position": position,
                "verdict": verdict,
            }
            for pair, labeller, first, position, verdict, *rest in rows
        ],
        "recorded_verdicts",
    )


@pytest.fixture
def recorded_of():
    return recorded_table
