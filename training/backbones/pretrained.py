"""The `pretrained` backbone: any decoder that transformers knows, with one logit at a response's last token."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch

from assets.errors import ConfigError
from training.backbones.decoder import PackedDecoder, compiles_layers
from training.backbones.loading import describe_decoder, load_decoder
from training.data import Item
from training.deepspeed_config import weights_split_while_loading
from training.layout import group_rows, num_tokens
from training.memory import MemoryPlan, free_memory, plan_memory, size_of
from training.model_location import ModelLocation, locate_model
from training.packing import pack
from training.recipe import TrainingRecipe
from training.template_tokeniser import template_tokeniser
from training.tokenising import EncodedRow, encode_items


class PretrainedBackbone:
    """Implements `training.backbones.Backbone`; on the GPU when there is one."""

    weights_file = "model.safetensors"

    def __init__(self, decoder: PackedDecoder, tokenizer: Any, max_tokens: int, precision: str) -> None:
        self.device = decoder.device
        self.module = decoder.module
        self._decoder = decoder
        self._tokenizer = tokenizer
        self.cached_tokeniser = template_tokeniser(tokenizer)
        # Plain transformers and vLLM find a sequence's end by it; it may have been chosen just now.
        decoder.module.config.get_text_config().pad_token_id = tokenizer.pad_token_id
        self.max_tokens = max_tokens
        self._precision = precision

    @classmethod
    def create(cls, recipe: TrainingRecipe, seed: int) -> PretrainedBackbone:
        """The recipe's model, with a new head drawn from the seed.

        Raises:
            ConfigError: the model or the recipe cannot be used, or a step takes more memory than there is.
        """
        location = locate_model(recipe.model, recipe.revision)
        plan = _plan(recipe, describe_decoder(location))
        torch.manual_seed(seed)
        with weights_split_while_loading(recipe):
            module, tokenizer = load_decoder(location, recipe.precision, new_head=True)
        config = module.config.get_text_config()
        if hasattr(config, "attention_dropout"):
            config.attention_dropout = recipe.dropout
        decoder = PackedDecoder(module, recipe.precision, recipe.compile, _device())
        decoder.recompute_layers(plan.num_checkpointed_layers)
        return cls(decoder, tokenizer, recipe.max_tokens, recipe.precision)

    @classmethod
    def load(cls, folder: Path, max_tokens: int | None, precision: str) -> PretrainedBackbone:
        """A saved model; without a length of its own, as long as it reads. CPUs score in float32.

        Without the instructions for it, bfloat16 is ten times slower on a CPU than float32.
        """
        computed = "bfloat16_weights" if torch.cuda.is_available() and precision != "float32" else "float32"
        location = ModelLocation(str(folder))
        describe_decoder(location)
        module, tokenizer = load_decoder(location, computed, new_head=False)
        max_tokens = max_tokens or module.config.get_text_config().max_position_embeddings
        decoder = PackedDecoder(module.eval(), computed, "auto", _device())
        return cls(decoder, tokenizer, max_tokens, precision)

    def save(self, folder: Path) -> dict:
        """See `Backbone`."""
        # One file, so that one hash stands for the weights.
        self.module.save_pretrained(folder, max_shard_size="100TB")
        self._tokenizer.save_pretrained(folder)
        return {
            "backbone": "pretrained",
            "max_tokens": self.max_tokens,
            "precision": self._precision,
            "tokens": {**self.cached_tokeniser.describe(), "padding_token": self._tokenizer.pad_token},
        }

    def encode(self, items: Sequence[Item]) -> list[EncodedRow]:
        """See `Backbone`."""
        return encode_items(items, self.cached_tokeniser, self.max_tokens)

    def num_tokens(self, rows: Sequence[EncodedRow]) -> int:
        """See `Backbone`."""
        return num_tokens(rows, None)

    def groups(self, rows: Sequence[EncodedRow], max_tokens: int) -> list[list[int]]:
        """See `Backbone`; as many neighbours as share a prompt."""
        return group_rows(rows, None, max_tokens)

    def micro_batches(self, lengths: Sequence[int], max_tokens: int) -> Iterator[list[int]]:
        """See `Backbone`; packs, which the GPU computes `max_tokens` wide whatever they hold."""
        self._decoder.budget = max_tokens
        yield from pack(lengths, max_tokens)

    def scores(self, rows: Sequence[EncodedRow]) -> torch.Tensor:
        """See `Backbone`."""
        return self._decoder.scores(rows)


def _device() -> torch.device:
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def _plan(recipe: TrainingRecipe, described: Any) -> MemoryPlan:
    """Refuse a recipe that cannot be computed, before its model is loaded."""
    config = described.config.get_text_config()
    longest = getattr(config, "max_position_embeddings", recipe.max_tokens)
    if recipe.max_tokens > longest:
        raise ConfigError(
            f"The model reads at most {longest} tokens, the recipe asks for {recipe.max_tokens}.",
            where="recipe.max_tokens",
            todo="lower it",
        )
    on_gpu = torch.cuda.is_available()
    if on_gpu and recipe.dropout:
        raise ConfigError(
            "FlexAttention, which computes on a GPU, has no dropout.", where="recipe.dropout", todo="set it to 0"
        )
    # Set by torchrun; processes on one machine share its memory, but not a GPU's.
    sharing = 1 if on_gpu else int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
    return plan_memory(
        size_of(described, recipe),
        recipe,
        free=free_memory(on_gpu) / sharing,
        on_gpu=on_gpu,
        compiled=compiles_layers(recipe.compile, on_gpu),
        world_size=int(os.environ.get("WORLD_SIZE", "1")),
    )
