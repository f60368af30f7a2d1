"""Bad input through a whole ingestion: what is odd but text is kept as it came, what is no row costs itself.

What one module refuses is tested with that module: unreadable lines, files and bombs in test_readers, reasons of
parsing in test_dead_letters, catalogues in test_catalogue, empty and equal texts in test_ingest.
"""

import json
import os
import subprocess
import sys

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from assets.errors import ConfigError, SynprefError
from assets.raw_pairs.catalogue import load_catalogue
from assets.raw_pairs.ingest import ingest_source
from assets.raw_pairs.readers import MAX_ROW_BYTES, read_blocks, read_rows
from assets.settings import REPOSITORY
from tests.raw_pairs.conftest import CREATED_AT

ODD_TEXTS = {
    "NUL": "a\x00b",
    "a byte-order mark inside": "a\ufeffb",
    "line ends of Windows": "a\r\nb\rc",
    "marks that turn the direction": "\u202eab\u202c \u2066cd\u2069 \u200f",
    "zero-width characters": "a\u200bb\u200d\u2060",
    "four-byte emoji": "\U0001f469\u200d\U0001f52c",
    "composed and decomposed": "\u00e9 e\u0301",
    "a template": "{{ config(materialized='table') }}{% raw %}",
    "a page's script": "</script><script>alert(1)</script> javascript:alert(1)",
    "a query": "'; drop table pairs; --",
    "JSON in text": '{"chosen": "x", "chosen": "y"}',
}


@pytest.mark.parametrize("name", ODD_TEXTS)
@pytest.mark.parametrize("ending", ["jsonl", "parquet"])
def test_odd_text_is_kept_as_it_came(bench, name, ending):
    text = ODD_TEXTS[name]
    row = {"prompt": text, "chosen": f"{text} good", "rejected": f"{text} bad", "note": text}
    path = bench.folder / f"s.{ending}"
    if ending == "jsonl":
        bench.write([row], "s.jsonl")
    else:
        pq.write_table(pa.Table.from_pylist([row]), path)
    report = ingest_source(bench.entry(path), bench.lake, seed=1, created_at=CREATED_AT)
    assert report.counts.rows_out == 1
    (pair,) = bench.rows("pairs")
    assert pair["prompt"] == [{"role": "user", "content": text}]
    assert {pair["response_1"], pair["response_2"]} == {f"{text} good", f"{text} bad"}
    assert json.loads(pair["meta"])["note"] == text


def test_ten_thousand_turns(bench):
    turns = [{"role": ("user", "assistant")[n % 2], "content": str(n)} for n in range(10_001)]
    bench.ingest([{"prompt": turns, "chosen": "A", "rejected": "B"}])
    (pair,) = bench.rows("pairs")
    assert [turn["content"] for turn in pair["prompt"]] == [turn["content"] for turn in turns]


def deep(levels):
    return b'{"a":' * levels + b"1" + b"}" * levels


@pytest.mark.parametrize("column", ["prompt", "note", "meta"])
@pytest.mark.parametrize("as_text", [False, True])
def test_nesting_ten_thousand_deep_costs_its_row(bench, two_responses, column, as_text):
    nested = json.dumps(deep(10_000).decode()).encode() if as_text else deep(10_000)
    row = json.dumps(two_responses(1) | {column: "HERE"}).encode().replace(b'"HERE"', nested)
    report = bench.ingest([two_responses(0), row, two_responses(2)])
    assert report.counts.rows_in == 3
    # As text in a column of text it is text.
    assert report.counts.rows_out == (3 if as_text and column != "meta" else 2)


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (
            b'{"prompt": "Hi", "response_a": "A", "response_b": "B", "preferred": "a", "preferred": "b"}',
            "unreadable_row",
        ),
        (b'{"prompt": "Hi", "response_a": "A", "response_b": "B", "preferred": NaN}', None),
        (b'{"prompt": "Hi", "response_a": "A", "response_b": "B", "preferred": Infinity}', "unknown_label"),
        (b'{"prompt": "Hi", "response_a": "A", "response_b": "B", "preferred": "a", "score": NaN}', None),
        (b'{"prompt": "Hi", "response_a": NaN, "response_b": "B", "preferred": "a"}', "wrong_type"),
        (b'{"prompt": [], "response_a": "A", "response_b": "B", "preferred": "a"}', None),
        (b'{"prompt": [{"role": "user", "content": null}], "response_a": "A", "response_b": "B"}', "bad_conversation"),
        (b'{"prompt": [{"content": "Hi"}], "response_a": "A", "response_b": "B"}', "bad_conversation"),
        (
            b'{"prompt": [{"role": "assistant", "content": "Hi"}], "response_a": "A", "response_b": "B"}',
            "bad_conversation",
        ),
        (
            b'{"prompt": [{"role": "system", "content": "S"}, {"role": "user", "content": "Hi"}],'
            b' "response_a": "A", "response_b": "B"}',
            None,
        ),
        (b'{"prompt": {"a": 1}, "response_a": "A", "response_b": "B"}', "wrong_type"),
        (b"\xff\xfe{\x00}\x00", "unreadable_row"),
    ],
)
def test_a_bad_row_costs_itself(bench, two_responses, row, reason):
    report = bench.ingest([two_responses(0), row, two_responses(2)])
    assert report.counts.dropped == ({reason: 1} if reason else {})
    assert [letter["source_row"] for letter in bench.rows("dead_letters")] == ([1] if reason else [])


def test_numbers_as_strings_are_numbers(bench):
    row = {"prompt": "Hi", "response_a": "A", "response_b": "B", "score_a": "10", "score_b": "9.5"}
    bench.ingest([row])
    (event,) = bench.rows("label_events")
    (pair,) = bench.rows("pairs")
    assert pair[f"response_{event['verdict']}"] == "A", "as text, 9.5 would be more than 10"


def test_a_row_of_100_mb_costs_itself(bench, two_responses):
    huge = two_responses(1) | {"response_a": "x" * 100_000_000}
    report = bench.ingest([two_responses(0), huge, two_responses(2)])
    assert report.counts.dropped == {"unreadable_row": 1}
    (letter,) = bench.rows("dead_letters")
    assert "in one line; at most" in letter["detail"]
    assert [pair["source_row"] for pair in bench.rows("pairs")] == [0, 2]


def test_a_large_row_of_parquet_costs_itself_and_is_not_read_with_others(bench, two_responses):
    rows = [two_responses(n) for n in range(6)]
    rows[2] |= {"response_a": "x" * (MAX_ROW_BYTES + 1)}
    rows[3] |= {"response_a": "y" * (MAX_ROW_BYTES + 1)}
    path = bench.folder / "s.parquet"
    pq.write_table(pa.Table.from_pylist(rows), path, use_dictionary=False)
    assert max(block.num_rows for block in read_blocks(path)) == 1
    read = list(read_rows(path))
    assert "in one row; at most" in read[2].problem
    assert len({row.hash() for row in read}) == 6
    report = ingest_source(bench.entry(path), bench.lake, seed=1, created_at=CREATED_AT)
    assert (report.counts.rows_out, report.counts.dropped) == (4, {"unreadable_row": 2})


def test_a_parquet_bomb_is_refused(bench, two_responses):
    # A dictionary holds the text once, whatever the number of rows that have it.
    row = two_responses(0) | {"response_a": "x" * 50_000}
    path = bench.folder / "s.parquet"
    pq.write_table(pa.Table.from_pylist([row] * 4000), path, compression="zstd")
    assert path.stat().st_size < 100_000
    with pytest.raises(SynprefError, match="grows more than 300 times"):
        ingest_source(bench.entry(path), bench.lake, seed=1, created_at=CREATED_AT)
    assert not bench.lake.manifests("pairs")


GROWTH = """
import resource, sys
from datetime import UTC, datetime
from pathlib import Path
from assets.lake import Lake
from assets.raw_pairs.catalogue import SourceEntry
from assets.raw_pairs.ingest import ingest_source
small, large, lake = sys.argv[1:]
def ingest(name, path):
    entry = SourceEntry(name=name, paths=(path,), licence="MIT", label_origin="human")
    report = ingest_source(entry, Lake(lake), seed=1, created_at=datetime(2025, 1, 1, tzinfo=UTC))
    return dict(report.counts.dropped), report.counts.rows_out
ingest("small", small)
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
counts = ingest("large", large)
print(repr((counts, (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)))
"""


@pytest.mark.slow
def test_a_line_of_1_gb_is_passed_over_in_bounded_memory(bench, two_responses):
    small = bench.write([two_responses(0)], "small.jsonl")
    large = bench.write([two_responses(0)], "large.jsonl")
    with large.open("r+b") as file:
        file.seek(0, os.SEEK_END)
        file.write(b'{"prompt": "')
        # A hole in the file reads as NULs and takes no disk.
        file.seek(1_000_000_000, os.SEEK_CUR)
        file.write(b'"}\n' + json.dumps(two_responses(1)).encode() + b"\n")
    done = subprocess.run(
        [sys.executable, "-c", GROWTH, small, large, bench.folder / "lake"],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY), "SYNPREF_WORKERS": "1"},
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    (dropped, rows_out), growth_mb = eval(done.stdout)
    assert (dropped, rows_out) == ({"unreadable_row": 1}, 2)
    assert growth_mb < 10 * MAX_ROW_BYTES / 1e6


def test_files_may_differ_in_order_and_number_of_columns(bench, two_responses):
    row = two_responses(1, extra={"deep": [1]})
    one = bench.write([two_responses(0)], "one.jsonl")
    two = bench.write([dict(reversed(row.items()))], "two.jsonl")
    three = bench.folder / "three.parquet"
    pq.write_table(pa.Table.from_pylist([{"more": 1.5, **two_responses(2)}]), three)
    report = ingest_source(
        bench.entry("", paths=(str(one), str(two), str(three))), bench.lake, seed=1, created_at=CREATED_AT
    )
    assert set(report.layouts.values()) == {"two_responses"}
    assert [json.loads(pair["meta"]).get("extra") for pair in bench.rows("pairs")] == [None, {"deep": [1]}, None]
    assert [json.loads(pair["meta"]).get("more") for pair in bench.rows("pairs")] == [None, None, 1.5]


def test_the_same_pair_again_and_from_a_source_of_another_opinion(bench):
    row = {"prompt": "Hi", "response_a": "A", "response_b": "B", "preferred": "a"}
    bench.ingest([row, row], name="one")
    bench.ingest([row | {"preferred": "b"}], name="two")
    pairs, events = bench.rows("pairs"), bench.rows("label_events")
    assert len(pairs) == len(events) == 3
    assert len({pair["pair_id"] for pair in pairs}) == 1
    assert len({event["event_id"] for event in events}) == 3
    assert {e["labeller"]: {v["verdict"] for v in events if v["labeller"] == e["labeller"]} for e in events} in (
        {"one": {"1"}, "two": {"2"}},
        {"one": {"2"}, "two": {"1"}},
    )


@pytest.mark.parametrize(
    "name",
    ["../../x", "/etc/passwd", "a/b", "x'; drop table pairs", "{{ x }}", "a" * 101, "", ".hidden", "a\nb", "a..b", "ü"],
)
def test_a_source_name_is_no_path_and_no_code(tmp_path, name):
    catalogue = tmp_path / "sources.yaml"
    catalogue.write_text(json.dumps({"sources": [{"name": name, "paths": ["x.jsonl"], "licence": "MIT"}]}))
    with pytest.raises(ConfigError, match="cannot name a source"):
        load_catalogue(catalogue)


@pytest.mark.parametrize(
    "text",
    [
        "sources: !!python/object/apply:os.system ['touch {0}']",
        "sources:\n  - !!python/object/new:os.system ['touch {0}']",
        "sources: [{{name: s, licence: MIT, paths: [!!python/object/apply:os.system ['touch {0}']]}}]",
    ],
)
def test_a_catalogue_runs_nothing(tmp_path, text):
    catalogue = tmp_path / "sources.yaml"
    catalogue.write_text(text.format(tmp_path / "touched"))
    with pytest.raises(ConfigError, match="not valid YAML"):
        load_catalogue(catalogue)
    assert not (tmp_path / "touched").exists()


def test_the_name_of_a_file_is_no_path_in_the_lake(bench, two_responses):
    path = bench.write([two_responses(0), b"{"], "..; rm -rf x {{ y }} '.jsonl")
    ingest_source(bench.entry(path), bench.lake, seed=1, created_at=CREATED_AT)
    assert bench.rows("dead_letters")[0]["file"] == path.name
    assert {p.name for p in bench.lake.root.rglob("source=*")} == {"source=s"}


def test_a_missing_response_is_never_empty_text(bench, two_responses):
    report = bench.ingest([two_responses(0), two_responses(1) | {"response_a": None}])
    assert report.counts.dropped == {"missing_field": 1}
