"""Judges: simulated ones err as stated, recorded ones say what is on record and nothing else."""

import math

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import multivariate_normal, norm

from assets.chance import normal, rank_key, uniform
from assets.errors import ConfigError, SynprefError
from assets.llm_annotated.asking import ask, requests_table
from assets.llm_annotated.judge_measures import phi_coefficient, position_bias
from assets.llm_annotated.judges import RecordedJudge, SimulatedJudge, make_judges
from assets.llm_annotated.judging import JudgeCall, from_display
from assets.llm_annotated.settings import JudgeSettings
from assets.llm_annotated.simulated_judge import shared_loading
from assets.llm_annotated.votes import merge_votes


def errors(judge, truth):
    return [judge.belief(pair) != verdict for pair, verdict in truth.items()]


def test_chance_is_uniform_normal_and_a_function_of_its_fields():
    draws = [uniform(1, "x", i) for i in range(4000)]
    assert all(0 < u < 1 for u in draws)
    assert sum(draws) / 4000 == pytest.approx(0.5, abs=0.02)
    assert sum(u < 0.1 for u in draws) / 4000 == pytest.approx(0.1, abs=0.02)
    z = [normal(1, "x", i) for i in range(4000)]
    assert sum(z) / 4000 == pytest.approx(0, abs=0.06)
    assert sum(x * x for x in z) / 4000 == pytest.approx(1, abs=0.08)
    assert len({rank_key("ab", "c"), rank_key("a", "bc"), rank_key("ab", "c", 0)}) == 3


@pytest.mark.parametrize("seed", [1, 2])
def test_two_judges_show_their_accuracies_and_the_correlation_of_their_errors(truth_of, seed):
    truth = truth_of(8000)
    a = SimulatedJudge("a", 0.85, truth, seed, error_correlation=0.3)
    b = SimulatedJudge("b", 0.78, truth, seed, error_correlation=0.3)
    wrong_a, wrong_b = errors(a, truth), errors(b, truth)
    # Three standard errors at 8,000 pairs: 0.012 and 0.014; about 0.04 for a correlation.
    assert 1 - sum(wrong_a) / 8000 == pytest.approx(0.85, abs=0.012)
    assert 1 - sum(wrong_b) / 8000 == pytest.approx(0.78, abs=0.014)
    assert phi_coefficient(wrong_a, wrong_b) == pytest.approx(0.3, abs=0.04)


def test_uncorrelated_judges_err_independently_and_all_ways_of_asking_keep_the_accuracy(truth_of):
    truth = truth_of(2500)
    a = SimulatedJudge("a", 0.85, truth, 3, position_bias=0.15, call_noise=0.05)
    b = SimulatedJudge("b", 0.78, truth, 3)
    assert abs(phi_coefficient(errors(a, truth), errors(b, truth))) < 0.06
    verdicts = ask(a, truth, votes_per_order=3).verdicts
    sides = {p: v.verdict for p, v in verdicts.items() if v.verdict in "12"}
    assert len(sides) > 2400
    assert sum(truth[p] == v for p, v in sides.items()) / len(sides) == pytest.approx(0.85, abs=0.022)


@pytest.mark.parametrize("correlation", [0.1, 0.3, 0.7])
@pytest.mark.parametrize("error_rate", [0.02, 0.15, 0.5, 0.8])
def test_the_loading_gives_the_correlation_exactly_for_equal_judges(error_rate, correlation):
    latent = shared_loading(error_rate, correlation) ** 2
    at = norm.ppf(error_rate)
    both = multivariate_normal.cdf([at, at], cov=[[1, latent], [latent, 1]])
    phi = (both - error_rate**2) / (error_rate * (1 - error_rate))
    assert phi == pytest.approx(correlation, abs=1e-3)


@pytest.mark.parametrize(
    ("error_rate", "correlation", "loading"), [(0.2, 0, 0), (0.0, 0.3, 0), (1.0, 0.3, 0), (0.2, 1, 1)]
)
def test_the_loading_at_the_edges(error_rate, correlation, loading):
    assert shared_loading(error_rate, correlation) == loading


@pytest.mark.parametrize(("accuracy", "right"), [(1.0, True), (0.0, False)])
def test_a_judge_may_be_always_right_or_always_wrong(truth_of, accuracy, right):
    truth = truth_of(50)
    judge = SimulatedJudge("a", accuracy, truth, 1, error_correlation=0.3)
    assert [not e for e in errors(judge, truth)] == [right] * 50


def test_position_bias_shows_in_one_order_and_cancels_in_both(truth_of):
    truth = truth_of(3000)
    judge = SimulatedJudge("b", 0.9, truth, 1, position_bias=0.3)
    asked = ask(judge, truth, votes_per_order=1)
    one_order = [merge_votes([v for v in votes if v.first_shown == 1]).verdict for votes in asked.votes.values()]
    # Half the truths are "1"; a judge that sees response 1 first says so in 0.3 + 0.7 / 2 of the cases.
    assert one_order.count("1") / 3000 == pytest.approx(0.65, abs=0.027)
    both = [v.verdict for v in asked.verdicts.values()]
    assert both.count("1") == pytest.approx(both.count("2"), rel=0.1)
    # Bias is measured as share of first-shown minus one half: half the share of biased calls.
    measured = position_bias(asked.votes.values())
    assert measured.value == pytest.approx(0.15, abs=3 * measured.standard_error)
    assert measured.interval[0] > 0.1


def test_answers_do_not_depend_on_order_batch_or_other_calls(truth_of):
    truth = truth_of(60)
    judge = SimulatedJudge("a", 0.7, truth, 4, position_bias=0.2, error_correlation=0.3, call_noise=0.2)
    calls = [JudgeCall(p, first, vote) for p in truth for first in (1, 2) for vote in range(2)]
    together = dict(zip(calls, judge.answer(calls), strict=True))
    again = SimulatedJudge("a", 0.7, dict(reversed(truth.items())), 4, 0.2, 0.3, 0.2)
    for call in reversed(calls):
        assert again.answer([call]) == [together[call]]
    other = SimulatedJudge("a", 0.7, truth, 5, position_bias=0.2, error_correlation=0.3, call_noise=0.2)
    assert other.answer(calls) != list(together.values())


def test_simulated_judges_are_named_so_and_say_how_they_err():
    judge = SimulatedJudge("strong", 0.85, {}, 1)
    assert (judge.name, judge.simulated) == ("simulated strong", True)
    assert "accuracy=0.85" in judge.version
    assert judge.version != SimulatedJudge("strong", 0.85, {}, 1, call_noise=0.1).version


def test_ties_and_unknown_truths_of_a_simulated_judge():
    judge = SimulatedJudge("a", 1.0, {"t": "tie", "u": "undecided"}, 1, usd_per_call=0.5)
    asked = ask(judge, ["t", "u", "x"], votes_per_order=2)
    assert asked.verdicts["t"].verdict == "tie"
    assert asked.status_of == {"u": "no_truth", "x": "no_truth"}
    assert asked.usd == pytest.approx(2.0)
    wrong = SimulatedJudge("a", 0.0, {f"t{i}": "tie" for i in range(100)}, 1)
    assert {wrong.belief(f"t{i}") for i in range(100)} == {"1", "2"}


@given(st.sampled_from((1, 2)), st.sampled_from((1, 2)))
def test_display_order_maps_back(candidate, first):
    shown = {1: str(first), 2: str(3 - first)}
    assert from_display(candidate, first) == shown[candidate]


def test_a_recorded_judge_replays_its_records_in_their_orders(recorded_of):
    table = recorded_of(
        ("p1", "gpt-3.5", 1, 2, "1"),
        ("p1", "gpt-3.5", 2, 3, "2"),
        ("p1", "gpt-4", 2, 1, "1"),
        ("p2", "gpt-3.5", 0, 0, "tie"),
        ("p3", "worker", 0, 0, "1", "person"),
    )
    judge = RecordedJudge("old", table, ["gpt-3.5"], usd_per_call=0.1)
    assert judge.pair_ids == {"p1", "p2"}
    assert judge.version == "recorded-1 gpt-3.5"
    asked = ask(judge, ["p1", "p2", "p3"], votes_per_order=3)
    assert [(v.first_shown, v.verdict) for v in asked.votes["p1"]] == [(1, "1"), (2, "2")]
    # The first shown both times: no side.
    assert asked.verdicts["p1"].verdict == "undecided"
    assert asked.verdicts["p2"].verdict == "tie"
    assert asked.status_of == {"p3": "no_record"}
    statuses = [(r["pair_id"], r["status"], r["cost_usd"]) for r in asked.requests]
    assert statuses == [("p1", "ok", 0.1), ("p1", "ok", 0.1), ("p2", "ok", 0.1), ("p3", "no_record", 0.0)]
    everyone = RecordedJudge("all", table)
    assert len(ask(everyone, ["p1"], votes_per_order=1).votes["p1"]) == 3


def test_a_row_recorded_twice_counts_once(recorded_of):
    once = ("p", "gpt", 1, 0, "1")
    table = recorded_of((*once, "judge", 0), (*once, "judge", 7), ("p", "gpt", 2, 1, "2"))
    assert RecordedJudge("j", table).records == {"p": [(1, "1"), (2, "2")]}


def test_a_recorded_verdict_outside_the_set_has_a_status(recorded_of):
    asked = ask(RecordedJudge("j", recorded_of(("p", "gpt", 1, 0, "A"))), ["p"], votes_per_order=1)
    assert asked.status_of == {"p": "unknown_verdict"}


def test_asking_leaves_one_request_per_call_and_depends_on_the_examples(truth_of):
    truth = truth_of(5)
    judge = SimulatedJudge("a", 0.9, truth, 1)
    asked = ask(judge, [*truth, *truth], votes_per_order=3)
    table = requests_table([asked])
    assert (len(table), len(set(table["request_hash"].to_pylist()))) == (30, 30)
    guided = ask(judge, truth, votes_per_order=3, examples={"pair-00000": ("g1",)})
    changed = set(requests_table([guided])["request_hash"].to_pylist()) - set(table["request_hash"].to_pylist())
    assert len(changed) == 6
    assert set(asked.request_hashes["pair-00000"]).isdisjoint(guided.request_hashes["pair-00000"])


def test_the_most_frequent_failure_stands_for_a_pair(rule_judge):
    class Failing(rule_judge):
        def answer(self, calls, *, batch=""):
            replies = super().answer(calls)
            return [r if c.vote else type(r)(None, "no_verdict") for r, c in zip(replies, calls, strict=True)]

    asked = ask(Failing("j", lambda call: None), ["p"], votes_per_order=3)
    assert asked.status_of == {"p": "refused"}
    # One answered call is enough for a verdict.
    some = ask(Failing("j", lambda call: "1" if call.vote == 2 else None), ["p"], votes_per_order=3)
    assert some.verdicts["p"].verdict == "1"
    assert not some.status_of


def test_a_judge_owes_one_reply_per_call(rule_judge):
    class Lazy(rule_judge):
        def answer(self, calls, *, batch=""):
            return super().answer(calls)[1:]

    with pytest.raises(SynprefError, match="gave 5 replies to 6 calls"):
        ask(Lazy("lazy", lambda call: "1"), ["p"], votes_per_order=3)


def test_judges_come_from_the_configuration(recorded_of):
    settings = [
        JudgeSettings(name="sim", provider="simulated", accuracy=0.8, position_bias=0.1, usd_per_call=0.2),
        JudgeSettings(name="crowd", provider="recorded", labellers=("gpt",), usd_per_call=0.3),
    ]
    table = recorded_of(("p", "gpt", 1, 0, "1"), ("p", "other", 1, 0, "2"))
    simulated, recorded = make_judges(settings, truth={"p": "1"}, recorded=table, seed=9)
    assert (simulated.accuracy, simulated.position_bias, simulated.usd_per_call) == (0.8, 0.1, 0.2)
    assert simulated.call_noise == settings[0].call_noise
    assert (recorded.name, recorded.records, recorded.usd_per_call) == ("crowd", {"p": [(1, "1")]}, 0.3)
    with pytest.raises(ConfigError, match="'sim' needs a sample whose truth is known"):
        make_judges(settings, truth={}, recorded=table, seed=9)


def test_requests_of_nobody_are_an_empty_table():
    table = requests_table([])
    assert isinstance(table, pa.Table)
    assert len(table) == 0
    assert math.isclose(ask(SimulatedJudge("a", 0.9, {}, 1), [], votes_per_order=3).usd, 0)
