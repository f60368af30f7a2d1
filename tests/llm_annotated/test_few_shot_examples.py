"""Few-shot examples: the nearest gold train pairs or drawn ones, never of the target's own clusters."""

from collections import Counter

import numpy as np
import pytest

from assets.errors import ContractError
from assets.llm_annotated.examples import draw_examples, retrieve_examples


def at(*degrees):
    radians = np.deg2rad(degrees)
    return np.stack([np.cos(radians), np.sin(radians)], axis=1).astype(np.float32)


def clusters_of(gold, near=None):
    """Prompt cluster and near-duplicate cluster of every gold pair."""
    prompts = gold["prompt_cluster_id"].to_pylist()
    return {g: (c, (near or {}).get(g, g)) for g, c in zip(gold["pair_id"].to_pylist(), prompts, strict=True)}


def retrieve(targets, angles, gold, gold_angles, clusters=None, k=2, near=None):
    own = {t: ((clusters or {}).get(t, f"own {t}"), (near or {}).get(t, t)) for t in targets}
    return retrieve_examples(targets, at(*angles), own, gold, at(*gold_angles), clusters_of(gold, near), num_examples=k)


def test_the_nearest_come_first(gold_of):
    gold = gold_of({"far": "1", "near": "2", "nearest": "1"}, "train")
    assert retrieve(["t"], [0], gold, [80, 20, 10]) == {"t": ("nearest", "near")}


def test_the_target_s_own_prompt_and_the_target_itself_are_left_out(gold_of):
    gold = gold_of({"same": "1", "t": "1", "other": "2"}, "train", {"same": "c"})
    assert retrieve(["t"], [0], gold, [0, 0, 90], clusters={"t": "c"}, k=8) == {"t": ("other",)}


def test_ties_in_gold_show_nothing(gold_of):
    gold = gold_of({"tied": "tie", "side": "2"}, "train")
    assert retrieve(["t"], [0], gold, [0, 60]) == {"t": ("side",)}


def test_equal_similarity_goes_to_the_lower_id_whatever_the_order_of_gold(gold_of):
    gold = gold_of({"b": "1", "c": "1", "a": "1"}, "train")
    assert retrieve(["t"], [0], gold, [30, 30, -30]) == {"t": ("a", "b")}


@pytest.mark.parametrize("k", [0, 1, 3, 8])
def test_as_many_as_asked_for_and_there_are(gold_of, k):
    gold = gold_of({f"g{i}": "1" for i in range(3)}, "train")
    assert len(retrieve(["t"], [0], gold, [1, 2, 3], k=k)["t"]) == min(k, 3)


def test_no_gold_no_examples(gold_of):
    assert retrieve(["t"], [0], gold_of({}, "train"), []) == {"t": ()}


@pytest.mark.parametrize("split", ["dev", "holdout"])
def test_only_gold_train_guides(gold_of, split):
    with pytest.raises(ContractError, match=f"gold train alone, and {split}"):
        retrieve(["t"], [0], gold_of({"g": "1"}, split), [0])


def test_every_pair_needs_a_vector(gold_of):
    with pytest.raises(ContractError, match="one vector"):
        retrieve(["t", "u"], [0], gold_of({"g": "1"}, "train"), [0])


def test_a_near_duplicate_is_left_out_though_its_prompt_is_of_another_cluster(gold_of):
    gold = gold_of({"near": "1", "other": "2"}, "train")
    near = {"t": "n", "near": "n"}
    assert retrieve(["t"], [0], gold, [0, 60], near=near) == {"t": ("other",)}


def drawn(targets, gold, seed=1, k=4, clusters=None, near=None):
    own = {t: ((clusters or {}).get(t, f"own {t}"), (near or {}).get(t, t)) for t in targets}
    return draw_examples(own, gold, clusters_of(gold, near), num_examples=k, seed=seed)


def test_a_draw_depends_on_the_target_and_the_seed_alone(gold_of):
    gold = gold_of({f"g{i}": "1" for i in range(50)}, "train")
    both = drawn(["t", "u"], gold)
    assert drawn(["u"], gold)["u"] == both["u"] != both["t"]
    assert drawn(["t"], gold, seed=2)["t"] != both["t"]
    assert all(len(set(examples)) == 4 for examples in both.values())


@pytest.mark.parametrize("num_gold", [0, 1, 3, 9])
def test_a_draw_takes_all_there_is_when_gold_is_small_and_never_the_target_s_own_cluster(gold_of, num_gold):
    gold = gold_of(
        {"same": "1", "t": "1", "near": "1", "tied": "tie"} | {f"g{i}": "2" for i in range(num_gold)},
        "train",
        {"same": "c"},
    )
    found = drawn(["t"], gold, k=8, clusters={"t": "c"}, near={"t": "n", "near": "n"})["t"]
    assert len(set(found)) == len(found) == min(8, num_gold)
    assert set(found) <= {f"g{i}" for i in range(num_gold)}


def test_every_gold_pair_is_drawn_about_as_often(gold_of):
    gold = gold_of({f"g{i}": "1" for i in range(10)}, "train")
    counts = Counter(g for examples in drawn([f"t{i}" for i in range(1_000)], gold).values() for g in examples)
    assert len(counts) == 10
    # 400 expected; the standard deviation is under 16.
    assert all(320 < n < 480 for n in counts.values())


@pytest.mark.parametrize("num_targets", [1, 511, 512, 513, 700])
def test_batches_change_nothing(gold_of, num_targets):
    rng = np.random.default_rng(num_targets)
    vectors, gold_vectors = rng.normal(size=(num_targets, 4)), rng.normal(size=(9, 4))
    gold = gold_of({f"g{i}": "1" for i in range(9)}, "train", {f"g{i}": f"c{i}" for i in range(9)})
    targets = [f"t{i}" for i in range(num_targets)]
    clusters = {t: (f"c{i % 5}", t) for i, t in enumerate(targets)}
    of_gold = clusters_of(gold)
    whole = retrieve_examples(targets, vectors, clusters, gold, gold_vectors, of_gold, num_examples=3)
    last = slice(num_targets - 1, num_targets)
    alone = retrieve_examples(targets[last], vectors[last], clusters, gold, gold_vectors, of_gold, num_examples=3)
    assert alone[targets[-1]] == whole[targets[-1]]
    assert all(len(whole[t]) == 3 and f"g{clusters[t][0][1]}" not in whole[t] for t in targets)
