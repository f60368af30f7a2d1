"""What was found of what `benchmarks.texts` planted; ours and the peers' results are read alike."""

from __future__ import annotations

from collections import defaultdict

import pyarrow as pa


def recall_by_jaccard(planted: pa.Table, clusters: pa.Table) -> dict:
    """Share of planted pairs whose documents are in one cluster, by exact Jaccard rounded to 0.05.

    Args:
        planted: `id_a`, `id_b`, `jaccard`.
        clusters: `id`, `cluster_id`; documents without a near-duplicate may be left out.

    Returns:
        `recall`: {"0.80": share, ...}; `recall_from_0.8`: of the pairs at 0.8 and above (None without any);
        `joined_by_chance`: clustered documents that no planted pair explains.

    >>> planted = pa.table({"id_a": ["a", "c"], "id_b": ["b", "d"], "jaccard": [0.81, 0.5]})
    >>> recall_by_jaccard(planted, pa.table({"id": ["a", "b"], "cluster_id": [7, 7]}))
    {'recall': {'0.50': 0.0, '0.80': 1.0}, 'recall_from_0.8': 1.0, 'joined_by_chance': 0}
    """
    cluster_of = dict(zip(clusters["id"].to_pylist(), clusters["cluster_id"].to_pylist(), strict=True))
    levels = defaultdict(list)
    near = []
    explained = set()
    for row in planted.to_pylist():
        cluster = cluster_of.get(row["id_a"])
        found = cluster is not None and cluster == cluster_of.get(row["id_b"])
        levels[f"{round(row['jaccard'] * 20) / 20:.2f}"].append(found)
        near += [found] * (row["jaccard"] >= 0.8)
        if found:
            explained |= {row["id_a"], row["id_b"]}
    recall = {level: round(sum(found) / len(found), 4) for level, found in sorted(levels.items())}
    return {
        "recall": recall,
        "recall_from_0.8": round(sum(near) / len(near), 4) if near else None,
        "joined_by_chance": len(cluster_of.keys() - explained),
    }


def recall_of_copies(planted: pa.Table, found: set[str], ngram: int = 13) -> dict:
    """Recall of documents with a planted copy of at least `ngram` words, and how many others were reported.

    >>> planted = pa.table({"id": ["a", "b", "c"], "item_id": ["q", "q", "q"], "num_words": [12, 13, 30]})
    >>> recall_of_copies(planted, {"a", "c"})
    {'recall': 0.5, 'false': 1}
    """
    true = {row["id"] for row in planted.to_pylist() if row["num_words"] >= ngram}
    return {"recall": round(len(true & found) / len(true), 4) if true else None, "false": len(found - true)}
