"""Completions: pairs of several answers, how their ratings make a score, which pairs are kept under a cap."""

from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assets.raw_pairs.completions import Completion, pairs_of
from assets.raw_pairs.layouts import recognise
from tests.raw_pairs.parsing_example import ENTRY, HI, parse


def test_a_ranking_makes_a_pair_of_every_two():
    pairs = parse({"prompt": "Hi", "ranking": ["A", "B", "C"], "models": ["x", "y", "z"]})
    assert [(p.response_a, p.response_b, p.verdict, p.margin) for p in pairs] == [
        ("A", "B", "a", 1.0),
        ("A", "C", "a", 2.0),
        ("B", "C", "a", 1.0),
    ]
    assert [(p.model_a, p.model_b) for p in pairs] == [("x", "y"), ("x", "z"), ("y", "z")]


def test_completions_that_hold_their_rank():
    answers = [{"answer": "A", "rank": 2.0, "model": "x"}, {"answer": "B", "rank": 1.0, "model": "y"}]
    (pair,) = parse({"prompt": "\n\nHuman: Hi\n\nAssistant: ", "answers": answers, "turns": 1})
    assert (pair.turns, pair.verdict, pair.margin, pair.model_b) == (HI, "b", 1.0, "y")


def test_two_completions_alike_are_a_pair_of_equal_responses():
    (pair,) = parse({"prompt": "Hi", "completions": ["A", "A "], "scores": [1, 2]})
    assert (pair.response_a, pair.response_b) == ("A", "A ")


@pytest.mark.parametrize(
    ("scores", "cap", "kept", "left_out"),
    [
        ({"A": 1, "B": 2, "A ": 1}, None, ["AB"], {"repeated_completion": 2}),
        ({"A": 1, "B": 2, "C": None}, None, ["AB"], {"unscored_completion": 2}),
        ({"A": None, "B": None, "C": None}, None, ["AB", "AC", "BC"], {}),
        ({"A": 4, "B": 3, "C": 1, "D": 1}, 2, ["AC", "AD"], {"beyond_max_pairs_per_prompt": 4}),
        # Pairs without a margin come last.
        ({"A": 4, "B": 1, "C": 1}, 2, ["AB", "AC"], {"beyond_max_pairs_per_prompt": 1}),
        ({"A": 4, "B": 3, "C": 1}, 3, ["AB", "AC", "BC"], {}),
    ],
)
def test_pairs_that_are_left_out_are_counted(scores, cap, kept, left_out):
    pairs, counted = pairs_of([Completion(text, score) for text, score in scores.items()], cap)
    assert [p.a.text + p.b.text for p in pairs] == kept
    assert counted == left_out


@given(st.lists(st.sampled_from([1, 2, 3]), min_size=2, max_size=6), st.integers(1, 15), st.randoms())
def test_a_cap_keeps_the_largest_margins_in_any_order_of_the_row(scores, cap, random):
    completions = [Completion(f"answer {n}", float(score)) for n, score in enumerate(scores)]
    pairs, left_out = pairs_of(completions, cap)
    every = sorted((abs(a.score - b.score) for a, b in combinations(completions, 2)), reverse=True)
    assert sorted((p.margin for p in pairs), reverse=True) == every[:cap]
    assert len(pairs) + left_out.total() == len(every)
    random.shuffle(completions)
    again = pairs_of(completions, cap)[0]
    assert {frozenset((p.a.text, p.b.text)) for p in again} == {frozenset((p.a.text, p.b.text)) for p in pairs}


def completion(text, score=None, **aspects):
    annotations = {name: {"Rating": rating, "Rationale": "since"} for name, rating in aspects.items()}
    overall = {} if score is None else {"overall_score": score}
    return {"response": text, "model": text.lower(), "annotations": annotations} | overall


RATED_LISTS = {
    # name: (two completions, settings of the entry, verdict, margin, rule)
    "an overall score": (
        [completion("A", 7.5, honesty="1"), completion("B", 6, honesty="5")],
        {},
        ("a", 1.5, "overall_score"),
    ),
    "the mean of nested ratings": (
        [completion("A", honesty="1", helpfulness="2"), completion("B", honesty="3", helpfulness="5")],
        {},
        ("b", 2.5, "mean of annotations.helpfulness, annotations.honesty"),
    ),
    "one nested rating by name": (
        [completion("A", 7.5, honesty="1"), completion("B", 6, honesty="5")],
        {"columns": {"score": "honesty"}},
        ("b", 4.0, "annotations.honesty"),
    ),
    "weighted ratings": (
        [completion("A", 7.5, honesty="1", verbosity="1"), completion("B", 6, honesty="5", verbosity="4")],
        {"score_weights": {"honesty": 1, "annotations.verbosity": -0.5}},
        ("b", 2.5, "annotations.honesty + -0.5 x annotations.verbosity"),
    ),
    "equal sums that rounding would tell apart": (
        [completion("A", a="1", b="5", c="3"), completion("B", a="5", b="3", c="1")],
        {"score_weights": {"a": 0.1, "b": 0.1, "c": 0.1}},
        ("tie", 0.0, "0.1 x annotations.a + 0.1 x annotations.b + 0.1 x annotations.c"),
    ),
}


@pytest.mark.parametrize("name", RATED_LISTS)
def test_ratings_make_one_score_by_a_stated_rule(name):
    completions, settings, (verdict, margin, rule) = RATED_LISTS[name]
    row = {"instruction": "Hi", "completions": completions, "models": ["a", "b"], "source": "x"}
    entry = ENTRY.model_copy(update=settings)
    (pair,) = parse(row, entry)
    assert (pair.verdict, pair.margin, pair.model_a) == (verdict, margin, "a")
    layout = recognise(list(row), [row], overrides=entry.columns, score_weights=entry.score_weights)
    assert (layout.name, str(layout.score_rule)) == ("ratings", rule)
    assert "Rationale" not in str(pair.meta)


def test_a_completion_whose_rating_is_not_available_is_left_out():
    three = [completion("A", honesty="1"), completion("B", honesty="N/A"), completion("C", honesty="3")]
    (pair,) = parse({"instruction": "Hi", "completions": three})
    assert (pair.response_a, pair.response_b, pair.meta["ratings_a"]) == ("A", "C", {"honesty": "1"})
