"""Checking a source: what a person sees of its first rows before anything is stored."""

import re

import pytest

from assets.raw_pairs.checking import check_source
from orchestration.catalogue_commands import _check


def test_check_tries_the_first_rows_and_publishes_nothing(bench, two_responses):
    path = bench.write([two_responses(0), b"{", two_responses(1, "?"), two_responses(2, label_origin="rumour")])
    (report,) = check_source(bench.entry(path))
    assert (report.layout.name, report.num_pairs) == ("two_responses", 1)
    assert [(row, letter.reason) for row, letter in report.dead_letters] == [
        (1, "unreadable_row"),
        (2, "unknown_label"),
        (3, "unknown_label_origin"),
    ]
    assert not bench.lake.root.exists()


def test_check_takes_rows_as_ingestion_would(bench, two_responses):
    rows = [two_responses(0) | {"votes": [2, 1, 1]}, two_responses(1) | {"votes": [9]}, two_responses(2)]
    votes = {"use": "crowd", "column": "votes", "values": {"1": "first", "2": "second"}}
    path = bench.write(rows)
    (report,) = check_source(bench.entry(path, votes=votes))
    assert (report.verdicts, report.reasons) == ({"b": 1, "none": 1}, {"bad_votes": 1})
    assert [one.num_votes for one in report.pairs] == [2, 0]
    (report,) = check_source(bench.entry(path, label_origin=None))
    assert (report.num_pairs, report.reasons) == (0, {"unknown_label_origin": 3})


def test_what_a_person_is_shown(bench, two_responses):
    rows = [two_responses(n, "ab"[n % 2], uid=n) for n in range(30)]
    rows += [b"{", two_responses(0) | {"response_b": "0."}, two_responses(1) | {"response_a": "long " * 100}]
    bench.write([{"instruction": "Hi", "ranking": ["A", "B", "C"], "models": ["x", "y", "z"]}], "two.jsonl")
    paths = [str(bench.write(rows, "one.jsonl")), str(bench.folder / "two.jsonl")]
    text, good = _check(bench.entry("", paths=paths, max_pairs_per_prompt=1))
    assert good
    for line in (
        "s: 2 files, licence MIT, labels human",
        "layout:   two_responses (columns preference = preferred, prompt, response_a, response_b)",
        "unused:   uid (kept in meta)",
        "rows:     33 looked at, 1 dead letters, 32 pairs",
        "prompts:  30 different, 11 characters in the middle, 11 at most",
        "labels:   17 a, 15 b; by 32 human",
        "dead:     1 unreadable_row",
        "no pair:  1 equal_responses",
        "row 30: unreadable_row (not JSON",
        "(500 characters)",
        "layout:   ranking (columns models, prompt = instruction, ranking)",
        "left out: 2 beyond_max_pairs_per_prompt",
        "* a [x]: A",
        "label a, margin 2, by human",
    ):
        assert line in text, line
    first = text.partition("two.jsonl")[0]
    assert len(re.findall("prompt: ", first)) == 10
    assert "What is 28?" in first, "the pairs shown are spread over the rows looked at"


def test_text_of_a_source_cannot_steer_the_terminal(bench, two_responses):
    text, _ = _check(bench.entry(bench.write([two_responses(0) | {"response_a": "\x1b[2J\u202egood\x07 \x00"}])))
    assert all(ch.isprintable() or ch == "\n" for ch in text)
    assert "[2J" in text


@pytest.mark.parametrize("rows", [[], [b"{"]])
def test_a_file_without_a_readable_row_is_not_good(bench, rows):
    text, good = _check(bench.entry(bench.write(rows)))
    assert not good
    assert "unknown, no row is readable" in text
