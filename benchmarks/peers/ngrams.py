"""N-gram decontamination by datatrove, with 13-grams.

    make peers
    .venv-peers/bin/python -m benchmarks.peers.ngrams DOCUMENTS.jsonl --benchmark PROMPTS.jsonl --out HITS.parquet

The index holds every 13-gram of the prompts. datatrove's own indexer insists on downloading its tasks through
lighteval, so the hashes are computed by its `compute_hashes` and written here in its format; the filter is its own.
The filter stops at a document's first hit and names the task, not the item; ours goes on and counts all. Tokenizer
and what is counted: see `benchmarks.peers.minhash`.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from datatrove.executor import LocalPipelineExecutor
from datatrove.pipeline.decont import NGramsDecontConfig, NGramsDecontFilter, NGramsDecontIndexer
from datatrove.pipeline.readers import JsonlReader
from datatrove.pipeline.writers import JsonlWriter
from datatrove.utils.hashing import create_hash_func
from datatrove.utils.typeshelper import Languages
from datatrove.utils.word_tokenizers import load_word_tokenizer

from benchmarks.peers.common import SplitOnSpaces, measured, report, shard
from benchmarks.peers.recall import recall_of_copies


def write_index(prompts: Path, folder: Path, config: NGramsDecontConfig, tokenizer: str) -> int:
    """Index of all n-grams of the prompts; returns how many there are."""
    words = SplitOnSpaces() if tokenizer == "spaces" else load_word_tokenizer(Languages.english)
    # The indexer cannot be made without lighteval; its rule needs no more of it than this.
    indexer = SimpleNamespace(config=config, tokenizer=words, hash_func=create_hash_func(config.hash_config))
    hashes: set[int] = set()
    with prompts.open("rb") as lines:
        for line in lines:
            hashes.update(NGramsDecontIndexer.compute_hashes(indexer, json.loads(line)["text"]))
    np.array(sorted(hashes), dtype=config.hash_config.np_descr).tofile(folder / "benchmark.index.hashes")
    return len(hashes)


def main(arguments: Sequence[str] | None = None) -> int:
    """Entry point."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.peers.ngrams", description=__doc__.splitlines()[0])
    parser.add_argument("documents", type=Path)
    parser.add_argument("--benchmark", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--planted", type=Path, help="what benchmarks.texts planted: recall is printed")
    parser.add_argument("--ngram", type=int, default=13)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--tokenizer", choices=["spacy", "spaces"], default="spacy")
    given = parser.parse_args(arguments)
    config = NGramsDecontConfig(n_grams=given.ngram)
    result: dict = {"tool": "datatrove ngrams", "tokenizer": given.tokenizer, "ngram": given.ngram}
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        (folder / "index").mkdir()
        num_documents = shard(given.documents, folder / "input", given.workers)
        with measured(result, num_documents):
            result["indexed_ngrams"] = write_index(given.benchmark, folder / "index", config, given.tokenizer)
            removed = JsonlWriter(str(folder / "removed"), compression=None)
            step = NGramsDecontFilter(str(folder / "index"), config=config, exclusion_writer=removed)
            if given.tokenizer == "spaces":
                step.tokenizer = SplitOnSpaces()
            LocalPipelineExecutor(
                [JsonlReader(str(folder / "input")), step, JsonlWriter(str(folder / "kept"), compression=None)],
                tasks=given.workers,
                workers=given.workers,
            ).run()
        rows = [
            {"id": document["id"], "ngram": document["metadata"]["contaminated_ngram"]}
            for path in sorted((folder / "removed").glob("*.jsonl"))
            for document in map(json.loads, path.read_text("utf-8").splitlines())
        ]
    schema = pa.schema([("id", pa.string()), ("ngram", pa.string())])
    pq.write_table(pa.Table.from_pylist(sorted(rows, key=lambda row: row["id"]), schema=schema), given.out)
    result["contaminated"] = len(rows)
    if given.planted:
        result |= recall_of_copies(pq.read_table(given.planted), {row["id"] for row in rows}, given.ngram)
    report(result)
    return 0


if __name__ == "__main__":
    sys.exit(main())
