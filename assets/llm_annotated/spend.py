"""Spend: what each batch of calls to judges cost, every request counted where it was first made."""

from __future__ import annotations

from collections.abc import Sequence

from assets.lake import Lake
from assets.llm_annotated.gold_dev import qualification_batch


def spent_by_batch(lake: Lake, round_names: Sequence[str]) -> dict[str, float]:
    """US dollars by batch, in the order in which batches are asked: each round's qualification and round, then stage 2.

    A request that an earlier batch made is not paid for again, though its reply counts there too.
    """
    batches = [batch for name in round_names for batch in (qualification_batch(name), name)]
    spent: dict[str, float] = {}
    seen: set[str] = set()
    for batch in (*batches, "stage_2"):
        rows = lake.read("judge_requests", ["request_hash", "cost_usd"], batch=batch)
        spent[batch] = 0.0
        for key, usd in zip(rows["request_hash"].to_pylist(), rows["cost_usd"].to_pylist(), strict=True):
            if key not in seen:
                seen.add(key)
                spent[batch] += usd or 0.0
    return spent
