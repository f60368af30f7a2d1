"""Check tasks: repeats and known answers are spread over people and say nothing of what they are."""

import pytest

from assets.human_gold.check_tasks import MAX_PEOPLE_PER_KNOWN_ITEM, with_check_tasks
from assets.human_gold.tasks import make_tasks

KNOWN = {f"k{n}": "1" if n % 2 else "2" for n in range(40)}
NONE = {"repeat_rate": 0.0, "repeat_after": 20, "known_answer_rate": 0.0}


def labels(persons, num_pairs=400, votes=2):
    pairs = [f"p{n}" for n in range(num_pairs)]
    return make_tasks(pairs, persons, votes_per_pair=votes, round_name="round_0", seed=1).table


def checked(persons, known=KNOWN, **more):
    return with_check_tasks(labels(persons), known, **{**NONE, **more}, round_name="round_0", seed=1).to_pylist()


def test_without_rates_there_are_none():
    assert checked(list("abcd")) == labels(list("abcd")).to_pylist()


@pytest.mark.parametrize("persons", [list("abcd"), None])
def test_a_share_of_the_labels_comes_back_to_the_same_person_later(persons):
    rows = checked(persons, repeat_rate=0.1, repeat_after=30)
    originals = {(r["pair_id"], r["person"]): r for r in rows if r["purpose"] == "label"}
    repeats = [r for r in rows if r["purpose"] == "repeat"]
    assert len(originals) == (800 if persons else 400)
    assert 60 < len(repeats) < 100
    assert all((r["pair_id"], r["person"]) in originals for r in repeats)
    assert {r["after_num_answers"] for r in repeats} == {30}
    assert len({r["task_id"] for r in rows}) == len(rows)
    if persons:
        same = sum(r["left_response"] == originals[r["pair_id"], r["person"]]["left_response"] for r in repeats)
        assert 0.3 < same / len(repeats) < 0.7, "the side is drawn anew"
    else:
        assert {r["left_response"] for r in repeats} == {None}


def test_everyone_gets_their_share_of_known_answers_spread_over_their_work():
    rows = checked(list("abcd"), known_answer_rate=0.1)
    for person in "abcd":
        mine = [r for r in rows if r["person"] == person]
        known = [r for r in mine if r["purpose"] == "known_answer"]
        assert len(known) == int(0.1 * (len(mine) - len(known)))
        assert len({r["pair_id"] for r in known}) == len(known)
        assert all(r["known_verdict"] == KNOWN[r["pair_id"]] for r in known)
        early = sum(r["priority"] < 200 for r in known)
        assert abs(early - len(known) / 2) <= 2


def test_known_answers_for_whoever_comes_next_are_no_more_than_people_can_take():
    rows = checked(None, known={"k1": "1", "k2": "2"}, known_answer_rate=0.5)
    known = [r for r in rows if r["purpose"] == "known_answer"]
    assert len(known) == 2 * MAX_PEOPLE_PER_KNOWN_ITEM
    assert len({r["task_id"] for r in known}) == len(known)


def test_no_known_answers_no_tasks():
    assert {r["purpose"] for r in checked(list("abcd"), known={}, known_answer_rate=0.5)} == {"label"}
