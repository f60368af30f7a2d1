"""What retrieval sees of a pair: the conversation and its preference attributes, never the responses."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from assets.settings import EmbeddingSettings

if TYPE_CHECKING:
    from training.backbones.frozen_encoder import SentenceEncoder


def retrieval_text(turns: Sequence[dict], attributes: dict | None) -> str:
    """The text that is embedded: every turn with its role, then the attributes, if there are any.

    >>> retrieval_text([{"role": "user", "content": "2 + 2?"}], {"task_category": "math", "objectivity": "objective"})
    'user: 2 + 2?\\ntask category: math\\nobjectivity: objective'
    """
    lines = [f"{turn['role']}: {turn['content']}" for turn in turns]
    for name in ("task_category", "objectivity", "controversiality", "desired_attributes"):
        if attributes and attributes.get(name):
            lines.append(f"{name.replace('_', ' ')}: {attributes[name]}")
    return "\n".join(lines)


def embed(
    texts: Sequence[str], settings: EmbeddingSettings, *, cache: Path | None = None, keep_end: bool = True
) -> np.ndarray:
    """Unit vectors of the texts, float32 [len(texts), dimensions]; an empty text gives a zero vector.

    Args:
        cache: folder where a sentence model's vectors are kept by text hash; hashed words need none.
        keep_end: which part of a text beyond `max_tokens` a sentence model reads. The last turn decides what a
            conversation asks, so retrieval keeps the end; a single prompt says at its beginning what it is about.
    """
    if settings.provider == "hashed_words":
        if not texts:
            return np.zeros((0, settings.dimensions), np.float32)
        from sklearn.feature_extraction.text import HashingVectorizer

        vectorizer = HashingVectorizer(n_features=settings.dimensions, ngram_range=(1, 2), norm="l2")
        return vectorizer.transform(texts).toarray().astype(np.float32)
    from training.embedding_cache import EmbeddingCache, text_key

    encoder = _encoder(settings.model, settings.revision, settings.max_tokens)
    folder = None if cache is None else cache / f"{encoder.location.fingerprint()}-{settings.max_tokens}"
    keys = [text_key("conversation" if keep_end else "beginning", text) for text in texts]
    found = EmbeddingCache(folder).embed(
        dict(zip(keys, texts, strict=True)), lambda some: encoder.encode(some, keep_end=keep_end)
    )
    if not keys:
        return np.zeros((0, encoder.dimensions), np.float32)
    vectors = np.stack([found[key].vector for key in keys]).astype(np.float32)
    return vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)


@lru_cache(maxsize=2)
def _encoder(model: str, revision: str, max_tokens: int) -> SentenceEncoder:
    """Loaded once a process: a pool is embedded in many calls."""
    from training.backbones.frozen_encoder import SentenceEncoder
    from training.model_location import locate_model

    return SentenceEncoder(locate_model(model, revision), max_tokens)
