"""Decontamination against a list made by others in a mode of the same definition: all it lists, and nothing else."""

import hashlib
import json
from collections import defaultdict

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from assets.contracts import contract_of
from assets.raw_pairs.overlap.benchmark_index import build_index
from assets.raw_pairs.overlap.contamination import COLUMNS, ContaminationScan
from assets.settings import DecontaminationSettings
from assets.workspace import data_folder
from evaluation.benchmarks import load_benchmark

pytestmark = [
    pytest.mark.real_data,
    pytest.mark.slow,
    pytest.mark.skipif(not (data_folder() / "bench").is_dir(), reason="the shared data folder is not here"),
]
BENCHMARKS = ("llmbar", "llmbar_extra", "pandalm_testset", "rm_bench_native", "rmb_pairs", "rmb_bon_native")
BLOCK = 10_000


def pairs_of(source):
    """A pool file as pairs that keep the file's own ids, and for each id the name the list gives its prompt."""
    table = pq.read_table(data_folder() / "pool" / f"{source}.parquet")
    prompts = table["prompt"].to_pylist()
    columns = {
        "pair_id": table["pair_id"],
        "prompt_id": table["pair_id"],
        "source": pa.array([source] * len(table)),
        "source_row": pa.array(range(len(table)), pa.int64()),
        "prompt": pa.array([json.loads(text) for text in prompts], contract_of("pairs").schema.field("prompt").type),
        "response_1": table["response_a"],
        "response_2": table["response_b"],
    }
    names = [hashlib.sha256(text.encode()).hexdigest()[:16] for text in prompts]
    return pa.table({name: columns[name] for name in COLUMNS}), dict(
        zip(table["pair_id"].to_pylist(), names, strict=True)
    )


def test_the_list_is_found_whole_and_nothing_beyond_it():
    bench = data_folder() / "bench"
    listed = pq.read_table(bench / "contamination_pool_vs_bench.parquet").to_pylist()
    settings = DecontaminationSettings(compare="last_turns")
    items = pa.concat_tables([load_benchmark(name, bench / f"{name}.parquet").items for name in BENCHMARKS])
    scan = ContaminationScan(build_index(items, settings), settings)
    found = defaultdict(set)
    for path in sorted((data_folder() / "pool").glob("*.parquet")):
        pairs, name_of = pairs_of(path.stem)
        for start in range(0, len(pairs), BLOCK):
            for hit in scan.hits(pairs.slice(start, BLOCK)).to_pylist():
                key = (path.stem, name_of[hit["pair_id"]], hit["benchmark"], hit["kind"], hit["num_shared_ngrams"])
                found[key].add(hit["pair_id"])
    missing = []
    for row in listed:
        key = (row["pool"], row["pool_prompt"], row["bench"], row["kind"], row["shared_13grams"])
        if not set(row["pool_pair_ids"]) <= found[key]:
            missing.append(key)
    assert missing == []
    assert len(listed) > 2_000
    touched = {(source, pair, benchmark) for (source, _, benchmark, *_), ids in found.items() for pair in ids}
    assert touched == {(row["pool"], pair, row["bench"]) for row in listed for pair in row["pool_pair_ids"]}
