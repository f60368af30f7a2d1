"""Delivery: what the bridge to the ledger takes, in order and nothing twice."""

import threading

from assets.human_gold.desk.batches import Task
from assets.human_gold.desk.delivery import answers_since, decisions_since, last_ids
from tests.human_gold.desk.working import item


def test_an_answer_comes_with_all_that_the_ledger_stores(office, engine, clock):
    person = office.accounts.accept_invitation(
        office.accounts.invite("simulated ada", "annotator", by=None, simulated=True), "three mild oxen"
    )
    office.push(
        Task("t", "p0", "known_answer", left_response=2, reason="seed", due="2025-04-01", known_verdict="1"),
    )
    office.desk.next_task(person)
    office.answer(
        person,
        "t",
        "left",
        strength="slightly",
        reasons=("safety", "correctness"),
        comment="because",
        edited_attributes={"objectivity": "subjective", "controversiality": "low"},
        guideline_version="g1",
        active_seconds=8.25,
    )
    (row,) = answers_since(engine, "round_0", 0)
    assert row == {
        "answer_id": 1,
        "task_id": "t",
        "pair_id": "p0",
        "round_name": "round_0",
        "handle": "simulated ada",
        "simulated": True,
        "purpose": "known_answer",
        "left_response": 2,
        "shown_verdict": "left",
        "verdict": "2",
        "strength": "slightly",
        "reasons": ["correctness", "safety"],
        "comment": "because",
        "edited_attributes": {"objectivity": "subjective"},
        "guideline_version": "g1",
        "active_seconds": 8.25,
        "revision": 0,
        "attributes": item("p0").attributes,
        "answered_at": clock(),
        "reason": "seed",
        "due": "2025-04-01",
        "known_verdict": "1",
    }


def test_a_decision_comes_with_all_that_the_ledger_stores(office, engine, clock):
    ada, bo, judge = office.person("ada"), office.person("bo"), office.person("judge", "adjudicator")
    office.push_pairs(1, votes=2)
    for person, verdict in ((ada, "1"), (bo, "2")):
        office.answer_as(person, office.desk.next_task(person).key, verdict)
    case = office.adjudication.next_case(judge)
    office.adjudication.decide(judge, office.form(case.pair.key, "undecided", comment="no way to tell"))
    (row,) = decisions_since(engine, "round_0", 0)
    left = 1 if case.pair.left.startswith("one") else 2
    assert row == {
        "decision_id": 1,
        "case_id": 1,
        "key": "case-1",
        "pair_id": "p0",
        "round_name": "round_0",
        "handle": "judge",
        "simulated": False,
        "left_response": left,
        "shown_verdict": "undecided",
        "verdict": "undecided",
        "strength": None,
        "reasons": [],
        "comment": "no way to tell",
        "edited_attributes": {},
        "guideline_version": "",
        "active_seconds": None,
        "revision": 0,
        "attributes": item("p0").attributes,
        "num_arguments": 2,
        "decided_at": clock(),
    }
    assert last_ids(engine) == {"round_0": (2, 1)}
    assert decisions_since(engine, "round_0", 1) == []
    assert decisions_since(engine, "round_1", 0) == []


def test_each_round_is_followed_by_itself(office, engine):
    ada = office.person("ada")
    assert last_ids(engine) == {}
    office.push(Task("a", "p0", priority=0), Task("c", "p2", priority=2))
    office.push(Task("b", "p1", priority=1), round_name="round_1")
    assert last_ids(engine) == {"round_0": (0, 0), "round_1": (0, 0)}
    assert office.work(ada) == ["a", "b", "c"]
    office.answer(ada, "a", "tie", revision=1)
    assert last_ids(engine) == {"round_0": (4, 0), "round_1": (2, 0)}
    got = answers_since(engine, "round_0", 0)
    assert [(row["answer_id"], row["task_id"], row["revision"]) for row in got] == [
        (1, "a", 0),
        (3, "c", 0),
        (4, "a", 1),
    ]
    assert [row["answer_id"] for row in answers_since(engine, "round_0", 1)] == [3, 4]
    assert [row["answer_id"] for row in answers_since(engine, "round_0", 0, limit=2)] == [1, 3]
    assert answers_since(engine, "round_0", 4) == []


def test_the_order_is_that_of_the_ids_also_when_the_clock_goes_back(office, engine, clock):
    ada = office.person("ada")
    office.push_pairs(3)
    for _ in range(3):
        office.answer(ada, office.desk.next_task(ada).key)
        clock.turn(minutes=-20)
    got = answers_since(engine, "round_0", 0)
    assert [row["answer_id"] for row in got] == [1, 2, 3]
    times = [row["answered_at"] for row in got]
    assert times == sorted(times, reverse=True)


def test_following_while_many_answer_misses_nothing(office, engine):
    """Ids appear in the order of their commits: what is below the last id that was seen was seen."""
    people = [office.person(f"person {n}") for n in range(8)]
    office.push_pairs(48)
    seen, done = [], threading.Event()

    def follow():
        while True:
            last = done.is_set()
            seen.extend(row["answer_id"] for row in answers_since(engine, "round_0", seen[-1] if seen else 0))
            if last:
                return

    follower = threading.Thread(target=follow)
    threads = [threading.Thread(target=office.work, args=(person,)) for person in people]
    for thread in (follower, *threads):
        thread.start()
    for thread in threads:
        thread.join()
    done.set()
    follower.join()
    assert seen == sorted(seen)
    assert len(seen) == 48
    assert seen == [row["answer_id"] for row in answers_since(engine, "round_0", 0)]
    assert last_ids(engine)["round_0"][0] == seen[-1]
