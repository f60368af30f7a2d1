"""Growth: a source that has only grown is read where it is new, and its tables are those of a full read."""

import gzip
import json
import shutil
from datetime import UTC, datetime

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from assets.errors import PartitionBusyError, SynprefError
from assets.lake import Lake
from assets.raw_pairs import ingest, reading
from assets.raw_pairs.ingest import ingest_source
from assets.raw_pairs.readers import read_blocks

CREATED_AT = datetime(2025, 1, 1, tzinfo=UTC)
TABLES = ("pairs", "label_events", "recorded_verdicts", "dead_letters", "sample_truth")


def lines(rows):
    return b"".join((row if isinstance(row, bytes) else json.dumps(row).encode()) + b"\n" for row in rows)


def contents(lake):
    return {m.table: (m.num_rows, m.content_hash, m.file_sha256) for table in TABLES for m in lake.manifests(table)}


class Source:
    """A folder of files that is read, changed and read again; tells which files were parsed."""

    def __init__(self, bench, two_responses, monkeypatch):
        self.bench, self.row = bench, two_responses
        self.folder = bench.folder / "source"
        self.parsed = []

        def noted(file, start=None):
            self.parsed.append((file.name, start.row if start else 0))
            return read_blocks(file, start) if start else read_blocks(file)

        monkeypatch.setattr(reading, "read_blocks", noted)

    def rows(self, *numbers):
        return [self.row(n, "ab"[n % 2]) for n in numbers]

    def write(self, name, rows):
        self.folder.mkdir(exist_ok=True)
        path = self.folder / name
        if name.endswith(".parquet"):
            pq.write_table(pa.Table.from_pylist(rows), path)
        else:
            data = lines(rows)
            path.write_bytes(gzip.compress(data, mtime=0) if name.endswith(".gz") else data)

    def append(self, name, rows):
        with (self.folder / name).open("ab") as file:
            file.write(lines(rows) if isinstance(rows, list) else rows)

    def read(self, lake=None, **changes):
        paths = sorted(map(str, self.folder.iterdir()))
        entry = self.bench.entry("", **({"paths": paths} | changes))
        self.parsed.clear()
        return ingest_source(entry, lake or self.bench.lake, seed=1, created_at=CREATED_AT)

    def read_afresh(self, **changes):
        fresh = self.bench.folder / "fresh"
        shutil.rmtree(fresh, ignore_errors=True)
        lake = Lake(fresh)
        return self.read(lake, **changes), contents(lake)


def grow_lines(source):
    source.append("a.jsonl", [source.row(7), b"{bad", b"", source.row(8)])
    return 3, [("a.jsonl", 0), ("a.jsonl", 5)]


def grow_by_a_file(source):
    source.write("b.jsonl", source.rows(7, 8))
    return 2, [("b.jsonl", 0)]


def grow_both_ways(source):
    source.append("a.jsonl", source.rows(9))
    source.write("b.parquet", source.rows(7))
    return 2, [("a.jsonl", 0), ("a.jsonl", 5), ("b.parquet", 0)]


@pytest.fixture
def source(bench, two_responses, monkeypatch):
    return Source(bench, two_responses, monkeypatch)


@pytest.mark.parametrize("grow", [grow_lines, grow_by_a_file, grow_both_ways])
@pytest.mark.parametrize("limit", [None, 5])
def test_only_what_is_new_is_read_and_the_tables_are_those_of_a_full_read(source, grow, limit):
    source.write("a.jsonl", [*source.rows(0, 1), b"{bad", b"", *source.rows(2)])
    first = source.read(max_rows=limit)
    num_new, parsed = grow(source)
    report = source.read(max_rows=limit)
    # The grown file's first rows are looked at once more, for its layout.
    assert list(dict.fromkeys(source.parsed)) == parsed
    assert report.num_rows_kept == first.counts.rows_in == 4
    assert report.counts.rows_in == 4 + num_new
    again, expected = source.read_afresh(max_rows=limit)
    assert contents(source.bench.lake) == expected
    assert {**again.as_dict(), "num_rows_kept": 4} == report.as_dict()
    assert source.read(max_rows=limit).unchanged


def test_a_new_file_between_others_moves_none_of_their_rows(source):
    source.write("a.jsonl", source.rows(0))
    source.write("c.jsonl", source.rows(1))
    source.read()
    old = source.bench.rows("label_events")
    source.write("b.jsonl", source.rows(2))
    source.read()
    assert source.parsed == [("b.jsonl", 0)]
    assert [(r["source_row"], r["prompt"][0]["content"]) for r in source.bench.rows("pairs")] == [
        (0, "What is 0?"),
        (1, "What is 1?"),
        (2, "What is 2?"),
    ]
    assert source.bench.rows("label_events")[:2] == old
    # A full read, here for other settings, keeps the order too.
    source.read(max_rows=100)
    assert [name for name, _ in source.parsed] == ["a.jsonl", "c.jsonl", "b.jsonl"]


def change_inside(source):
    source.write("a.jsonl", [*source.rows(5), *source.rows(1, 2)])


def change_and_append(source):
    source.write("a.jsonl", [*source.rows(5), *source.rows(1, 2, 3)])


def truncate(source):
    source.write("a.jsonl", source.rows(0, 1))


def lengthen_the_last_line(source):
    path = source.folder / "a.jsonl"
    path.write_bytes(path.read_bytes()[:-1])
    source.read()
    source.append("a.jsonl", b"  \n" + lines(source.rows(3)))


def take_a_file_away(source):
    source.write("b.jsonl", source.rows(3))
    source.read()
    (source.folder / "a.jsonl").unlink()


def append_to_the_first_of_two(source):
    source.write("b.jsonl", source.rows(3))
    source.read()
    source.append("a.jsonl", source.rows(4))


def append_what_changes_the_layout(source):
    # Among the first rows, a number beside letters: what labels mean is told by all of them.
    source.append("a.jsonl", [source.row(3, 2)])


def lose_a_table(source):
    source.append("a.jsonl", source.rows(3))
    (source.bench.lake.folder("label_events", {"kind": "source", "batch": "s"}) / "manifest.json").unlink()


def damage_a_table(source):
    source.append("a.jsonl", source.rows(3))
    (path,) = source.bench.lake.files("pairs")
    path.write_bytes(path.read_bytes()[:-8] + b"\0" * 8)


def append_to_a_compressed_file(source):
    source.write("b.jsonl.gz", source.rows(3))
    source.read()
    source.append("b.jsonl.gz", gzip.compress(lines(source.rows(4)), mtime=0))


@pytest.mark.parametrize(
    "change",
    [
        change_inside,
        change_and_append,
        truncate,
        lengthen_the_last_line,
        take_a_file_away,
        append_to_the_first_of_two,
        append_what_changes_the_layout,
        lose_a_table,
        damage_a_table,
        append_to_a_compressed_file,
    ],
)
def test_any_other_change_means_a_full_read(source, change):
    source.write("a.jsonl", source.rows(0, 1, 2))
    source.read()
    change(source)
    report = source.read()
    assert report.num_rows_kept == 0
    assert {name for name, _ in source.parsed} == {path.name for path in source.folder.iterdir()}
    _, expected = source.read_afresh()
    found = contents(source.bench.lake)
    # The ledger keeps what it held; the other tables are those of the files as they are.
    assert {**found, "label_events": None} == {**expected, "label_events": None}


def test_changed_settings_and_recorded_verdicts_mean_a_full_read(source):
    source.write("a.jsonl", [row | {"votes": [1, 2]} for row in source.rows(0, 1)])
    votes = {"use": "crowd", "column": "votes", "values": {"1": "first", "2": "second"}}
    for changes in ({}, {"licence": "Apache-2.0"}, {"votes": votes}, {"votes": votes}):
        source.append("a.jsonl", [row | {"votes": [1, 2]} for row in source.rows(2)])
        assert source.read(**changes).num_rows_kept == 0


def test_rows_of_a_prompt_that_was_read_may_follow(source):
    rated = {"coherence": 1, "verbosity": 1}
    source.write("a.jsonl", [{"prompt": "Hi", "response": n, "helpfulness": 1} | rated for n in "AB"])
    assert source.read().num_pairs == 1
    source.append("a.jsonl", [{"prompt": "Hi", "response": "C", "helpfulness": 3} | rated])
    assert source.read().num_pairs == 3


def test_a_run_killed_between_two_tables_reads_all_again(source):
    source.write("a.jsonl", source.rows(0, 1))
    source.read()
    manifest = source.bench.lake.folder("pairs", {"source": "s"}) / "manifest.json"
    old = manifest.read_text()
    (data,) = source.bench.lake.files("pairs")
    kept = data.read_bytes()
    source.append("a.jsonl", source.rows(2))
    source.read()
    # As if the run had ended before the pairs came out.
    manifest.write_text(old)
    data.write_bytes(kept)
    assert source.read().num_rows_kept == 0
    assert contents(source.bench.lake) == source.read_afresh()[1]


def test_a_source_read_by_another_process_meanwhile_is_left_to_it(source, monkeypatch):
    source.write("a.jsonl", source.rows(0))
    source.read()
    source.append("a.jsonl", source.rows(1))
    what_stands = ingest._what_stands

    def late(*arguments):
        found = what_stands(*arguments)
        monkeypatch.setattr(ingest, "_what_stands", what_stands)
        source.read()
        return found

    monkeypatch.setattr(ingest, "_what_stands", late)
    with pytest.raises(PartitionBusyError, match="meanwhile"):
        source.read()
    assert contents(source.bench.lake) == source.read_afresh()[1]


@given(st.lists(st.lists(st.sampled_from([0, 1, 2, 3]), max_size=3), min_size=1, max_size=4))
@settings(max_examples=10, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_growing_again_and_again_gives_what_one_read_gives(source, deliveries):
    for folder in (source.folder, source.bench.folder / "lake"):
        shutil.rmtree(folder, ignore_errors=True)
    source.write("a.jsonl", [])
    for numbers in deliveries:
        source.append("a.jsonl", source.rows(*numbers))
        source.read()
    assert contents(source.bench.lake) == source.read_afresh()[1]


@pytest.mark.parametrize("name", ["a.jsonl", "a.parquet", "a.jsonl.gz"])
@pytest.mark.parametrize("how", ["append", "replace", "remove"])
def test_a_file_that_changes_while_it_is_read_is_refused_and_nothing_published(source, monkeypatch, name, how):
    source.write("z.jsonl", source.rows(100))
    source.read()
    before = contents(source.bench.lake)
    source.write(name, source.rows(*range(2500)))
    path = source.folder / name
    take_block = reading.take_block

    def changing(**job):
        if path.exists() and job["file"] == name and how == "append":
            source.append(name, b" ")
        elif path.exists() and job["file"] == name:
            path.unlink()
            if how == "replace":
                source.write(name, source.rows(*range(2500)))
        return take_block(**job)

    monkeypatch.setattr(reading, "take_block", changing)
    with pytest.raises(SynprefError, match="changed while it was read") as caught:
        source.read()
    assert str(path) in str(caught.value)
    assert contents(source.bench.lake) == before
