"""Tasks for people, and recorded people who answer them; every pair and every task is accounted for."""

import json
from datetime import UTC, datetime

import pytest

from assets.contracts import from_rows
from assets.errors import ConfigError
from assets.human_gold.recorded_people import RecordedPeople
from assets.human_gold.tasks import make_recorded_tasks, make_tasks
from assets.lake import Lake

NOW = datetime(2025, 1, 1, tzinfo=UTC)


def collect(tasks, recorded_verdicts):
    return RecordedPeople(recorded_verdicts).collect(tasks, round_name="round_0", created_at=NOW)


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


def tasks_of(pairs, persons, votes=1, **more):
    return make_tasks(pairs, persons, votes_per_pair=votes, round_name="round_0", **{"seed": 1, **more})


def test_make_tasks_gives_every_pair_different_people_and_draws_the_side():
    rows = tasks_of([f"p{i}" for i in range(400)], list("abcde"), 3, seed=3).table.to_pylist()
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


def test_who_sees_what_depends_on_seed_and_pair_alone():
    pairs = [f"p{i}" for i in range(50)]

    def told(tasks):
        return {(r["pair_id"], r["person"], r["left_response"], r["task_id"]) for r in tasks.table.to_pylist()}

    whole = told(tasks_of(pairs, list("abc"), 2, overlap_rate=0.5))
    assert told(tasks_of(pairs[::-1], list("cba"), 2, overlap_rate=0.5)) == whole
    assert told(tasks_of(pairs[:25], list("abc"), 2, overlap_rate=0.5)) < whole
    assert told(tasks_of(pairs, list("abc"), 2, overlap_rate=0.5, seed=2)) != whole


def test_pairs_are_asked_in_the_order_given_and_a_repeated_one_once():
    rows = tasks_of(["first", "late", "last", "late"], list("ab"), 2).table.to_pylist()
    assert {(r["pair_id"], r["priority"]) for r in rows} == {("first", 0), ("late", 1), ("last", 2)}
    assert len(rows) == 6


def test_tasks_for_whoever_comes_next_name_nobody_and_no_side():
    batch = tasks_of([f"p{i}" for i in range(300)], None, 3, overlap_rate=0.2)
    rows = batch.table.to_pylist()
    assert {(r["person"], r["left_response"]) for r in rows} == {(None, None)}
    assert len({r["task_id"] for r in rows}) == len(rows)
    votes = [sum(r["pair_id"] == f"p{i}" for r in rows) for i in range(300)]
    assert set(votes) == {1, 3}
    assert 40 < votes.count(3) < 80
    assert batch.counts.as_dict() == {"rows_in": 300, "rows_out": 300, "dropped": {}}


@pytest.mark.parametrize(("budget", "asked"), [(1, 0), (2, 0), (3, 1), (8, 2), (9, 3), (100, 10)])
def test_a_budget_in_labels_ends_the_batch_and_counts_what_it_left(budget, asked):
    batch = tasks_of([f"p{i}" for i in range(10)], list("abc"), 3, max_labels=budget)
    assert {r["pair_id"] for r in batch.table.to_pylist()} == {f"p{i}" for i in range(asked)}
    left = {"over_label_budget": 10 - asked} if asked < 10 else {}
    assert batch.counts.as_dict() == {"rows_in": 10, "rows_out": asked, "dropped": left}


def test_more_votes_than_people_is_a_configuration_error():
    with pytest.raises(ConfigError, match="3 votes a pair need as many people, and there are 2"):
        tasks_of(["p"], ["a", "b", "b"], 3)


RECORDED = recorded(
    ("p1", "person", "crowd:w1", 0, "1", 2),
    ("p1", "person", "crowd:w2", 1, "tie"),
    ("p1", "person", "crowd:w2", 2, "2"),
    ("p1", "judge", "crowd votes replayed as judge", 3, "2"),
    ("p2", "person", "crowd:w1", 0, "undecided"),
    ("p3", "judge", "gpt", 0, "1"),
)


def test_recorded_people_are_asked_what_they_answered():
    assert RecordedPeople(RECORDED).pair_ids == {"p1", "p2"}
    batch = make_recorded_tasks(["p1", "p2", "p3"], RECORDED, votes_per_pair=None, round_name="round_0")
    assert batch.counts.as_dict() == {"rows_in": 3, "rows_out": 2, "dropped": {"no_record": 1}}
    asked = {(t["pair_id"], t["person"]): t["left_response"] for t in batch.table.to_pylist()}
    assert asked == {("p1", "crowd:w1"): 2, ("p1", "crowd:w2"): None, ("p2", "crowd:w1"): None}
    got = collect(batch.table, RECORDED)
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
    batch = make_recorded_tasks(["p1"], RECORDED, votes_per_pair=votes, round_name="round_0")
    assert sorted(batch.table["person"].to_pylist()) == people


def test_a_recorded_task_without_a_record_is_counted():
    tasks = tasks_of(["p1", "p9"], ["crowd:w1"]).table
    bad = recorded(("p1", "person", "crowd:w1", 0, "left"))
    assert collect(tasks, RECORDED).counts.dropped == {"no_record": 1}
    assert collect(tasks, bad).counts.dropped == {"no_record": 1, "unknown_verdict": 1}


def test_collecting_twice_adds_nothing_to_the_ledger(tmp_path):
    tasks = make_recorded_tasks(["p1", "p2"], RECORDED, votes_per_pair=None, round_name="round_0").table
    lake, partition = Lake(tmp_path), {"kind": "person", "batch": "round_0"}
    first = lake.append_events("label_events", collect(tasks, RECORDED).events, partition)
    again = lake.append_events("label_events", collect(tasks, RECORDED).events, partition)
    assert (first.num_rows, again.content_hash) == (3, first.content_hash)


def test_no_tasks_no_labels():
    got = collect(from_rows([], "annotation_tasks"), RECORDED)
    assert (len(got.events), got.counts.rows_in) == (0, 0)
