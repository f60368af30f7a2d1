"""Error-driven retrieval: how many neighbours a query earns, who gets a pair, and the draw it is compared with."""

import numpy as np
import pytest

from assets.filtered_mixture.retrieval import draw_at_random, most_wanted_first, num_neighbours, retrieve


@pytest.mark.parametrize(
    ("p", "k"), [(0.0, 8), (0.5, 8), (0.500001, 4), (0.62, 4), (0.625, 3), (0.75, 2), (0.875, 1), (0.999, 1), (1.0, 0)]
)
def test_the_paper_s_formula(p, k):
    assert num_neighbours(p) == k


def test_a_probability_outside_0_to_1_is_refused():
    with pytest.raises(ValueError, match="between 0 and 1"):
        num_neighbours(float("nan"))


def at(*degrees):
    radians = np.deg2rad(np.array(degrees, float))
    return np.stack([np.cos(radians), np.sin(radians)], axis=1).astype(np.float32)


def test_each_query_takes_its_own_k_and_a_pair_goes_to_its_nearest_query():
    found = retrieve(
        ["q1", "q2", "q3"], at(0, 90, 45), [0.2, 0.8, 1.0],
        ["a", "b", "c", "d"], at(5, 50, 80, 100), k_max=4, max_retrieved=10,
    )  # fmt: skip
    rows = {r["pair_id"]: (r["query_pair_id"], r["k"], r["reason"]) for r in found.table.to_pylist()}
    # q1 earned all four, q2 one of its two equals (c, the lower id), q3 none.
    assert rows["a"] == ("q1", 4, "model_wrong_on_query")
    assert rows["c"] == ("q2", 1, "model_unsure_on_query")
    assert (rows["b"][0], rows["d"][0]) == ("q1", "q1")
    assert found.neighbours_earned == {0: 1, 1: 1, 4: 1}
    assert found.counts.as_dict() == {"rows_in": 5, "rows_out": 4, "dropped": {"taken_by_nearer_query": 1}}


def test_the_order_of_queries_is_immaterial():
    rng = np.random.default_rng(1)
    vectors, pool = rng.standard_normal((30, 8)).astype(np.float32), rng.standard_normal((90, 8)).astype(np.float32)
    names, ps, ids = [f"q{n:02d}" for n in range(30)], rng.random(30).tolist(), [f"p{n:02d}" for n in range(90)]
    first = retrieve(names, vectors, ps, ids, pool, k_max=8, max_retrieved=20)
    order = rng.permutation(30)
    again = retrieve(
        [names[i] for i in order], vectors[order], [ps[i] for i in order], ids, pool, k_max=8, max_retrieved=20
    )
    assert first.table.equals(again.table)
    assert first.counts.rows_out == 20


@pytest.mark.parametrize(("queries", "pool"), [(0, 3), (3, 0), (0, 0)])
def test_nothing_to_ask_or_to_fetch(queries, pool):
    found = retrieve(
        [f"q{n}" for n in range(queries)], at(*range(queries)), [0.1] * queries,
        [f"p{n}" for n in range(pool)], at(*range(pool)), k_max=8, max_retrieved=5,
    )  # fmt: skip
    assert (len(found.table), found.counts.rows_in) == (0, 0)


def test_a_random_draw_depends_on_seed_and_round_alone():
    pool = [f"p{n:03d}" for n in range(200)]
    first = draw_at_random(pool, 50, seed=1, round_name="round_1")
    assert first.equals(draw_at_random(pool[::-1], 50, seed=1, round_name="round_1"))
    others = [draw_at_random(pool, 50, seed=s, round_name=r) for s, r in ((2, "round_1"), (1, "round_2"))]
    assert all(not first.equals(other) and len(other) == 50 for other in others)
    assert set(first["reason"].to_pylist()) == {"drawn_at_random"}
    # A pair that joins the pool moves none of the others: the draw is by rank.
    more = draw_at_random([*pool, "new"], 50, seed=1, round_name="round_1")["pair_id"].to_pylist()
    assert len(set(more) - set(first["pair_id"].to_pylist())) <= 1


def test_the_worst_query_s_nearest_pair_is_wanted_most():
    found = retrieve(
        ["q1", "q2"], at(0, 90), [0.4, 0.1], ["a", "b", "c", "d"], at(1, 2, 89, 80), k_max=2, max_retrieved=9
    )
    assert most_wanted_first(found.table) == ["c", "d", "a", "b"]
    assert most_wanted_first(draw_at_random(["b", "a"], 2, seed=1, round_name="r")) == ["a", "b"]
