"""Decontamination against a list made by others in a mode of the same definition: it must find every listed pair."""

import json

import pyarrow.parquet as pq
import pytest

from assets.identity import prompt_id
from assets.workspace import data_folder

pytestmark = [
    pytest.mark.real_data,
    pytest.mark.slow,
    pytest.mark.skipif(not (data_folder() / "bench").is_dir(), reason="the shared data folder is not here"),
]
BENCHMARKS = ("llmbar", "llmbar_extra", "pandalm_testset", "rm_bench_native", "rmb_pairs", "rmb_bon_native")


def turns_of(text: str) -> list[tuple[str, str]]:
    return [(turn["role"], turn["content"]) for turn in json.loads(text)]


def test_every_listed_contamination_is_found(lake, run_layer):
    """One pair of each listed prompt; responses are made up, so that every prompt has a pair that counts."""
    bench, pool = data_folder() / "bench", data_folder() / "pool"
    for name in BENCHMARKS:
        texts = sorted(set(pq.read_table(bench / f"{name}.parquet", columns=["prompt"])["prompt"].to_pylist()))
        lake.add_benchmark(name, [turns_of(text) for text in texts])
    listed = pq.read_table(bench / "contamination_pool_vs_bench.parquet").to_pylist()
    first_pairs = {row["pool_pair_ids"][0]: row for row in listed}
    prompts = {}
    for source in sorted({row["pool"] for row in listed}):
        rows = pq.read_table(pool / f"{source}.parquet", columns=["pair_id", "prompt"]).to_pylist()
        here = {r["pair_id"]: turns_of(r["prompt"]) for r in rows if r["pair_id"] in first_pairs}
        prompts |= {(source, pair): turns for pair, turns in here.items()}
        lake.add_source(source, [{"prompt": turns, "label": "a"} for turns in here.values()])

    result = run_layer("tag:pool")

    hits = pq.read_table(result.models["contamination_hits"].path).to_pylist()
    found = {(hit["prompt_id"], hit["benchmark"], hit["kind"], hit["num_shared_ngrams"]) for hit in hits}
    missing = []
    for row in listed:
        in_pool = prompt_id(prompts[row["pool"], row["pool_pair_ids"][0]])
        if (in_pool, row["bench"], row["kind"], row["shared_13grams"]) not in found:
            missing.append((row["pool"], row["pool_prompt"], row["bench"], row["kind"]))
    assert missing == []
    assert result.counts["candidate_pool"].rows_out == 0
    assert len(listed) > 2_000
