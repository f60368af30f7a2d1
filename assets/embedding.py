"""What retrieval sees of a pair: the conversation and its preference attributes, never the responses."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from assets.settings import EmbeddingSettings


def retrieval_text(turns: Sequence[dict], attributes: dict | None) -> str:
    """The text that is embedded: every turn with its role, then the attributes.

    >>> retrieval_text([{"role": "user", "content": "2 + 2?"}], {"task_category": "math", "objectivity": "objective"})
    'user: 2 + 2?\\ntask category: math\\nobjectivity: objective'
    """
    lines = [f"{turn['role']}: {turn['content']}" for turn in turns]
    for name in ("task_category", "objectivity", "controversiality", "desired_attributes"):
        if attributes and attributes.get(name):
            lines.append(f"{name.replace('_', ' ')}: {attributes[name]}")
    return "\n".join(lines)


def embed(texts: Sequence[str], settings: EmbeddingSettings, *, cache: Path | None = None) -> np.ndarray:
    """Unit vectors of the texts, float32 [len(texts), dimensions]; an empty text gives a zero vector.

    Args:
        cache: folder where a sentence model's vectors are kept by text hash; hashed words need none.
    """
    if settings.provider == "hashed_words":
        from sklearn.feature_extraction.text import HashingVectorizer

        vectorizer = HashingVectorizer(n_features=settings.dimensions, ngram_range=(1, 2), norm="l2")
        return vectorizer.transform(texts).toarray().astype(np.float32)
    from training.embeddings import embed_texts

    return embed_texts(texts, settings.model, revision=settings.revision, cache=cache)
