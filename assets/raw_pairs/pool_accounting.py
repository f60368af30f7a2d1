"""Row accounting of the pool: rows of all sources in, one row a pair out, the rest by reason."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pyarrow.parquet as pq

from assets.accounting import StageCounts
from assets.settings import Workspace


def pool_counts(table: str, workspace: Workspace, result: Any) -> StageCounts | None:
    """Counts of the candidate pool, from what its dbt layer wrote; None for the layer's other tables.

    Args:
        result: the layer's result; its models name their files.
    """
    if table != "candidate_pool":
        return None
    reasons = Counter(pq.read_table(result.models["exclusions"].path, columns=["reason"])["reason"].to_pylist())
    rows_in = sum(m.num_rows for m in workspace.lake.manifests("pairs"))
    rows_out = pq.ParquetFile(result.models["candidate_pool"].path).metadata.num_rows
    return StageCounts(rows_in, rows_out, dict(sorted(reasons.items())))
