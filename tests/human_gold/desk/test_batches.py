"""Batches: pushing is idempotent, wrong lists change nothing, and withdrawing."""

import dataclasses

import pytest

from assets.human_gold.desk import batches
from assets.human_gold.desk.batches import PushResult, Task, batch_progress, push_batch, withdraw
from assets.human_gold.desk.schema import ItemRow
from assets.human_gold.desk.views import DeskError, NotAllowed
from tests.human_gold.desk.working import check_invariants, item


def counts(engine):
    (row,) = batch_progress(engine)
    return {name.removeprefix("num_"): number for name, number in row.items() if name.startswith("num_") and number}


def test_pushing_again_changes_nothing(office, engine):
    office.person("ada")
    tasks = [Task("a", "p0"), Task("b", "p1", handle="ada"), Task("c", "p1"), Task("r", "p0", "repeat")]
    assert office.push(*tasks) == PushResult(2, 4, 0, 0)
    before = [(task.task_id, task.status, task.priority) for task in office.tasks()]
    assert office.push(*tasks) == PushResult(0, 0, 4, 0)
    assert [(task.task_id, task.status, task.priority) for task in office.tasks()] == before
    assert counts(engine) == {"tasks": 4, "open": 4, "repeats_left": 1}
    check_invariants(engine)


def test_tasks_the_list_names_no_more_are_withdrawn_and_come_back_with_it(office, engine):
    ada = office.person("ada")
    tasks = [Task("a", "p0"), Task("b", "p1", handle="ada"), Task("c", "p2"), Task("d", "p3")]
    office.push(*tasks)
    office.answer(ada, office.desk.next_task(ada).key)
    assert office.task("b").status == "answered"
    assert office.desk.next_task(ada).key == "a"
    assert office.push(tasks[3]) == PushResult(0, 0, 1, 2)
    assert counts(engine) == {"tasks": 4, "open": 1, "answered": 1, "withdrawn": 2}
    check_invariants(engine)
    assert office.desk.next_task(ada).key == "d"
    assert office.push(*tasks) == PushResult(0, 0, 4, 0)
    assert counts(engine) == {"tasks": 4, "open": 2, "claimed": 1, "answered": 1}
    check_invariants(engine)
    assert office.work(ada) == ["d", "a", "c"]


def test_a_task_for_somebody_who_had_the_pair_goes_to_others(office, engine):
    ada, bo = office.person("ada"), office.person("bo")
    office.push(Task("a", "p0"))
    office.work(ada)
    reserved = Task("b", "p0", handle="ada", left_response=1)
    assert office.push(Task("a", "p0"), reserved, Task("r", "p0", "repeat", handle="ada", after_num_answers=0)) == (
        PushResult(0, 2, 1, 0, num_for_others=1)
    )
    check_invariants(engine)
    assert office.work(ada) == ["r"]
    assert office.push(Task("c", "p0", handle="ada", priority=9), round_name="round_1").num_for_others == 1
    assert office.work(bo) == ["b"]


def test_a_push_that_was_cut_off_is_finished_by_the_next(office, engine, monkeypatch):
    tasks = [Task(f"t{n}", f"p{n}") for n in range(1_200)]
    items = [item(task.pair_id) for task in tasks]

    add_items, parts = batches._add_items, []

    def cut(session, some):
        parts.append(len(some))
        if len(parts) == 3:
            raise KeyboardInterrupt
        return add_items(session, some)

    monkeypatch.setattr(batches, "_add_items", cut)
    with pytest.raises(KeyboardInterrupt):
        push_batch(engine, "round_0", 7, items, tasks, {}, office.clock)
    monkeypatch.undo()
    check_invariants(engine)
    assert counts(engine) == {"tasks": 1_000, "open": 1_000}
    assert push_batch(engine, "round_0", 7, items, tasks, {}, office.clock) == PushResult(200, 200, 1_000, 0)
    assert counts(engine) == {"tasks": 1_200, "open": 1_200}
    check_invariants(engine)


@pytest.mark.parametrize(
    ("tasks", "message"),
    [
        (
            [Task("a", "p0", handle="nobody"), Task("b", "p1", handle="who")],
            "people without an active account: nobody, who",
        ),
        ([Task("a", "p0", handle="gone")], "without an active account: gone"),
        ([Task("a", "p0"), Task("a", "p1")], "tasks named twice: a"),
        ([Task("a", "p0", handle="ada"), Task("b", "p0", handle="ada")], "people given a pair twice: ada: p0"),
        (
            [Task("a", "p0", handle="ada"), Task("b", "p0", "known_answer", handle="ada", known_verdict="1")],
            "people given a pair twice: ada: p0",
        ),
        ([Task("a", "p0", "chore")], "no known purpose: a"),
        ([Task("a", "p0", left_response=3)], "neither 1 nor 2: a"),
        ([Task("a", "p0", "known_answer")], "without known verdict: a"),
        ([Task("a", "p0", known_verdict="1")], "without known verdict: a"),
        ([Task("a", "no texts")], "pairs without texts: no texts"),
        ([Task("old", "p0")], "another round or pair: old"),
    ],
)
def test_a_list_that_cannot_be_changes_nothing(office, engine, tasks, message):
    office.person("ada")
    office.person("gone")
    office.accounts.deactivate("gone", by=None)
    office.push(Task("old", "p9"), round_name="round_9")
    with pytest.raises(DeskError, match=message):
        push_batch(engine, "round_0", 7, [item("p0"), item("p1")], tasks, {}, office.clock)
    assert [row["round_name"] for row in batch_progress(engine)] == ["round_9"]
    assert [task.task_id for task in office.tasks()] == ["old"]


def test_the_seed_of_a_round_stays(office, engine):
    office.push_pairs(1)
    with pytest.raises(DeskError, match="with seed 7, not 8"):
        office.push_pairs(1, seed=8)


def test_items_stay_as_they_were_first(office):
    office.push_pairs(1)
    office.push_pairs(1, response_1="something else")
    (row,) = office.rows(ItemRow)
    assert row.response_1 == "one of p0"


def test_odd_texts_come_back_as_they_went(office):
    ada = office.person("ada")
    odd = "\ufeff \u202ertl\u202c \u200b \U0001f600 </script> {{ 7 * 7 }} ' OR 1=1 -- \r\n" + "x" * 200_000
    office.push_pairs(1, response_1=odd, response_2="nul \x00 lone \ud800", prompt=[{"role": "user", "content": odd}])
    shown = office.desk.next_task(ada)
    assert {shown.left, shown.right} == {odd, "nul \u2400 lone \ufffd"}
    assert shown.conversation == ({"role": "user", "content": odd},)


def test_priorities_and_seeds_may_be_large(office):
    ada = office.person("ada")
    office.push(Task("last", "p0", priority=2**40), Task("first", "p1", priority=-(2**40)), seed=2**40)
    assert office.work(ada) == ["first", "last"]


def test_managers_withdraw_tasks_and_pairs_for_good(office, engine):
    boss, ada = office.person("boss", "manager"), office.person("ada")
    office.push_pairs(4, votes=2)
    office.answer(ada, office.desk.next_task(ada).key)
    assert office.desk.next_task(ada).key == "t1-0"
    assert withdraw(engine, task_ids=["t1-0", "nobody's"], by=boss, why="wrong", clock=office.clock) == 1
    assert withdraw(engine, pair_ids=["p0", "p2"], by=boss, why="leaked", clock=office.clock) == 3
    check_invariants(engine)
    assert counts(engine) == {"tasks": 8, "open": 3, "answered": 1, "withdrawn": 4}
    assert office.push_pairs(4, votes=2).num_tasks_known == 8
    assert counts(engine) == {"tasks": 8, "open": 3, "answered": 1, "withdrawn": 4}
    logged = [row for row in office.accounts.audit_log() if row["action"] == "withdrawn"]
    assert [(row["handle"], row["detail"]) for row in logged] == [
        ("boss", {"why": "leaked", "num_tasks": 3}),
        ("boss", {"why": "wrong", "num_tasks": 1}),
    ]


def test_only_managers_withdraw(office, engine):
    office.push_pairs(1)
    for role in ("annotator", "adjudicator"):
        with pytest.raises(NotAllowed):
            withdraw(engine, pair_ids=["p0"], by=office.person(role, role), why="", clock=office.clock)
    assert counts(engine) == {"tasks": 1, "open": 1}


def test_rounds_are_told_apart_and_oldest_first(office, engine):
    office.push_pairs(2, round_name="round_1")
    office.clock.turn(days=1)
    office.push(Task("other", "p0"), round_name="round_0")
    assert [(row["round_name"], row["num_tasks"]) for row in batch_progress(engine)] == [("round_1", 2), ("round_0", 1)]
    assert dataclasses.asdict(office.push(Task("other", "p0"), round_name="round_0"))["num_tasks_known"] == 1
