"""Cascade: the dear judge is asked last, only where it is needed, and the saving adds up."""

import json
from datetime import UTC, datetime

import pytest

from assets.llm_annotated.annotate import PANEL, annotate_pairs
from assets.llm_annotated.cascade import JudgePlan, plans_of
from assets.llm_annotated.judging import JudgeReply
from assets.llm_annotated.qualifying import qualify
from assets.llm_annotated.settings import JudgeSettings, VotingSettings

NOW = datetime(2025, 1, 1, tzinfo=UTC)
VOTING = VotingSettings(votes_per_order=2, calibrate=False)
PLANS = {"cheap": JudgePlan(0), "dear": JudgePlan(1, 3)}


@pytest.fixture
def cascade(rule_judge, truth_of, gold_of):
    """A cheap judge that cannot tell every fourth pair and a dear one that can; 200 gold pairs, 100 to annotate."""
    truth, log = truth_of(300), []

    def cheap(call):
        log.append("cheap")
        return str(call.first_shown) if int(call.pair_id[-5:]) % 4 == 0 else truth[call.pair_id]

    def dear(call):
        log.append("dear")
        return truth[call.pair_id]

    judges = [rule_judge("dear", dear, usd=1.0), rule_judge("cheap", cheap, usd=0.01)]
    pairs = list(truth)
    found = qualify(judges, gold_of({p: truth[p] for p in pairs[:200]}), VOTING, plans=PLANS)
    log.clear()

    def run(judges=judges):
        return annotate_pairs(pairs[200:], judges, found, VOTING, batch="round_1", created_at=NOW, plans=PLANS)

    return run, log, judges, truth


def test_only_undecided_pairs_reach_the_dear_judge(cascade):
    run, log, _, truth = cascade
    result = run()
    assert result.counts.as_dict() == {"rows_in": 100, "rows_out": 100, "dropped": {}}
    assert all(merged.verdict == truth[pair] for pair, merged in result.panel.items())
    # Every call of the cheap tier stands before the first of the dear one.
    assert log == ["cheap"] * 400 + ["dear"] * 25 * 6
    assert result.counts_by_judge["dear"].rows_in == 25
    assert result.counts_by_judge["cheap"].rows_in == 100
    saving = result.saving["dear"]
    assert (saving.num_pairs, saving.num_spared, saving.num_calls_spared) == (25, 75, 75 * 6)
    assert saving.usd_spared == pytest.approx(450.0)
    assert result.usd == {"dear": pytest.approx(150.0), "cheap": pytest.approx(4.0)}
    assert json.loads(json.dumps(result.info()))["saving"]["all"] == {"calls_spared": 450, "usd_spared": 450.0}
    assert "cheap" not in result.saving


def test_the_evidence_says_which_tiers_were_asked(cascade):
    run, *_ = cascade
    events = run().events.to_pylist()
    evidence = {e["pair_id"]: json.loads(e["evidence"]) for e in events if e["labeller"] == PANEL}
    for pair, one in evidence.items():
        needed = int(pair[-5:]) % 4 == 0
        assert one["tiers_asked"] == ([0, 1] if needed else [0])
        assert {judge["judge"] for judge in one["judges"]} == ({"cheap", "dear"} if needed else {"cheap"})
    assert len(events) == 100 + 100 + 25


def test_pairs_of_a_tier_over_budget_are_put_off_and_counted(cascade, rule_judge):
    run, _, (dear, cheap), _ = cascade

    class Broke(type(dear)):
        def answer(self, calls, *, batch=""):
            return [JudgeReply(None, "over_budget") for _ in calls]

    result = run([Broke(dear.name, dear.rule, usd=1.0), cheap])
    assert result.counts.dropped == {"over_budget": 25}
    assert result.counts_by_judge["dear"].dropped == {"over_budget": 25}
    assert (result.num_over_budget, result.num_put_off) == (25, 25)
    # When there is money they get their events, one of each judge and of the panel.
    assert len(result.events) == 2 * 75
    # Nobody at all: the pairs are counted under their reason.
    both = run([Broke(dear.name, dear.rule), Broke(cheap.name, cheap.rule)])
    assert both.counts.dropped == {"over_budget": 100}
    assert both.num_over_budget == 100


def test_a_dear_judge_that_was_not_needed_is_saved_at_what_it_cost_on_gold(rule_judge, truth_of, gold_of):
    truth = truth_of(150)
    judges = [rule_judge(n, lambda call: truth[call.pair_id], usd=usd) for n, usd in (("cheap", 0.01), ("dear", 2.0))]
    pairs = list(truth)
    found = qualify(judges, gold_of({p: truth[p] for p in pairs[:100]}), VOTING, plans=PLANS)
    result = annotate_pairs(pairs[100:], judges, found, VOTING, batch="b", created_at=NOW, plans=PLANS)
    assert result.saving["dear"].usd_spared == pytest.approx(50 * 6 * 2.0)
    assert len(result.requests) == 50 * 4


def test_the_order_of_pairs_and_batches_changes_nothing(cascade):
    run, *_ = cascade
    assert run().events.equals(run().events)


def test_plans_go_by_the_name_in_label_events():
    settings = [
        JudgeSettings(name="a", provider="simulated", accuracy=0.8, tier=1, votes_per_order=5),
        JudgeSettings(name="b", provider="recorded"),
    ]
    assert plans_of(settings) == {"simulated a": JudgePlan(1, 5), "b": JudgePlan(0, None)}
    assert plans_of(settings)["b"].votes(VOTING) == 2
