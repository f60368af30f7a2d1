"""People: simulated and recorded ones answer their tasks, and every task is accounted for."""

import json
from datetime import UTC, datetime

import pyarrow as pa
import pytest

from assets.contracts import from_rows
from assets.errors import ConfigError
from assets.human_gold.people import RecordedPeople, SimulatedPeople
from assets.human_gold.tasks import make_recorded_tasks, make_tasks
from assets.lake import Lake

NOW = datetime(2025, 1, 1, tzinfo=UTC)


def truth_of(n: int) -> dict[str, str]:
    return {f"pair{i}": "1" if i % 2 else "2" for i in range(n)}


def collect(people, tasks, round_name="round_0"):
    return people.collect(tasks, round_name=round_name, created_at=NOW)


def tasks_of(people, pairs, votes=1, seed=1):
    return make_tasks(pairs, people.names, votes_per_pair=votes, round_name="round_0", seed=seed)


def recorded(*rows):
    """(pair, role, labeller, position, verdict[, first_shown[, source_row]])"""
    return from_rows(
        [
            {
                "pair_id": pair,
                "source": "crowd",
                "source_row": rest[1] if len(rest) > 1 else 0,
                "role": role,
                "labeller": labeller,
                "first_shown": rest[0] if rest else 0,
                "position": position,
                "verdict": verdict,
            }
            for pair, role, labeller, position, verdict, *rest in rows
        ],
        "recorded_verdicts",
    )


def test_make_tasks_gives_every_pair_different_people_and_draws_the_side():
    tasks = make_tasks([f"p{i}" for i in range(400)], list("abcde"), votes_per_pair=3, round_name="round_1", seed=3)
    rows = tasks.to_pylist()
    assert len(rows) == 1200
    assert len({(r["pair_id"], r["person"]) for r in rows}) == 1200
    left = sum(r["left_response"] == 1 for r in rows) / 1200
    assert 0.45 < left < 0.55
    load = [sum(r["person"] == p for r in rows) for p in "abcde"]
    assert min(load) > 190
    # The two sides of one pair differ between people somewhere: the draw is per person, not per pair.
    sides = {}
    for r in rows:
        sides.setdefault(r["pair_id"], set()).add(r["left_response"])
    assert any(len(s) == 2 for s in sides.values())


def test_make_tasks_depends_on_seed_and_pair_alone():
    pairs = [f"p{i}" for i in range(50)]
    args = {"votes_per_pair": 2, "round_name": "round_0"}
    whole = make_tasks(pairs, list("abc"), seed=1, **args)
    assert make_tasks(reversed(pairs), list("cba"), seed=1, **args).equals(whole)
    half = make_tasks(pairs[:25], list("abc"), seed=1, **args).to_pylist()
    assert all(row in whole.to_pylist() for row in half)
    assert not make_tasks(pairs, list("abc"), seed=2, **args).equals(whole)


def test_more_votes_than_people_is_a_configuration_error():
    with pytest.raises(ConfigError, match="3 votes a pair need as many people, and there are 2"):
        make_tasks(["p"], ["a", "b", "b"], votes_per_pair=3, round_name="round_0", seed=1)


def test_simulated_people_are_named_so_and_show_their_stated_accuracy():
    truth = truth_of(3000)
    people = SimulatedPeople({"ada": 0.9, "bo": 0.7}, truth, seed=5, undecided_rate=0.1)
    events = collect(people, tasks_of(people, truth, votes=2)).events.to_pylist()
    assert all(e["simulated"] and e["labeller_kind"] == "person" for e in events)
    assert {e["labeller"] for e in events} == {"simulated ada", "simulated bo"}
    for person, accuracy in (("simulated ada", 0.9), ("simulated bo", 0.7)):
        mine = [e for e in events if e["labeller"] == person]
        decided = [e for e in mine if e["verdict"] != "undecided"]
        assert 1 - len(decided) / len(mine) == pytest.approx(0.1, abs=0.02)
        right = sum(e["verdict"] == truth[e["pair_id"]] for e in decided) / len(decided)
        # Three standard errors at 2,700 pairs.
        assert right == pytest.approx(accuracy, abs=0.027)


def test_simulated_people_err_independently_of_each_other():
    truth = truth_of(4000)
    people = SimulatedPeople({"ada": 0.7, "bo": 0.7}, truth, seed=5)
    wrong = {}
    for e in collect(people, tasks_of(people, truth, votes=2)).events.to_pylist():
        wrong.setdefault(e["pair_id"], []).append(e["verdict"] != truth[e["pair_id"]])
    assert sum(all(both) for both in wrong.values()) / 4000 == pytest.approx(0.09, abs=0.015)


def test_simulated_answers_do_not_depend_on_batch_order_or_round():
    truth = truth_of(40)
    people = SimulatedPeople({"ada": 0.6, "bo": 0.6}, truth, seed=5)
    tasks = tasks_of(people, truth)
    together = {e["event_id"]: e["verdict"] for e in collect(people, tasks).events.to_pylist()}
    apart = {}
    for start in (30, 20, 10, 0):
        part = collect(people, tasks.slice(start, 10)).events.to_pylist()
        apart |= {e["event_id"]: e["verdict"] for e in part}
    assert apart == together


def test_simulated_people_know_ties():
    people = SimulatedPeople({"sure": 1.0}, {"p": "tie"}, seed=1)
    assert collect(people, tasks_of(people, ["p"])).events["verdict"].to_pylist() == ["tie"]
    truth = dict.fromkeys([f"p{i}" for i in range(200)], "tie")
    wrong = SimulatedPeople({"never": 0.0}, truth, seed=1)
    verdicts = collect(wrong, tasks_of(wrong, truth)).events["verdict"].to_pylist()
    assert set(verdicts) == {"1", "2"}
    assert 70 < verdicts.count("1") < 130


def test_every_simulated_task_is_accounted_for():
    people = SimulatedPeople({"ada": 1.0}, {"known": "1", "odd": "undecided"}, seed=1)
    tasks = pa.concat_tables(
        [
            make_tasks(["known", "unknown", "odd"], people.names, votes_per_pair=1, round_name="round_0", seed=1),
            make_tasks(["known"], ["stranger"], votes_per_pair=1, round_name="round_0", seed=1),
        ]
    )
    counts = collect(people, tasks).counts
    assert counts.as_dict() == {"rows_in": 4, "rows_out": 1, "dropped": {"no_truth": 2, "unknown_person": 1}}


def test_simulated_people_need_names():
    with pytest.raises(ConfigError, match="names and accuracies"):
        SimulatedPeople({}, {}, seed=1)


def test_collecting_twice_adds_nothing_to_the_ledger(tmp_path):
    truth = truth_of(20)
    people = SimulatedPeople({"ada": 0.8}, truth, seed=2)
    lake, partition = Lake(tmp_path), {"kind": "person", "batch": "round_0"}
    first = lake.append_events("label_events", collect(people, tasks_of(people, truth)).events, partition)
    again = lake.append_events("label_events", collect(people, tasks_of(people, truth)).events, partition)
    assert (first.num_rows, again.content_hash) == (20, first.content_hash)


RECORDED = recorded(
    ("p1", "person", "crowd:w1", 0, "1", 2),
    ("p1", "person", "crowd:w2", 1, "tie"),
    ("p1", "person", "crowd:w2", 2, "2"),
    ("p1", "judge", "crowd votes replayed as judge", 3, "2"),
    ("p2", "person", "crowd:w1", 0, "undecided"),
    ("p3", "judge", "gpt", 0, "1"),
)


def test_recorded_people_are_asked_what_they_answered():
    people = RecordedPeople(RECORDED)
    assert people.pair_ids == {"p1", "p2"}
    tasks = make_recorded_tasks(["p1", "p2", "p3"], RECORDED, votes_per_pair=None, round_name="round_0")
    asked = {(t["pair_id"], t["person"]): t["left_response"] for t in tasks.to_pylist()}
    assert asked == {("p1", "crowd:w1"): 2, ("p1", "crowd:w2"): None, ("p2", "crowd:w1"): None}
    got = collect(people, tasks)
    verdicts = {(e["pair_id"], e["labeller"]): e["verdict"] for e in got.events.to_pylist()}
    # w2 judged p1 twice: the first verdict counts.
    assert verdicts == {("p1", "crowd:w1"): "1", ("p1", "crowd:w2"): "tie", ("p2", "crowd:w1"): "undecided"}
    assert got.counts.as_dict() == {"rows_in": 3, "rows_out": 3, "dropped": {}}
    assert not any(e["simulated"] for e in got.events.to_pylist())
    evidence = json.loads(got.events.to_pylist()[0]["evidence"])
    assert (evidence["recorded_in"], evidence["source_row"]) == ("crowd", 0)


@pytest.mark.parametrize(
    ("votes", "people"), [(1, ["crowd:w1"]), (2, ["crowd:w1", "crowd:w2"]), (9, ["crowd:w1", "crowd:w2"])]
)
def test_recorded_tasks_take_at_most_so_many_people_first_recorded_first(votes, people):
    tasks = make_recorded_tasks(["p1"], RECORDED, votes_per_pair=votes, round_name="round_0")
    assert sorted(tasks["person"].to_pylist()) == people


def test_a_recorded_task_without_a_record_is_counted():
    tasks = make_tasks(["p1", "p9"], ["crowd:w1"], votes_per_pair=1, round_name="round_0", seed=1)
    bad = recorded(("p1", "person", "crowd:w1", 0, "left"))
    assert collect(RecordedPeople(RECORDED), tasks).counts.dropped == {"no_record": 1}
    assert collect(RecordedPeople(bad), tasks).counts.dropped == {"no_record": 1, "unknown_verdict": 1}


def test_no_tasks_no_labels():
    empty = from_rows([], "annotation_tasks")
    for people in (SimulatedPeople({"ada": 1.0}, {}, seed=1), RecordedPeople(RECORDED)):
        got = collect(people, empty)
        assert (len(got.events), got.counts.rows_in) == (0, 0)
