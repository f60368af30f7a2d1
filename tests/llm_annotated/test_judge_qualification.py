"""Qualification: who is used and at what weight, found from gold dev alone."""

import json

import pytest

from assets.contracts import from_rows
from assets.errors import ContractError
from assets.llm_annotated.judge_measures import (
    MIN_CLUSTERS,
    compare_judges,
    order_consistency,
    phi_coefficient,
    position_bias,
    self_consistency,
    wilson_interval,
)
from assets.llm_annotated.judges import RecordedJudge, SimulatedJudge
from assets.llm_annotated.qualification import Qualification
from assets.llm_annotated.qualifying import qualify
from assets.llm_annotated.settings import VotingSettings
from assets.llm_annotated.votes import Vote, merge_judges, merge_votes
from assets.llm_annotated.weighing import ASSUMED_ACCURACY, ASSUMED_CORRELATION, log_odds

VOTING = VotingSettings()


def qualified(judges, gold, voting=VOTING):
    found = qualify(judges, gold, voting)
    return found, {j.judge: j for j in found.judges}


def test_the_sample_s_two_judges_are_measured_as_they_are(truth_of, gold_of):
    truth = truth_of(1000)
    strong = SimulatedJudge("strong", 0.85, truth, 1, error_correlation=0.3, call_noise=0.05, usd_per_call=0.002)
    biased = SimulatedJudge(
        "biased", 0.78, truth, 1, error_correlation=0.3, position_bias=0.15, call_noise=0.05, usd_per_call=0.0004
    )
    found, by_name = qualified([strong, biased], gold_of(truth))
    a, b = by_name["simulated strong"], by_name["simulated biased"]
    for judge, accuracy in ((a, 0.85), (b, 0.78)):
        assert judge.interval[0] < accuracy < judge.interval[1]
        assert judge.used
        assert judge.weight_from == "measured"
        assert judge.num_calls == 1000 * 6
    assert "position_bias" in b.flags
    assert b.position_bias == pytest.approx(0.075, abs=0.02)
    assert "position_bias" not in a.flags
    assert a.position_bias_interval[0] < 0 < a.position_bias_interval[1]
    assert a.self_consistency == pytest.approx(0.95**2 + 0.05**2, abs=0.02)
    assert a.usd == pytest.approx(1000 * 6 * 0.002)
    assert a.weight > b.weight > 0
    (pair,) = found.pairs
    assert pair.error_correlation == pytest.approx(0.3, abs=0.1)
    assert pair.agreement_rate == pytest.approx(0.85 * 0.78 + 0.15 * 0.22 + 2 * 0.3 * 0.148, abs=0.04)
    assert found.weighting == "measured"


@pytest.mark.parametrize(
    ("rule", "flag", "why"),
    [
        (lambda call: "1", "constant_verdict", "it says '1' on all 60 pairs"),
        (lambda call: str(call.first_shown), "names_the_first_shown", "the response shown first in 360 of 360 calls"),
        (lambda call: str(3 - call.first_shown), "names_the_last_shown", "shown second in 360 of 360 calls"),
        # What another language than the prompt's comes to: no verdict is found in any reply.
        (lambda call: None, "mostly_failed", "60 of 60 gold pairs got no verdict from it (calls: refused 360)"),
        (lambda call: "tie", "mostly_undecided", "a side on 0 of 60 answered"),
        (
            lambda call: (
                "12"[int(call.pair_id[-5:]) % 2] if int(call.pair_id[-5:]) % 5 < 2 else "21"[int(call.pair_id[-5:]) % 2]
            ),
            "below_bar",
            "accuracy 0.400 on 60 labels is below the bar of 0.55",
        ),
    ],
)
def test_a_judge_that_is_worth_nothing_is_not_used(rule_judge, truth_of, gold_of, rule, flag, why):
    good = SimulatedJudge("good", 1.0, truth_of(60), 1)
    found, by_name = qualified([rule_judge("bad", rule), good], gold_of(truth_of(60)))
    bad = by_name["bad"]
    assert not bad.used
    assert flag in bad.flags
    assert why in bad.why
    assert (bad.weight, bad.weight_from) == (0.0, "not_used")
    assert found.weights.keys() == {"simulated good"}


def test_a_judge_that_always_names_the_first_shown_has_full_position_bias(rule_judge, truth_of, gold_of):
    _, by_name = qualified([rule_judge("first", lambda call: str(call.first_shown))], gold_of(truth_of(60)))
    assert by_name["first"].position_bias == 0.5
    assert by_name["first"].order_consistency == 0.0
    assert by_name["first"].self_consistency == 1.0
    assert "position_bias" in by_name["first"].flags


def test_a_judge_asked_in_one_order_has_no_position_bias_to_show(rule_judge, truth_of, gold_of):
    one_order = rule_judge("one", lambda call: "12"[int(call.pair_id[-5:]) % 2], orders=(1,))
    _, by_name = qualified([one_order], gold_of(truth_of(60)))
    assert by_name["one"].position_bias is None
    assert by_name["one"].order_consistency is None
    assert by_name["one"].accuracy == 1.0


def test_a_constant_verdict_on_one_sided_gold_proves_nothing(rule_judge, gold_of):
    _, by_name = qualified([rule_judge("ones", lambda call: "1")], gold_of({f"p{i}": "1" for i in range(40)}))
    assert by_name["ones"].used


def test_a_constant_judge_is_found_even_when_gold_is_small(rule_judge, truth_of, gold_of):
    _, by_name = qualified([rule_judge("ones", lambda call: "1")], gold_of(truth_of(12)))
    assert by_name["ones"].flags == ("constant_verdict", "too_few_labels")
    assert not by_name["ones"].used


def test_too_little_gold_gives_equal_weights_and_says_so(truth_of, gold_of):
    truth = truth_of(20)
    judges = [SimulatedJudge("a", 0.9, truth, 1), SimulatedJudge("b", 0.6, truth, 1)]
    found, by_name = qualified(judges, gold_of(truth))
    assert found.weighting == "equal"
    assert list(found.weights.values()) == pytest.approx([log_odds(ASSUMED_ACCURACY) / (1 + ASSUMED_CORRELATION)] * 2)
    assert "Not calibrated" in found.calibration
    assert found.measures.cross_fitted
    assert "assumed accuracy" in by_name["simulated a"].why
    # One judge of assumed accuracy alone must be able to decide.
    alone = found.panel.merge({"simulated a": merge_votes([Vote(1, 0, "1")])})
    assert alone.verdict == "1"


def test_a_judge_with_a_side_on_most_pairs_is_not_mute(rule_judge, truth_of, gold_of):
    def decided(every):
        return lambda call: "12"[int(call.pair_id[-5:]) % 2] if int(call.pair_id[-5:]) % 4 < every else "undecided"

    _, by_name = qualified([rule_judge("half", decided(2)), rule_judge("less", decided(1))], gold_of(truth_of(40)))
    assert (by_name["half"].flags, by_name["half"].num_labels) == (("too_few_labels",), 20)
    assert (by_name["less"].used, by_name["half"].used) == (False, True)


def test_no_gold_at_all_is_qualified_as_assumed(truth_of, gold_of):
    found, by_name = qualified([SimulatedJudge("a", 0.9, truth_of(5), 1)], gold_of({}))
    assert found.weighting == "equal"
    assert (by_name["simulated a"].accuracy, by_name["simulated a"].interval) == (None, None)


def test_recorded_judges_without_gold_overlap_stand_beside_measured_ones(truth_of, gold_of, recorded_of):
    truth = truth_of(100)
    crowd = RecordedJudge("crowd", recorded_of(*((p, "w", 0, 0, v) for p, v in truth.items())), ["w"])
    elsewhere = RecordedJudge("elsewhere", recorded_of(("another pair", "gpt", 1, 0, "1")), ["gpt"])
    found, by_name = qualified([crowd, elsewhere], gold_of(truth))
    assert found.weighting == "mixed"
    assert by_name["crowd"].weight_from == "measured"
    assert (by_name["elsewhere"].weight_from, by_name["elsewhere"].num_answered) == ("assumed", 0)
    statuses = found.requests.filter([j == "elsewhere" for j in found.requests["judge"].to_pylist()])["status"]
    assert set(statuses.to_pylist()) == {"no_record"}


def test_ties_in_gold_are_not_asked_about(truth_of, gold_of):
    truth = truth_of(30) | {"t": "tie", "u": "undecided"}
    found, by_name = qualified([SimulatedJudge("a", 1.0, truth, 1)], gold_of(truth))
    assert by_name["simulated a"].num_gold == 30
    assert "t" not in found.requests["pair_id"].to_pylist()


@pytest.mark.parametrize("split", ["train", "holdout"])
def test_only_gold_dev_qualifies(truth_of, gold_of, split):
    with pytest.raises(ContractError, match=f"gold dev alone, and the rows given include {split}"):
        qualify([], gold_of(truth_of(3), split), VOTING)


def test_names_are_unique(truth_of, gold_of):
    judges = [SimulatedJudge("a", 0.9, {}, 1), SimulatedJudge("a", 0.8, {}, 1)]
    with pytest.raises(ContractError, match="same name"):
        qualify(judges, gold_of(truth_of(3)), VOTING)


@pytest.mark.parametrize("num_gold", [60, 300])
def test_a_strong_judge_is_not_outvoted_by_two_weak_ones_that_repeat_each_other(
    rule_judge, truth_of, gold_of, num_gold
):
    truth = truth_of(num_gold)

    def errs_on(*places, but=()):
        def rule(call):
            at = int(call.pair_id[-5:])
            wrong = at % 20 in places and at % 40 not in but
            return "21"[int(truth[call.pair_id]) - 1] if wrong else truth[call.pair_id]

        return rule

    strong = rule_judge("strong", errs_on(0, 7, 13))  # right on 85 %
    weak = rule_judge("weak", errs_on(1, 4, 8, 11, 14, 18))  # right on 70 %
    echo = rule_judge("echo", errs_on(1, 4, 8, 11, 14, 18, but=(21,)))  # the same errors but for a few
    found, by_name = qualified([strong, weak, echo], gold_of(truth))
    weights = found.weights
    assert len(weights) == 3
    assert weights["strong"] > weights["weak"] + weights["echo"]
    sides = {"strong": "1", "weak": "2", "echo": "2"}
    verdicts = {name: merge_votes([Vote(1, 0, side), Vote(2, 0, side)]) for name, side in sides.items()}
    assert merge_judges(verdicts, weights, min_confidence=0.5).verdict == "1"
    # Without the correlation the two would have won: the rule is what holds them back.
    naive = {n: log_odds((j.accuracy * j.num_labels + 10) / (j.num_labels + 20)) for n, j in by_name.items()}
    assert naive["strong"] < naive["weak"] + naive["echo"]


def test_the_qualification_survives_the_manifest_and_fits_its_contract(truth_of, gold_of):
    truth = truth_of(40)
    found = qualify([SimulatedJudge("a", 0.8, truth, 1), SimulatedJudge("b", 0.8, truth, 1)], gold_of(truth), VOTING)
    stored = json.loads(json.dumps(found.as_dict()))
    assert json.loads(json.dumps(Qualification.from_dict(stored).as_dict())) == stored
    assert len(from_rows(found.rows(), "judge_qualification")) == 2


def test_qualifying_does_not_depend_on_the_order_of_gold(truth_of, gold_of):
    truth = truth_of(60)
    judge = SimulatedJudge("a", 0.8, truth, 1, position_bias=0.2)
    one = qualify([judge], gold_of(truth), VOTING)
    two = qualify([judge], gold_of(dict(reversed(truth.items()))), VOTING)
    assert one.requests.equals(two.requests)
    assert one.as_dict() == two.as_dict()


# --- the measures ---


def test_wilson_interval_of_independent_pairs():
    right = [True] * 80 + [False] * 20
    low, high = wilson_interval(right, [f"c{i}" for i in range(100)])
    # Wilson's score interval of 80 of 100.
    assert (low, high) == (pytest.approx(0.7112, abs=1e-4), pytest.approx(0.8666, abs=1e-4))


def test_wilson_interval_widens_when_a_prompt_s_pairs_are_right_together():
    right = [i // 10 % 5 != 0 for i in range(400)]
    own = wilson_interval(right, [f"c{i}" for i in range(400)])
    together = wilson_interval(right, [f"c{i // 10}" for i in range(400)])
    # Forty independent things, not four hundred.
    forty = wilson_interval([i % 5 != 0 for i in range(40)], [f"c{i}" for i in range(40)])
    assert together == pytest.approx(forty, abs=1e-9)
    assert own[1] - own[0] < 0.5 * (together[1] - together[0])


@pytest.mark.parametrize(("num_clusters", "printed"), [(MIN_CLUSTERS - 1, False), (MIN_CLUSTERS, True)])
def test_no_interval_over_too_few_prompts(num_clusters, printed):
    found = wilson_interval([True, False] * 50, [f"c{i % num_clusters}" for i in range(100)])
    assert (found is not None) == printed


def test_position_bias_cancels_which_response_is_better():
    # Response 1 is better everywhere, and the judge knows: no bias in spite of 100 % "1".
    fair = [[Vote(1, 0, "1"), Vote(2, 0, "1")] for _ in range(10)]
    assert position_bias(fair).value == 0
    # Unequal numbers of calls by order do not matter either.
    lopsided = [[Vote(1, 0, "1"), Vote(1, 1, "1"), Vote(2, 0, "1")] for _ in range(10)]
    assert position_bias(lopsided).value == 0
    assert position_bias([[Vote(1, 0, "1")], [Vote(0, 0, "2")]]) is None
    assert position_bias([[Vote(1, 0, "tie"), Vote(2, 0, "1")]]) is None


def test_consistency_counts_pairs_of_calls():
    given = [[Vote(1, 0, "1"), Vote(1, 1, "1"), Vote(1, 2, "2"), Vote(2, 0, "1")]]
    assert self_consistency(given) == pytest.approx(1 / 3)
    assert self_consistency([[Vote(1, 0, "1"), Vote(2, 0, "1")]]) is None
    assert order_consistency([merge_votes(given[0]), merge_votes([Vote(1, 0, "1"), Vote(2, 0, "2")])]) == 0.5
    assert order_consistency([merge_votes([Vote(0, 0, "1")])]) is None


def test_judges_are_compared_where_both_have_a_side():
    def verdicts(**by_pair):
        return {p: merge_votes([Vote(1, 0, v), Vote(2, 0, v)]) for p, v in by_pair.items()}

    found = compare_judges(
        "a", verdicts(p="1", q="1", r="tie", s="2"), "b", verdicts(p="1", q="2", r="1", t="1"), {"p": "1", "q": "tie"}
    )
    assert (found.num_pairs, found.agreement_rate, found.num_labels, found.error_correlation) == (2, 0.5, 1, None)
    nothing = compare_judges("a", {}, "b", {}, {})
    assert (nothing.num_pairs, nothing.agreement_rate) == (0, None)


@pytest.mark.parametrize(
    ("a", "b", "phi"),
    [
        ("1100", "1100", 1.0),
        ("1100", "0011", -1.0),
        ("1100", "1010", 0.0),
        ("1111", "1010", None),
        ("", "", None),
    ],
)
def test_phi(a, b, phi):
    assert phi_coefficient([x == "1" for x in a], [x == "1" for x in b]) == phi
