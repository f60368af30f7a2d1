"""Backbones: what turns a conversation and a response into one score. All train and score by the same loop."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from assets.errors import ConfigError
from training.data import Item
from training.recipe import TrainingRecipe
from training.tokenising import EncodedRow

if TYPE_CHECKING:
    import torch


class Backbone(Protocol):
    """One scalar per row; the trainer knows nothing else of it.

    Attributes:
        device: where `scores` computes.
        weights_file: name of the file in a saved folder that holds the weights.
    """

    device: torch.device
    weights_file: str

    @property
    def module(self) -> torch.nn.Module:
        """What is trained."""

    def encode(self, items: Sequence[Item]) -> list[EncodedRow]:
        """Items as the backbone reads them, truncation counted."""

    def num_tokens(self, rows: Sequence[EncodedRow]) -> int:
        """What rows cost when they are scored together, for batching."""

    def groups(self, rows: Sequence[EncodedRow], max_tokens: int) -> list[list[int]]:
        """Indices of neighbouring rows that are computed with one prompt, each within so many tokens."""

    def micro_batches(self, lengths: Sequence[int], max_tokens: int) -> Iterator[list[int]]:
        """Which of several groups of rows, of these costs, are computed together within so many tokens."""

    def scores(self, rows: Sequence[EncodedRow]) -> torch.Tensor:
        """float32[len(rows)]; neighbours that share a prompt may share its computation."""

    def save(self, folder: Path) -> dict:
        """Write weights and everything needed to load them; returns what `load_backbone` must be told."""


def build_backbone(recipe: TrainingRecipe, items: Sequence[Item], seed: int, embedding_cache: Path | None) -> Backbone:
    """A backbone ready to be trained.

    Args:
        items: training items; a tokenizer made from scratch is trained on their text.
        seed: of new weights.
    """
    if recipe.backbone == "scratch":
        from training.backbones.scratch import ScratchBackbone

        return ScratchBackbone.create(recipe, items, seed)
    if recipe.backbone == "frozen_encoder":
        from training.backbones.frozen_encoder import FrozenEncoderBackbone

        return FrozenEncoderBackbone.create(recipe, seed, embedding_cache)
    from training.backbones.pretrained import PretrainedBackbone

    return PretrainedBackbone.create(recipe, seed)


def load_backbone(folder: Path, saved: dict, max_tokens: int | None, embedding_cache: Path | None) -> Backbone:
    """A saved backbone.

    Args:
        saved: what `Backbone.save` returned, with `backbone` and `max_tokens`.
        max_tokens: overrides the length it was trained with.
    """
    max_tokens = max_tokens or saved["max_tokens"]
    if saved["backbone"] == "scratch":
        from training.backbones.scratch import ScratchBackbone

        return ScratchBackbone.load(folder, max_tokens)
    if saved["backbone"] == "frozen_encoder":
        from training.backbones.frozen_encoder import FrozenEncoderBackbone

        return FrozenEncoderBackbone.load(folder, max_tokens, embedding_cache)
    if saved["backbone"] == "pretrained":
        from training.backbones.pretrained import PretrainedBackbone

        return PretrainedBackbone.load(folder, max_tokens, saved.get("precision", "float32"))
    raise ConfigError(f"There is no backbone {saved['backbone']!r}.", where=str(folder))
