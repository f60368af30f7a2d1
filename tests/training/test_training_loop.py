"""Loop: what a step does, which checkpoint is kept, and how a training stops."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from assets.errors import SynprefError
from training.backbones.scratch import ScratchBackbone
from training.batching import within_budget
from training.data import PairText, label_pairs
from training.engine import LocalEngine
from training.evaluating import pair_margins
from training.loop import NonFiniteLossError, Surroundings, learning_rate, train
from training.metering import Meter
from training.out_of_memory import TokenBudget, within_memory
from training.pairs import EncodedPair, ListedPairs
from training.prepare import encode_pairs, pair_items
from training.recipe import TrainingRecipe
from training.schedule import BatchOrder
from training.stepping import gathered, step_seed
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


def test_the_loss_settings_of_the_recipe_are_trained_with():
    # Both scores are 0: the loss is log 2 without a margin, log(1 + e) with a margin of 1.
    for settings, expected in (({}, np.log(2)), ({"margin": 1.0}, np.log(1 + np.e))):
        recipe = TrainingRecipe(backbone="scratch", batch_pairs=2, max_steps=1, loss=settings)
        outcome = train(OneWeight(), listed(number_pair("a", 1, 0), number_pair("b", 1, 0)), NONE, recipe, 0, ignore)
        assert outcome.train_loss == pytest.approx(expected, rel=1e-6)


def test_a_step_says_what_it_measured():
    pairs = listed(number_pair("a", 3.0, 1.0, 1.0), number_pair("b", -2.0, 2.0, 3.0))
    recipe = TrainingRecipe(backbone="scratch", batch_pairs=2, max_steps=1, micro_batch_tokens=2)
    meter = Meter(pair_flops=lambda prompt, chosen, rejected: 1e3 * len(prompt), peak_flops=1.0)
    outcome = train(OneWeight(1.0), pairs, NONE, recipe, 0, ignore, Surroundings(meter=meter))
    values = {point.name: point.value for point in outcome.curves}
    # Margins 2 and -4, weights 1 and 3.
    loss = (np.log1p(np.exp(-2)) + 3 * np.log1p(np.exp(4))) / 4
    gradient = (-2 / (1 + np.exp(2)) + 3 * 4 / (1 + np.exp(-4))) / 4
    expected = {
        "loss": loss,
        "train/accuracy": 0.5,
        "train/margin": -1.0,
        "train/reward_min": -2.0,
        "train/reward_mean": 1.0,
        "train/reward_max": 3.0,
        "train/grad_norm": gradient,
        "train/tokens": 4.0,
        "train/padding": 0.0,
        "speed/seconds_left": 0.0,
    }
    assert {name: values[name] for name in expected} == pytest.approx(expected, rel=1e-5)
    assert values["speed/share_of_peak"] == pytest.approx(values["speed/pairs_per_second"] * 1e3)
    assert values["speed/tokens_per_second"] == pytest.approx(values["speed/pairs_per_second"] * 2)
    assert values["speed/memory_gib"] > 0


def test_sharing_and_padding_are_told_apart(ready, tiny_recipe):
    recipe = tiny_recipe(batch_pairs=48, max_steps=1, micro_batch_tokens=100_000)
    backbone, encoded = ready(recipe)
    values = {p.name: p.value for p in train(backbone, encoded, NONE, recipe, 0, ignore).curves}
    sizes = np.array(
        [
            [len(r) for r in (p.chosen.prompt, p.chosen.response, p.rejected.response)]
            for p in map(encoded.__getitem__, range(48))
        ]
    )
    shared, unshared = sizes.sum(), sizes.sum() + sizes[:, 0].sum()
    assert values["train/tokens"] == shared
    assert values["train/sharing_saved"] == pytest.approx(1 - shared / unshared)
    assert values["train/padding"] == pytest.approx(1 - shared / (48 * sizes.sum(1).max()))
    assert 0 < values["train/padding"] < 0.5 < 1


def test_a_share_of_peak_is_not_said_where_nothing_is_known():
    recipe = TrainingRecipe(backbone="scratch", batch_pairs=1, max_steps=1)
    outcome = train(OneWeight(), listed(number_pair("a", 1, 0)), NONE, recipe, 0, ignore)
    assert "speed/share_of_peak" not in {point.name for point in outcome.curves}


@pytest.mark.parametrize(("num_prompts", "with_interval"), [(19, False), (20, True)])
def test_dev_accuracy_has_an_interval_from_twenty_prompts_on(num_prompts, with_interval):
    # Two pairs a prompt: clusters, not pairs, decide whether there is one.
    dev = listed(
        *[
            replace(number_pair(f"{c}{n}", 1.0, float(c % 2) * 2), cluster=str(c))
            for c in range(num_prompts)
            for n in range(2)
        ]
    )
    recipe = TrainingRecipe(backbone="scratch", batch_pairs=1, max_steps=1)
    outcome = train(OneWeight(1.0), listed(number_pair("t", 1, 0)), dev, recipe, 0, ignore)
    values = {point.name: point.value for point in outcome.curves}
    assert ("dev/accuracy_low" in values, "dev/accuracy_high" in values) == (with_interval, with_interval)
    if with_interval:
        assert values["dev/accuracy_low"] < values["dev/accuracy"] == 0.5 < values["dev/accuracy_high"]
        # About 1.96 * sqrt(0.25 / 20), prompts counted and not pairs.
        assert values["dev/accuracy_high"] - values["dev/accuracy_low"] == pytest.approx(0.44, abs=0.08)


def test_dev_scores_that_are_not_finite_stop_training():
    recipe = TrainingRecipe(backbone="scratch", batch_pairs=1, max_steps=1)
    with pytest.raises(NonFiniteLossError, match=r"1 dev pairs have scores that are not finite, e\.g\. bad"):
        train(OneWeight(1.0), listed(number_pair("t", 1, 0)), listed(number_pair("bad", np.nan, 0)), recipe, 0, ignore)


def test_a_loss_that_is_not_finite_changes_no_weight():
    recipe = TrainingRecipe(backbone="scratch", batch_pairs=2, max_steps=1)
    backbone = OneWeight(1.0)
    with pytest.raises(NonFiniteLossError):
        train(backbone, listed(number_pair("a", np.inf, 0), number_pair("b", 1, 0)), NONE, recipe, 0, ignore)
    assert backbone.module.weight.item() == 1.0


@pytest.mark.parametrize("num_pairs", [7, 8, 9, 1])
def test_every_epoch_has_every_pair_once_and_the_step_alone_says_which(num_pairs):
    recipe = TrainingRecipe(backbone="scratch", batch_pairs=4, max_steps=1000, max_epochs=3)
    lengths = np.arange(1, num_pairs + 1)
    order = BatchOrder(lengths, recipe, seed=5)
    assert order.num_steps == 3 * order.steps_per_epoch
    batches = [order.batch(step) for step in range(order.num_steps)]
    for epoch in range(3):
        some = batches[epoch * order.steps_per_epoch : (epoch + 1) * order.steps_per_epoch]
        assert sorted(at for batch in some for at in batch) == list(range(num_pairs))
        assert sorted(map(len, some)) == sorted([4] * (num_pairs // 4) + [num_pairs % 4] * (num_pairs % 4 > 0))
    # In any order of asking, as after a resume.
    assert [BatchOrder(lengths, recipe, 5).batch(step) for step in reversed(range(order.num_steps))] == batches[::-1]


class Greedy(OneWeight):
    """Asks for more memory than any machine has, or tells of a full GPU, where more rows than `room` come together."""

    def __init__(self, room: int, error=None) -> None:
        super().__init__(0.5)
        self.room, self.error, self.sizes = room, error, []

    def scores(self, rows) -> torch.Tensor:
        found = super().scores(rows)
        if len(rows) > self.room:
            if self.error is not None:
                raise self.error
            torch.empty(2**58, dtype=torch.uint8)
        self.sizes.append(len(rows))
        return found


@pytest.mark.parametrize(
    "error", [None, torch.OutOfMemoryError("CUDA out of memory. Tried to allocate"), MemoryError()]
)
def test_out_of_memory_halves_the_budget_and_repeats_the_step(error):
    pairs = listed(*[number_pair(str(n), float(n), 1.0) for n in range(16)])
    recipe = TrainingRecipe(backbone="scratch", batch_pairs=16, max_steps=3, micro_batch_tokens=32, warmup_share=0.0)
    outcomes, weights, said = [], [], []
    for backbone in (Greedy(1000), Greedy(8, error)):
        outcomes.append(train(backbone, pairs, pairs, recipe, 0, ignore, Surroundings(log=said.append)))
        weights.append(backbone.module.weight.item())
    assert weights[0] == pytest.approx(weights[1], rel=1e-6)
    assert (outcomes[0].num_halved, outcomes[0].token_budget) == (0, 32)
    # 32 and 16 tokens do not fit, 8 do, for good.
    assert (outcomes[1].num_halved, outcomes[1].token_budget, outcomes[1].steps) == (2, 8, 3)
    assert max(backbone.sizes) == 8
    assert [line.split(" are")[0] for line in said] == [
        "out of memory: 16 instead of 32 tokens",
        "out of memory: 8 instead of 16 tokens",
    ]


def test_out_of_memory_with_the_longest_pair_alone_is_an_error():
    pairs = listed(number_pair("a", 1.0, 0.0), number_pair("b", 2.0, 0.0))
    recipe = TrainingRecipe(backbone="scratch", batch_pairs=2, max_steps=3, micro_batch_tokens=16)
    with pytest.raises(SynprefError, match=r"Memory ran out with 2 tokens .* the longest pair having 2"):
        train(Greedy(1), pairs, NONE, recipe, 0, ignore)


def test_another_error_is_not_taken_for_a_full_memory():
    recipe = TrainingRecipe(backbone="scratch", batch_pairs=1, max_steps=3)
    with pytest.raises(RuntimeError, match="wrong shape"):
        train(Greedy(1, RuntimeError("wrong shape")), listed(number_pair("a", 1, 0)), NONE, recipe, 0, ignore)


class SecondOfTwo(LocalEngine):
    """A process whose fellow always sends the same values."""

    rank, world_size = 1, 2
    can_repeat = False

    def __init__(self, others: list[float]) -> None:
        super().__init__(torch.nn.Linear(1, 1), TrainingRecipe(backbone="scratch"))
        self.others = others

    def total(self, values: torch.Tensor) -> torch.Tensor:
        padded = torch.zeros_like(values)
        padded[: len(self.others)] = torch.tensor(self.others, dtype=values.dtype)
        return values + padded


def test_values_of_all_processes_are_told_apart_even_if_infinite():
    found = gathered(SecondOfTwo([1.0, -np.inf]), [3.0, 4.0])
    assert found.tolist() == [[1.0, -np.inf], [3.0, 4.0]]


def test_out_of_memory_on_one_of_several_processes_is_an_error():
    def compute(tokens):
        raise torch.OutOfMemoryError("CUDA out of memory")

    with pytest.raises(SynprefError, match=r"lower recipe\.micro_batch_tokens and start again"):
        within_memory(compute, TokenBudget(64), 2, discard=lambda: None, log=print, can_repeat=False)


def test_dropout_is_drawn_from_seed_step_and_process():
    seeds = {step_seed(*key) for key in [(0, 0, 0), (1, 0, 0), (0, 1, 0), (0, 0, 1), (11, 1, 0), (1, 11, 0)]}
    assert len(seeds) == 6
    assert all(0 <= seed < 2**60 for seed in seeds)


@pytest.mark.parametrize(
    ("warmup", "schedule", "total", "rates"),
    [
        (0.0, "constant", 3, [1, 1, 1]),
        (0.0, "linear", 4, [1, 3 / 4, 2 / 4, 1 / 4]),
        (0.2, "constant", 10, [1 / 3, 2 / 3, 1, 1, 1, 1, 1, 1, 1, 1]),
        (0.2, "linear", 10, [1 / 3, 2 / 3, *[(10 - s) / 8 for s in range(2, 10)]]),
        # One step, warmed up or not, does something; warm-up may be all there is.
        (0.05, "linear", 1, [1]),
        (1.0, "linear", 1, [1 / 2]),
        (1.0, "linear", 3, [1 / 4, 2 / 4, 3 / 4]),
        # A warm-up of less than half a step is none.
        (0.04, "linear", 10, [(10 - s) / 10 for s in range(10)]),
    ],
)
def test_the_learning_rate_warms_up_and_follows_its_schedule(warmup, schedule, total, rates):
    recipe = TrainingRecipe(backbone="scratch", learning_rate=1.0, warmup_share=warmup, schedule=schedule)
    assert [learning_rate(step, total, recipe) for step in range(total)] == pytest.approx(rates)


def test_the_papers_last_schedule_is_one_rate_from_the_first_step_on():
    recipe = TrainingRecipe(backbone="scratch", learning_rate=3e-6, warmup_share=0.0, schedule="constant")
    assert {learning_rate(step, 1000, recipe) for step in range(1000)} == {3e-6}
