"""The `frozen_encoder` backbone: a sentence encoder that is not trained, and a small head that is.

Embeddings are computed once per text and cached, so a training over thousands of pairs takes seconds on a CPU.
The encoder itself is loaded only when a text is not in the cache.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file, save_file
from torch import nn

from assets.errors import SynprefError
from assets.identity import Turn
from training.batching import within_budget
from training.data import Item
from training.embedding_cache import EmbeddingCache, text_key
from training.layout import group_rows
from training.model_location import ModelLocation, locate_model
from training.recipe import TrainingRecipe
from training.tokenising import EncodedRow

_ENCODER_BATCH = 32
_HEAD_FILE = "head.json"


class PreferenceHead(nn.Module):
    """Score from the embeddings of a prompt p and a response r: an MLP over [p, r, p * r, |p - r|].

    Args:
        dimensions: d of one embedding.
        size: width of the hidden layer.
    """

    def __init__(self, dimensions: int, size: int, dropout: float) -> None:
        super().__init__()
        self.dimensions, self.size = dimensions, size
        self.hidden = nn.Linear(4 * dimensions, size)
        self.dropout = nn.Dropout(dropout)
        self.score = nn.Linear(size, 1)

    def forward(self, prompts: torch.Tensor, responses: torch.Tensor) -> torch.Tensor:
        """float32[n, d] twice to float32[n]."""
        # Unit vectors have entries of about d ** -0.5 and products of 1 / d; scaled, all inputs are about 1.
        p, r = prompts * self.dimensions**0.5, responses * self.dimensions**0.5
        features = torch.cat([p, r, p * r, (p - r).abs()], dim=1)
        return self.score(self.dropout(nn.functional.gelu(self.hidden(features)))).squeeze(1)


class SentenceEncoder:
    """A sentence-transformers model, loaded on first use."""

    def __init__(self, location: ModelLocation, max_tokens: int) -> None:
        self.location, self.max_tokens = location, max_tokens
        self._model: Any = None

    @property
    def dimensions(self) -> int:
        """Size of an embedding; read from the configuration where the model lies here, so nothing is loaded."""
        if self.location.is_local:
            config = json.loads((Path(self.location.name) / "config.json").read_text("utf-8"))
            if "hidden_size" in config and not list(Path(self.location.name).glob("*_Dense")):
                return config["hidden_size"]
        return self._loaded().get_sentence_embedding_dimension()

    def encode(self, texts: Sequence[str], keep_end: bool) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """Unit-length embeddings float32[n, d], and tokens cut per text.

        Args:
            keep_end: cut from the text's beginning (prompts) instead of its end (responses).
        """
        model = self._loaded()
        room = self.max_tokens - model.tokenizer.num_special_tokens_to_add()
        encoded = model.tokenizer(
            list(texts), add_special_tokens=False, truncation=False, return_offsets_mapping=True, verbose=False
        )
        truncated = np.array([max(0, len(ids) - room) for ids in encoded["input_ids"]], dtype=np.int64)
        cut = []
        for text, offsets, lost in zip(texts, encoded["offset_mapping"], truncated.tolist(), strict=True):
            if lost:
                text = text[offsets[lost][0] :] if keep_end else text[: offsets[room - 1][1]]
            cut.append(text)
        vectors = model.encode(
            cut, batch_size=_ENCODER_BATCH, normalize_embeddings=True, convert_to_numpy=True, show_progress_bar=False
        )
        return vectors.astype(np.float32), truncated

    def _loaded(self) -> Any:
        if self._model is None:
            from sentence_transformers import SentenceTransformer

            self._model = SentenceTransformer(
                self.location.name,
                revision=self.location.revision or None,
                trust_remote_code=False,
                device="cuda" if torch.cuda.is_available() else "cpu",
            )
            own = self._model.max_seq_length
            longest = self._model[0].auto_model.config.max_position_embeddings
            if self.max_tokens > longest:
                raise SynprefError(
                    f"The encoder reads at most {longest} tokens, the recipe asks for {self.max_tokens}.",
                    where=f"{self.location.name} (its own default is {own})",
                    todo="lower recipe.max_tokens",
                )
            self._model.max_seq_length = self.max_tokens
        return self._model


def prompt_text(turns: Sequence[Turn]) -> str:
    """A conversation as the encoder reads it; a single user turn is its content alone.

    >>> prompt_text([("user", "Hi")]), prompt_text([("system", "Be brief."), ("user", "Hi")])
    ('Hi', 'system: Be brief.\\nuser: Hi')
    """
    if len(turns) == 1 and turns[0][0] == "user":
        return turns[0][1]
    return "\n".join(f"{role}: {content}" for role, content in turns)


class FrozenEncoderBackbone:
    """Implements `training.backbones.Backbone`. The head trains on the CPU."""

    weights_file = "head.safetensors"

    def __init__(
        self, module: PreferenceHead, encoder: SentenceEncoder, model: str, revision: str, cache: Path | None
    ) -> None:
        self.module = module
        self.device = torch.device("cpu")
        self._encoder = encoder
        self._model, self._revision = model, revision
        self._fingerprint = encoder.location.fingerprint()
        folder = cache / f"{self._fingerprint}-{encoder.max_tokens}" if cache else None
        self._cache = EmbeddingCache(folder)

    @classmethod
    def create(cls, recipe: TrainingRecipe, seed: int, cache: Path | None) -> FrozenEncoderBackbone:
        """A new head on the recipe's encoder."""
        encoder = SentenceEncoder(locate_model(recipe.model, recipe.revision), recipe.max_tokens)
        dimensions = encoder.dimensions
        torch.manual_seed(seed)
        return cls(
            PreferenceHead(dimensions, recipe.head_size, recipe.dropout), encoder, recipe.model, recipe.revision, cache
        )

    @classmethod
    def load(cls, folder: Path, max_tokens: int, cache: Path | None) -> FrozenEncoderBackbone:
        """A saved head, with the encoder it was trained on.

        Raises:
            SynprefError: the encoder found here has other weights.
        """
        saved = json.loads((folder / _HEAD_FILE).read_text("utf-8"))
        head = PreferenceHead(saved["dimensions"], saved["head_size"], dropout=0.0)
        head.load_state_dict(load_file(folder / cls.weights_file))
        encoder = SentenceEncoder(locate_model(saved["model"], saved["revision"]), max_tokens)
        backbone = cls(head.eval(), encoder, saved["model"], saved["revision"], cache)
        if backbone._fingerprint != saved["fingerprint"]:
            raise SynprefError(
                f"The encoder {saved['model']} is not the one this head was trained on.",
                where=str(folder),
                todo="install the version it was trained with, or train again",
            )
        return backbone

    def save(self, folder: Path) -> dict:
        """See `Backbone`; the encoder is named, not copied."""
        save_file(self.module.state_dict(), folder / self.weights_file)
        saved = {
            "model": self._model,
            "revision": self._revision,
            "fingerprint": self._fingerprint,
            "dimensions": self.module.dimensions,
            "head_size": self.module.size,
        }
        (folder / _HEAD_FILE).write_text(json.dumps(saved, indent=1, sort_keys=True), "utf-8")
        return {"backbone": "frozen_encoder", "max_tokens": self._encoder.max_tokens}

    def encode(self, items: Sequence[Item]) -> list[EncodedRow]:
        """See `Backbone`; each distinct text is embedded once, in all runs that share the cache."""
        texts = [(prompt_text(turns), response) for turns, response in items]
        keys = [(text_key("prompt", prompt), text_key("response", response)) for prompt, response in texts]
        prompts = {key: text for (key, _), (text, _) in zip(keys, texts, strict=True)}
        responses = {key: text for (_, key), (_, text) in zip(keys, texts, strict=True)}
        found = self._cache.embed(prompts, lambda some: self._encoder.encode(some, keep_end=True))
        found |= self._cache.embed(responses, lambda some: self._encoder.encode(some, keep_end=False))
        return [
            EncodedRow(found[p].vector, found[r].vector, found[p].num_truncated + found[r].num_truncated)
            for p, r in keys
        ]

    def num_tokens(self, rows: Sequence[EncodedRow]) -> int:
        """A row is one vector, whatever its text was."""
        return len(rows)

    def groups(self, rows: Sequence[EncodedRow], max_tokens: int) -> list[list[int]]:
        """See `Backbone`."""
        return group_rows(rows)

    def micro_batches(self, lengths: Sequence[int], max_tokens: int) -> Iterator[list[int]]:
        """See `Backbone`."""
        return within_budget(lengths, max_tokens)

    def scores(self, rows: Sequence[EncodedRow]) -> torch.Tensor:
        """See `Backbone`."""
        prompts = torch.from_numpy(np.stack([row.prompt for row in rows])).float()
        responses = torch.from_numpy(np.stack([row.response for row in rows])).float()
        return self.module(prompts, responses)
