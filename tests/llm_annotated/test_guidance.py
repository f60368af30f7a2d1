"""Guidance: which gold pairs guide the judges on a pair, read from a small lake."""

import pytest
import yaml

from assets.contracts import from_rows
from assets.llm_annotated.guidance import guide
from assets.pair_vectors import vectors_of
from assets.settings import REPOSITORY, read_yaml
from assets.workspace import Workspace

# Pair, prompt cluster, prompt, role in gold (split and verdict); `t` is the target.
PAIRS = (
    ("t", "sums", "How much is two and two?", None),
    ("same_prompt", "sums", "How much is two and two?", ("train", "1")),
    ("near_pair", "other", "How much is two and two?", ("train", "1")),
    ("close", "more sums", "How much is two and three?", ("train", "2")),
    ("far", "trees", "Name a tree that keeps its leaves.", ("train", "1")),
    ("tied", "even more sums", "How much is two and four?", ("train", "tie")),
    ("held_out", "last sums", "How much is two and five?", ("holdout", "1")),
    ("excluded", "gone sums", "How much is two and six?", ("train", "1")),
)


@pytest.fixture
def workspace(tmp_path):
    def make(**changes) -> Workspace:
        value = read_yaml(REPOSITORY / "configs" / "sample.yaml")
        for section, settings in changes.items():
            value[section] = value[section] | settings
        config = tmp_path / "run.yaml"
        config.write_text(yaml.safe_dump(value), "utf-8")
        made = Workspace(config, tmp_path)
        lake = made.lake
        pool = [p for p in PAIRS if p[0] != "excluded"]
        lake.publish(
            "candidate_pool",
            from_rows([{"pair_id": p, "prompt_cluster_id": c, "stage": 1} for p, c, *_ in pool], "candidate_pool"),
        )
        texts = [
            {"pair_id": p, "prompt": [{"role": "user", "content": text}], "response_1": "a", "response_2": "b"}
            for p, _, text, _ in PAIRS
        ]
        lake.publish("pairs", from_rows(texts, "pairs"), {"source": "s"})
        # What the pairs are for tells them apart where their words do not.
        attributes = [
            {"pair_id": p, "writer": "w", "task_category": "math" if p in ("t", "far") else "editing"}
            for p, *_ in PAIRS
        ]
        lake.publish("attributes", from_rows(attributes, "attributes"), {"source": "s"})
        gold = [
            {"pair_id": p, "prompt_cluster_id": c, "split": role[0], "verdict": role[1], "as_of_round": "round_0"}
            for p, c, _, role in PAIRS
            if role
        ]
        lake.publish("gold", from_rows(gold, "gold"), {"as_of_round": "round_0"})
        near = [{"pair_id": p, "pair_cluster_id": "near_pair", "similarity": 0.9} for p in ("near_pair", "t")]
        lake.publish("pair_clusters", from_rows(near, "pair_clusters"))
        return made

    return make


@pytest.mark.parametrize(
    ("voting", "examples"),
    [
        ({"guidance": "retrieved", "num_examples": 1}, ("close",)),
        ({"guidance": "retrieved", "num_examples": 8}, ("close", "far")),
        ({"guidance": "random", "num_examples": 8}, ("close", "far")),
        ({"guidance": "none", "num_examples": 8}, ()),
        ({"guidance": "retrieved", "num_examples": 0}, ()),
    ],
)
def test_only_decided_gold_train_pairs_of_other_clusters_that_are_in_the_pool_guide(workspace, voting, examples):
    assert guide(workspace(voting=voting), ["t"], "round_0") == {"t": examples}


def test_examples_come_the_nearest_first(workspace):
    """A prompt that is too long drops from the end."""
    one, all_of_them = (
        guide(workspace(voting={"num_examples": num}), ["held_out"], "round_0")["held_out"] for num in (1, 8)
    )
    assert len(all_of_them) == 4
    assert all_of_them[:1] == one


def test_the_guidance_asked_for_goes_before_the_configured_one(workspace):
    made = workspace(voting={"guidance": "none"})
    assert guide(made, ["t"], "round_0", guidance="random")["t"] == ("close", "far")


def test_a_random_example_is_no_matter_of_likeness(workspace):
    made = workspace(voting={"guidance": "random", "num_examples": 1})
    drawn = {guide(made, [target], "round_0")[target] for target in ("t", "tied", "held_out", "close", "far")}
    assert len(drawn) > 1


def test_vectors_leave_the_attributes_out_where_the_configuration_says_so(workspace):
    pairs = ["t", "same_prompt"]
    with_attributes = vectors_of(workspace(), pairs)
    assert not (with_attributes[0] == with_attributes[1]).all()
    without = vectors_of(workspace(embedding={"attributes": False}), pairs)
    assert (without[0] == without[1]).all()
