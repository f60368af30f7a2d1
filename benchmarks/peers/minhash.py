"""Near-duplicates by datatrove's MinHash: signatures, buckets, clusters, filter.

    make peers
    .venv-peers/bin/python -m benchmarks.peers.minhash DOCUMENTS.jsonl --out CLUSTERS.parquet [--workers 2]

`--buckets 14 --hashes-per-bucket 8` is datatrove's default; 16 x 8 are 128 hashes.
By default words come from spaCy's blank English tokenizer, datatrove's own choice for English: rules that ship with
the package, so nothing is downloaded. It takes most of the time. `--tokenizer spaces` shows datatrove without that
cost: the comparison with ours is fair between the two figures. Dealing the input to one file per task is not counted;
writing the kept documents, uncompressed, is.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from datatrove.executor import LocalPipelineExecutor
from datatrove.pipeline.dedup import (
    MinhashConfig,
    MinhashDedupBuckets,
    MinhashDedupCluster,
    MinhashDedupFilter,
    MinhashDedupSignature,
)
from datatrove.pipeline.readers import JsonlReader
from datatrove.pipeline.writers import JsonlWriter

from benchmarks.peers.common import SplitOnSpaces, measured, report, shard
from benchmarks.peers.recall import recall_by_jaccard


def run(folder: Path, config: MinhashConfig, workers: int, tokenizer: str) -> None:
    """The four stages; kept and removed documents with their cluster are left in `folder`/kept and /removed."""

    def execute(pipeline: list, tasks: int) -> None:
        LocalPipelineExecutor(pipeline, tasks=tasks, workers=min(workers, tasks)).run()

    signatures, buckets, clusters = (str(folder / name) for name in ("signatures", "buckets", "clusters"))
    reader = JsonlReader(str(folder / "input"))
    sign = MinhashDedupSignature(signatures, config)
    if tokenizer == "spaces":
        sign.word_tokenizer = SplitOnSpaces()
    execute([reader, sign], workers)
    execute([MinhashDedupBuckets(signatures, buckets, config=config)], config.num_buckets)
    execute([MinhashDedupCluster(buckets, clusters, config=config, save_cluster_id=True)], 1)
    removed = JsonlWriter(str(folder / "removed"), compression=None)
    kept = JsonlWriter(str(folder / "kept"), compression=None)
    execute([reader, MinhashDedupFilter(clusters, exclusion_writer=removed, load_cluster_ids=True), kept], workers)


def clusters_of(folder: Path) -> pa.Table:
    """One row per document that has a near-duplicate: `id`, `cluster_id`, `kept`."""
    rows = []
    for name in ("kept", "removed"):
        for path in sorted((folder / name).glob("*.jsonl")):
            with path.open("rb") as lines:
                for line in lines:
                    document = json.loads(line)
                    cluster = document["metadata"]["minhash_cluster_id"]
                    if cluster >= 0:
                        rows.append({"id": document["id"], "cluster_id": cluster, "kept": name == "kept"})
    schema = pa.schema([("id", pa.string()), ("cluster_id", pa.int64()), ("kept", pa.bool_())])
    return pa.Table.from_pylist(sorted(rows, key=lambda row: row["id"]), schema=schema)


def main(arguments: Sequence[str] | None = None) -> int:
    """Entry point."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.peers.minhash", description=__doc__.splitlines()[0])
    parser.add_argument("documents", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--planted", type=Path, help="what benchmarks.texts planted: recall is printed by Jaccard")
    parser.add_argument("--buckets", type=int, default=14)
    parser.add_argument("--hashes-per-bucket", type=int, default=8)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--tokenizer", choices=["spacy", "spaces"], default="spacy")
    given = parser.parse_args(arguments)
    config = MinhashConfig(num_buckets=given.buckets, hashes_per_bucket=given.hashes_per_bucket)
    result: dict = {
        "tool": "datatrove minhash",
        "tokenizer": given.tokenizer,
        "buckets": given.buckets,
        "hashes_per_bucket": given.hashes_per_bucket,
    }
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        num_documents = shard(given.documents, folder / "input", given.workers)
        with measured(result, num_documents):
            run(folder, config, given.workers, given.tokenizer)
        clusters = clusters_of(folder)
    pq.write_table(clusters, given.out)
    result |= {"clustered": len(clusters), "removed": len(clusters) - sum(clusters["kept"].to_pylist())}
    if given.planted:
        result |= recall_by_jaccard(pq.read_table(given.planted), clusters)
    report(result)
    return 0


if __name__ == "__main__":
    sys.exit(main())
