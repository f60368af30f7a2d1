"""Suite: each file is the paper's final training of one model, its numbers are right, and a run can name it."""

from __future__ import annotations

import shutil

import pytest
import yaml

from assets.errors import ConfigError
from assets.settings import REPOSITORY, load_settings
from training.suite import CONFIGS, load_suite_model, suite_model

COMMIT = "0123456789abcdef0123456789abcdef01234567"
# id, hidden, intermediate, layers, heads, key heads, size of a head, vocabulary, as the models' config.json say.
SHAPES = {
    "qwen3_0.6b": ("Qwen/Qwen3-0.6B", 1024, 3072, 28, 16, 8, 128, 151_936),
    "qwen3_1.7b": ("Qwen/Qwen3-1.7B", 2048, 6144, 28, 16, 8, 128, 151_936),
    "qwen3_4b": ("Qwen/Qwen3-4B", 2560, 9728, 36, 32, 8, 128, 151_936),
    "qwen3_8b": ("Qwen/Qwen3-8B", 4096, 12_288, 36, 32, 8, 128, 151_936),
    "llama3.2_1b": ("meta-llama/Llama-3.2-1B-Instruct", 2048, 8192, 16, 32, 8, 64, 128_256),
    "llama3.2_3b": ("meta-llama/Llama-3.2-3B-Instruct", 3072, 8192, 28, 24, 8, 128, 128_256),
    "llama3.1_8b": ("meta-llama/Llama-3.1-8B-Instruct", 4096, 14_336, 32, 32, 8, 128, 128_256),
    "llama3.1_8b_flipped": ("meta-llama/Llama-3.1-8B-Instruct", 4096, 14_336, 32, 32, 8, 128, 128_256),
}
# What docs/training_at_scale.md says: bytes a parameter on each of so many GPUs.
STATE = {1: lambda gpus: 8 + 12 / gpus, 2: lambda gpus: 2 + 16 / gpus, 3: lambda gpus: 18 / gpus}
USABLE_GB, LONGEST_PAIR = 74, 2 * 16_384


def gigabytes(model, shape: tuple, stage: int, gpus: int) -> float:
    _, hidden, _, layers, *_ = shape
    activations = (2 * layers + 28) * hidden * LONGEST_PAIR
    return (STATE[stage](gpus) * model.num_parameters + activations) / 1e9


def test_there_is_a_file_for_each_of_the_eight_models():
    assert {path.stem for path in CONFIGS.glob("*.yaml")} == set(SHAPES)


@pytest.mark.parametrize("name", SHAPES)
def test_a_file_is_the_papers_final_training_of_its_model(name):
    model = load_suite_model(CONFIGS / f"{name}.yaml")
    recipe = model.recipe
    assert recipe.model == SHAPES[name][0]
    assert model.mixture == ("kept_and_flipped" if name.endswith("flipped") else "kept")
    assert (recipe.learning_rate, recipe.schedule, recipe.warmup_share) == (3e-6, "constant", 0.0)
    assert (recipe.batch_pairs, recipe.max_epochs, recipe.max_tokens) == (10_240, 1, 16_384)
    assert (recipe.backbone, recipe.precision, recipe.loss.model_dump()) == (
        "pretrained",
        "bfloat16",
        {"margin": 0, "label_smoothing": 0, "centring": 0},
    )
    # Neither the number of pairs nor that of steps ends an epoch of the paper's 40 M pairs.
    assert recipe.max_train_pairs >= 40_000_000
    assert recipe.max_steps * recipe.batch_pairs >= 40_000_000
    assert recipe.checkpoints.every_steps > 0


@pytest.mark.parametrize("name", SHAPES)
def test_a_models_parameters_are_those_of_transformers_own_model(name):
    import torch
    from transformers import AutoModelForSequenceClassification, LlamaConfig, Qwen3Config

    hub, hidden, intermediate, layers, heads, key_heads, head_dim, vocabulary = SHAPES[name]
    config = (Qwen3Config if hub.startswith("Qwen") else LlamaConfig)(
        hidden_size=hidden,
        intermediate_size=intermediate,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        num_key_value_heads=key_heads,
        head_dim=head_dim,
        vocab_size=vocabulary,
        num_labels=1,
    )
    with torch.device("meta"):
        module = AutoModelForSequenceClassification.from_config(config)
    counted = sum(parameter.numel() for parameter in module.parameters())
    assert load_suite_model(CONFIGS / f"{name}.yaml").num_parameters == counted


@pytest.mark.parametrize("name", SHAPES)
def test_min_gpus_is_the_smallest_power_of_two_that_holds_the_model(name):
    model = load_suite_model(CONFIGS / f"{name}.yaml")
    stage = model.recipe.zero.stage
    assert gigabytes(model, SHAPES[name], stage, model.min_gpus) < USABLE_GB
    if model.min_gpus > 1:
        # At its own stage; the docs say what another stage or main memory allow.
        assert gigabytes(model, SHAPES[name], stage, model.min_gpus // 2) > USABLE_GB


def run_with(tmp_path, **models):
    values = yaml.safe_load((REPOSITORY / "configs" / "sample.yaml").read_text("utf-8"))
    values["models"] |= models
    path = tmp_path / "run.yaml"
    path.write_text(yaml.safe_dump(values), "utf-8")
    return load_settings(path)


def test_a_run_names_models_of_the_suite_by_file(tmp_path):
    settings = run_with(
        tmp_path,
        final={
            "qwen": {"config": "qwen3_0.6b.yaml", "revision": COMMIT},
            "llama": {"config": "llama3.1_8b_flipped.yaml", "revision": COMMIT, "zero": {"stage": 3}},
            "own": {"backbone": "scratch"},
        },
        processes_per_node=8,
    )
    qwen, llama, own = (settings.models.final[size] for size in ("qwen", "llama", "own"))
    assert (qwen.model, qwen.revision, qwen.batch_pairs) == ("Qwen/Qwen3-0.6B", COMMIT, 10_240)
    assert (llama.zero.stage, own.backbone) == (3, "scratch")
    mixtures = {size: settings.mixture_of_size(size) for size in settings.models.final}
    assert mixtures == {"qwen": "kept", "llama": "kept_and_flipped", "own": "kept"}


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        ({"config": "qwen3_8b.yaml"}, r"commit of Qwen/Qwen3-8B is '', and must be 40 hexadecimal digits"),
        ({"config": "qwen3_8b.yaml", "revision": "main"}, "'main', and must be 40"),
        ({"config": "qwen3_9b.yaml", "revision": COMMIT}, r"no such model of the suite.*name one of llama3\.1_8b"),
        ({"config": "../recipe.yaml"}, "no name of a file"),
        ({"config": "qwen3_8b.yaml", "revision": COMMIT, "batch_size": 8}, "recipe.batch_size: Extra inputs"),
    ],
)
def test_an_entry_that_cannot_be_used_says_why(tmp_path, entry, said):
    with pytest.raises(ConfigError, match=said):
        run_with(tmp_path, final={"size": entry})


def test_a_mixture_of_an_unknown_size_is_refused(tmp_path):
    with pytest.raises(ConfigError, match=r"models\.mixtures names sizes"):
        run_with(tmp_path, mixtures={"nobody": "kept"})


def test_a_local_copy_of_a_model_needs_no_commit(tmp_path):
    shutil.copytree(CONFIGS, tmp_path / "configs")
    model = suite_model({"config": "qwen3_8b.yaml", "model": str(tmp_path)}, tmp_path / "configs")
    assert model.recipe.model == str(tmp_path)
