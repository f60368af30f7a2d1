"""Splits: sticky, whole clusters together, the same whatever order the sources come in."""

from collections import Counter, defaultdict

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assets.contracts import TABLES, from_rows
from assets.identity import digest
from assets.raw_pairs.splits import assign_splits, prompts_of
from assets.settings import SplitSettings

SHARES = SplitSettings(stage_1_dev=0.15, stage_1_holdout=0.25, stage_2_dev=0.0, stage_2_holdout=0.05)
NOTHING = TABLES["prompt_splits"].schema.empty_table()
# (prompt, cluster, stage, stratum): few of each, so that they meet.
ROWS = st.lists(
    st.tuples(st.integers(0, 30), st.integers(0, 8), st.sampled_from([1, 2]), st.sampled_from("xyz")), max_size=40
)
# Each assignment opens a database of its own.
FEW = settings(max_examples=25, deadline=None)


def table(rows):
    rows = list(rows)
    return pa.table(
        {
            "prompt_id": pa.array([f"p{r[0]}" for r in rows], pa.string()),
            "prompt_cluster_id": pa.array([f"c{r[1]}" for r in rows], pa.string()),
            "stage": pa.array([r[2] for r in rows], pa.int8()),
            "stratum": pa.array([r[3] for r in rows], pa.string()),
        }
    )


def stable(rows):
    """Rows in which a prompt is always of one cluster."""
    return [(prompt, prompt % 9, stage, stratum) for prompt, _, stage, stratum in rows]


def by_prompt(splits):
    return {row["prompt_id"]: row for row in splits.to_pylist()}


def assert_clusters_are_whole(splits):
    found = defaultdict(set)
    for row in splits.to_pylist():
        if row["usable"]:
            found[row["prompt_cluster_id"]].add(row["split"])
    assert all(len(splits) == 1 for splits in found.values()), found


@FEW
@given(ROWS, ROWS)
def test_what_was_assigned_stays(first, more):
    before, _ = assign_splits(table(stable(first)), NOTHING, SHARES, 1)
    after, counts = assign_splits(table(stable([*more, *first])), before, SHARES, 1)
    then, now = by_prompt(before), by_prompt(after)
    assert {p: now[p] for p in then} == then
    assert set(now) == {f"p{r[0]}" for r in [*first, *more]}
    assert counts.rows_out == counts.rows_in == len(now), "clusters that do not change make no conflict"
    assert_clusters_are_whole(after)


@FEW
@given(ROWS, ROWS, ROWS)
def test_clusters_that_merge_keep_the_oldest_split_and_lose_the_others(first, second, third):
    splits, seen = NOTHING, {}
    for rows in (first, second, third):
        splits, counts = assign_splits(table(rows), splits, SHARES, 1)
        found = by_prompt(splits)
        for prompt, row in seen.items():
            assert (found[prompt]["split"], found[prompt]["assigned_seq"]) == (row["split"], row["assigned_seq"])
            assert row["usable"] or not found[prompt]["usable"], "unusable for good"
        assert_clusters_are_whole(splits)
        assert counts.rows_in == len(found)
        assert counts.num_dropped == sum(not r["usable"] for r in found.values())
        assert sorted(r["assigned_seq"] for r in found.values()) == list(range(len(found)))
        seen = found


@FEW
@given(ROWS, st.randoms(use_true_random=False))
def test_order_and_repetition_of_the_rows_change_nothing(rows, random):
    expected, _ = assign_splits(table(rows), NOTHING, SHARES, 1)
    shuffled = rows * 2
    random.shuffle(shuffled)
    assert assign_splits(table(shuffled), NOTHING, SHARES, 1)[0].equals(expected)


@FEW
@given(ROWS)
def test_assigning_again_changes_nothing(rows):
    once, _ = assign_splits(table(rows), NOTHING, SHARES, 1)
    assert assign_splits(table(rows), once, SHARES, 1)[0].equals(once)
    assert assign_splits(table([]), once, SHARES, 1)[0].equals(once), "prompts that left keep their split"


def test_merged_clusters_by_example():
    before, _ = assign_splits(table((n, n, 1, "x") for n in range(40)), NOTHING, SHARES, 1)
    split_of = {p: row["split"] for p, row in by_prompt(before).items()}
    held = next(n for n in range(40) if split_of[f"p{n}"] == "holdout")
    # The older of the two by assigned_seq, which follows the prompt ids: p0 comes first.
    train = next(n for n in range(40) if split_of[f"p{n}"] == "train")
    merged, counts = assign_splits(
        table([(held, 99, 1, "x"), (train, 99, 1, "x"), (50, 99, 1, "x")]), before, SHARES, 1
    )
    rows = by_prompt(merged)
    oldest = min((held, train), key=lambda n: rows[f"p{n}"]["assigned_seq"])
    other = held + train - oldest
    assert rows["p50"]["split"] == split_of[f"p{oldest}"]
    assert (rows[f"p{oldest}"]["usable"], rows[f"p{other}"]["usable"], rows["p50"]["usable"]) == (True, False, True)
    assert counts.dropped == {"split_conflict": 1}


def test_an_unusable_prompt_takes_nobody_with_it():
    before, _ = assign_splits(table((n, n, 1, "x") for n in range(40)), NOTHING, SHARES, 1)
    rows = by_prompt(before)
    age = {p: row["assigned_seq"] for p, row in rows.items()}
    held = sorted((p for p in rows if rows[p]["split"] == "holdout"), key=age.__getitem__)
    train = sorted((p for p in rows if rows[p]["split"] == "train"), key=age.__getitem__)
    oldest, lost = sorted((train[0], held[0]), key=age.__getitem__)
    younger = next(p for p in rows if rows[p]["split"] != rows[lost]["split"] and age[p] > age[lost])
    merged, _ = assign_splits(table([(oldest[1:], 98, 1, "x"), (lost[1:], 98, 1, "x")]), before, SHARES, 1)
    apart, _ = assign_splits(table([(oldest[1:], 97, 1, "x")]), merged, SHARES, 1)
    # The lost prompt is older than the one it now meets, but has no say any more.
    after, _ = assign_splits(table([(lost[1:], 99, 1, "x"), (younger[1:], 99, 1, "x")]), apart, SHARES, 1)
    usable = {p: row["usable"] for p, row in by_prompt(after).items()}
    assert (usable[oldest], usable[lost], usable[younger]) == (True, False, True)


@FEW
@given(st.integers(0, 1000), st.integers(1, 200))
def test_every_source_meets_its_shares(seed, size):
    rows = [(f"{s}{n}", f"{s}{n}", stage, s) for s, stage in (("x", 1), ("y", 2)) for n in range(size)]
    splits, _ = assign_splits(table(rows), NOTHING, SHARES, seed)
    counts = Counter((r["prompt_id"][1], r["split"]) for r in splits.to_pylist())
    assert counts["x", "holdout"] == int(0.25 * size + 0.5)
    assert counts["x", "dev"] == int(0.15 * size + 0.5)
    assert (counts["y", "holdout"], counts["y", "dev"]) == (int(0.05 * size + 0.5), 0)
    assert sum(counts.values()) == 2 * size


def test_the_seed_draws():
    rows = [(n, n, 1, "x") for n in range(60)]
    one, other = (assign_splits(table(rows), NOTHING, SHARES, seed)[0]["split"].to_pylist() for seed in (1, 2))
    assert one != other


@pytest.mark.parametrize(("stages", "expected"), [([1, 2], "holdout"), ([2, 2], "train")])
def test_a_cluster_with_a_human_label_counts_for_stage_1(stages, expected):
    shares = SplitSettings(stage_1_dev=0, stage_1_holdout=1.0, stage_2_dev=0, stage_2_holdout=0)
    splits, _ = assign_splits(
        table((0, 0, stage, s) for stage, s in zip(stages, "xy", strict=True)), NOTHING, shares, 1
    )
    assert splits["split"].to_pylist() == [expected]


def test_a_prompt_without_a_cluster_is_one_of_its_own():
    rows = table((n, n, 1, "x") for n in range(30))
    own = rows.set_column(1, "prompt_cluster_id", rows["prompt_id"])
    none = rows.set_column(1, "prompt_cluster_id", pa.nulls(30, pa.string()))
    expected = assign_splits(own, NOTHING, SHARES, 1)[0]
    assert assign_splits(none, NOTHING, SHARES, 1)[0].equals(expected)
    assert expected["prompt_cluster_id"].equals(expected["prompt_id"])


def test_the_draw_is_the_documented_one():
    """Ranks by the digest of seed and cluster: what was drawn with an earlier version would be drawn again."""
    splits, _ = assign_splits(table((n, n, 1, "x") for n in range(40)), NOTHING, SHARES, 7)
    ranked = sorted((f"c{n}" for n in range(40)), key=lambda cluster: digest("split", "7", cluster))
    of_cluster = dict(zip(splits["prompt_cluster_id"].to_pylist(), splits["split"].to_pylist(), strict=True))
    assert [of_cluster[c] for c in ranked] == ["holdout"] * 10 + ["dev"] * 6 + ["train"] * 24


def test_prompts_come_from_the_published_pairs(bench, two_responses):
    bench.ingest([two_responses(0), two_responses(0), two_responses(1, label_origin="llm")], name="x")
    bench.ingest([two_responses(0)], name="y")
    rows = prompts_of(bench.lake, bench.lake.manifests("pairs")).to_pylist()
    assert sorted((r["stratum"], r["stage"]) for r in rows) == [("x", 1), ("x", 2), ("y", 1)]
    assert len({r["prompt_id"] for r in rows}) == 2
    splits, _ = assign_splits(prompts_of(bench.lake, bench.lake.manifests("pairs")), NOTHING, SHARES, 1)
    assert len(splits) == 2
    low, high = splits["prompt_id"].to_pylist()
    clusters = [{"prompt_id": p, "prompt_cluster_id": low, "similarity": 0.9} for p in (low, high)]
    bench.lake.publish("prompt_clusters", from_rows(clusters, "prompt_clusters"))
    assert {r["prompt_cluster_id"] for r in prompts_of(bench.lake, bench.lake.manifests("pairs")).to_pylist()} == {low}
