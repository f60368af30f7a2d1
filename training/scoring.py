"""Scoring: a saved reward model as one function from conversations and responses to scores."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from training.data import Item

# Padded tokens scored at a time; bounds memory and changes scores by rounding alone.
BATCH_TOKENS = 16_384
# Items tokenised at a time, so that a large pool is never held encoded as a whole.
_CHUNK_ITEMS = 8_192


@dataclass(frozen=True)
class ScoreResult:
    """Scores in the order of the items.

    Attributes:
        scores: float64[n].
        num_truncated_tokens: int64[n], tokens of the item that the model did not see.
    """

    scores: NDArray[np.float64]
    num_truncated_tokens: NDArray[np.int64]


class Scorer:
    """A loaded reward model.

    Attributes:
        temperature: fitted on dev: sigmoid(margin / temperature) is a probability; None when never fitted.
        batch_tokens: padded tokens scored at a time.
    """

    def __init__(self, backbone, temperature: float | None, batch_tokens: int = BATCH_TOKENS) -> None:
        self._backbone = backbone
        self.temperature = temperature
        self.batch_tokens = batch_tokens

    def score(self, items: Sequence[Item], *, progress: bool = False) -> ScoreResult:
        """Score responses. A score does not depend on the items around it, beyond rounding.

        Args:
            items: (turns, response) each; neighbours with the same turns share their computation.
            progress: show a bar with rate and time left.
        """
        from tqdm import tqdm

        from training.loop import score_rows

        scores = np.zeros(len(items))
        truncated = np.zeros(len(items), dtype=np.int64)
        # None: shown only where a person looks.
        quiet = None if progress else True
        with tqdm(total=len(items), desc="scoring", unit="response", disable=quiet, file=sys.stderr) as bar:
            for start in range(0, len(items), _CHUNK_ITEMS):
                rows = self._backbone.encode(items[start : start + _CHUNK_ITEMS])
                scores[start : start + len(rows)] = score_rows(self._backbone, rows, self.batch_tokens, bar.update)
                truncated[start : start + len(rows)] = [row.num_truncated for row in rows]
        return ScoreResult(scores, truncated)


def load_scorer(
    model_dir: str | Path, embedding_cache: str | Path | None = None, max_tokens: int | None = None
) -> Scorer:
    """Load a folder left by a training run, or any sequence-classification model with one logit.

    Args:
        embedding_cache: folder of embeddings shared between runs (`frozen_encoder` only).
        max_tokens: truncate to this many tokens; by default as the model was trained.

    Raises:
        SynprefError: there is no model, its weights are damaged, or it asks for code of its own.
    """
    from training.backbones import load_backbone
    from training.checkpoint import read_manifest

    folder = Path(model_dir)
    saved = read_manifest(folder)
    backbone = load_backbone(folder, saved, max_tokens, Path(embedding_cache) if embedding_cache else None)
    return Scorer(backbone, saved["temperature"])
