"""Pair vectors: the embedding of each pair's conversation and attributes, for retrieval of any kind."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from assets.embedding import embed, retrieval_text
from assets.pool import texts_of
from assets.workspace import Workspace

_ATTRIBUTES = ("pair_id", "task_category", "objectivity", "controversiality", "desired_attributes")


def vectors_of(workspace: Workspace, pair_ids: Sequence[str]) -> np.ndarray:
    """Unit vectors, float32 [len(pair_ids), d], in the order given. Responses are never embedded.

    The attributes are embedded with the conversation unless `embedding.attributes` says otherwise.
    """
    lake = workspace.lake
    prompts = texts_of(lake, pair_ids)
    attributes: dict[str, dict] = {}
    if workspace.settings.embedding.attributes:
        attributes = {row["pair_id"]: row for row in lake.read("attributes", columns=list(_ATTRIBUTES)).to_pylist()}
    texts = [retrieval_text(prompts[p]["prompt"], attributes.get(p)) for p in pair_ids]
    return embed(texts, workspace.settings.embedding, cache=workspace.home / "embeddings")
