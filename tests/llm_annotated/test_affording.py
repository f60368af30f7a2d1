"""Affording: targets within a budget, and what they are expected to cost."""

import pytest

from assets.llm_annotated.affording import afforded, limit_of_round, usd_of_pairs
from assets.llm_annotated.settings import BudgetSettings, JudgeSettings, LanguageModelSettings, VotingSettings


@pytest.mark.parametrize(
    ("usd", "limit", "num"),
    [
        (0.1, None, 10),
        (0.1, 1.0, 10),
        (0.1, 0.99, 9),
        (0.1, 0.0, 0),
        (0.0, 0.0, 10),
        (2.0, 1.0, 0),
    ],
)
def test_the_first_targets_that_fit(usd, limit, num):
    targets = [f"t{i}" for i in range(10)]
    found = afforded(targets, usd, limit)
    assert (list(found.targets), list(found.over_budget)) == (targets[:num], targets[num:])
    assert found.usd == pytest.approx(num * usd)


def test_a_dear_target_ends_the_list_though_a_cheap_one_would_still_fit():
    found = afforded(["a", "b", "c"], {"a": 1.0, "b": 5.0, "c": 0.1}, 2.0)
    assert (found.targets, found.over_budget, found.usd) == (("a",), ("b", "c"), 1.0)


def test_what_judges_cost_before_they_are_asked():
    model = LanguageModelSettings(model="m", base_url="http://127.0.0.1:1/v1")
    judges = [
        JudgeSettings(name="two votes", provider="simulated", accuracy=0.8, usd_per_call=0.01),
        JudgeSettings(name="one vote", provider="simulated", accuracy=0.8, usd_per_call=0.1, votes_per_order=1),
        JudgeSettings(name="on record", provider="recorded", usd_per_call=1.0),
        JudgeSettings(name="refused", provider="simulated", accuracy=0.8, usd_per_call=100.0),
        JudgeSettings(name="by tokens", provider="llm", llm=model),
    ]
    used = {judge.name for judge in judges} - {"refused"}
    recorded = {"on record": {"a": 3}}
    found = usd_of_pairs(["a", "b"], judges, VotingSettings(votes_per_order=2), used, recorded)
    assert found == {"a": pytest.approx(0.04 + 0.2 + 3), "b": pytest.approx(0.04 + 0.2 + 1)}


@pytest.mark.parametrize(
    ("total", "per_round", "limit"),
    [(None, None, None), (None, 5.0, 4.0), (10.0, None, 2.0), (10.0, 5.0, 2.0), (8.5, 5.0, 0.5), (3.0, 5.0, 0.0)],
)
def test_what_a_round_may_still_spend(total, per_round, limit):
    budget = BudgetSettings(max_usd=total, max_usd_per_round=per_round)
    assert limit_of_round(budget, spent_in_round=1.0, spent_before=7.0) == limit
