"""Adjudication: when cases open and are settled, who decides, and what they see."""

import threading

import pytest

from assets.human_gold.desk.adjudication import open_cases
from assets.human_gold.desk.answering import Desk
from assets.human_gold.desk.batches import Task, batch_progress, withdraw
from assets.human_gold.desk.disagreements import RULES, disagree
from assets.human_gold.desk.schema import CaseRow, DecisionRow
from assets.human_gold.desk.views import AlreadyAnswered, DeskError, InvalidAnswer, NotAllowed, Withdrawn


@pytest.mark.parametrize(
    ("verdicts", "no_majority", "not_unanimous"),
    [
        ("", False, False),
        ("1", False, False),
        ("undecided", False, False),
        ("1 1", False, False),
        ("1 2", True, True),
        ("1 tie", True, True),
        ("1 undecided", True, True),
        ("undecided undecided", False, False),
        ("1 1 2", False, True),
        ("1 2 tie", True, True),
        ("tie tie 1", False, True),
        ("1 1 2 2", True, True),
        ("1 1 1 2", False, True),
        ("1 1 2 tie", True, True),
        ("1 1 1 2 2", False, True),
        ("1 1 2 2 tie", True, True),
    ],
)
def test_when_answers_disagree(verdicts, no_majority, not_unanimous):
    given = verdicts.split()
    assert [disagree(given, rule) for rule in RULES] == [no_majority, not_unanimous, False]
    # The names of the labels and the order of the answers say nothing.
    other = {"1": "2", "2": "1", "tie": "undecided", "undecided": "tie"}
    swapped = [other[verdict] for verdict in reversed(given)]
    assert [disagree(swapped, rule) for rule in RULES] == [no_majority, not_unanimous, False]


@pytest.fixture
def people(office):
    return [office.person(f"person {n}") for n in range(4)]


@pytest.fixture
def judge(office):
    return office.person("judge", "adjudicator")


def vote(office, people, verdicts, *, rule="no_majority", pair="p0", waiting=0, round_name="round_0"):
    """Give a pair's labels in canonical order; the tasks' keys."""
    keys = [f"{pair}-{n}" for n in range(len(verdicts) + waiting)]
    office.desk = Desk(office.engine, office.clock, rule=rule)
    reserved = [Task(key, pair, handle=person.handle) for key, person in zip(keys, people, strict=False)]
    office.push(*reserved, round_name=round_name)
    for key, person, verdict in zip(keys, people, verdicts, strict=False):
        office.desk.shown(person, key)
        office.answer_as(person, key, verdict, comment=f"{person.handle} says {verdict}")
    return keys


def statuses(office):
    return [case.status for case in office.rows(CaseRow)]


@pytest.mark.parametrize(
    ("rule", "verdicts", "waiting", "expected"),
    [
        ("no_majority", ["1", "2"], 0, ["open"]),
        ("no_majority", ["1", "2"], 1, []),
        ("no_majority", ["1", "1", "2"], 0, []),
        ("not_unanimous", ["1", "1", "2"], 0, ["open"]),
        ("not_unanimous", ["tie", "tie"], 0, []),
        ("never", ["1", "2"], 0, []),
        ("no_majority", ["1"], 0, []),
    ],
)
def test_a_case_opens_with_the_last_answer(office, people, rule, verdicts, waiting, expected):
    vote(office, people, verdicts, rule=rule, waiting=waiting)
    assert statuses(office) == expected
    # Looking again finds nothing more.
    assert open_cases(office.engine, rule, office.clock) == 0
    assert statuses(office) == expected


def test_withdrawing_the_last_task_makes_the_pair_complete(office, people):
    vote(office, people, ["1", "2"], waiting=1)
    withdraw(office.engine, task_ids=["p0-2"], by=None, why="", clock=office.clock)
    assert open_cases(office.engine, "never", office.clock) == 0
    assert open_cases(office.engine, "no_majority", office.clock) == 1
    assert open_cases(office.engine, "no_majority", office.clock) == 0
    assert statuses(office) == ["open"]


def test_repeats_and_known_answers_are_no_arguments(office, people):
    ada = people[0]
    office.push(
        Task("label", "p0"),
        Task("again", "p0", "repeat"),
        Task("known", "p0", "known_answer", handle="person 1", known_verdict="1"),
    )
    office.desk.next_task(ada)
    office.answer_as(ada, "label", "1")
    office.desk.next_task(ada)
    office.answer_as(ada, "again", "2")
    office.desk.next_task(people[1])
    office.answer_as(people[1], "known", "2")
    assert open_cases(office.engine, "not_unanimous", office.clock) == 0
    assert statuses(office) == []


def test_rounds_are_settled_apart(office, people):
    vote(office, people[:2], ["1", "1"])
    vote(office, people[2:], ["2", "2"], pair="p0b")
    office.push(Task("x", "p0", handle="person 2"), round_name="round_1")
    office.desk.shown(people[2], "x")
    office.answer_as(people[2], "x", "2")
    assert statuses(office) == []


def test_a_correction_that_settles_an_open_case_withdraws_it_and_another_opens_it_again(office, people, judge):
    keys = vote(office, people, ["1", "2"])
    office.answer_as(people[1], keys[1], "1", revision=1)
    assert statuses(office) == ["withdrawn"]
    assert office.adjudication.next_case(judge) is None
    office.answer_as(people[0], keys[0], "tie", revision=1)
    assert statuses(office) == ["open"]
    case = office.adjudication.next_case(judge)
    assert {argument["comment"] for argument in case.arguments} == {""}
    office.answer_as(people[0], keys[0], "1", revision=2)
    # The adjudicator had it on the screen.
    with pytest.raises(Withdrawn):
        office.adjudication.decide(judge, office.form(case.pair.key, "left", comment="too late"))
    with pytest.raises(Withdrawn):
        office.adjudication.shown(judge, case.pair.key)
    assert office.refused()[0]["answer"]["comment"] == "too late"
    assert office.rows(DecisionRow) == []


def test_a_correction_after_the_decision_changes_nothing(office, people, judge):
    keys = vote(office, people, ["1", "2"])
    case = office.adjudication.next_case(judge)
    office.adjudication.decide(judge, office.form(case.pair.key, "tie"))
    office.answer_as(people[1], keys[1], "1", revision=1)
    open_cases(office.engine, "no_majority", office.clock)
    assert statuses(office) == ["decided"]
    assert office.adjudication.next_case(judge) is None


def test_another_rule_opens_and_closes_cases(office, people):
    vote(office, people, ["1", "1", "2"])
    vote(office, people, ["1", "2"], pair="p1")
    assert statuses(office) == ["open"]
    assert open_cases(office.engine, "not_unanimous", office.clock) == 1
    assert statuses(office) == ["open", "open"]
    assert open_cases(office.engine, "never", office.clock) == 0
    assert statuses(office) == ["withdrawn", "withdrawn"]
    assert open_cases(office.engine, "no_majority", office.clock) == 1
    with pytest.raises(DeskError, match="no rule of adjudication 'majority'"):
        open_cases(office.engine, "majority", office.clock)


def test_a_pair_that_a_manager_withdrew_is_not_decided_and_not_opened_again(office, people, judge):
    vote(office, people, ["1", "2"])
    withdraw(office.engine, pair_ids=["p0"], by=None, why="leaked", clock=office.clock)
    assert open_cases(office.engine, "no_majority", office.clock) == 0
    assert statuses(office) == ["withdrawn"]
    assert office.adjudication.next_case(judge) is None


def test_an_adjudicator_sees_arguments_without_names_on_their_own_sides(office, people, judge):
    vote(office, people, ["1", "2", "tie"])
    case = office.adjudication.next_case(judge)
    first = "left" if case.pair.left.startswith("one") else "right"
    second = "right" if first == "left" else "left"
    said = {argument["comment"].split(" says ")[1]: argument["verdict"] for argument in case.arguments}
    assert said == {"1": first, "2": second, "tie": "tie"}
    assert [argument["name"] for argument in case.arguments] == ["Annotator A", "Annotator B", "Annotator C"]
    assert set(case.arguments[0]) == {"name", "verdict", "strength", "reasons", "comment", "edited_attributes"}
    # The same order whenever it is shown.
    assert office.adjudication.shown(judge, case.pair.key) == case
    assert office.adjudication.next_case(judge) == case


def test_the_order_of_arguments_does_not_follow_the_order_of_answers(office, people, judge):
    orders = set()
    for n in range(12):
        vote(office, people, ["1", "2"], pair=f"p{n}")
        case = office.adjudication.next_case(judge)
        orders.add(tuple(argument["comment"] for argument in case.arguments))
        office.adjudication.decide(judge, office.form(case.pair.key))
    assert len(orders) == 2


def test_a_decision_is_stored_in_canonical_order_with_its_audit(office, people, judge):
    vote(office, people, ["1", "2"])
    case = office.adjudication.next_case(judge)
    form = office.form(
        case.pair.key,
        "left",
        comment="c",
        reasons=("clarity",),
        edited_attributes={"objectivity": "subjective"},
        guideline_version="v1",
        active_seconds=12.5,
    )
    assert office.adjudication.decide(judge, form).revision == 0
    (row,) = office.rows(DecisionRow)
    assert (row.verdict == "1") == case.pair.left.startswith("one")
    assert (row.shown_verdict, row.strength, row.reasons, row.comment) == ("left", "clearly", ["clarity"], "c")
    assert (row.edited_attributes, row.guideline_version) == ({"objectivity": "subjective"}, "v1")
    assert (row.active_seconds, row.num_arguments) == (12.5, 2)
    assert office.accounts.audit_log(limit=1)[0]["action"] == "decided"
    # The same again adds nothing; a correction is the next revision; an old window is told.
    assert office.adjudication.decide(judge, form).repeated
    assert office.adjudication.decide(judge, office.form(case.pair.key, "undecided", revision=1)).revision == 1
    with pytest.raises(AlreadyAnswered, match="newest revision is 1"):
        office.adjudication.decide(judge, office.form(case.pair.key, "tie", comment="old window"))
    assert office.refused()[0]["answer"]["comment"] == "old window"
    (past,) = office.adjudication.history(judge)
    assert (past.key, past.verdict, past.num_revisions) == (case.pair.key, "undecided", 2)
    again = office.adjudication.shown(judge, case.pair.key)
    assert (again.pair.revision, again.decided_before["verdict"]) == (2, "undecided")
    progress = batch_progress(office.engine)[0]
    assert (progress["num_cases_open"], progress["num_cases_decided"]) == (0, 1)


def test_an_annotator_decides_nothing(office, people, judge):
    vote(office, people[:2], ["1", "2"])
    case = office.adjudication.next_case(judge)
    for act in (
        lambda: office.adjudication.next_case(people[3]),
        lambda: office.adjudication.shown(people[3], case.pair.key),
        lambda: office.adjudication.save_draft(people[3], case.pair.key, {}),
        lambda: office.adjudication.decide(people[3], office.form(case.pair.key)),
    ):
        with pytest.raises(NotAllowed):
            act()
    assert office.rows(DecisionRow) == []


def test_nobody_decides_a_pair_they_were_asked_about(office, people, judge):
    office.accounts.set_role("person 0", "adjudicator", by=None)
    party = office.accounts.person("person 0")
    vote(office, people, ["1", "2"])
    vote(office, [people[1], people[2]], ["1", "2"], pair="p1")
    case = office.adjudication.next_case(party)
    assert case.pair.pair_id == "p1"
    assert office.adjudication.next_case(party, skip=[case.pair.key]) is None
    own = next(row for row in office.rows(CaseRow) if row.pair_id == "p0")
    with pytest.raises(NotAllowed):
        office.adjudication.decide(party, office.form(f"case-{own.case_id}"))
    assert office.adjudication.next_case(judge).pair.pair_id == "p0"


def test_who_is_asked_about_a_pair_after_they_took_its_case_does_not_decide_it(office, people, judge):
    vote(office, people, ["1", "2"])
    case = office.adjudication.next_case(judge)
    office.push(Task("late", "p0", handle="judge"), round_name="round_1")
    with pytest.raises(NotAllowed):
        office.adjudication.decide(judge, office.form(case.pair.key))
    with pytest.raises(NotAllowed):
        office.adjudication.shown(judge, case.pair.key)


@pytest.mark.parametrize("key", ["case-99", "case-0", "case-", "case-1x", "p0-0", "", "case-99999999999999999999"])
def test_keys_of_no_case(office, judge, key):
    for act in (
        lambda: office.adjudication.shown(judge, key),
        lambda: office.adjudication.save_draft(judge, key, {}),
        lambda: office.adjudication.decide(judge, office.form(key)),
    ):
        with pytest.raises(NotAllowed):
            act()


def test_two_adjudicators_at_once_get_different_cases(office, people):
    judges = [office.person(f"judge {n}", "adjudicator") for n in range(4)]
    for n in range(4):
        vote(office, people[:2], ["1", "2"], pair=f"p{n}")
    got = []
    threads = [
        threading.Thread(target=lambda judge=judge: got.append(office.adjudication.next_case(judge).pair.key))
        for judge in judges
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(got) == ["case-1", "case-2", "case-3", "case-4"]


def test_leases_of_cases_run_out(office, people, judge):
    other = office.person("other", "manager")
    vote(office, people, ["1", "2"])
    key = office.adjudication.next_case(judge).pair.key
    assert office.adjudication.next_case(other) is None
    office.clock.turn(hours=3)
    assert office.adjudication.next_case(other).pair.key == key
    with pytest.raises(Withdrawn, match="given to somebody else"):
        office.adjudication.decide(judge, office.form(key, comment="one"))
    office.adjudication.decide(other, office.form(key))
    with pytest.raises(AlreadyAnswered, match="Another adjudicator"):
        office.adjudication.decide(judge, office.form(key, comment="two"))
    assert [entry["answer"]["comment"] for entry in office.refused()] == ["two", "one"]
    assert [row.adjudicator_id for row in office.rows(DecisionRow)] == [other.person_id]


def test_a_late_decision_counts_if_the_case_is_still_free(office, people, judge):
    other = office.person("other", "adjudicator")
    vote(office, people, ["1", "2"])
    vote(office, people, ["1", "2"], pair="p1")
    case = office.adjudication.next_case(judge)
    office.clock.turn(hours=3)
    office.adjudication.next_case(other, skip=[case.pair.key])
    assert office.adjudication.decide(judge, office.form(case.pair.key, "left")).revision == 0
    (row,) = office.rows(DecisionRow)
    assert (row.verdict == "1") == case.pair.left.startswith("one")


def test_drafts_of_cases_are_kept_until_the_decision(office, people, judge):
    vote(office, people, ["1", "2"])
    key = office.adjudication.next_case(judge).pair.key
    office.adjudication.save_draft(judge, key, {"comment": "half"})
    assert office.adjudication.next_case(judge).pair.draft == {"comment": "half"}
    office.adjudication.decide(judge, office.form(key, comment="whole"))
    assert office.adjudication.shown(judge, key).pair.draft["comment"] == "whole"


def test_a_deactivated_adjudicator_leaves_the_case_to_others(office, people, judge):
    vote(office, people, ["1", "2"])
    key = office.adjudication.next_case(judge).pair.key
    office.accounts.deactivate("judge", by=None)
    with pytest.raises(NotAllowed):
        office.adjudication.decide(judge, office.form(key))
    assert office.adjudication.next_case(office.person("other", "adjudicator")).pair.key == key


def test_a_decision_that_cannot_be_understood_is_refused(office, people, judge):
    vote(office, people, ["1", "2"])
    key = office.adjudication.next_case(judge).pair.key
    with pytest.raises(InvalidAnswer):
        office.adjudication.decide(judge, office.form(key, "left", strength=None))
    assert statuses(office) == ["claimed"]
