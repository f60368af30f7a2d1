"""Showing: a few pairs of a source, cut to what a person can take in."""

from __future__ import annotations

import pyarrow as pa

NUM_SHOWN = 10


def positions_to_show(num_rows: int, num_shown: int = NUM_SHOWN) -> list[int]:
    """Evenly spaced positions, ascending.

    >>> positions_to_show(100, 3), positions_to_show(2)
    ([0, 50, 99], [0, 1])
    """
    return sorted({round(i * (num_rows - 1) / max(1, num_shown - 1)) for i in range(num_shown) if num_rows})


def shown_pairs(rows: pa.Table) -> list[dict]:
    """Rows of contract `pairs` as a person looks at them, a row for each text: side by side they fit no window."""
    return [
        {"pair": f"{number} {row['pair_id']}" if part == "last turn" else "", "": part, "text": text}
        for number, row in enumerate(rows.to_pylist(), start=1)
        for part, text in (
            ("last turn", row["prompt"][-1]["content"] if row["prompt"] else ""),
            ("response 1", row["response_1"]),
            ("response 2", row["response_2"]),
            *([("problem", row["problem"])] if row["problem"] else []),
        )
    ]
