"""The nearest search: what a full sort in double precision finds, whatever the filter, the blocks or the device."""

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as some

import assets.nearest
from assets.errors import ContractError
from assets.nearest import nearest
from assets.nearest_filters import Float32Filter, Int8Filter

WAYS = {
    "float32": {"device": "cpu", "look": "float32"},
    "int8": {"device": "cpu", "look": "int8"},
    # What runs on a GPU, on a device of torch that is always there.
    "torch": {"device": "cpu:0", "look": "float32"},
}


def full_sort(queries, rows, wanted, apart=()):
    """Places and similarities of every query, by sorting everything; equal similarities by place."""
    scores = np.array([[float(np.dot(q.astype(np.float64), r.astype(np.float64))) for r in rows] for q in queries])
    scores = scores.reshape(len(queries), len(rows))
    for of_queries, of_rows in apart:
        same = np.equal.outer(of_queries, of_rows) & (np.asarray(of_queries) >= 0)[:, None]
        scores[same] = -np.inf
    found = []
    for row, k in zip(scores, wanted, strict=True):
        order = [i for i in np.argsort(-row, kind="stable") if np.isfinite(row[i])]
        found.append(order[:k])
    return found


def places_of(found):
    return [[p for p in row if p >= 0] for row in found.places.tolist()]


def unit(*shape, seed=0):
    vectors = np.random.default_rng(seed).standard_normal(shape)
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch):
    """Blocks so small that a few rows make several."""
    monkeypatch.setattr(assets.nearest, "_QUERIES", 3)
    monkeypatch.setattr(assets.nearest, "_ROWS", 5)
    monkeypatch.setattr("assets.nearest_gpu._QUERIES", 4)
    monkeypatch.setattr("assets.nearest_gpu._ROWS", 7)
    monkeypatch.setattr("assets.nearest_gpu._SPARE", 2)


# Quarters: their sums of products are exact in float32 and double precision, so ties are ties.
QUARTERS = st.integers(-4, 4).map(lambda n: np.float32(n / 4))


@st.composite
def searches(draw):
    dimensions = draw(st.integers(1, 9))
    num_queries, num_rows = draw(st.integers(0, 9)), draw(st.integers(0, 23))
    queries = draw(some.arrays(np.float32, (num_queries, dimensions), elements=QUARTERS))
    rows = draw(some.arrays(np.float32, (num_rows, dimensions), elements=QUARTERS))
    wanted = draw(some.arrays(np.int64, num_queries, elements=st.integers(0, 12)))
    groups = st.integers(-1, 3)
    apart = [
        (
            draw(some.arrays(np.int64, num_queries, elements=groups)),
            draw(some.arrays(np.int64, num_rows, elements=groups)),
        )
        for _ in range(draw(st.integers(0, 2)))
    ]
    return queries, rows, wanted, apart


@pytest.mark.parametrize("way", WAYS)
@settings(max_examples=60, deadline=None)
@example((np.zeros((2, 3), np.float32), np.zeros((9, 3), np.float32), np.array([4, 12]), []))
@given(search=searches())
def test_what_a_full_sort_finds(way, search):
    queries, rows, wanted, apart = search
    found = nearest(queries, rows, wanted, apart=apart, **WAYS[way])
    assert places_of(found) == full_sort(queries, rows, wanted, apart)
    assert found.places.shape == (len(queries), min(wanted.max(initial=0), len(rows)))
    filled = found.places >= 0
    assert (np.isneginf(found.similarities) == ~filled).all()
    at_query, at = np.nonzero(filled)
    products = np.einsum("nd,nd->n", queries[at_query].astype(float), rows[found.places[at_query, at]].astype(float))
    assert np.array_equal(found.similarities[filled], products)


@pytest.mark.parametrize("way", WAYS)
def test_near_ties_are_told_apart_in_double_precision(way):
    """Rows that differ by less than float32 products can tell."""
    base = unit(1, 256, seed=4)
    rows = np.repeat(base, 60, axis=0)
    for at in range(60):
        rows[at, at] = np.nextafter(rows[at, at], np.float32(np.sign(rows[at, at]) * 2), dtype=np.float32)
    queries = np.concatenate([base, unit(5, 256, seed=5)])
    found = nearest(queries, rows, 8, **WAYS[way])
    assert places_of(found) == full_sort(queries, rows, [8] * 6)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("scale", [1e-20, 1e-3, 1.0, 1e6])
def test_length_and_spikes_do_not_mislead_the_filters(way, scale):
    rows = unit(400, 48, seed=1) * np.float32(scale)
    rows[7], rows[8] = 0, rows[9] * 1000
    queries = unit(20, 48, seed=2)
    queries[0], queries[1] = 0, np.eye(48, dtype=np.float32)[3]
    found = nearest(queries, rows, 5, **WAYS[way])
    assert places_of(found) == full_sort(queries, rows, [5] * 20)


@pytest.mark.parametrize("kind", [Float32Filter, Int8Filter])
def test_no_similarity_lies_above_what_its_filter_allows(kind):
    rows, queries = unit(300, 96, seed=6), unit(40, 96, seed=7)
    rows[:5] *= 3
    look = Float32Filter(rows) if kind is Float32Filter else Int8Filter.of(rows, 100)
    prepared = look.prepare(queries)
    exact = queries.astype(np.float64) @ rows.T.astype(np.float64)
    for start in range(0, 300, 100):
        seen = look.look(prepared, start, start + 100)
        most = seen.lowest[:, None] + seen.step[:, None] * seen.values + seen.error[:, None]
        if kind is Int8Filter:
            most[seen.values == 255] = np.inf
        assert (exact[:, start : start + 100] <= most).all()
        # A bound that allows anything would prove nothing.
        assert seen.error.max() < 0.1 * np.linalg.norm(rows[start : start + 100], axis=1).max()


def test_bytes_are_looked_at_where_this_machine_can():
    import torch

    if not {"fbgemm", "x86"} & set(torch.backends.quantized.supported_engines):
        pytest.skip("no kernels of bytes on this processor")
    assert Int8Filter.of(unit(10, 8), 5) is not None


def test_cores_and_blocks_change_nothing(monkeypatch):
    queries, rows = unit(70, 32, seed=8), unit(90, 32, seed=9)
    first = nearest(queries, rows, 6)
    monkeypatch.setattr(assets.nearest, "_QUERIES", 1_000)
    monkeypatch.setattr(assets.nearest, "_ROWS", 1_000)
    again = nearest(queries, rows, 6)
    assert np.array_equal(first.places, again.places)
    assert np.array_equal(first.similarities, again.similarities)


def test_progress_comes_to_its_end():
    seen = []
    nearest(unit(10, 4), unit(10, 4), 2, progress=lambda done, share: seen.append((done, share)))
    assert seen == [(3, 0.3), (6, 0.6), (9, 0.9), (10, 1.0)]


@pytest.mark.parametrize(
    ("queries", "rows", "k", "apart", "what"),
    [
        (np.full((1, 2), np.nan, np.float32), np.ones((1, 2), np.float32), 1, (), "not finite"),
        (np.ones((1, 2), np.float32), np.full((3, 2), np.inf, np.float32), 1, (), "not finite"),
        (np.ones((1, 2), np.float32), np.ones((1, 3), np.float32), 1, (), "dimensions"),
        (np.ones((1, 2)), np.ones((1, 2), np.float32), 1, (), "float32"),
        (np.ones(2, np.float32), np.ones((1, 2), np.float32), 1, (), "matrices"),
        (np.ones((1, 2), np.float32), np.ones((1, 2), np.float32), -1, (), "asks for -1"),
        (np.ones((1, 2), np.float32), np.ones((1, 2), np.float32), 1, [(np.zeros(2, int), np.zeros(1, int))], "group"),
    ],
)
def test_what_cannot_be_searched_is_refused(queries, rows, k, apart, what):
    with pytest.raises(ContractError, match=what):
        nearest(queries, rows, k, apart=apart)
