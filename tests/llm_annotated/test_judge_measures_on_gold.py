"""Measures on gold dev: length bias, slices, drift, calls that fail, checks that say what they saw."""

import pytest

from assets.llm_annotated.bar import STOPPING
from assets.llm_annotated.drift import Drift, measure_drift
from assets.llm_annotated.gold_dev import verdicts_in_requests
from assets.llm_annotated.guidance_comparison import PANEL_ROW, compare_guidance, planned_calls
from assets.llm_annotated.judge_checks import CHECKS, check_judges
from assets.llm_annotated.judge_plots import qualification_plots
from assets.llm_annotated.judge_slices import PairFacts, facts_of, length_ratio
from assets.llm_annotated.judges import SimulatedJudge
from assets.llm_annotated.judging import JudgeCall, JudgeReply
from assets.llm_annotated.qualifying import qualify
from assets.llm_annotated.settings import VotingSettings
from assets.llm_annotated.votes import Vote, merge_votes

VOTING = VotingSettings()


def number(call):
    return int(call.pair_id[-5:])


def other(side):
    return "2" if side == "1" else "1"


def checks_of(found, drifts=(), num=1):
    return {check.name: check for check in check_judges(found, drifts, num_configured=num)}


def test_a_judge_that_prefers_length_is_found_and_one_that_is_merely_right_is_not(rule_judge, truth_of, gold_of):
    truth = truth_of(400)
    # The longer response is the better one in three of four pairs.
    facts = {p: PairFacts({}, side if n % 4 else other(side)) for n, (p, side) in enumerate(truth.items())}
    fair = rule_judge("fair", lambda call: truth[call.pair_id])
    long = rule_judge("long", lambda call: facts[call.pair_id].longer if number(call) % 8 else truth[call.pair_id])
    found = qualify([fair, long], gold_of(truth), VOTING, facts=facts)
    by_name = {judge.judge: judge for judge in found.judges}
    assert by_name["fair"].length_bias == 0
    assert "length_bias" not in by_name["fair"].flags
    # Every fourth pair's longer response is wrong, and it names half of these.
    assert by_name["long"].length_bias == pytest.approx(0.125)
    assert by_name["long"].length_bias_interval[0] > 0
    assert by_name["long"].why.endswith("It prefers the longer response.")
    assert not checks_of(found)["no_used_judge_prefers_length"].passed


def test_slices_show_where_a_judge_is_weak(rule_judge, truth_of, gold_of):
    truth = truth_of(200)
    facts = {p: PairFacts({"task_category": "math" if n < 50 else "other"}) for n, p in enumerate(truth)}
    judge = rule_judge("a", lambda call: other(truth[call.pair_id]) if number(call) < 50 else truth[call.pair_id])
    found = qualify([judge], gold_of(truth), VOTING, facts=facts).judges[0]
    assert [(s.part, s.num_labels, s.accuracy) for s in found.slices] == [("other", 150, 1.0), ("math", 50, 0.0)]
    few = qualify([judge], gold_of(dict(list(truth.items())[:55])), VOTING, facts=facts).judges[0]
    assert {s.part: s.interval is None for s in few.slices} == {"math": False, "other": True}


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        (
            {"pair_id": "p", "task_category": "math", "source": "s", "num_chars_1": 100, "num_chars_2": 300},
            PairFacts({"task_category": "math", "source": "s", "length_ratio": "2 and more"}, "2"),
        ),
        ({"pair_id": "p", "num_chars_1": 9, "num_chars_2": 9}, PairFacts({"length_ratio": "under 1.1"}, None)),
        ({"pair_id": "p", "task_category": None, "num_chars_1": None, "num_chars_2": 3}, PairFacts({}, None)),
    ],
)
def test_facts_of_a_pair(row, expected):
    assert facts_of([row]) == {"p": expected}


def test_length_ratio_does_not_depend_on_which_is_longer():
    assert length_ratio(160, 100) == length_ratio(100, 160) == "1.5 to 2"
    assert length_ratio(0, 0) == "under 1.1"


class Mumbling:
    """Answers some calls; the others fail with a reason."""

    name, version, simulated = "mumbling", "1", False

    def __init__(self, truth, reason_of):
        self.truth, self.reason_of = truth, reason_of

    def plan(self, pair_id, votes_per_order):
        return [(1, 0), (2, 0)]

    def estimate_usd(self, calls):
        return 0.0

    def answer(self, calls, *, batch=""):
        found = []
        for call in calls:
            reason = self.reason_of(number(call))
            tokens = {"num_prompt_tokens": 100, "num_cached_tokens": 25, "num_completion_tokens": 1}
            verdict = None if reason else self.truth[call.pair_id]
            found.append(JudgeReply(verdict, reason or "ok", cost_usd=0.5, **tokens))
        return found


@pytest.mark.parametrize(
    ("reason_of", "used", "said"),
    [
        # Another language than the one asked for: not one reply has a verdict in it.
        (lambda n: "unparsed", False, "100 of 100 gold pairs got no verdict from it (calls: unparsed 200)"),
        (
            lambda n: "refused" if n % 3 else "",
            False,
            "66 of 100 gold pairs got no verdict from it (calls: refused 132)",
        ),
        (lambda n: "refused" if n % 3 == 0 else "", True, "Used: accuracy 1.000"),
        (lambda n: "no_record", True, "assumed accuracy"),
    ],
)
def test_a_judge_that_gives_no_verdicts(truth_of, gold_of, reason_of, used, said):
    truth = truth_of(100)
    found = qualify([Mumbling(truth, reason_of)], gold_of(truth), VOTING)
    (judge,) = found.judges
    assert judge.used == used
    assert said in judge.why
    assert judge.usd_per_pair == 1.0
    assert (judge.prompt_tokens_per_pair, judge.completion_tokens_per_pair, judge.cached_rate) == (200, 2, 0.25)
    fails = judge.statuses.keys() - {"no_record"}
    assert checks_of(found)["judges_answer"].passed == (not fails)
    assert checks_of(found)["a_judge_is_used"].passed == used


def test_every_check_is_a_sentence_and_comes_out_once(truth_of, gold_of):
    truth = truth_of(120)
    found = qualify([SimulatedJudge("a", 0.9, truth, 1), SimulatedJudge("b", 0.8, truth, 1)], gold_of(truth), VOTING)
    assert list(checks_of(found)) == list(CHECKS)
    assert all(check.seen for check in checks_of(found).values())
    assert {"used", "weight"} <= found.rows()[0].keys()
    drawn = qualification_plots(found)
    assert {"accuracy", "position_bias", "reliability", "agreement_rate", "error_correlation"} <= drawn.keys()
    assert all(picture.startswith("![") for picture in drawn.values())


@pytest.mark.parametrize(("num_configured", "passed"), [(0, True), (2, False)])
def test_a_run_that_wants_no_judge_passes(gold_of, truth_of, num_configured, passed):
    found = qualify([], gold_of(truth_of(30)), VOTING)
    assert checks_of(found, num=num_configured)["a_judge_is_used"].passed == passed
    assert qualification_plots(found) == {}
    assert found.measures is None


def test_small_gold_says_that_weights_are_equal(truth_of, gold_of):
    truth = truth_of(10)
    found = qualify([SimulatedJudge("a", 0.9, truth, 1)], gold_of(truth), VOTING)
    check = checks_of(found)["judges_are_weighed_on_gold"]
    assert not check.passed
    assert "fewer than 30" in check.seen
    assert found.measures.interval is None
    assert not found.measures.cross_fitted


def test_an_always_first_judge_is_stopped_whatever_its_probabilities_say(truth_of, gold_of):
    """Log-probabilities that lean a little to the right side would make it look able: its calls all name one place."""
    truth = truth_of(100)

    class First(Mumbling):
        def answer(self, calls, *, batch=""):
            right = {c: truth[c.pair_id] == str(c.first_shown) for c in calls}
            return [JudgeReply(str(c.first_shown), probability_first=0.97 if right[c] else 0.93) for c in calls]

    (judge,) = qualify([First(truth, None)], gold_of(truth), VOTING).judges
    assert judge.accuracy == 1.0
    assert not judge.used
    assert STOPPING & set(judge.flags) == {"names_the_first_shown"}


# --- drift ---


def verdicts(sides):
    return {p: merge_votes([Vote(1, 0, s), Vote(2, 0, s)]) for p, s in sides.items()}


@pytest.mark.parametrize(
    ("num", "worse", "drifted"),
    [
        (200, 60, True),
        # Within what the setting allows.
        (200, 15, False),
        # Larger than the setting, and nothing that chance would not do to so few.
        (24, 3, False),
    ],
)
def test_drift_is_a_fall_that_chance_does_not_explain(truth_of, num, worse, drifted):
    truth = truth_of(num)
    now = {p: other(s) if n < worse else s for n, (p, s) in enumerate(truth.items())}
    clusters = {p: p for p in truth}
    found = measure_drift("a", verdicts(now), verdicts(truth), truth, clusters, max_drift=0.1, min_labels=20)
    assert found.paired
    assert found.difference == pytest.approx(-worse / num)
    assert found.drifted == drifted


def test_a_judge_that_got_better_has_not_drifted(truth_of):
    truth = truth_of(100)
    bad = {p: other(s) if n % 2 else s for n, (p, s) in enumerate(truth.items())}
    found = measure_drift(
        "a", verdicts(truth), verdicts(bad), truth, {p: p for p in truth}, max_drift=0.1, min_labels=20
    )
    assert found.difference == pytest.approx(0.5)
    assert not found.drifted


def test_rounds_that_share_too_few_pairs_are_compared_unpaired(truth_of):
    truth = truth_of(200)
    pairs = list(truth)
    before = {p: truth[p] for p in pairs[:110]}
    now = {p: other(truth[p]) if n % 2 else truth[p] for n, p in enumerate(pairs[100:])}
    arguments = (truth, {p: p for p in truth})
    found = measure_drift("a", verdicts(now), verdicts(before), *arguments, max_drift=0.1, min_labels=30)
    assert (found.paired, found.drifted, found.now, found.before) == (False, True, 0.5, 1.0)
    assert measure_drift("a", {}, verdicts(before), *arguments, max_drift=0.1, min_labels=30) is None
    few = measure_drift(
        "a", verdicts(dict(list(now.items())[-8:])), verdicts(before), *arguments, max_drift=0.1, min_labels=30
    )
    assert (few.interval, few.drifted) == (None, False)


def test_the_check_names_who_drifted(truth_of, gold_of):
    truth = truth_of(60)
    found = qualify([SimulatedJudge("a", 0.9, truth, 1)], gold_of(truth), VOTING)
    drift = Drift("simulated a", 60, 60, True, 0.9, 0.6, -0.3, (-0.4, -0.2), True)
    check = checks_of(found, [drift])["no_judge_drifts"]
    assert not check.passed
    assert "simulated a: 0.900 before, 0.600 now" in check.seen
    assert checks_of(found)["no_judge_drifts"].seen == "there is no round before"


def test_verdicts_come_back_from_the_kept_calls(truth_of, gold_of):
    truth = truth_of(60)
    judges = [
        SimulatedJudge("a", 0.8, truth, 1, call_noise=0.3),
        Mumbling(truth, lambda n: "refused" if n % 3 == 0 else ""),
    ]
    found = qualify(judges, gold_of(truth), VOTING)
    kept = verdicts_in_requests(found.requests)
    for judge in found.judges:
        sides = {p: v.verdict for p, v in kept[judge.judge].items() if v.verdict in "12"}
        assert len(sides) == judge.num_labels
        assert sum(truth[p] == side for p, side in sides.items()) / len(sides) == judge.accuracy


# --- simulated guidance ---


def guided_judge(truth, gain, category_of):
    return SimulatedJudge("a", 0.7, truth, 3, guidance_gain=gain, category_of=category_of)


def test_examples_correct_the_stated_share_of_a_simulated_judge_s_errors(truth_of):
    truth = truth_of(4_000)
    category_of = dict.fromkeys(truth, "math") | {"near": "math", "far": "other"}
    judge = guided_judge(truth, 0.5, category_of)

    def accuracy(examples):
        return sum(judge.belief(p, examples) == side for p, side in truth.items()) / len(truth)

    alone = accuracy(())
    assert alone == pytest.approx(0.7, abs=0.02)
    assert accuracy(("far", "far 2")) == alone
    assert accuracy(("near",)) == pytest.approx(0.7 + 0.5 * 0.3, abs=0.02)
    assert accuracy(("near", "far")) == pytest.approx(0.7 + 0.25 * 0.3, abs=0.02)
    # More relevant examples never turn a right belief into a wrong one.
    right = {p for p in truth if judge.belief(p) == truth[p]}
    assert all(judge.belief(p, ("near",)) == truth[p] for p in right)


def test_guidance_is_part_of_what_a_simulated_judge_is(truth_of):
    truth = truth_of(10)
    assert guided_judge(truth, 0.5, {}).version != guided_judge(truth, 0.2, {}).version
    assert guided_judge(truth, 0.5, {}).relevance("pair-00000", ("x",)) == 0.0
    replies = guided_judge(truth, 1.0, dict.fromkeys([*truth, "near"], "math")).answer(
        [JudgeCall(p, 1, 0, ("near",)) for p in truth]
    )
    assert [r.verdict for r in replies] == list(truth.values())


def test_ways_of_guidance_are_compared_on_the_same_pairs(truth_of, gold_of):
    truth = truth_of(400)
    category_of = dict.fromkeys(truth, "math") | {"near": "math", "far": "other"}
    judges = [guided_judge(truth, 0.8, category_of)]
    shown = {"none": {}, "random": dict.fromkeys(truth, ("near", "far")), "retrieved": dict.fromkeys(truth, ("near",))}
    found = compare_guidance(judges, gold_of(truth), VOTING, shown)
    share = {(m.judge, m.way): m.accuracy for m in found.measures}
    assert share["simulated a", "none"] < share["simulated a", "random"] < share["simulated a", "retrieved"]
    assert {m.num_pairs for m in found.measures} == {400}
    by_two = {(d.judge, d.first, d.second): d for d in found.differences}
    gain = by_two["simulated a", "retrieved", "none"]
    assert gain.difference == pytest.approx(share["simulated a", "retrieved"] - share["simulated a", "none"])
    assert gain.interval[0] > 0
    assert (PANEL_ROW, "retrieved", "random") in by_two
    calls = planned_calls(judges[0], list(truth), 3, shown["retrieved"])
    assert len(calls) == 400 * 6
    assert calls[0].examples == ("near",)
