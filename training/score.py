"""`python -m training.score SPEC.json`: scores both responses of selected pairs with a trained model."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence

import pyarrow as pa
import pyarrow.parquet as pq

from assets.durable_files import replacing
from assets.errors import SynprefError
from training.data import read_selection, read_texts
from training.pipes import run_spec
from training.scoring import load_scorer
from training.specs import ScoreSpec
from training.train import NUM_THREADS


def score_pairs(spec: ScoreSpec, log: Callable[[str], None] = lambda line: None) -> dict:
    """Score as the spec says; returns figures of the run.

    Raises:
        SynprefError: the model or an input cannot be used, a selected pair has no text, or a score is not
            finite. No output is left then, and one from before is untouched.
    """
    import numpy as np
    import torch

    started = time.monotonic()
    torch.set_num_threads(NUM_THREADS)
    ids = [row["pair_id"] for row in read_selection(spec.selection, ("pair_id",))]
    texts = read_texts(spec.text_files, ids)
    missing = [pair_id for pair_id in ids if pair_id not in texts]
    if missing:
        raise SynprefError(
            f"{len(missing)} selected pairs have no text, e.g. {missing[0]}.",
            where=str(spec.selection),
            todo="give all the text files the selection was made from",
        )
    scorer = load_scorer(spec.model_dir, spec.embedding_cache, spec.max_tokens)
    log(f"scoring {len(ids)} pairs")
    found = [texts[pair_id] for pair_id in ids]
    items = [(text.prompt, response) for text in found for response in (text.response_1, text.response_2)]
    result = scorer.score(items, progress=True)
    bad = np.flatnonzero(~np.isfinite(result.scores))
    if len(bad):
        raise SynprefError(
            f"{len(bad)} scores are not finite, e.g. of pair {ids[bad[0] // 2]}.", where=str(spec.model_dir)
        )
    truncated = result.num_truncated_tokens[0::2] + result.num_truncated_tokens[1::2]
    table = pa.table(
        {
            "pair_id": pa.array(ids, pa.string()),
            "score_1": pa.array(result.scores[0::2], pa.float64()),
            "score_2": pa.array(result.scores[1::2], pa.float64()),
            "num_truncated_tokens": pa.array(truncated, pa.int64()),
        }
    )
    with replacing(spec.output) as temporary:
        pq.write_table(table, temporary)
    wall = time.monotonic() - started
    return {
        "num_pairs": len(ids),
        "num_truncated_pairs": int((truncated > 0).sum()),
        "wall_s": round(wall, 2),
        "pairs_per_second": round(len(ids) / wall, 1),
    }


def main(arguments: Sequence[str] | None = None) -> int:
    """Entry point; see `training.pipes.run_spec` for the exit code."""
    return run_spec(arguments, "training.score", ScoreSpec, score_pairs)


if __name__ == "__main__":
    sys.exit(main())
