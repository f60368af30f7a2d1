"""Recorded votes: who gets which, and that no judge gets the one the label was made from."""

import json

import pytest

from assets.raw_pairs.catalogue import SourceEntry
from assets.raw_pairs.recorded import CROWD_JUDGE, share_votes
from assets.raw_pairs.rows import ParsedPair, RowProblem

PAIR = ParsedPair((("user", "Hi"),), "A", "B", "a", label_origin="human")
VALUES = {"1": "first", "2": "second", "tie": "tie"}
CROWD = {"use": "crowd", "column": "meta.votes", "values": VALUES, "first_response": "meta.first"}


def share(votes, meta, pair=PAIR, label_origin="human"):
    entry = SourceEntry(name="s", paths=("x",), licence="MIT", label_origin=label_origin, votes=votes)
    return share_votes(entry, {"meta": json.dumps(meta)}, pair)


@pytest.mark.parametrize(
    ("num_votes", "people", "judges"),
    [(1, [], []), (2, [1], []), (3, [1], [2]), (4, [1], [2, 3]), (5, [1, 2], [3, 4]), (7, [1, 2, 3, 4], [5, 6])],
)
def test_crowd_votes_are_shared_out(num_votes, people, judges):
    shared = share(CROWD, {"votes": [1] * num_votes, "first": "a"})
    assert (shared.verdict, shared.made_by.position) == ("a", 0)
    assert [v.position for v in shared.people] == people
    assert [v.position for v in shared.judges] == judges
    assert {v.labeller for v in shared.judges} <= {CROWD_JUDGE}
    assert [v.labeller for v in shared.people] == [f"s:rater {place + 1}" for place in people]


@pytest.mark.parametrize(("first", "expected"), [("a", ["a", "b", "tie"]), ("b", ["b", "a", "tie"])])
def test_votes_are_told_in_terms_of_a_and_b(first, expected):
    shared = share(CROWD, {"votes": [1, 2, "tie"], "first": first})
    assert [shared.verdict, shared.people[0].verdict, shared.judges[0].verdict] == expected


def test_a_crowd_without_votes_gives_no_label():
    for meta in ({"votes": [], "first": "a"}, {"first": "a"}):
        assert share(CROWD, meta).verdict is None


def test_named_people_keep_their_names():
    votes = CROWD | {"labeller_at": 0, "verdict_at": 1}
    shared = share(votes, {"votes": [["ann", 1], ["bob", 2], ["cy", 1]], "first": "a"})
    assert [v.labeller for v in shared.people] == ["s:bob"]
    assert shared.made_by.labeller == "s:ann"


def test_later_judges_keep_name_and_order():
    votes = CROWD | {"use": "later_judges", "labeller_at": 0, "order_at": 1, "verdict_at": 2}
    votes |= {"orders": {"shown": "first", "reversed": "second"}}
    given = [["big", "shown", 1], ["big", "reversed", 2], ["small", "shown", "tie"], ["small", "?", 1]]
    shared = share(votes, {"votes": given, "first": "b"})
    assert (shared.verdict, shared.made_by.labeller, shared.made_by.first_shown) == ("b", "big", "b")
    assert [(v.labeller, v.first_shown, v.verdict) for v in shared.judges] == [
        ("big", "a", "a"),
        ("small", "b", "tie"),
        ("small", None, "b"),
    ]
    assert shared.people == ()


OTHER = {"use": "other_judges", "column": "meta.judges", "label_maker": "meta.judge", "midpoint": 1.5}
OTHER |= {"tie_values": [0.0], "first_response": "meta.first"}


def test_the_judge_that_made_the_label_is_no_evidence():
    given = {"x": 1.0, "y": 1.9, "z": 1.5, "w": 0.0, "v": None}
    shared = share(OTHER, {"judges": given, "judge": "x", "first": "b"})
    assert shared.verdict == "a", "the label stays the column's"
    assert {v.labeller: v.verdict for v in shared.judges} == {"y": "a", "z": "tie", "w": "tie"}
    assert shared.made_by.labeller == "x"


@pytest.mark.parametrize(
    ("origin", "verdict", "expected"),
    [("human", "a", ["a"]), ("human", "tie", ["tie"]), ("human", None, []), ("verifiable", "a", [])],
)
def test_a_single_person_voted_only_where_a_human_labelled(origin, verdict, expected):
    pair = ParsedPair(PAIR.turns, "A", "B", verdict, label_origin=origin)
    shared = share({"use": "single_person"}, {}, pair, label_origin=None)
    assert [v.verdict for v in shared.people] == expected
    assert (shared.verdict, shared.judges) == (verdict, ())


def test_without_votes_the_label_stands():
    assert share(None, {}).verdict == "a"


@pytest.mark.parametrize(
    ("votes", "meta", "says"),
    [
        (CROWD, {"votes": "1", "first": "a"}, "not a list of votes"),
        (CROWD, {"votes": [3], "first": "a"}, "vote 3 is outside"),
        (CROWD, {"votes": [1], "first": "c"}, "'c', not a or b"),
        (CROWD, {"votes": [1]}, "None, not a or b"),
        (CROWD | {"verdict_at": 1}, {"votes": [["ann"]], "first": "a"}, "no part 1"),
        (CROWD | {"verdict_at": 1}, {"votes": [1], "first": "a"}, "no part 1"),
        (OTHER, {"judges": {"x": 1}, "judge": "y", "first": "a"}, "'y', is not among"),
        (OTHER, {"judges": [1], "judge": "y", "first": "a"}, "is not among"),
        (OTHER, {"judges": {"x": "good"}, "judge": "x", "first": "a"}, "'good' is outside"),
        (OTHER, {"judges": {"x": float("nan")}, "judge": "x", "first": "a"}, "outside the set"),
    ],
)
def test_votes_of_another_form_are_refused(votes, meta, says):
    with pytest.raises(RowProblem) as caught:
        share(votes, meta)
    assert caught.value.letter.reason == "bad_votes"
    assert says in caught.value.letter.detail
