"""Selection: who is asked about which pairs, with every pair offered accounted for."""

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from assets.errors import ConfigError, ContractError
from assets.human_gold.selection import compare_with_model, select_for_people, select_seed, share_out


def pool_row(pair, **more):
    return {
        "pair_id": pair,
        "prompt_cluster_id": f"cluster {pair}",
        "source": "a",
        "stage": 1,
        "split": "train",
        "usable": True,
        "objectivity": "objective",
        "controversiality": "low",
    } | more


POOL = pa.schema(
    [
        ("pair_id", pa.string()),
        ("prompt_cluster_id", pa.string()),
        ("source", pa.string()),
        ("stage", pa.int8()),
        ("split", pa.string()),
        ("usable", pa.bool_()),
        ("objectivity", pa.string()),
        ("controversiality", pa.string()),
    ]
)


def table(rows, schema=POOL):
    return pa.Table.from_pylist(rows, schema=schema)


def seed(rows, people=None, judged=0, seed=1, **more):
    return select_seed(table(rows), people_budget=people or {}, judged_budget=judged, seed=seed, **more)


def asked(selection, who):
    return {r["pair_id"] for r in selection.table.to_pylist() if r["asked"] == who}


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"stage": 2}, "not_stage_1"),
        ({"split": None, "usable": None}, "no_split"),
        ({"usable": False}, "split_conflict"),
    ],
)
def test_an_unusable_pair_is_dropped_with_its_reason(change, reason):
    got = seed([pool_row("good"), pool_row("bad", **change)], {"train": 5}, always_people=["bad"])
    assert got.table["pair_id"].to_pylist() == ["good"]
    assert got.counts.as_dict() == {"rows_in": 2, "rows_out": 1, "dropped": {reason: 1}}


def test_seed_budgets_hold_per_split_and_the_rest_is_counted():
    rows = [pool_row(f"{s}{i}", split=s) for s in ("train", "dev", "holdout") for i in range(30)]
    got = seed(rows, {"train": 4, "dev": 3, "holdout": 50}, judged=6)
    by = {(r["split"], r["asked"]): 0 for r in got.table.to_pylist()}
    for r in got.table.to_pylist():
        by[r["split"], r["asked"]] += 1
    assert by == {("train", "people"): 4, ("dev", "people"): 3, ("holdout", "people"): 30, ("train", "judges"): 6}
    assert got.counts.as_dict() == {"rows_in": 90, "rows_out": 43, "dropped": {"over_budget": 47}}


def test_pairs_for_judges_are_other_train_pairs():
    rows = [pool_row(f"p{i}", split="train" if i % 2 else "holdout") for i in range(40)]
    got = seed(rows, {"train": 5}, judged=10)
    assert not asked(got, "people") & asked(got, "judges")
    assert {r["split"] for r in got.table.to_pylist()} == {"train"}


def test_only_answerable_pairs_are_eligible():
    rows = [pool_row(f"p{i}") for i in range(10)]
    got = seed(rows, {"train": 9}, judged=9, people_can_answer={"p1", "p2"}, judges_can_answer={"p2", "p3", "p4"})
    assert asked(got, "people") == {"p1", "p2"}
    assert asked(got, "judges") == {"p3", "p4"}
    assert got.counts.dropped == {"nobody_can_answer": 6}


def test_pairs_written_by_hand_are_always_asked_on_top_of_the_budget():
    rows = [pool_row(f"p{i}", objectivity="subjective") for i in range(6)] + [pool_row(f"q{i}") for i in range(6)]
    got = seed(rows, {"train": 3}, always_people=["p0", "p1", "not in the pool"])
    people = asked(got, "people")
    assert {"p0", "p1"} <= people
    assert len(people - {"p0", "p1"}) == 3


def test_objective_uncontroversial_pairs_come_first_in_train_only():
    def rows(split):
        easy = [pool_row(f"easy{i}", split=split) for i in range(20)]
        hard = [pool_row(f"hard{i}", split=split, objectivity="subjective") for i in range(20)]
        touchy = [pool_row(f"touchy{i}", split=split, controversiality="high") for i in range(20)]
        plain = [pool_row(f"plain{i}", split=split, objectivity=None, controversiality=None) for i in range(20)]
        return easy + hard + touchy + plain

    assert all(p.startswith("easy") for p in asked(seed(rows("train"), {"train": 20}), "people"))
    measured = asked(seed(rows("holdout"), {"holdout": 40}), "people")
    assert 2 < sum(p.startswith("easy") for p in measured) < 20


def test_prompts_are_spread_before_any_is_repeated():
    rows = [pool_row(f"p{c}-{i}", prompt_cluster_id=f"c{c}") for c in range(10) for i in range(30)]
    got = asked(seed(rows, {"train": 10}), "people")
    assert len({p.split("-")[0] for p in got}) == 10


def test_sources_share_in_proportion_to_their_pairs():
    rows = [pool_row(f"a{i}") for i in range(80)] + [pool_row(f"b{i}", source="b") for i in range(20)]
    got = asked(seed(rows, {"train": 10}), "people")
    assert sum(p.startswith("a") for p in got) == 8


def test_the_seed_selection_depends_on_the_seed_not_on_the_order():
    rows = [pool_row(f"p{i}", source="ab"[i % 2]) for i in range(60)]
    one = seed(rows, {"train": 10}, judged=10)
    assert seed(rows[::-1], {"train": 10}, judged=10).table.equals(one.table)
    assert not seed(rows, {"train": 10}, judged=10, seed=2).table.equals(one.table)


def test_an_unknown_split_or_column_is_an_error():
    with pytest.raises(ConfigError, match="no split named 'test'"):
        seed([pool_row("p")], {"test": 1})
    with pytest.raises(ContractError, match="lacks the columns \\['usable'\\]"):
        select_seed(table([pool_row("p")]).drop_columns("usable"), people_budget={}, judged_budget=0, seed=1)


@given(st.integers(0, 60), st.dictionaries(st.sampled_from("abcde"), st.integers(0, 20)))
def test_shares_add_up_and_fit(total, sizes):
    shares = share_out(total, sizes)
    assert sum(shares.values()) == min(total, sum(sizes.values()))
    assert all(0 <= shares[name] <= size for name, size in sizes.items())


LATER = pa.schema(
    [
        ("pair_id", pa.string()),
        ("judge_verdict", pa.string()),
        ("judge_confidence", pa.float64()),
        ("probability_1", pa.float64()),
        ("objectivity", pa.string()),
        ("controversiality", pa.string()),
    ]
)


def later(pair, verdict, confidence, probability, objectivity="objective", controversiality="low"):
    return dict(zip(LATER.names, (pair, verdict, confidence, probability, objectivity, controversiality), strict=True))


# In the order in which they should be asked about.
IN_ORDER = [
    (later("d-large", "1", 0.95, 0.05), "judges_and_model_disagree", 0.9),
    (later("d-small", "2", 0.7, 0.6), "judges_and_model_disagree", 0.3),
    (later("u-large", "undecided", 0.55, 0.1), "judges_undecided", 0.4),
    (later("u-small", "tie", 0.8, 0.45), "judges_undecided", 0.05),
    (later("n-unsure", None, None, 0.52), "not_compared", None),
    (later("n-sure", None, None, 0.99), "not_compared", None),
    (later("a-far", "1", 0.95, 0.6), "judges_and_model_agree", 0.35),
    (later("a-near", "1", 0.95, 0.94), "judges_and_model_agree", 0.01),
    (later("d-touchy", "1", 0.95, 0.01, "subjective"), "judges_and_model_disagree", 0.94),
    (later("n-hard", None, None, 0.5, "objective", "high"), "not_compared", None),
]


@pytest.mark.parametrize("budget", range(len(IN_ORDER) + 1))
def test_easy_pairs_come_first_and_among_them_those_on_which_judges_and_model_disagree_most(budget):
    rows = [row for row, _, _ in IN_ORDER]
    got = select_for_people(table(rows[::-1], LATER), budget=budget, seed=1)
    expected = {row["pair_id"]: (reason, amount) for row, reason, amount in IN_ORDER[:budget]}
    found = {r["pair_id"]: (r["reason"], r["disagreement"]) for r in got.table.to_pylist()}
    assert found == {p: (r, None if a is None else pytest.approx(a)) for p, (r, a) in expected.items()}
    left = len(IN_ORDER) - budget
    assert got.counts.dropped == ({"over_budget": left} if left else {})


def test_later_rounds_ask_only_what_people_can_answer():
    rows = [row for row, _, _ in IN_ORDER]
    got = select_for_people(table(rows, LATER), budget=3, seed=1, people_can_answer={"a-near", "n-sure"})
    assert got.table["pair_id"].to_pylist() == ["a-near", "n-sure"]
    assert got.counts.as_dict() == {"rows_in": 10, "rows_out": 2, "dropped": {"nobody_can_answer": 8}}


@given(st.sampled_from("12"), st.floats(0.5, 1), st.floats(0, 1))
def test_comparison_is_the_same_with_the_responses_swapped(verdict, confidence, probability):
    swapped = {"1": "2", "2": "1"}[verdict]
    reason, amount = compare_with_model(verdict, confidence, probability)
    reason_swapped, amount_swapped = compare_with_model(swapped, confidence, 1 - probability)
    assert amount == pytest.approx(amount_swapped)
    if abs(probability - 0.5) > 1e-9:
        assert reason == reason_swapped
