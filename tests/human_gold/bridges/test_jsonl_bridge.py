"""JSON Lines: an export tells nothing hidden; every imported line is stored once or kept as a dead letter."""

import json
from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest

from assets.errors import SynprefError
from assets.guidelines import load_guidelines
from assets.human_gold.bridges import jsonl
from assets.human_gold.bridges.jsonl import export_tasks, import_answers
from assets.human_gold.desk.batches import Task, batch_progress, withdraw
from assets.human_gold.desk.views import Answer
from tests.human_gold.bridges.conftest import START, item, reserved


def export(desk_round, tmp_path, name="tasks.jsonl"):
    exported = export_tasks(desk_round.engine, "round_0", tmp_path / name, load_guidelines(), clock=desk_round.clock)
    lines = (tmp_path / name).read_text("utf-8").splitlines()
    assert exported.num_tasks == len(lines)
    return [json.loads(line) for line in lines], exported


def deliver(desk_round, tmp_path, name, *lines, **options):
    raw = [line if isinstance(line, (str, bytes)) else json.dumps(line) for line in lines]
    (tmp_path / name).write_bytes(b"\n".join(r if isinstance(r, bytes) else r.encode() for r in raw) + b"\n")
    return import_answers(desk_round.engine, tmp_path / name, clock=desk_round.clock, **options)


def answer(pair, person, verdict, **more):
    return {"pair_id": pair, "person": person, "verdict": verdict, **more}


def test_an_exported_task_shows_what_the_page_shows_and_nothing_hidden(desk_round, tmp_path):
    desk_round.push([item("p1")], reserved("p1", reason="seed_people"))
    tasks, exported = export(desk_round, tmp_path)
    assert [task["person"] for task in tasks] == ["ada", "bo"]
    for task in tasks:
        shown = desk_round.desk.shown(desk_round.people[task["person"]], task["task_id"])
        assert (task["left"], task["right"]) == (shown.left, shown.right)
        assert task["conversation"] == [dict(turn) for turn in shown.conversation]
        assert task["guideline"]["text"] == load_guidelines().text("math", "objective", "low")
        assert task["guideline"]["version"] == load_guidelines().version_of("math", "objective", "low")
        assert set(task) == {
            "task_id", "pair_id", "person", "conversation", "left", "right", "attributes", "guideline", "due"
        }  # fmt: skip
        assert set(task["attributes"]) == {
            "task_category", "objectivity", "controversiality", "desired_attributes", "annotation_guideline"
        }  # fmt: skip
        text = json.dumps(task)
        for hidden in ("secret", "source_verdict", "left_response", "response_1", "seed_people", "keyword_rules"):
            assert hidden not in text
    assert exported.left_out == {}


def test_sides_are_drawn_for_tasks_of_the_pool_and_stay(desk_round, tmp_path):
    pairs = [f"p{i:03d}" for i in range(200)]
    desk_round.push([item(pair) for pair in pairs], [Task(f"t-{pair}", pair) for pair in pairs])
    tasks, _ = export(desk_round, tmp_path)
    num_first_left = sum(task["left"].startswith("first") for task in tasks)
    assert 70 < num_first_left < 130
    assert export(desk_round, tmp_path, "again.jsonl")[0] == tasks
    # The page shows the same sides to whoever takes it there.
    shown = desk_round.desk.next_task(desk_round.people["ada"])
    exported = next(task for task in tasks if task["task_id"] == shown.key)
    assert (shown.left, shown.right) == (exported["left"], exported["right"])


def test_what_is_not_exported_is_counted(desk_round, tmp_path):
    desk_round.push(
        [item(f"p{i}") for i in range(5)],
        [
            *reserved("p0", people=["ada"]),
            *(Task(f"t{i}", f"p{i}") for i in range(1, 5)),
            Task("again", "p0", "repeat", handle="ada", after_num_answers=1),
        ],
    )
    tasks, exported = export(desk_round, tmp_path)
    assert ({task["task_id"] for task in tasks}, exported.left_out) == (
        {"p0-ada", "t1", "t2", "t3", "t4"},
        {"repeat_not_due": 1},
    )
    withdraw(desk_round.engine, task_ids=["t4"], by=None, why="test", clock=desk_round.clock)
    assert desk_round.desk.next_task(desk_round.people["bo"]).key == "t1"
    deliver(desk_round, tmp_path, "a.jsonl", answer("p0", "ada", "left"), answer("p2", "ada", "tie"))
    tasks, exported = export(desk_round, tmp_path)
    # The repeat is due after one further answer, and nothing in its task tells that it is one.
    assert [task["task_id"] for task in tasks] == ["t3", "again"]
    assert exported.left_out == {"answered": 2, "claimed": 1, "withdrawn": 1}
    assert tasks[0].keys() == tasks[1].keys()


def test_a_round_that_is_not_there(desk_round, tmp_path):
    with pytest.raises(SynprefError, match="no round 'round_9'"):
        export_tasks(desk_round.engine, "round_9", tmp_path / "x.jsonl", load_guidelines())
    assert list(tmp_path.glob("*.jsonl")) == []
    with pytest.raises(SynprefError, match="no file"):
        import_answers(desk_round.engine, tmp_path / "missing.jsonl")


@pytest.mark.parametrize(
    ("given", "stored"),
    [("left", "side"), ("right", "other side"), ("1", "1"), (2, "2"), ("tie", "tie"), ("undecided", "undecided")],
)
def test_verdicts_are_stored_as_shown_and_in_canonical_order(desk_round, tmp_path, given, stored):
    desk_round.push([item("p1")], reserved("p1"))
    tasks, _ = export(desk_round, tmp_path)
    left = "1" if tasks[0]["left"].startswith("first") else "2"
    other = "2" if left == "1" else "1"
    taken = deliver(desk_round, tmp_path, "a.jsonl", {"task_id": "p1-ada", "verdict": given})
    assert taken.counts.as_dict() == {"rows_in": 1, "rows_out": 1, "dropped": {}}
    (row,) = desk_round.answers()
    assert row["verdict"] == {"side": left, "other side": other}.get(stored, stored)
    assert row["shown_verdict"] == {left: "left", other: "right"}.get(row["verdict"], row["verdict"])
    assert (row["handle"], row["strength"]) == ("ada", None)


def test_everything_that_an_answer_says_is_stored(desk_round, tmp_path):
    desk_round.push([item("p1")], reserved("p1"))
    export(desk_round, tmp_path)
    line = answer(
        "p1",
        "ada",
        "left",
        strength="clearly",
        reasons=["safety", "correctness"],
        comment="\u202eright to left\u0000",
        edited_attributes={"objectivity": "subjective", "controversiality": "low"},
        active_seconds=41,
        guideline_version="1.1-abcdef01",
        answered_at="2025-02-28T10:00:00+02:00",
    )
    deliver(desk_round, tmp_path, "a.jsonl", line)
    (row,) = desk_round.answers()
    assert {name: row[name] for name in line if name in row and name not in ("pair_id", "verdict")} == {
        "strength": "clearly",
        "reasons": ["correctness", "safety"],
        "comment": "\u202eright to left\u2400",
        "edited_attributes": {"objectivity": "subjective"},
        "active_seconds": 41.0,
        "guideline_version": "1.1-abcdef01",
        "answered_at": datetime(2025, 2, 28, 8, tzinfo=UTC),
    }


def test_a_clock_that_goes_ahead_costs_no_label(desk_round, tmp_path):
    desk_round.push([item("p1")], reserved("p1"))
    deliver(desk_round, tmp_path, "a.jsonl", answer("p1", "ada", "1", answered_at="2999-01-01T00:00:00Z"))
    assert desk_round.answers()[0]["answered_at"] == START


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("{not json", "unreadable_row"),
        ("[1, 2]", "unreadable_row"),
        ({"pair_id": "p1", "person": "ada"}, "unreadable_row"),
        ({"pair_id": "p1", "verdict": "1"}, "unreadable_row"),
        (b"\xff\xfe", "unreadable_row"),
        ("[" * 100_000, "unreadable_row"),
        ('{"pair_id": "p1", "person": "ada", "verdict": "1", "comment": "' + "x" * (1 << 20) + '"}', "unreadable_row"),
        (answer("p1", "ada", "1", active_seconds="long"), "unreadable_row"),
        (answer("p1", "ada", "1", reasons="safety"), "unreadable_row"),
        (answer("p1", "ada", "1", answered_at="yesterday"), "unreadable_row"),
        (answer("p1", "ada", "1", answered_at="2025-01-01T10:00:00"), "unreadable_row"),
        (answer("p1", 7, "1"), "unreadable_row"),
        (answer("nobody knows", "ada", "1"), "unknown_pair"),
        (answer("\ud800", "ada", "1"), "unknown_pair"),
        (answer("p\u0000", "ada", "1"), "unknown_pair"),
        ({"task_id": "no such", "verdict": "1"}, "unknown_task"),
        ({"task_id": "p1-ada", "pair_id": "p2", "verdict": "1"}, "unknown_task"),
        (answer("p1", "mallory", "1"), "unknown_person"),
        ({"task_id": "free", "verdict": "1"}, "unknown_person"),
        (answer("p1", "gone", "1"), "inactive_person"),
        (answer("p1", "ada", "both"), "unknown_verdict"),
        (answer("p1", "ada", True), "unknown_verdict"),
        (answer("p1", "ada", {"a": 1}), "unknown_verdict"),
        (answer("p1", "ada", "1", strength="very"), "invalid_answer"),
        (answer("p1", "ada", "tie", strength="clearly"), "invalid_answer"),
        (answer("p1", "ada", "1", reasons=["taste"]), "invalid_answer"),
        (answer("p1", "ada", "1", edited_attributes={"objectivity": "both"}), "invalid_answer"),
        (answer("p1", "ada", "1", edited_attributes={"verdict": "1"}), "invalid_answer"),
        ({"task_id": "p1-bo", "person": "ada", "verdict": "1"}, "not_their_task"),
        (answer("p2", "ada", "1"), "no_task"),
        (answer("p4", "ada", "1"), "withdrawn"),
        ({"task_id": "free-4", "person": "bo", "verdict": "1"}, "withdrawn"),
        # The task was reserved, but nobody was shown its sides.
        (answer("p1", "ada", "left"), "side_unknown"),
    ],
)
def test_a_line_nobody_can_use_is_a_dead_letter_and_the_rest_counts(desk_round, tmp_path, line, reason):
    desk_round.accounts.invite("gone", "annotator", by=None)
    desk_round.push(
        [item(pair) for pair in ("p1", "p2", "p3", "p4")],
        [
            *reserved("p1", people=["ada", "bo", "gone"]),
            *reserved("p2", people=["bo"]),
            Task("free", "p3"),
            *reserved("p4", people=["ada"]),
            Task("free-4", "p4"),
        ],
    )
    desk_round.accounts.deactivate("gone", None)
    withdraw(desk_round.engine, pair_ids=["p4"], by=None, why="test", clock=desk_round.clock)
    good = answer("p1", "bo", "2")
    taken = deliver(desk_round, tmp_path, "a.jsonl", line, good)
    (letter,) = taken.dead_letters.to_pylist()
    assert (letter["source"], letter["file"], letter["source_row"]) == ("answers", "a.jsonl", 1)
    assert letter["reason"] == reason
    assert letter["detail"]
    assert taken.counts.as_dict() == {"rows_in": 2, "rows_out": 1, "dropped": {reason: 1}}
    assert [(row["handle"], row["verdict"]) for row in desk_round.answers()] == [("bo", "2")]
    # Again: the good line is known, the bad one is as bad as before.
    again = deliver(desk_round, tmp_path, "a.jsonl", line, good)
    assert again.counts.as_dict() == {"rows_in": 2, "rows_out": 0, "dropped": {reason: 1, "repeated": 1}}
    assert again.dead_letters.equals(taken.dead_letters)


def test_blank_lines_windows_ends_and_a_byte_order_mark(desk_round, tmp_path):
    desk_round.push([item("p1"), item("p2")], reserved("p1", "p2"))
    one, two = (json.dumps(answer(pair, "ada", "1")) for pair in ("p1", "p2"))
    taken = deliver(desk_round, tmp_path, "a.jsonl", b"\xef\xbb\xbf" + one.encode() + b"\r\n\r\n  ", two + "\r")
    assert taken.counts.as_dict() == {"rows_in": 2, "rows_out": 2, "dropped": {}}


def test_a_file_imported_twice_adds_nothing_also_when_it_grew(desk_round, tmp_path):
    desk_round.push([item("p1"), item("p2")], reserved("p1", "p2"))
    lines = [answer("p1", "ada", "1"), answer("p1", "ada", "2"), answer("p1", "ada", "1")]
    first = deliver(desk_round, tmp_path, "a.jsonl", *lines)
    assert (first.counts.rows_out, first.num_corrections) == (3, 2)
    again = deliver(desk_round, tmp_path, "a.jsonl", *lines, answer("p2", "ada", "tie"))
    assert again.counts.as_dict() == {"rows_in": 4, "rows_out": 1, "dropped": {"repeated": 3}}
    assert [(row["pair_id"], row["verdict"], row["revision"]) for row in desk_round.answers()] == [
        ("p1", "1", 0),
        ("p1", "2", 1),
        ("p1", "1", 2),
        ("p2", "tie", 0),
    ]


def test_an_older_file_again_does_not_undo_a_correction(desk_round, tmp_path):
    desk_round.push([item("p1")], reserved("p1"))
    deliver(desk_round, tmp_path, "a.jsonl", answer("p1", "ada", "1"))
    deliver(desk_round, tmp_path, "b.jsonl", answer("p1", "ada", "2"))
    assert deliver(desk_round, tmp_path, "a.jsonl", answer("p1", "ada", "1")).counts.dropped == {"repeated": 1}
    assert deliver(desk_round, tmp_path, "c.jsonl", answer("p1", "ada", "1")).num_corrections == 1


def test_a_client_key_makes_a_line_known_in_any_file(desk_round, tmp_path):
    desk_round.push([item("p1")], reserved("p1"))
    one, two = answer("p1", "ada", "1", client_key="k1"), answer("p1", "ada", "2", client_key="k2")
    deliver(desk_round, tmp_path, "a.jsonl", one, two)
    taken = deliver(desk_round, tmp_path, "renamed.jsonl", {**one, "pair_id": "p1"}, two)
    assert taken.counts.dropped == {"repeated": 2}
    # Two people may have the same key.
    assert deliver(desk_round, tmp_path, "b.jsonl", {**one, "person": "bo"}).counts.rows_out == 1


def test_saying_the_same_again_is_no_correction(desk_round, tmp_path):
    desk_round.push([item("p1")], reserved("p1"))
    same = answer("p1", "ada", "1", comment="so")
    deliver(desk_round, tmp_path, "a.jsonl", same)
    taken = deliver(desk_round, tmp_path, "b.jsonl", {**same, "comment": " so ", "edited_attributes": {}})
    assert taken.counts.dropped == {"repeated": 1}
    assert deliver(desk_round, tmp_path, "c.jsonl", {**same, "comment": "no"}).num_corrections == 1


def test_tasks_that_anyone_may_take_are_taken_once_each(desk_round, tmp_path):
    desk_round.push([item("p1")], [Task("t1", "p1"), Task("t2", "p1")])
    export(desk_round, tmp_path)
    taken = deliver(
        desk_round,
        tmp_path,
        "a.jsonl",
        {"task_id": "t1", "person": "ada", "verdict": "left"},
        {"task_id": "t2", "person": "ada", "verdict": "left"},
        {"task_id": "t1", "person": "bo", "verdict": "left"},
        answer("p1", "bo", "2"),
    )
    assert taken.counts.as_dict() == {
        "rows_in": 4,
        "rows_out": 2,
        "dropped": {"had_the_pair": 1, "not_their_task": 1},
    }
    assert [(row["task_id"], row["handle"]) for row in desk_round.answers()] == [("t1", "ada"), ("t2", "bo")]


def test_an_answer_by_pair_never_lands_on_a_repeat(desk_round, tmp_path):
    desk_round.push([item("p1")], [*reserved("p1"), Task("again", "p1", "repeat", handle="ada", after_num_answers=0)])
    desk_round.push([item("p2")], [Task("other-round", "p2", handle="bo")], round_name="round_1")
    for verdict in ("1", "2"):
        deliver(desk_round, tmp_path, f"{verdict}.jsonl", answer("p1", "ada", verdict), round_name="round_0")
    assert [(row["task_id"], row["revision"]) for row in desk_round.answers()] == [("p1-ada", 0), ("p1-ada", 1)]
    taken = deliver(desk_round, tmp_path, "b.jsonl", {"task_id": "other-round", "verdict": "1"}, round_name="round_0")
    assert taken.counts.dropped == {"no_task": 1}


def test_sides_that_differ_between_free_tasks_need_the_tasks_name(desk_round, tmp_path):
    pairs = [f"p{i}" for i in range(20)]
    desk_round.push([item(p) for p in pairs], [Task(f"{p}-{n}", p) for p in pairs for n in (1, 2)])
    tasks, _ = export(desk_round, tmp_path)
    sides = {p: {task["left"] for task in tasks if task["pair_id"] == p} for p in pairs}
    lines = [answer(p, "ada", "left") for p in pairs]
    taken = deliver(desk_round, tmp_path, "a.jsonl", *lines)
    num_mixed = sum(len(side) == 2 for side in sides.values())
    assert 0 < num_mixed < 20
    assert taken.counts.dropped == {"ambiguous_task": num_mixed}


def test_a_correction_of_what_was_answered_on_the_page(desk_round, tmp_path):
    desk_round.push([item("p1")], reserved("p1"))
    ada = desk_round.people["ada"]
    desk_round.desk.answer(ada, Answer(desk_round.desk.next_task(ada).key, "page-key-1", "left", strength="clearly"))
    taken = deliver(desk_round, tmp_path, "a.jsonl", answer("p1", "ada", "tie"))
    assert taken.num_corrections == 1
    assert [row["revision"] for row in desk_round.answers()] == [0, 1]


def test_disagreement_in_a_file_opens_a_case(desk_round, tmp_path):
    desk_round.push([item("p1")], reserved("p1"))
    deliver(desk_round, tmp_path, "a.jsonl", answer("p1", "ada", "1"), answer("p1", "bo", "2"))
    (progress,) = batch_progress(desk_round.engine)
    assert progress["num_cases_open"] == 1


def test_files_of_bad_lines_only_are_streamed(desk_round, tmp_path):
    desk_round.push([item("p1")], reserved("p1"))
    path = tmp_path / "big.jsonl"
    with path.open("wb") as file:
        file.write(b"x" * (3 * jsonl.MAX_LINE_BYTES) + b"\n")
        file.write(json.dumps(answer("p1", "ada", "1")).encode())
    taken = import_answers(desk_round.engine, path, clock=desk_round.clock)
    assert taken.counts.as_dict() == {"rows_in": 2, "rows_out": 1, "dropped": {"unreadable_row": 1}}
    assert taken.dead_letters["source_row"].to_pylist() == [1]


def test_exports_and_imports_stand_in_the_audit_log(desk_round, tmp_path):
    desk_round.push([item("p1")], reserved("p1"))
    export(desk_round, tmp_path)
    desk_round.later(hours=1)
    deliver(desk_round, tmp_path, "a.jsonl", answer("p1", "ada", "1"), "broken")
    log = desk_round.accounts.audit_log()
    found = {row["action"]: row for row in log if row["action"] in ("tasks_exported", "answers_imported")}
    assert Counter(row["action"] for row in log)["answers_imported"] == 1
    assert found["tasks_exported"]["detail"]["tasks"] == 2
    assert found["answers_imported"]["detail"]["dropped"] == {"unreadable_row": 1}
    assert found["answers_imported"]["at"] - found["tasks_exported"]["at"] == timedelta(hours=1)
