"""Showing: a few pairs of a source, cut to what a person can take in."""

from __future__ import annotations

import pyarrow as pa

NUM_SHOWN = 10


def sample_rows(pairs: pa.Table, num_rows: int = NUM_SHOWN) -> list[dict]:
    """Evenly spaced pairs of a table of contract `pairs`: id, last turn and both responses."""
    if not len(pairs):
        return []
    positions = sorted({round(i * (len(pairs) - 1) / max(1, num_rows - 1)) for i in range(num_rows)})
    rows = pairs.take(pa.array(positions)).to_pylist()
    return [
        {
            "pair_id": row["pair_id"],
            "last turn": row["prompt"][-1]["content"] if row["prompt"] else "",
            "response 1": row["response_1"],
            "response 2": row["response_2"],
            "problem": row["problem"],
        }
        for row in rows
    ]
