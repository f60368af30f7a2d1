"""The content hash: the same for the same rows however they are cut, another for other rows."""

import itertools
from datetime import UTC, datetime

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from assets.content_hash import ContentHash

SCHEMA = pa.schema(
    [
        ("text", pa.string()),
        ("number", pa.int32()),
        ("share", pa.float64()),
        ("flag", pa.bool_()),
        ("at", pa.timestamp("us", tz="UTC")),
        ("names", pa.list_(pa.string())),
        ("turns", pa.list_(pa.struct([("role", pa.string()), ("content", pa.string())]))),
    ]
)


def maybe(values):
    return st.none() | values


TEXT = st.text(st.characters(exclude_categories=("Cs",)), max_size=6)
ROW = st.fixed_dictionaries(
    {
        "text": maybe(TEXT),
        "number": maybe(st.integers(-5, 5)),
        "share": maybe(st.floats(0, 1)),
        "flag": maybe(st.booleans()),
        "at": maybe(st.sampled_from([datetime(2025, 1, 1, tzinfo=UTC), datetime(2026, 1, 1, tzinfo=UTC)])),
        "names": maybe(st.lists(maybe(TEXT), max_size=3)),
        "turns": maybe(st.lists(maybe(st.fixed_dictionaries({"role": TEXT, "content": maybe(TEXT)})), max_size=2)),
    }
)


def hash_of(*tables: pa.Table) -> str:
    state = ContentHash(SCHEMA)
    for table in tables:
        state.update(table)
    return state.hexdigest()


@given(st.lists(ROW, max_size=12), st.lists(st.integers(0, 12), max_size=4))
def test_it_does_not_depend_on_how_the_rows_are_cut(rows, cuts):
    whole = pa.Table.from_pylist(rows, schema=SCHEMA)
    edges = sorted({0, len(rows), *(min(c, len(rows)) for c in cuts)})
    parts = [whole.slice(a, b - a) for a, b in itertools.pairwise(edges)]
    rebuilt = [pa.Table.from_pylist(part.to_pylist(), schema=SCHEMA) for part in parts]
    assert hash_of(*parts) == hash_of(whole) == hash_of(*rebuilt)


@given(st.lists(ROW, max_size=4), st.lists(ROW, max_size=4))
def test_other_rows_have_another_hash(one, other):
    tables = [pa.Table.from_pylist(rows, schema=SCHEMA) for rows in (one, other)]
    assert (hash_of(tables[0]) == hash_of(tables[1])) == tables[0].equals(tables[1])


@pytest.mark.parametrize(
    ("column", "one", "other"),
    [
        ("text", ["ab", "c"], ["a", "bc"]),
        ("text", [None, "a"], ["", "a"]),
        ("number", [None, 1], [0, 1]),
        ("names", [["a"], ["b"]], [["a", "b"], []]),
        ("names", [None], [[]]),
        ("turns", [[{"role": "a", "content": "b"}]], [[{"role": "b", "content": "a"}]]),
        ("turns", [[None]], [[{"role": None, "content": None}]]),
    ],
)
def test_neighbours_and_nulls_are_told_apart(column, one, other):
    tables = [pa.Table.from_pylist([{column: v} for v in values], schema=SCHEMA) for values in (one, other)]
    assert hash_of(tables[0]) != hash_of(tables[1])


def test_what_lies_under_a_null_does_not_count():
    hidden = pa.array([1, 2, 3], pa.int32(), mask=pa.array([False, True, False]).to_numpy(zero_copy_only=False))
    plain = pa.array([1, None, 3], pa.int32())
    schema = pa.schema([("number", pa.int32())])
    hashes = []
    for values in (hidden, plain):
        state = ContentHash(schema)
        state.update(pa.table({"number": values}))
        hashes.append(state.hexdigest())
    assert hashes[0] == hashes[1]


def test_a_type_without_a_hash_is_refused():
    with pytest.raises(TypeError, match="no content hash"):
        ContentHash(pa.schema([("x", pa.dictionary(pa.int8(), pa.string()))]))
