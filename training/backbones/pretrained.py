"""The `pretrained` backbone: any decoder that transformers knows, with one logit at a response's last token."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch

from assets.errors import ConfigError
from training.batching import within_budget
from training.data import Item
from training.layout import lay_out, num_tokens
from training.model_location import ModelLocation, locate_model
from training.recipe import TrainingRecipe
from training.template_tokeniser import template_tokeniser
from training.tokenising import EncodedRow, encode_items


class PretrainedBackbone:
    """Implements `training.backbones.Backbone`; on the GPU when there is one."""

    weights_file = "model.safetensors"

    def __init__(self, module: Any, tokenizer: Any, max_tokens: int, precision: str) -> None:
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self.module = module.to(self.device)
        self._tokenizer = tokenizer
        self.cached_tokeniser = template_tokeniser(tokenizer)
        module.config.pad_token_id = tokenizer.pad_token_id
        self.max_tokens = max_tokens
        self._precision = precision

    @classmethod
    def create(cls, recipe: TrainingRecipe, seed: int) -> PretrainedBackbone:
        """The recipe's model, with a new head drawn from the seed."""
        torch.manual_seed(seed)
        module, tokenizer = _load(locate_model(recipe.model, recipe.revision))
        config = module.config
        if hasattr(config, "attention_dropout"):
            config.attention_dropout = recipe.dropout
        longest = getattr(config, "max_position_embeddings", recipe.max_tokens)
        if recipe.max_tokens > longest:
            raise ConfigError(
                f"The model reads at most {longest} tokens, the recipe asks for {recipe.max_tokens}.",
                where="recipe.max_tokens",
                todo="lower it",
            )
        return cls(module, tokenizer, recipe.max_tokens, recipe.precision)

    @classmethod
    def load(cls, folder: Path, max_tokens: int | None, precision: str) -> PretrainedBackbone:
        """A saved model; without a length of its own, as long as it reads. CPUs score in float32.

        Without the instructions for it, bfloat16 is ten times slower on a CPU than float32.
        """
        precision = precision if torch.cuda.is_available() else "float32"
        module, tokenizer = _load(ModelLocation(str(folder)))
        max_tokens = max_tokens or module.config.max_position_embeddings
        return cls(module.eval(), tokenizer, max_tokens, precision)

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
        return num_tokens(rows)

    def micro_batches(self, lengths: Sequence[int], max_tokens: int) -> Iterator[list[int]]:
        """See `Backbone`."""
        return within_budget(lengths, max_tokens)

    def scores(self, rows: Sequence[EncodedRow]) -> torch.Tensor:
        """See `Backbone`; the head works in float32 on the last tokens alone."""
        batch = lay_out(rows, pad_id=self._tokenizer.pad_token_id).to(self.device)
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self._precision == "bfloat16"):
            hidden = self.module.base_model(
                input_ids=batch.input_ids, position_ids=batch.position_ids, attention_mask=batch.mask, use_cache=False
            ).last_hidden_state
        last = hidden.gather(1, batch.ends[:, :, None].expand(-1, -1, hidden.shape[2]))
        scores = torch.nn.functional.linear(last.float(), self.module.score.weight.float())
        return scores.flatten()[batch.row_at]


def _load(location: ModelLocation) -> tuple[Any, Any]:
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    extra: dict[str, Any] = {"gguf_file": location.gguf_file} if location.gguf_file else {}
    if location.revision:
        extra["revision"] = location.revision
    tokenizer = AutoTokenizer.from_pretrained(location.name, trust_remote_code=False, **extra)
    if not location.gguf_file:
        extra["use_safetensors"] = True
    module = AutoModelForSequenceClassification.from_pretrained(
        location.name,
        num_labels=1,
        dtype=torch.float32,
        attn_implementation="sdpa",
        trust_remote_code=False,
        **extra,
    )
    if not hasattr(module, "score"):
        raise ConfigError(
            f"{type(module).__name__} is no decoder with a scalar head.", where=location.name, todo="use another model"
        )
    if location.gguf_file:
        # The weights are whole float32 tensors now; what says "quantized" would keep them from being saved.
        module.hf_quantizer = None
        module.is_quantized = False
        if hasattr(module.config, "quantization_config"):
            del module.config.quantization_config
    return module, tokenizer
