"""The `scratch` backbone: a small Llama and its tokenizer, both made from nothing but the training pairs."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

from training.backbones.small_llama import LlamaShape, SmallLlama
from training.batching import within_budget
from training.byte_level import ByteLevelTokeniser
from training.data import Item
from training.layout import group_rows, lay_out, num_tokens
from training.recipe import TrainingRecipe
from training.tokenising import EncodedRow, encode_items


class ScratchBackbone:
    """Implements `training.backbones.Backbone`. Runs on the CPU, where the same seed gives the same weights."""

    weights_file = "model.safetensors"

    def __init__(self, module: SmallLlama, tokeniser: ByteLevelTokeniser, max_tokens: int) -> None:
        self.module = module
        self.device = torch.device("cpu")
        self._tokeniser = tokeniser
        self._max_tokens = max_tokens

    @classmethod
    def create(cls, recipe: TrainingRecipe, items: Sequence[Item], seed: int) -> ScratchBackbone:
        """New weights, and a tokenizer trained on every distinct turn and response of the items."""
        texts = dict.fromkeys(text for turns, reply in items for text in (*(content for _, content in turns), reply))
        tokeniser = ByteLevelTokeniser.train(texts, recipe.vocabulary_size)
        torch.manual_seed(seed)
        shape = LlamaShape(
            vocab_size=tokeniser.vocabulary_size,
            hidden_size=recipe.hidden_size,
            # Llama's ratio of 8/3, in multiples of 32.
            intermediate_size=-(-recipe.hidden_size * 8 // 3 // 32) * 32,
            num_hidden_layers=recipe.num_layers,
            num_attention_heads=recipe.num_heads,
            max_position_embeddings=recipe.max_tokens,
        )
        return cls(SmallLlama(shape, recipe.dropout), tokeniser, recipe.max_tokens)

    @classmethod
    def load(cls, folder: Path, max_tokens: int) -> ScratchBackbone:
        """A saved model, ready to score."""
        config = json.loads((folder / "config.json").read_text("utf-8"))
        module = SmallLlama(LlamaShape(**{name: config[name] for name in LlamaShape.__dataclass_fields__}))
        module.load_state_dict(load_file(folder / cls.weights_file))
        return cls(module.eval(), ByteLevelTokeniser.load(folder), max_tokens)

    def save(self, folder: Path) -> dict:
        """See `Backbone`; the folder also loads through AutoModelForSequenceClassification and AutoTokenizer."""
        weights = {name: tensor.contiguous() for name, tensor in self.module.state_dict().items()}
        save_file(weights, folder / self.weights_file, metadata={"format": "pt"})
        config = self.module.shape.config(self._tokeniser.pad_id)
        (folder / "config.json").write_text(json.dumps(config, indent=1), "utf-8")
        self._tokeniser.save(folder, self._max_tokens)
        return {"backbone": "scratch", "max_tokens": self._max_tokens}

    def encode(self, items: Sequence[Item]) -> list[EncodedRow]:
        """See `Backbone`."""
        return encode_items(items, self._tokeniser, self._max_tokens)

    def num_tokens(self, rows: Sequence[EncodedRow]) -> int:
        """See `Backbone`."""
        return num_tokens(rows)

    def groups(self, rows: Sequence[EncodedRow], max_tokens: int) -> list[list[int]]:
        """See `Backbone`."""
        return group_rows(rows)

    def micro_batches(self, lengths: Sequence[int], max_tokens: int) -> Iterator[list[int]]:
        """See `Backbone`."""
        return within_budget(lengths, max_tokens)

    def scores(self, rows: Sequence[EncodedRow]) -> torch.Tensor:
        """See `Backbone`."""
        return self.module(lay_out(rows, pad_id=self._tokeniser.pad_id))
