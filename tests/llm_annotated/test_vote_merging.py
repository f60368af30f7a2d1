"""Votes: within a judge over both orders, across judges by weight; nothing depends on naming or on order."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assets.label_events import SWAPPED_VERDICT
from assets.llm_annotated.votes import JudgeVerdict, Vote, merge_judges, merge_votes
from assets.llm_annotated.weighing import log_odds, shrunk_accuracy, weigh


def votes(first_order, second_order="", unknown_order=""):
    """Verdicts by order, one letter a vote: 1, 2, t (tie), u (undecided)."""
    name = {"1": "1", "2": "2", "t": "tie", "u": "undecided"}
    return [
        Vote(order, i, name[letter])
        for order, letters in ((1, first_order), (2, second_order), (0, unknown_order))
        for i, letter in enumerate(letters)
    ]


@pytest.mark.parametrize(
    ("given_votes", "verdict", "confidence"),
    [
        (votes("111", "111"), "1", 1.0),
        (votes("222", "222"), "2", 1.0),
        (votes("111", "112"), "1", 5 / 6),
        (votes("111", "222"), "undecided", 0.5),  # always the first shown
        (votes("222", "111"), "undecided", 0.5),  # always the second
        (votes("111", "2"), "undecided", 0.5),  # orders count the same, however often answered
        (votes("112", "1"), "1", 5 / 6),
        (votes("1"), "1", 1.0),  # one order only
        (votes("", "", "12"), "undecided", 0.5),
        (votes("", "", "11"), "1", 1.0),
        (votes("ttt", "ttt"), "tie", 1.0),
        (votes("tt1", "tt1"), "tie", 2 / 3),
        (votes("t1", "1t"), "1", 0.75),  # half ties are no tie
        (votes("t2", "1t"), "undecided", 0.5),
        (votes("uuu", "uuu"), "undecided", 0.5),
        (votes("u1", "u1"), "1", 0.75),
    ],
)
def test_one_judge(given_votes, verdict, confidence):
    merged = merge_votes(given_votes)
    assert (merged.verdict, merged.confidence) == (verdict, pytest.approx(confidence))
    assert merged.num_votes == len(given_votes)


def test_each_order_keeps_its_own_verdict():
    assert merge_votes(votes("112", "222")).first_shown_verdicts == {1: "1", 2: "2"}


def test_no_votes_no_verdict():
    with pytest.raises(ValueError, match="without votes"):
        merge_votes([])
    with pytest.raises(ValueError, match="without verdicts"):
        merge_judges({"a": merge_votes(votes("1"))}, {"b": 1.0}, min_confidence=0.6)


a_vote = st.builds(Vote, st.sampled_from((0, 1, 2)), st.integers(0, 3), st.sampled_from(("1", "2", "tie", "undecided")))


@given(st.lists(a_vote, min_size=1, max_size=8))
def test_swapping_the_responses_swaps_the_verdict(given_votes):
    swapped = [Vote({1: 2, 2: 1, 0: 0}[v.first_shown], v.vote, SWAPPED_VERDICT[v.verdict]) for v in given_votes]
    one, two = merge_votes(given_votes), merge_votes(swapped)
    assert two.verdict == SWAPPED_VERDICT[one.verdict]
    assert two.confidence == pytest.approx(one.confidence)
    assert one.share_1 == pytest.approx(1 - two.share_1)


def verdict_of(side, share=1.0):
    if side in ("tie", "undecided"):
        return JudgeVerdict(side, 0.5, 0.5, {}, 1)
    return JudgeVerdict(side, share, share if side == "1" else 1 - share, {}, 1)


@pytest.mark.parametrize(
    ("verdicts", "weights", "verdict", "confidence", "agreement"),
    [
        ({"a": "1"}, {"a": log_odds(0.8)}, "1", 0.8, 1.0),
        ({"a": "1"}, {"a": log_odds(0.6)}, "undecided", 0.6, None),
        ({"a": "1", "b": "1"}, {"a": log_odds(0.8), "b": log_odds(0.8)}, "1", 16 / 17, 1.0),
        ({"a": "1", "b": "2"}, {"a": log_odds(0.8), "b": log_odds(0.8)}, "undecided", 0.5, None),
        ({"a": "1", "b": "2"}, {"a": 3.0, "b": 1.0}, "1", 1 / (1 + math.exp(-2)), 0.5),
        ({"a": "2", "b": "undecided"}, {"a": 2.0, "b": 2.0}, "2", 1 / (1 + math.exp(-2)), 0.5),
        ({"a": "2", "b": "tie"}, {"a": 2.0, "b": 2.0}, "2", 1 / (1 + math.exp(-2)), 0.5),
        ({"a": "tie", "b": "tie"}, {"a": 2.0, "b": 2.0}, "tie", 0.5, 1.0),
        ({"a": "tie", "b": "undecided"}, {"a": 2.0, "b": 2.0}, "undecided", 0.5, None),
        ({"a": "2", "unused": "1"}, {"a": 2.0}, "2", 1 / (1 + math.exp(-2)), 1.0),
    ],
)
def test_several_judges(verdicts, weights, verdict, confidence, agreement):
    merged = merge_judges({n: verdict_of(v) for n, v in verdicts.items()}, weights, min_confidence=0.65)
    assert (merged.verdict, merged.agreement) == (verdict, agreement)
    assert merged.confidence == pytest.approx(confidence)
    assert merged.num_judges == len(verdicts.keys() & weights.keys())


def test_a_wavering_judge_counts_less():
    weights = {"a": 2.0}
    sure = merge_judges({"a": verdict_of("1")}, weights, min_confidence=0.5)
    wavering = merge_judges({"a": verdict_of("1", 4 / 6)}, weights, min_confidence=0.5)
    assert wavering.confidence == pytest.approx(1 / (1 + math.exp(-2 / 3)))
    assert wavering.confidence < sure.confidence


@given(st.dictionaries(st.sampled_from("abcde"), st.tuples(st.sampled_from("12"), st.floats(0.5, 1)), min_size=1))
def test_the_panel_swaps_with_the_responses_and_ignores_the_order_of_judges(given_verdicts):
    weights = dict.fromkeys("abcde", 1.3)
    there = {n: verdict_of(s, share) for n, (s, share) in given_verdicts.items()}
    back = {n: verdict_of(SWAPPED_VERDICT[s], share) for n, (s, share) in reversed(given_verdicts.items())}
    one = merge_judges(there, weights, min_confidence=0.65)
    two = merge_judges(back, weights, min_confidence=0.65)
    assert two.verdict == SWAPPED_VERDICT[one.verdict]
    assert two.confidence == pytest.approx(one.confidence)


def test_accuracy_shrinks_towards_one_half_and_never_reaches_certainty():
    assert shrunk_accuracy(30, 30, 20) == pytest.approx(0.8)
    assert shrunk_accuracy(3000, 3000, 20) > 0.99
    assert 0 < shrunk_accuracy(0, 5, 0) < shrunk_accuracy(5, 5, 0) < 1


def test_judges_that_repeat_each_other_count_as_one():
    independent = weigh({"a": 0.7, "b": 0.7}, {})
    identical = weigh({"a": 0.7, "b": 0.7}, {frozenset("ab"): 1.0})
    assert independent["a"] == pytest.approx(log_odds(0.7))
    assert identical["a"] + identical["b"] == pytest.approx(log_odds(0.7))
    # Judges that err on different pairs are not rewarded beyond independence.
    assert weigh({"a": 0.7, "b": 0.7}, {frozenset("ab"): -0.5}) == independent
