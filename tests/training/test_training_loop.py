"""Loop: what a step does, which checkpoint is kept, and how a training stops."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from training.backbones.scratch import ScratchBackbone
from training.batching import within_budget
from training.data import PairText, label_pairs
from training.loop import NonFiniteLossError, learning_rate, pair_margins, train
from training.pairs import EncodedPair, ListedPairs
from training.prepare import encode_pairs, pair_items
from training.recipe import TrainingRecipe
from training.tokenising import EncodedRow


def ignore(points, step, total):
    pass


@pytest.fixture
def ready(pairs):
    """A backbone and encoded pairs for a recipe."""

    def make(recipe: TrainingRecipe, num: int = 48, seed: int = 0):
        rows, labels = pairs(num)
        texts = {
            row["pair_id"]: PairText(
                tuple((t["role"], t["content"]) for t in row["prompt"]), row["response_1"], row["response_2"]
            )
            for row in rows
        }
        labelled, counts = label_pairs(labels, texts)
        backbone = ScratchBackbone.create(recipe, [i for pair in labelled for i in pair_items(pair)], seed)
        return backbone, ListedPairs(encode_pairs(backbone, labelled, counts)[0], backbone.num_tokens)

    return make


class OneWeight:
    """The smallest backbone: a row's score is weight * its single number. The real loop runs on it."""

    device = torch.device("cpu")
    weights_file = "none"

    def __init__(self, weight: float = 0.0) -> None:
        self.module = torch.nn.Linear(1, 1, bias=False)
        torch.nn.init.constant_(self.module.weight, weight)

    def num_tokens(self, rows) -> int:
        return len(rows)

    def micro_batches(self, lengths, max_tokens):
        return within_budget(lengths, max_tokens)

    def scores(self, rows) -> torch.Tensor:
        return self.module(torch.tensor(np.stack([row.response for row in rows]))).squeeze(1)


def number_pair(name: str, chosen: float, rejected: float, weight: float = 1.0) -> EncodedPair:
    prompt = np.zeros(0, np.float32)
    rows = [EncodedRow(prompt, np.array([value], np.float32)) for value in (chosen, rejected)]
    return EncodedPair(name, *rows, weight, name)


def listed(*pairs: EncodedPair) -> ListedPairs:
    return ListedPairs(pairs, len)


NONE = listed()


def test_every_parameter_changes_in_one_step(ready, tiny_recipe):
    recipe = tiny_recipe(max_steps=1, batch_pairs=48)
    backbone, encoded = ready(recipe)
    before = {name: tensor.clone() for name, tensor in backbone.module.state_dict().items()}
    train(backbone, encoded, NONE, recipe, 0, ignore)
    after = backbone.module.state_dict()
    assert [name for name in before if torch.equal(before[name], after[name])] == []


def test_parts_of_a_step_add_up_to_the_whole_step(ready, tiny_recipe):
    outcomes = []
    for budget in (100_000, 64):
        recipe = tiny_recipe(micro_batch_tokens=budget)
        backbone, encoded = ready(recipe)
        outcome = train(backbone, encoded, NONE, recipe, 0, ignore)
        outcomes.append((outcome.train_loss, pair_margins(backbone, encoded, 4096)))
    assert outcomes[0][0] == pytest.approx(outcomes[1][0], rel=1e-4)
    np.testing.assert_allclose(outcomes[0][1], outcomes[1][1], rtol=1e-2, atol=1e-4)


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
@pytest.mark.parametrize("side", ["chosen", "rejected"])
def test_a_loss_that_is_not_finite_stops_and_names_the_pair(bad, side):
    good = [number_pair(f"good_{n}", 1.0, 0.5) for n in range(5)]
    poisoned = number_pair("poisoned", *((bad, 0.0) if side == "chosen" else (0.0, bad)))
    recipe = TrainingRecipe(backbone="scratch", batch_pairs=3, max_steps=10, micro_batch_tokens=2)
    with pytest.raises(NonFiniteLossError, match=r"step \d+ is not finite") as caught:
        train(OneWeight(1.0), listed(*good, poisoned), NONE, recipe, 0, ignore)
    assert "poisoned" in str(caught.value)
    assert "good_" not in str(caught.value)


def test_the_checkpoint_with_the_highest_dev_accuracy_is_kept_whatever_came_later():
    # Training pushes the weight up from 0. Dev pair a is right for any weight above 0; at step 1 all dev pairs
    # that are right then are right for good, so the earliest of the equally accurate, lowest-loss wins: the dev
    # pair whose loss grows with the weight makes step 1 the best one.
    train_pairs = listed(*[number_pair(f"t{n}", 1.0, 0.0) for n in range(4)])
    dev = listed(number_pair("a", 0.1, 0.0), *[number_pair(f"b{n}", 0.0, 5.0) for n in range(3)])
    recipe = TrainingRecipe(
        backbone="scratch", batch_pairs=4, max_steps=20, eval_every=1, learning_rate=0.1, schedule="constant"
    )
    backbone = OneWeight()
    outcome = train(backbone, train_pairs, dev, recipe, 0, ignore)
    assert outcome.best_step == 1
    weights = {p.step: p.value for p in outcome.curves if p.name == "dev/loss"}
    assert weights[1] == min(weights.values()) < weights[20]
    assert outcome.dev_margins.tolist() == pytest.approx(pair_margins(backbone, dev, 4096).tolist())


def test_training_stops_when_dev_gains_nothing_for_long_enough():
    pairs = listed(*[number_pair(f"t{n}", 1.0, 0.0) for n in range(4)])
    dev = listed(number_pair("d", 0.0, 1.0))
    recipe = TrainingRecipe(
        backbone="scratch", batch_pairs=4, max_steps=50, eval_every=2, num_evals_without_gain=3, learning_rate=0.1
    )
    outcome = train(OneWeight(), pairs, dev, recipe, 0, ignore)
    assert (outcome.stopped_because, outcome.best_step, outcome.steps) == ("no_gain", 2, 8)


@pytest.mark.parametrize(
    ("max_steps", "max_epochs", "steps", "why"), [(5, 100, 5, "max_steps"), (100, 3, 9, "max_epochs")]
)
def test_a_training_has_the_steps_its_recipe_allows(max_steps, max_epochs, steps, why):
    pairs = listed(*[number_pair(f"t{n}", 1.0, 0.0) for n in range(10)])
    recipe = TrainingRecipe(backbone="scratch", batch_pairs=4, max_steps=max_steps, max_epochs=max_epochs)
    outcome = train(OneWeight(), pairs, NONE, recipe, 0, ignore)
    assert (outcome.steps, outcome.stopped_because, outcome.best_step) == (steps, why, steps)


def test_a_pairs_weight_scales_its_pull():
    recipe = TrainingRecipe(backbone="scratch", batch_pairs=2, max_steps=1, weight_decay=0.0, schedule="constant")
    moved = []
    for up, down in ((3.0, 1.0), (1.0, 3.0)):
        backbone = OneWeight()
        train(backbone, listed(number_pair("u", 1, 0, up), number_pair("d", 0, 1, down)), NONE, recipe, 0, ignore)
        moved.append(backbone.module.weight.item())
    assert moved[0] > 0 > moved[1]


@pytest.mark.parametrize(
    ("schedule", "rates"),
    [
        ("constant", [1 / 3, 2 / 3, 1, 1, 1, 1, 1, 1, 1, 1]),
        ("linear", [1 / 3, 2 / 3, *[(10 - s) / 8 for s in range(2, 10)]]),
    ],
)
def test_the_learning_rate_warms_up_and_follows_its_schedule(schedule, rates):
    recipe = TrainingRecipe(backbone="scratch", learning_rate=1.0, warmup_share=0.2, schedule=schedule)
    assert [learning_rate(step, 10, recipe) for step in range(10)] == pytest.approx(rates)
