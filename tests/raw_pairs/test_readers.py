"""Readers: rows in order, a bad row apart from the good ones, a file that cannot be read refused by name."""

import gzip
import hashlib
import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from assets.errors import SynprefError
from assets.raw_pairs.readers import BLOCK_ROWS, MAX_ROW_BYTES, read_blocks, read_rows


@pytest.fixture
def file(tmp_path):
    def write(data, name="rows.jsonl"):
        path = tmp_path / name
        path.write_bytes(data)
        return path

    return write


def test_jsonl_rows_are_numbered_by_line(file):
    rows = list(read_rows(file(b'\xef\xbb\xbf{"a": 1}\r\n\n  \n{"a": "\xc3\xa9\\ud83d\\ude00"}')))
    assert [(r.number, r.value) for r in rows] == [(0, {"a": 1}), (3, {"a": "é\U0001f600"})]


@pytest.mark.parametrize(
    ("line", "says"),
    [
        (b'{"a": 1', "not JSON"),
        (b'{"a": "\xff"}', "not UTF-8"),
        (b"4", "not a JSON object but int"),
        (b'["a"]', "not a JSON object but list"),
        (b'{"a": 1, "a": 2}', "stands twice"),
        (b'{"a": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", "not usable JSON"),
        (b'{"a": ' + b"9" * 5000 + b"}", "not usable JSON"),
        (b"\x00\x01\x02", "not JSON"),
    ],
)
def test_an_unreadable_line_costs_itself(file, line, says):
    good, bad, also_good = read_rows(file(b'{"n": 1}\n' + line + b'\n{"n": 2}\n'))
    assert (good.value, also_good.value) == ({"n": 1}, {"n": 2})
    assert bad.value is None
    assert says in bad.problem
    assert (bad.number, len(bad.hash())) == (1, 32)
    assert bad.hash() != good.hash()


@pytest.mark.parametrize(
    "line",
    [
        b'{"a" : {"b": [{"c": 1}, {"c":2}]}}',
        b'{"a": "it says \\"b\\": 1, and \\"b\\":2"}',
        b'{"n": 123456789012345678901234567890}',
        b'{"n": 1e400, "m": NaN}',
        b'{"s": "\\ud800 alone"}',
    ],
)
def test_the_fast_parser_reads_what_the_exact_one_does(file, line):
    (row,) = read_rows(file(line))
    assert repr(row.value) == repr(json.loads(line))


def test_a_line_too_long_is_passed_over_and_hashed(file, monkeypatch):
    monkeypatch.setattr("assets.raw_pairs.readers.MAX_ROW_BYTES", 50)
    long = b'{"text": "' + b"x" * 990 + b'"}'
    good, bad, also_good = read_rows(file(b'{"n": 1}\n' + long + b'\n{"n": 2}\n'))
    assert (good.value, also_good.value) == ({"n": 1}, {"n": 2})
    assert "1003 bytes in one line" in bad.problem
    assert bad.hash() == hashlib.blake2b(long + b"\n", digest_size=16).hexdigest()
    assert MAX_ROW_BYTES > 1_000_000


def test_parquet_rows_come_in_order_over_batches(tmp_path):
    path = tmp_path / "rows.parquet"
    numbers = list(range(2 * BLOCK_ROWS + 3))
    pq.write_table(pa.table({"n": numbers, "m": [[{"role": "user"}]] * len(numbers)}), path, row_group_size=500)
    rows = list(read_rows(path))
    assert [r.value["n"] for r in rows] == [r.number for r in rows] == numbers
    assert rows[0].value["m"] == [{"role": "user"}]
    assert [b.share_read for b in read_blocks(path)][-1] == 1
    assert rows[0].hash() != rows[1].hash()


def _parquet_bytes():
    sink = pa.BufferOutputStream()
    pq.write_table(pa.table({"text": [f"some text {n}" for n in range(1000)]}), sink, compression="zstd")
    return sink.getvalue().to_pybytes()


@pytest.mark.parametrize(
    ("name", "data", "says"),
    [
        ("rows.parquet", b"", "not Parquet"),
        ("rows.parquet", b'{"a": 1}', "not Parquet"),
        ("rows.parquet", _parquet_bytes()[:-20], "damaged"),
        ("rows.parquet", _parquet_bytes().replace(_parquet_bytes()[40:80], b"\0" * 40), "damaged"),
        ("rows.jsonl.gz", gzip.compress(b'{"a": 1}' * 99, mtime=0)[:-12], "damaged"),
        ("rows.jsonl", b"\x28\xb5\x2f\xfd rest", "damaged"),
        ("rows.jsonl.gz", b'{"a": 1}', "not compressed so"),
        ("rows.json", json.dumps([{"a": 1}]).encode(), "one list instead of one object a line"),
        ("rows.csv", b"a,b\n", "'.csv' cannot be read"),
    ],
)
def test_a_file_that_cannot_be_read_is_named(file, name, data, says):
    path = file(data, name)
    with pytest.raises(SynprefError, match=says) as caught:
        list(read_rows(path))
    assert str(path) in str(caught.value)


@pytest.mark.parametrize("name", ["rows.jsonl.gz", "rows.jsonl", "rows.zst"])
@pytest.mark.parametrize("codec", ["gzip", "zstd"])
def test_compressed_rows_are_read_whatever_the_name(file, name, codec):
    text = b"".join(b'{"n": %d}\n' % n for n in range(5000))
    # Two members after each other, as appending to a compressed file leaves them.
    half = text.index(b'{"n": 2500}')
    packed = [pa.compress(part, codec=codec, asbytes=True) for part in (text[:half], text[half:])]
    if codec == "gzip":
        packed = [gzip.compress(part, mtime=0) for part in (text[:half], text[half:])]
    rows = list(read_rows(file(b"".join(packed), name)))
    assert [r.value["n"] for r in rows] == list(range(5000))


@pytest.mark.parametrize("codec", ["gzip", "zstd"])
def test_a_bomb_is_refused_before_it_fills_anything(file, codec):
    out = pa.BufferOutputStream()
    with pa.CompressedOutputStream(out, codec) as stream:
        for _ in range(100):
            stream.write(b'{"a": "' + b" " * 1_000_000 + b'"}\n')
    path = file(out.getvalue().to_pybytes(), "rows.jsonl.gz")
    with pytest.raises(SynprefError, match="grows more than 300 times"):
        list(read_rows(path))


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(SynprefError, match="No such file"):
        list(read_rows(tmp_path / "none.jsonl"))


def test_parquet_is_told_by_its_bytes_not_its_name(file):
    assert len(list(read_rows(file(_parquet_bytes(), "rows.data")))) == 1000
