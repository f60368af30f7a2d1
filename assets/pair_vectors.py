"""Pair vectors: the embedding of each pair's conversation and attributes, for retrieval of any kind."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from assets.embedding import embed, retrieval_text
from assets.llm_annotated.attribute_edits import effective_attributes
from assets.pool import texts_of
from assets.workspace import Workspace


def vectors_of(workspace: Workspace, pair_ids: Sequence[str], as_of_round: str | None = None) -> np.ndarray:
    """Unit vectors, float32 [len(pair_ids), d], in the order given. Responses are never embedded.

    The attributes are embedded with the conversation unless `embedding.attributes` says otherwise.

    Args:
        as_of_round: up to which round people's edits of the attributes count; None for all.
    """
    lake, names = workspace.lake, workspace.settings.round_names
    rounds = None if as_of_round is None else names[: names.index(as_of_round) + 1]
    prompts = texts_of(lake, pair_ids)
    attributes = effective_attributes(lake, pair_ids, rounds) if workspace.settings.embedding.attributes else {}
    texts = [retrieval_text(prompts[p]["prompt"], attributes.get(p)) for p in pair_ids]
    return embed(texts, workspace.settings.embedding, cache=workspace.home / "embeddings")
