"""Pure rules of the desk: sides, verdicts, and what a form may hold."""

import pytest

from assets.human_gold.desk.forms import MAX_TEXT, checked, checked_draft
from assets.human_gold.desk.sides import as_shown, canonical, draw_left, reveal
from assets.human_gold.desk.views import REASONS, Answer, InvalidAnswer

ATTRIBUTES = {
    "task_category": "math",
    "objectivity": "objective",
    "controversiality": "low",
    "desired_attributes": "correct\nand short",
    "annotation_guideline": "check",
    "writer": "keywords",
}


def answer(**fields):
    return Answer(**{"key": "t", "client_key": "12345678", "verdict": "left", "strength": "clearly", **fields})


def test_sides_are_half_and_half_and_do_not_know_the_canonical_order():
    num = 20_000
    lefts = [draw_left(7, f"pair {n}", "ada") for n in range(num)]
    # Five standard deviations of a fair draw are 0.018.
    assert abs(lefts.count(1) / num - 0.5) < 0.018
    # A pair's id holds its canonical order; whatever one reads from it says nothing about the side.
    for bit in (lambda n: n % 2, lambda n: sum(map(int, str(n))) % 2, lambda n: len(str(n)) % 2):
        of = [left for n, left in enumerate(lefts) if bit(n)]
        assert abs(of.count(1) / len(of) - 0.5) < 5 * 0.5 / len(of) ** 0.5


@pytest.mark.parametrize(
    "other",
    [
        lambda n: draw_left(7, f"pair {n}", "ada", "left again"),
        lambda n: draw_left(7, f"pair {n}", "bo"),
        lambda n: draw_left(8, f"pair {n}", "ada"),
        lambda n: draw_left(7, f"pair {n}", "ada", "left of case"),
    ],
    ids=["a repeat", "another person", "another seed", "an adjudicator"],
)
def test_draws_are_independent(other):
    num = 20_000
    same = sum(draw_left(7, f"pair {n}", "ada") == other(n) for n in range(num))
    assert abs(same / num - 0.5) < 0.018


@pytest.mark.parametrize("left", [1, 2])
@pytest.mark.parametrize("shown", ["left", "right", "tie", "undecided"])
def test_verdicts_go_both_ways(shown, left):
    assert as_shown(canonical(shown, left), left) == shown
    if shown in ("left", "right"):
        # The same click on the other side is the other verdict.
        assert canonical(shown, left) != canonical(shown, 3 - left)


def test_hidden_labels_are_told_as_the_sides_were_shown():
    hidden = {"source_verdict": "1", "judges": [{"judge": "a", "verdict": "2"}, {"judge": "b", "verdict": "tie"}]}
    assert reveal(hidden, 2) == {
        "source_verdict": "right",
        "judges": [{"judge": "a", "verdict": "left"}, {"judge": "b", "verdict": "tie"}],
    }
    assert reveal({}, 1) == {"source_verdict": None, "judges": []}


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"verdict": "1"}, "verdict"),
        ({"verdict": ""}, "verdict"),
        ({"strength": None}, "strength"),
        ({"strength": "very"}, "strength"),
        ({"verdict": "tie"}, "strength"),
        ({"verdict": "undecided", "strength": "slightly"}, "strength"),
        ({"client_key": "1234567"}, "client_key"),
        ({"client_key": "x" * 65}, "client_key"),
        ({"client_key": "with\nline"}, "client_key"),
        ({"reasons": ("taste",)}, "reasons"),
        ({"comment": "x" * (MAX_TEXT + 1)}, "comment"),
        ({"guideline_version": "x" * 41}, "guideline_version"),
        ({"revision": -1}, "revision"),
        ({"edited_attributes": {"source": "x"}}, "edited_attributes"),
        ({"edited_attributes": {"writer": "me"}}, "edited_attributes"),
        ({"edited_attributes": {"task_category": "cooking"}}, "task_category"),
        ({"edited_attributes": {"objectivity": ""}}, "objectivity"),
        ({"edited_attributes": {"desired_attributes": 3}}, "desired_attributes"),
        ({"edited_attributes": {"desired_attributes": "x" * (MAX_TEXT + 1)}}, "desired_attributes"),
    ],
)
def test_what_cannot_be_understood_is_refused_by_field(fields, field):
    with pytest.raises(InvalidAnswer) as caught:
        checked(answer(**fields), ATTRIBUTES)
    assert caught.value.where == field


@pytest.mark.parametrize(
    ("given", "stored"),
    [(3.5, 3.5), (0, 0), (None, None), (-1, None), (float("nan"), None), (float("inf"), None), (1e6, None)],
)
def test_a_time_that_cannot_be_is_not_measured_and_costs_no_label(given, stored):
    assert checked(answer(active_seconds=given), ATTRIBUTES).active_seconds == stored


def test_only_attributes_that_were_changed_are_kept():
    form = {
        **ATTRIBUTES,
        "objectivity": "subjective",
        "desired_attributes": "correct\r\nand short ",
        "annotation_guideline": "",
    }
    del form["writer"]
    assert checked(answer(edited_attributes=form), ATTRIBUTES).edited_attributes == {
        "objectivity": "subjective",
        "annotation_guideline": "",
    }


def test_reasons_are_kept_once_and_in_their_order():
    given = (REASONS[3], REASONS[0], REASONS[3])
    assert checked(answer(reasons=given), ATTRIBUTES).reasons == (REASONS[0], REASONS[3])


def test_texts_that_no_database_keeps_are_made_so_that_it_does():
    stored = checked(answer(comment=" a\x00b \ud800 \U0001f600 \u202e "), ATTRIBUTES).comment
    assert stored == "a\u2400b \ufffd \U0001f600 \u202e"


@pytest.mark.parametrize("form", [{"a": object()}, {"a": float("nan")}, {"comment": "x" * 200_001}])
def test_a_draft_that_cannot_be_kept_is_refused(form):
    with pytest.raises(InvalidAnswer):
        checked_draft(form)
