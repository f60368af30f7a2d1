"""Usage: what became of the calls to each judge, what they cost, and how much of their prompts a server had cached."""

from __future__ import annotations

from collections import Counter

import pyarrow as pa
import pyarrow.compute as pc


def usage_rows(requests: pa.Table) -> list[dict]:
    """One row a judge, by name.

    Args:
        requests: contract `judge_requests`.

    Returns:
        judge, calls, answered, failed (reasons with their counts), fewer_examples (calls whose prompt had to leave
        examples out), prompt_tokens, cached_tokens, prefix_hit_rate, completion_tokens and usd; None where it is not
        known.
    """
    rows = []
    for judge in sorted(set(requests["judge"].to_pylist())):
        of_judge = requests.filter(pc.equal(requests["judge"], judge))
        statuses = Counter(of_judge["status"].to_pylist())
        answered = statuses.pop("ok", 0)
        row: dict = {
            "judge": judge,
            "calls": len(of_judge),
            "answered": answered,
            "failed": ", ".join(f"{status} {n}" for status, n in sorted(statuses.items())) or None,
            "fewer_examples": _sum(pc.greater(of_judge["num_examples_dropped"], 0)),
            "prompt_tokens": _sum(of_judge["num_prompt_tokens"]),
            "cached_tokens": _sum(of_judge["num_cached_tokens"]),
            "prefix_hit_rate": prefix_hit_rate(of_judge),
            "completion_tokens": _sum(of_judge["num_completion_tokens"]),
            "usd": _sum(of_judge["cost_usd"]),
        }
        rows.append(row)
    return rows


def prefix_hit_rate(requests: pa.Table) -> float | None:
    """Share of prompt tokens that the server took from its cache, of requests for which it counts both."""
    both = requests.filter(
        pc.and_(pc.is_valid(requests["num_cached_tokens"]), pc.is_valid(requests["num_prompt_tokens"]))
    )
    prompt, cached = _sum(both["num_prompt_tokens"]), _sum(both["num_cached_tokens"])
    return cached / prompt if prompt and cached is not None else None


def _sum(column: pa.ChunkedArray) -> float | None:
    return pc.sum(column, min_count=1).as_py()
