"""The inbox: real people's answers as files, with every unusable line kept as a dead letter."""

import json
from datetime import UTC, datetime

import pyarrow as pa
import pytest

from assets.human_gold.inbox import InboxPeople
from assets.human_gold.tasks import make_tasks
from assets.lake import Lake

NOW = datetime(2025, 1, 1, tzinfo=UTC)
PEOPLE = ["ada", "bo"]


@pytest.fixture
def inbox(tmp_path):
    folder = tmp_path / "inbox"
    folder.mkdir()
    return folder


def deliver(folder, name, *lines):
    text = [line if isinstance(line, (str, bytes)) else json.dumps(line) for line in lines]
    (folder / name).write_bytes(b"\n".join(t if isinstance(t, bytes) else t.encode() for t in text) + b"\n")


def answer(pair, person, verdict, **more):
    return {"pair_id": pair, "person": person, "verdict": verdict, **more}


def tasks_of(*pairs, round_name="round_0"):
    return make_tasks(pairs, PEOPLE, votes_per_pair=2, round_name=round_name, seed=1)


def collect(folder, tasks, known=("p1", "p2", "other")):
    people = InboxPeople(folder, PEOPLE, set(known))
    return people.collect(tasks, round_name="round_0", created_at=NOW)


def test_an_inbox_that_is_not_there_yet_leaves_every_task_waiting(tmp_path):
    got = collect(tmp_path / "missing", tasks_of("p1"))
    assert got.counts.as_dict() == {"rows_in": 2, "rows_out": 0, "dropped": {"not_answered": 2}}
    assert got.delivered.rows_in == 0


@pytest.mark.parametrize(
    ("given", "stored"),
    [("left", "side"), ("right", "other side"), ("1", "1"), (2, "2"), ("tie", "tie"), ("undecided", "undecided")],
)
def test_verdicts_become_canonical(inbox, given, stored):
    tasks = tasks_of("p1")
    left = next(t["left_response"] for t in tasks.to_pylist() if t["person"] == "ada")
    deliver(inbox, "a.jsonl", answer("p1", "ada", given, seconds=41))
    (event,) = collect(inbox, tasks).events.to_pylist()
    assert event["verdict"] == {"side": str(left), "other side": str(3 - left)}.get(stored, stored)
    assert event["labeller"] == "ada"
    assert not event["simulated"]
    assert json.loads(event["evidence"])["given"] == {"seconds": 41}


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("{not json", "unreadable_row"),
        ("[1, 2]", "unreadable_row"),
        (json.dumps({"pair_id": "p1", "person": "ada"}), "unreadable_row"),
        (b"\xff\xfe", "unreadable_row"),
        ("[" * 100_000, "unreadable_row"),
        (json.dumps(answer("nobody knows", "ada", "1")), "unknown_pair"),
        (json.dumps(answer("\ud800", "ada", "1")), "unknown_pair"),
        (json.dumps(answer("p1", "mallory", "1")), "unknown_person"),
        (json.dumps(answer("p1", "ada", "both")), "unknown_verdict"),
        (json.dumps(answer("p1", "ada", None)), "unknown_verdict"),
    ],
)
def test_a_line_nobody_can_use_is_a_dead_letter_and_the_rest_counts(inbox, line, reason):
    deliver(inbox, "a.jsonl", line, answer("p1", "bo", "1"))
    got = collect(inbox, tasks_of("p1"))
    (letter,) = got.dead_letters.to_pylist()
    assert (letter["reason"], letter["file"], letter["source_row"]) == (reason, "a.jsonl", 1)
    assert got.delivered.as_dict() == {"rows_in": 2, "rows_out": 1, "dropped": {reason: 1}}
    assert got.events["labeller"].to_pylist() == ["bo"]


def test_a_side_without_a_shown_side_is_a_dead_letter(inbox):
    tasks = tasks_of("p1")
    at = tasks.schema.get_field_index("left_response")
    tasks = tasks.set_column(at, "left_response", pa.nulls(2, pa.int8()))
    deliver(inbox, "a.jsonl", answer("p1", "ada", "left"), answer("p1", "bo", "2"))
    got = collect(inbox, tasks)
    assert got.delivered.dropped == {"unknown_verdict": 1}
    assert got.events["verdict"].to_pylist() == ["2"]


def test_an_answer_for_another_round_waits_for_its_collection(inbox):
    deliver(inbox, "a.jsonl", answer("other", "ada", "1"))
    got = collect(inbox, tasks_of("p1"))
    assert got.delivered.dropped == {"no_task_in_round": 1}
    assert len(got.dead_letters) == 0


def test_a_later_answer_corrects_and_a_repetition_adds_nothing(inbox):
    deliver(inbox, "a.jsonl", answer("p1", "ada", "1"), answer("p1", "ada", "1"))
    deliver(inbox, "b.jsonl", answer("p1", "ada", "2"))
    got = collect(inbox, tasks_of("p1"))
    first, second = got.events.to_pylist()
    assert (first["verdict"], first["supersedes"]) == ("1", None)
    assert (second["verdict"], second["supersedes"]) == ("2", first["event_id"])
    assert got.delivered.as_dict() == {"rows_in": 3, "rows_out": 2, "dropped": {"repeated": 1}}
    assert got.counts.as_dict() == {"rows_in": 2, "rows_out": 1, "dropped": {"not_answered": 1}}


def test_collecting_as_files_arrive_gives_the_ledger_of_collecting_once(inbox, tmp_path):
    tasks, partition = tasks_of("p1", "p2"), {"kind": "person", "batch": "round_0"}
    bit_by_bit, at_once = Lake(tmp_path / "one"), Lake(tmp_path / "two")
    files = {
        "a.jsonl": [answer("p1", "ada", "1"), "broken"],
        "b.jsonl": [answer("p1", "ada", "2"), answer("p2", "bo", "left")],
        "c.jsonl": [answer("p1", "ada", "1"), answer("p1", "bo", "tie")],
    }
    for name, lines in files.items():
        deliver(inbox, name, *lines)
        manifest = bit_by_bit.append_events("label_events", collect(inbox, tasks).events, partition)
    whole = at_once.append_events("label_events", collect(inbox, tasks).events, partition)
    assert manifest.content_hash == whole.content_hash
    assert whole.num_rows == 5
