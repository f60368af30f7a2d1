"""Stage 2: which pairs of the wild pool are scored, and what became of them."""

from __future__ import annotations

from collections import Counter

import pyarrow as pa
import pyarrow.compute as pc

from assets.accounting import StageCounts
from assets.lake import Lake


def pairs_to_score(lake: Lake, source: str, *, limit: int) -> tuple[pa.Array, StageCounts]:
    """Pair ids of a source's wild pool that the reward models score, in order of id, and why others are not.

    Pair ids are hashes, so the first `limit` of them are a fair draw of the source. Reasons: `stage_1` (people's
    pool), `held_out` (dev and holdout prompts never reach the mixture), `split_conflict`, `over_scoring_limit`.
    """
    pool = lake.read("candidate_pool", ["pair_id", "prompt_id", "stage"], filters=pc.field("source") == source).sort_by(
        "pair_id"
    )
    splits = lake.read("prompt_splits", ["prompt_id", "split", "usable"])
    rows = pool.join(splits, "prompt_id", join_type="left outer").sort_by("pair_id").to_pylist()
    reasons: Counter[str] = Counter()
    taken: list[str] = []
    for row in rows:
        if row["stage"] != 2:
            reasons["stage_1"] += 1
        elif row["split"] != "train":
            reasons["held_out"] += 1
        elif not row["usable"]:
            reasons["split_conflict"] += 1
        elif len(taken) >= limit:
            reasons["over_scoring_limit"] += 1
        else:
            taken.append(row["pair_id"])
    return pa.array(taken, pa.string()), StageCounts(len(rows), len(taken), dict(sorted(reasons.items())))
