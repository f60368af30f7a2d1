"""Labels of an ingestion: planted errors, truth known by construction, recorded verdicts of people and judges."""

import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from assets.errors import ConfigError
from assets.lake import Lake


def test_planted_errors_are_inverted_and_their_truth_is_kept(bench, two_responses):
    rows = [two_responses(n, "ab"[n % 2] if n else "tie") for n in range(400)]
    plan = {"share": 0.25, "seed": 3}
    report = bench.ingest(rows, plant_errors=plan)
    clean = Lake(bench.folder / "clean")
    bench.ingest(rows, lake=clean)
    given = {e["pair_id"]: e for e in bench.rows("label_events")}
    right = {e["pair_id"]: e["verdict"] for e in clean.read("label_events").to_pylist()}
    truth = {t["pair_id"]: t for t in bench.rows("sample_truth")}
    assert len(truth) == 399, "a tie cannot be inverted"
    for pair_id, row in truth.items():
        assert row["verdict"] == right[pair_id]
        assert (given[pair_id]["verdict"] != right[pair_id]) == (row["planted"] == "uniform_error")
    assert report.num_planted_errors == sum(t["planted"] == "uniform_error" for t in truth.values())
    assert 0.18 < report.num_planted_errors / 399 < 0.32
    # The labels say that errors were planted and how many, never on which pair.
    assert {json.loads(e["evidence"])["planted_error_share"] for e in given.values()} == {0.25}
    assert all(e["simulated"] for e in given.values())
    other = Lake(bench.folder / "other_seed")
    bench.ingest(rows, plant_errors=plan, lake=other, seed=2)
    assert {t["pair_id"] for t in other.read("sample_truth").to_pylist() if t["planted"] != "none"} != {
        p for p, t in truth.items() if t["planted"] != "none"
    }


def test_contradicting_truth_is_no_truth(bench, two_responses):
    report = bench.ingest(
        [two_responses(0, "a"), two_responses(0, "b"), two_responses(1), two_responses(1)],
        plant_errors={"share": 0.0, "seed": 1},
    )
    assert (report.num_contradicting_truths, len(bench.rows("sample_truth"))) == (1, 1)


def test_truth_of_a_file_is_told_in_canonical_order(bench, two_responses, tmp_path):
    truth = pa.table(
        {
            "source": ["s", "s", "s", "other"],
            "source_row": [0, 1, 2, 0],
            "verdict": ["a", "tie", None, "b"],
            "planted": ["uniform_error", "tie", "unreadable", "none"],
            "detail": [None, "", "cut", ""],
        }
    )
    pq.write_table(truth, tmp_path / "truth.parquet")
    rows = [two_responses(0), two_responses(1), b"{"]
    bench.ingest(rows, truth_path=tmp_path / "truth.parquet", simulated=True)
    pairs = {r["source_row"]: r for r in bench.rows("pairs")}
    found = {r["planted"]: r for r in bench.rows("sample_truth")}
    assert set(found) == {"uniform_error", "tie", "unreadable"}
    assert found["uniform_error"]["pair_id"] == pairs[0]["pair_id"]
    assert pairs[0][f"response_{found['uniform_error']['verdict']}"] == "0."
    assert (found["tie"]["verdict"], found["unreadable"]["pair_id"]) == ("tie", None)


def test_truth_that_cannot_be_read_is_named(bench, two_responses, tmp_path):
    (tmp_path / "truth.parquet").write_text("no")
    with pytest.raises(ConfigError, match=r"truth\.parquet"):
        bench.ingest([two_responses(0)], truth_path=tmp_path / "truth.parquet")
    with pytest.raises(ConfigError, match=r"gone\.parquet"):
        bench.ingest([two_responses(0)], truth_path=tmp_path / "gone.parquet")


def test_a_verdict_that_made_a_label_is_no_judges_on_the_same_pair(bench, two_responses):
    votes = {"use": "other_judges", "column": "verdicts", "label_maker": "judge", "midpoint": 1.5}
    rows = [
        two_responses(0, "a") | {"verdicts": {"x": 1, "y": 2}, "judge": "x"},
        # The same pair once more, its label made by y: what y said is a label there, so no evidence here.
        two_responses(0, "b") | {"verdicts": {"y": 2, "z": 2}, "judge": "y"},
        two_responses(1, "b") | {"verdicts": {"y": 2, "z": 2}, "judge": "z"},
    ]
    report = bench.ingest(rows, votes=votes)
    assert report.num_label_makers_left_out == 1
    found = {(r["source_row"], r["labeller"]) for r in bench.rows("recorded_verdicts")}
    assert found == {(1, "z"), (2, "y")}


def test_recorded_verdicts_are_told_in_canonical_order(bench, two_responses):
    votes = {"use": "later_judges", "column": "votes", "labeller_at": 0, "order_at": 1, "verdict_at": 2}
    votes |= {"orders": {"shown": "first", "reversed": "second"}, "values": {"A": "first", "B": "second"}}
    rows = [
        two_responses(n, None) | {"votes": [["big", "shown", "A"], ["big", "reversed", "B"], ["small", "shown", "A"]]}
        for n in range(8)
    ]
    report = bench.ingest(rows, votes=votes)
    assert report.recorded == {"judge": 16}
    pairs = {r["source_row"]: r for r in bench.rows("pairs")}
    events = {e["pair_id"]: e["verdict"] for e in bench.rows("label_events")}
    assert {p["response_1"][:3] == "Not" for p in pairs.values()} == {True, False}, "both orders occur"
    for row in bench.rows("recorded_verdicts"):
        pair, n = pairs[row["source_row"]], row["source_row"]
        first = "1" if pair["response_1"] == f"{n}." else "2"
        other = "2" if first == "1" else "1"
        assert events[row["pair_id"]] == first
        if row["position"] == 1:
            assert (row["verdict"], str(row["first_shown"])) == (other, other)
        else:
            assert (row["verdict"], str(row["first_shown"])) == (first, first)


def test_a_row_with_bad_votes_is_a_dead_letter(bench, two_responses):
    votes = {"use": "crowd", "column": "votes", "values": {"1": "first", "2": "second"}}
    report = bench.ingest([two_responses(0) | {"votes": [1]}, two_responses(1) | {"votes": [9]}], votes=votes)
    assert report.counts.dropped == {"bad_votes": 1}
    assert len(bench.rows("pairs")) == len(bench.rows("label_events")) == 1


def labels_in_force(bench):
    """Verdict by row of the events that no other supersedes, and whether every event has an id of its own."""
    events = bench.rows("label_events")
    superseded = {event["supersedes"] for event in events}
    standing = {e["source_row"]: e["verdict"] for e in events if e["event_id"] not in superseded}
    return standing, len({event["event_id"] for event in events}) == len(events)


def test_rows_that_were_gone_and_come_back_have_their_labels_again(bench, two_responses):
    rows = [two_responses(number) for number in range(6)]
    bench.ingest(rows)
    wanted = labels_in_force(bench)
    for delivered in (rows[:3], rows, rows[:4], rows):
        bench.ingest(delivered)
    assert labels_in_force(bench) == wanted
    assert wanted[1]


def test_a_label_that_went_and_came_back_is_delivered_once_more_without_an_event(bench, two_responses):
    for number, preferred in enumerate("abaaa"):
        # The other row changes every time, so that the source is read again.
        bench.ingest([two_responses(1, preferred=preferred), two_responses(2, note=number)])
    (standing, unique), events = labels_in_force(bench), bench.rows("label_events")
    first = next(e for e in events if e["source_row"] == 0 and e["supersedes"] is None)
    assert standing[0] == first["verdict"]
    assert unique
    assert sum(event["source_row"] == 0 for event in events) == 3
