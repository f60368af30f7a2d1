"""Few-shot examples: the nearest gold train pairs, never of the target's own prompt."""

import numpy as np
import pytest

from assets.errors import ContractError
from assets.llm_annotated.examples import retrieve_examples


def at(*degrees):
    radians = np.deg2rad(degrees)
    return np.stack([np.cos(radians), np.sin(radians)], axis=1).astype(np.float32)


def retrieve(targets, angles, gold, gold_angles, clusters=None, k=2):
    return retrieve_examples(
        targets, at(*angles), clusters or [f"own {t}" for t in targets], gold, at(*gold_angles), num_examples=k
    )


def test_the_nearest_come_first(gold_of):
    gold = gold_of({"far": "1", "near": "2", "nearest": "1"}, "train")
    assert retrieve(["t"], [0], gold, [80, 20, 10]) == {"t": ("nearest", "near")}


def test_the_target_s_own_prompt_and_the_target_itself_are_left_out(gold_of):
    gold = gold_of({"same": "1", "t": "1", "other": "2"}, "train", {"same": "c"})
    assert retrieve(["t"], [0], gold, [0, 0, 90], clusters=["c"], k=8) == {"t": ("other",)}


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


@pytest.mark.parametrize("num_targets", [1, 511, 512, 513, 700])
def test_batches_change_nothing(gold_of, num_targets):
    rng = np.random.default_rng(num_targets)
    vectors, gold_vectors = rng.normal(size=(num_targets, 4)), rng.normal(size=(9, 4))
    gold = gold_of({f"g{i}": "1" for i in range(9)}, "train", {f"g{i}": f"c{i}" for i in range(9)})
    targets = [f"t{i}" for i in range(num_targets)]
    clusters = [f"c{i % 5}" for i in range(num_targets)]
    whole = retrieve_examples(targets, vectors, clusters, gold, gold_vectors, num_examples=3)
    last = slice(num_targets - 1, num_targets)
    alone = retrieve_examples(targets[last], vectors[last], clusters[last], gold, gold_vectors, num_examples=3)
    assert alone[targets[-1]] == whole[targets[-1]]
    assert all(len(whole[t]) == 3 and f"g{c[1]}" not in whole[t] for t, c in zip(targets, clusters, strict=True))
