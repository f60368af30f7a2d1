"""Ingestion: what a source's rows become in the lake, the account of them, and that repeating it changes nothing."""

import json
import os
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from assets.errors import ConfigError, PartitionBusyError
from assets.identity import identify_pair
from assets.lake import Lake
from assets.raw_pairs.ingest import ingest_source
from assets.raw_pairs.parallel import num_workers
from assets.settings import REPOSITORY

CREATED_AT = datetime(2025, 1, 1, tzinfo=UTC)
LATER = datetime(2026, 1, 1, tzinfo=UTC)
TABLES = ("pairs", "label_events", "recorded_verdicts", "dead_letters", "sample_truth")


def hashes(lake, *tables):
    return {(m.table, str(m.partition)): m.content_hash for t in tables or TABLES for m in lake.manifests(t)}


def test_every_row_is_kept_or_counted_under_a_reason(bench, two_responses):
    rows = [
        two_responses(0),
        two_responses(1, "c"),
        b"{not json",
        two_responses(2, None),
        two_responses(3) | {"response_a": None},
        two_responses(4, label_origin="rumour"),
    ]
    report = bench.ingest(rows)
    assert report.counts.as_dict() == {
        "rows_in": 6,
        "rows_out": 2,
        "dropped": {"missing_field": 1, "unknown_label": 1, "unknown_label_origin": 1, "unreadable_row": 1},
    }
    assert (report.num_pairs, report.verdicts["none"], report.layouts) == (2, 1, {"s.jsonl": "two_responses"})
    letters = bench.rows("dead_letters")
    assert [(r["file"], r["source_row"], r["reason"]) for r in letters] == [
        ("s.jsonl", 1, "unknown_label"),
        ("s.jsonl", 2, "unreadable_row"),
        ("s.jsonl", 4, "missing_field"),
        ("s.jsonl", 5, "unknown_label_origin"),
    ]
    assert all(len(r["row_hash"]) == 32 for r in letters)
    assert bench.lake.manifest("pairs", {"source": "s"}).info["counts"] == report.counts.as_dict()
    assert len(bench.rows("label_events")) == 1


def test_a_pair_is_stored_as_it_came_in_canonical_order(bench):
    texts = ["  Good\r\nanswer \u200b", "Bad\ud83d answer\n"]
    row = {"prompt": " Hi\t", "chosen": texts[0], "rejected": texts[1], "uid": 7, "label_origin": "llm"}
    bench.ingest([row])
    (pair,) = bench.rows("pairs")
    identity = identify_pair([("user", " Hi\t")], *texts)
    assert (pair["pair_id"], pair["prompt_id"]) == (identity.pair_id, identity.prompt_id)
    kept = [texts[0], "Bad\ufffd answer\n"]
    assert [pair["response_1"], pair["response_2"]] == (kept[::-1] if identity.swapped else kept)
    assert pair["prompt"] == [{"role": "user", "content": " Hi\t"}]
    assert (pair["label_origin"], pair["licence"], pair["problem"]) == ("llm", "MIT", None)
    assert (pair["num_chars_prompt"], pair["num_chars_1"]) == (4, len(pair["response_1"]))
    chosen = 2 if identity.swapped else 1
    assert json.loads(pair["meta"]) == {"uid": 7, "label_origin": "llm", "response_a_is": chosen}
    (event,) = bench.rows("label_events")
    assert (event["verdict"], event["labeller_kind"], event["labeller"]) == (str(chosen), "source", "s")


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"prompt": " \u200b\n"}, "empty_prompt"),
        ({"prompt": []}, "empty_prompt"),
        ({"response_a": ""}, "empty_response"),
        ({"response_b": "\ufeff \u3000"}, "empty_response"),
        ({"response_a": "Same", "response_b": " Same\r\n"}, "equal_responses"),
        ({"response_a": "", "response_b": ""}, "empty_response"),
        ({}, None),
    ],
)
def test_a_row_that_can_make_no_pair_is_marked(bench, two_responses, change, problem):
    report = bench.ingest([two_responses(0) | change, two_responses(1)])
    assert [r["problem"] for r in bench.rows("pairs")] == [problem, None]
    assert report.problems == ({problem: 1} if problem else {})


def test_swapped_roles_give_the_same_pair_and_the_same_verdict(bench):
    bench.ingest([{"prompt": "Hi", "response_a": "X", "response_b": "Y", "preferred": "a"}], name="one")
    bench.ingest([{"prompt": "Hi", "response_a": "Y", "response_b": "X", "preferred": "b"}], name="two")
    assert len({r["pair_id"] for r in bench.rows("pairs")}) == 1
    assert len({(r["response_1"], r["response_2"]) for r in bench.rows("pairs")}) == 1
    assert len({e["verdict"] for e in bench.rows("label_events")}) == 1
    assert len({e["event_id"] for e in bench.rows("label_events")}) == 2


ROWS = st.lists(
    st.fixed_dictionaries(
        {
            "prompt": st.sampled_from(["Hi", "Ho "]),
            "response_a": st.sampled_from(["X", "Y", "Z", ""]),
            "response_b": st.sampled_from(["X", "Y", "Z"]),
            "preferred": st.sampled_from(["a", "b", "tie", None, "?"]),
        }
    ),
    max_size=6,
)
SLOW = settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])


@given(one=ROWS, two=ROWS)
@SLOW
def test_the_order_of_sources_changes_nothing(bench, tmp_path_factory, one, two):
    found = []
    for order in ((("one", one), ("two", two)), (("two", two), ("one", one))):
        lake = Lake(tmp_path_factory.mktemp("lake"))
        for name, rows in order:
            bench.ingest(rows, name=name, lake=lake)
        found.append(hashes(lake))
    assert found[0] == found[1]


@given(rows=ROWS)
@SLOW
def test_a_repeated_delivery_adds_nothing(bench, tmp_path_factory, rows):
    lake = Lake(tmp_path_factory.mktemp("lake"))
    first = bench.ingest(rows, lake=lake)
    before = hashes(lake)
    assert bench.ingest(rows, lake=lake, created_at=LATER) == type(first)(**{**first.__dict__, "unchanged": True})
    # As after a crash: the pairs, published last, are not there yet.
    (lake.folder("pairs", {"source": "s"}) / "manifest.json").unlink()
    assert bench.ingest(rows, lake=lake, created_at=LATER) == first
    assert hashes(lake) == before


@pytest.mark.slow
def test_an_ingestion_killed_anywhere_is_finished_by_the_next(tmp_path, bench, two_responses):
    rows = [two_responses(n, "ab"[n % 2]) for n in range(5)] + [b"{bad"]
    source = bench.write(rows)
    calm = Lake(tmp_path / "calm")
    entry = bench.entry(source)
    ingest_source(entry, calm, seed=1, created_at=CREATED_AT)
    (tmp_path / "base").mkdir()
    (tmp_path / "killed").mkdir()
    done = subprocess.run(
        [
            sys.executable,
            Path(__file__).parent.parent / "core" / "killed_runs.py",
            "ingest",
            tmp_path / "base",
            tmp_path / "killed",
        ],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    killed = list((tmp_path / "killed").iterdir())
    assert len(killed) > 30
    for root in killed:
        lake = Lake(root)
        for manifest in (m for t in TABLES for m in lake.manifests(t)):
            lake.verify(manifest)
        ingest_source(entry, lake, seed=1, created_at=LATER)
        assert hashes(lake) == hashes(calm)
        assert not list(root.rglob(".*.tmp"))


def test_a_changed_file_supersedes_labels_and_takes_none_back(bench, two_responses):
    bench.ingest([two_responses(0, "a"), two_responses(1, "a"), two_responses(2, "a")])
    old = {e["event_id"]: e for e in bench.rows("label_events")}
    bench.ingest([two_responses(0, "a"), two_responses(1, "b")], created_at=LATER)
    events = bench.rows("label_events")
    assert [e["event_id"] for e in events][:3] == list(old), "what was there stays, in its place"
    superseded = {e["supersedes"] for e in events} - {None}
    assert superseded == set(old) - {next(iter(old))}, "a row that says what it said is not delivered anew"
    current = [e for e in events if e["event_id"] not in superseded]
    retracted = [e for e in current if json.loads(e["evidence"]).get("retracted")]
    assert len(current) == 3
    assert [(e["verdict"], old[e["supersedes"]]["pair_id"] == e["pair_id"]) for e in retracted] == [("undecided", True)]
    # The row is still gone in the next file: its retraction stands, and is not retracted in turn.
    bench.ingest([two_responses(0, "b"), two_responses(1, "b")])
    assert sum("retracted" in e["evidence"] for e in bench.rows("label_events")) == 1
    # And back again: the first file's labels are the current ones, once more.
    bench.ingest([two_responses(0, "a"), two_responses(1, "a"), two_responses(2, "a")])
    events = bench.rows("label_events")
    superseded = {e["supersedes"] for e in events}
    current = {e["pair_id"]: e["verdict"] for e in events if e["event_id"] not in superseded}
    assert current == {e["pair_id"]: e["verdict"] for e in old.values()}
    assert len({e["event_id"] for e in events}) == len(events)


def test_a_ranking_gives_several_pairs_of_one_row(bench):
    report = bench.ingest([{"prompt": "Hi", "ranking": ["A", "B", "C"]}, {"prompt": "Hi", "ranking": ["A"]}])
    assert (report.counts.rows_in, report.counts.rows_out, report.num_pairs) == (2, 1, 3)
    margins = [json.loads(e["evidence"])["margin"] for e in bench.rows("label_events")]
    assert sorted(margins) == [1.0, 1.0, 2.0]


def test_a_cap_is_counted(bench, two_responses):
    report = bench.ingest([two_responses(n) for n in range(10)], max_rows=4)
    assert report.counts.as_dict() == {"rows_in": 10, "rows_out": 4, "dropped": {"beyond_max_rows": 6}}


def test_files_may_differ_in_layout_and_are_numbered_on(bench, two_responses):
    one = bench.write([two_responses(0), b"{", two_responses(1)], "one.jsonl")
    two = bench.write([{"prompt": "Hi", "chosen": "A", "rejected": "B"}, b"["], "two.jsonl")
    entry = bench.entry(one, paths=(str(one), str(two)))
    report = ingest_source(entry, bench.lake, seed=1, created_at=CREATED_AT)
    assert report.layouts == {"one.jsonl": "two_responses", "two.jsonl": "chosen_rejected_text"}
    assert [r["source_row"] for r in bench.rows("pairs")] == [0, 2, 3]
    assert [(r["file"], r["source_row"]) for r in bench.rows("dead_letters")] == [("one.jsonl", 1), ("two.jsonl", 4)]


@pytest.mark.parametrize(("rows", "num_letters"), [([], 0), ([b"{", b"["], 2)])
def test_a_source_without_a_readable_row_gives_no_pair(bench, rows, num_letters):
    report = bench.ingest(rows)
    assert (report.counts.rows_out, len(bench.rows("pairs")), len(bench.rows("dead_letters"))) == (0, 0, num_letters)


def test_an_unknown_layout_publishes_nothing(bench):
    with pytest.raises(ConfigError, match=r"source s, file s\.jsonl"):
        bench.ingest([{"text": "Hi"}])
    assert hashes(bench.lake) == {}


def test_a_missing_file_leaves_what_was_published(bench, two_responses):
    bench.ingest([two_responses(0)])
    before = hashes(bench.lake)
    (bench.folder / "s.jsonl").unlink()
    with pytest.raises(ConfigError, match="is not there"):
        ingest_source(bench.entry(bench.folder / "s.jsonl"), bench.lake, seed=1, created_at=CREATED_AT)
    assert hashes(bench.lake) == before


def test_a_row_without_any_label_origin_is_a_dead_letter(bench, two_responses):
    report = bench.ingest([two_responses(0), two_responses(1, label_origin="llm")], label_origin=None)
    assert report.counts.dropped == {"unknown_label_origin": 1}


def test_two_ingestions_of_one_source_at_once_are_refused(bench, two_responses):
    with bench.lake.lock("pairs", {"source": "s"}), pytest.raises(PartitionBusyError):
        bench.ingest([two_responses(0)])


def test_several_processes_give_the_bytes_of_one(bench, two_responses, monkeypatch):
    rows = [two_responses(n) for n in range(5000)]
    rows[4000] = b"{"
    bench.ingest(rows)
    alone = {t: [m.content_hash for m in bench.lake.manifests(t)] for t in TABLES}
    monkeypatch.setattr("assets.raw_pairs.reading._PARALLEL_BYTES", 0)
    monkeypatch.setenv("SYNPREF_WORKERS", "2")
    together = Lake(bench.folder / "another lake")
    entry = bench.entry(bench.write(rows, "s.jsonl"))
    report = ingest_source(entry, together, seed=1, created_at=CREATED_AT)
    assert report.counts.dropped == {"unreadable_row": 1}
    assert {t: [m.content_hash for m in together.manifests(t)] for t in TABLES} == alone


@pytest.mark.parametrize("given", ["0", "two", "-1"])
def test_a_number_of_workers_that_is_none_is_named(monkeypatch, given):
    monkeypatch.setenv("SYNPREF_WORKERS", given)
    with pytest.raises(ConfigError, match="SYNPREF_WORKERS"):
        num_workers()


def test_progress_is_told(bench, two_responses):
    told = []
    path = bench.folder / "rows.parquet"
    pq.write_table(pa.Table.from_pylist([two_responses(n) for n in range(5000)]), path)
    entry = bench.entry(path)
    ingest_source(entry, bench.lake, seed=1, created_at=CREATED_AT, progress=lambda *at: told.append(at))
    assert told[-1] == (5000, 1.0)
    assert len(told) >= 3
    assert told == sorted(told)


@pytest.mark.parametrize(("agreement", "confidence"), [(0.8, 0.8), ("0.6", 0.6), (80, None), (None, None), ("?", None)])
def test_agreement_behind_a_label_is_its_confidence_where_it_is_a_share(bench, two_responses, agreement, confidence):
    bench.ingest([two_responses(1, agreement=agreement)])
    (event,) = bench.rows("label_events")
    assert event["confidence"] == confidence


def test_agreement_of_shared_votes_is_not_told_with_the_label(bench, two_responses):
    votes = {"use": "crowd", "column": "votes", "values": {"a": "first", "b": "second"}}
    bench.ingest([two_responses(1, agreement=0.8, votes=["a", "a", "b", "a", "a"])], votes=votes)
    (event,) = bench.rows("label_events")
    assert event["confidence"] is None
