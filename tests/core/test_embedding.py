"""What retrieval embeds."""

import numpy as np

from assets.embedding import embed
from assets.settings import EmbeddingSettings


def test_nothing_to_embed_gives_no_rows():
    assert embed([], EmbeddingSettings(dimensions=16)).shape == (0, 16)


def test_vectors_are_unit_and_equal_texts_are_nearest():
    vectors = embed(["a red boat", "a red boat", "quarterly taxes", ""], EmbeddingSettings(dimensions=256))
    assert np.allclose(np.linalg.norm(vectors[:3], axis=1), 1)
    assert vectors[0] @ vectors[1] > vectors[0] @ vectors[2]
    assert not vectors[3].any()
