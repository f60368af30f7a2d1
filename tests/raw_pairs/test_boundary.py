"""The boundary: good rows pass, and each way of being bad fails its own expectation and no other."""

import pyarrow as pa
import pytest

from assets.errors import SynprefError
from assets.raw_pairs import boundary
from assets.raw_pairs.boundary import check_raw_pairs, positions_to_check


@pytest.fixture
def pairs(bench, two_responses):
    bench.ingest([two_responses(n) for n in range(6)])
    return bench.lake.read("pairs")


def broken(pairs, column, value):
    at = pairs.schema.get_field_index(column)
    values = [value, *pairs[column].to_pylist()[1:]]
    return pairs.set_column(at, pairs.schema.field(column), pa.array(values, pairs.schema.field(column).type))


def failed(results):
    return [r.name for r in results if not r.passed]


def test_good_rows_pass(pairs):
    results = check_raw_pairs(pairs, len(pairs)).results
    assert failed(results) == []
    assert len(results) > 15
    assert all("6 of 6 rows" in r.observed and not r.detail for r in results)


@pytest.mark.parametrize(
    ("column", "value", "expected"),
    [
        ("pair_id", "ABC", "pair_id is 32 hex digits"),
        ("pair_id", None, "pair_id is there"),
        ("prompt_id", "", "prompt_id is 32 hex digits"),
        ("source", "other", "all rows are of one source"),
        ("source_row", -1, "source_row is not negative"),
        ("licence", "", "every row has a licence"),
        ("licence", None, "no licence is missing"),
        ("label_origin", "rumour", "label_origin is a known one"),
        ("label_origin", None, "label_origin is there"),
        ("problem", "odd", "problem is a known one or none"),
        ("num_chars_prompt", -1, "num_chars_prompt is not negative"),
        ("num_chars_1", 1_000, "response_1 is as long as it says"),
        ("response_2", "longer than it says", "response_2 is as long as it says"),
        ("meta", "[]", "meta is a JSON object"),
        ("meta", None, "meta is a JSON object"),
        ("prompt", [{"role": "assistant", "content": "Hi"}], "the last turn of a prompt is the user's"),
    ],
)
def test_a_bad_value_fails_its_expectation(pairs, column, value, expected):
    rows = broken(pairs, column, value)
    results = check_raw_pairs(rows, len(rows)).results
    assert failed(results) == [expected]


def test_a_row_that_gives_a_pair_twice_is_found(pairs):
    rows = pa.concat_tables([pairs, pairs.slice(0, 1)])
    results = check_raw_pairs(rows, len(rows)).results
    assert failed(results) == ["a row gives a pair once"]


def test_a_source_of_mostly_empty_rows_is_found(bench, two_responses):
    bench.ingest([two_responses(0), *(two_responses(n) | {"response_a": ""} for n in range(1, 4))])
    rows = bench.lake.read("pairs")
    results = check_raw_pairs(rows, len(rows)).results
    assert failed(results) == ["at least half of the rows make a pair"]


def test_an_empty_source_is_found(pairs):
    assert failed(check_raw_pairs(pairs.slice(0, 0), 0).results) == ["a source gives at least one pair"]


def test_a_large_source_is_sampled_and_says_so(bench, pairs):
    (manifest,) = bench.lake.manifests("pairs")
    positions = positions_to_check(len(pairs), max_rows=4, seed=1)
    assert positions == positions_to_check(len(pairs), max_rows=4, seed=1)
    rows = bench.lake.rows_at(manifest, positions)
    assert rows.equals(bench.lake.read("pairs").take(positions))
    assert all("4 of 6 rows" in r.observed for r in check_raw_pairs(rows, len(pairs)).results)


def test_an_expectation_that_raises_is_not_a_failed_one(pairs, monkeypatch):
    import great_expectations.expectations as gxe

    wrong = [("odd", gxe.ExpectColumnValuesToNotBeNull(column="no_such_column"))]
    monkeypatch.setattr(boundary, "_expectations", lambda: wrong)
    with pytest.raises(SynprefError, match="'odd' could not be evaluated"):
        check_raw_pairs(pairs, len(pairs))
