"""Memory: the estimate against what autograd keeps, what each setting changes, and what is refused."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from assets.errors import ConfigError
from tests.training.packed_models import ARCHITECTURES, make_groups, make_model, packed_decoder
from training.memory import ModelSize, free_memory, plan_memory, size_of
from training.recipe import LoraSettings, TrainingRecipe, ZeroSettings

# Qwen3-4B's shape.
SIZE = ModelSize(
    num_parameters=4_022_468_096,
    num_trained=4_022_468_096,
    num_layers=36,
    hidden=2560,
    queries=4096,
    keys=1024,
    feed_forward=9728,
    num_norms=2,
    norms_heads=True,
)


def recipe(**changes) -> TrainingRecipe:
    values = {
        "backbone": "pretrained",
        "model": "m",
        "max_tokens": 4096,
        "batch_pairs": 256,
        "micro_batch_tokens": 8192,
        "precision": "bfloat16_weights",
    }
    return TrainingRecipe(**{**values, **changes})


def plan(changes: dict, *, size: ModelSize = SIZE, free: float = 80e9, world_size: int = 1, compiled: bool = True):
    return plan_memory(size, recipe(**changes), free=free, on_gpu=True, compiled=compiled, world_size=world_size)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_what_a_layer_keeps_is_what_autograd_keeps(architecture):
    rows = [row for group in make_groups((40, (30, 30)), (60, (20, 50)), (10, (40,))) for row in group]
    kept = {}
    for num_layers in (2, 5):
        decoder = packed_decoder(
            architecture, num_hidden_layers=num_layers, hidden_size=256, head_dim=32, intermediate_size=640
        )
        decoder.module.train()
        weights = {p.untyped_storage().data_ptr() for p in decoder.module.parameters()}
        found: dict[int, tuple[int, torch.Tensor]] = {}

        def keep(tensor, found=found):
            storage = tensor.untyped_storage()
            found[storage.data_ptr()] = (storage.nbytes(), tensor)
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
            decoder.scores(rows)
        kept[num_layers] = sum(size for address, (size, _) in found.items() if address not in weights)
    tokens = 40 + 60 + 60 + 70 + 10 + 40
    measured = (kept[5] - kept[2]) / 3
    size = replace(size_of(decoder.module, recipe()), num_layers=1)
    how = {"precision": "float32", "micro_batch_tokens": tokens, "max_tokens": tokens // 2, "batch_pairs": 1}
    estimated = plan_memory(size, recipe(**how), free=1e12, on_gpu=False, compiled=False).activations
    estimated -= 4 * size.hidden * tokens  # What is handed on to the next layer is counted apart.
    assert 0.95 * measured < estimated < 1.2 * measured


def test_a_prototype_that_took_53_gb_is_estimated_so():
    # Design.md, section 6: Qwen3-4B's shape, bfloat16 weights and states, 8,192 tokens, layers compiled.
    assert plan({}).total == pytest.approx(53e9, rel=0.1)
    assert plan({}).num_checkpointed_layers == 0


@pytest.mark.parametrize(
    ("part", "changes", "world_size", "share"),
    [
        ("optimiser", {"zero": ZeroSettings(stage=1)}, 4, 1 / 4),
        ("gradients", {"zero": ZeroSettings(stage=1)}, 4, 1),
        ("gradients", {"zero": ZeroSettings(stage=2)}, 4, 1 / 4),
        ("weights", {"zero": ZeroSettings(stage=2)}, 4, 1),
        ("weights", {"zero": ZeroSettings(stage=3)}, 4, 1 / 4),
        ("optimiser", {"zero": ZeroSettings(stage=1, offload_optimizer=True)}, 4, 0),
        ("weights", {"zero": ZeroSettings(stage=3, offload_weights=True)}, 4, 0),
        ("optimiser", {"precision": "bfloat16"}, 1, 3),
        ("weights", {"precision": "float32", "micro_batch_tokens": 256, "max_tokens": 128}, 1, 2),
    ],
)
def test_what_each_setting_divides(part, changes, world_size, share):
    base = getattr(plan({}, free=1e12), part)
    assert getattr(plan(changes, world_size=world_size, free=1e12), part) == pytest.approx(share * base)


def test_as_few_layers_are_recomputed_as_fit():
    none, all_ = (plan({"activation_checkpointing": how}, free=1e12) for how in ("never", "always"))
    assert (none.num_checkpointed_layers, all_.num_checkpointed_layers) == (0, 35)
    between = plan({"precision": "bfloat16"}, free=80e9)
    assert 0 < between.num_checkpointed_layers < 35
    assert between.total <= 80e9 < plan({"precision": "bfloat16", "activation_checkpointing": "never"}, free=1e12).total


@pytest.mark.parametrize(
    ("changes", "free", "advice"),
    [
        ({"activation_checkpointing": "never", "micro_batch_tokens": 65_536}, 80e9, "let recipe.activation_checkpoint"),
        ({"micro_batch_tokens": 1_000_000, "batch_pairs": 10_240}, 80e9, "lower recipe.micro_batch_tokens"),
        # A pair is never split: the longest that the recipe lets through is what counts.
        ({"max_tokens": 500_000, "batch_pairs": 1}, 80e9, "and recipe.max_tokens"),
        ({}, 24e9, "recipe.lora or a higher recipe.zero.stage"),
        ({"precision": "float32", "lora": LoraSettings()}, 5e9, "recipe.precision: bfloat16_weights"),
    ],
)
def test_a_recipe_that_does_not_fit_is_refused_with_what_to_lower(changes, free, advice):
    with pytest.raises(ConfigError, match=r"asks for \d+\.\d GB of memory where \d+\.\d GB are free") as raised:
        plan(changes, free=free)
    assert advice in str(raised.value)


def test_sizes_are_read_off_a_model_without_weights():
    from transformers import AutoModelForSequenceClassification

    from tests.training.packed_models import make_config

    with torch.device("meta"):
        empty = AutoModelForSequenceClassification.from_config(make_config("gemma3"))
    real = size_of(make_model("gemma3"), recipe())
    assert size_of(empty, recipe()) == real
    assert (real.queries, real.keys, real.num_norms, real.norms_heads) == (64, 32, 4, True)
    some = size_of(empty, recipe(lora=LoraSettings(rank=2, targets=("q_proj",))))
    assert some.num_trained == 32 + 3 * 2 * (32 + 64)


def test_free_memory_is_that_of_this_machine():
    assert 1e8 < free_memory(on_gpu=False) < 1e14
