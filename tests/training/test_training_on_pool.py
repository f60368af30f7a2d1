"""Training on a pool: held-out prompts and benchmark texts do not train, and both trainers get the same tokens."""

from __future__ import annotations

import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from assets.errors import SynprefError
from assets.identity import prompt_cluster_key
from benchmarks.pool_split import chosen_side, pairs_table, split_pool
from benchmarks.train_on_pool import fitting_pairs, parser, run, tokens_for_trl
from benchmarks.trained_side_by_side import render
from evaluation.benchmarks import items_of_rows
from training.backbones import build_backbone
from training.benchmarking.pair_files import read_pairs
from training.train import train_model

_LONG = "one two three four five six seven eight nine ten eleven twelve thirteen fourteen"


def _row(prompt: str, good: str, bad: str, *, first: bool, origin: str = "llm") -> dict:
    sides = (good, bad) if first else (bad, good)
    return {
        "pair_id": f"{prompt}{good}"[:60],
        "prompt": json.dumps([{"role": "user", "content": prompt}]),
        "response_a": sides[0],
        "response_b": sides[1],
        "preferred": "a" if first else "b",
        "label_origin": origin,
    }


@pytest.fixture
def data(tmp_path, pairs):
    """Files as the script reads them: 48 labelled by people, 48 by a judge of which one is a benchmark's text."""
    rows, labels = pairs(97)
    made = []
    for number, (row, label) in enumerate(zip(rows, labels, strict=True)):
        good = row[f"response_{label['chosen']}"]
        bad = row[f"response_{3 - label['chosen']}"]
        origin = "human" if number < 48 else "llm"
        made.append(_row(row["prompt"][0]["content"], good, bad, first=number % 2 == 0, origin=origin))
    made[95] = _row(_LONG, "yes", "no", first=True)
    for folder, name, some in (
        ("pool", "people", made[:48]),
        ("pool", "judge", made[48:96]),
        ("bench", "quiz", made[96:]),
    ):
        (tmp_path / "data" / folder).mkdir(parents=True, exist_ok=True)
        if folder == "bench":
            some = [*some, _row(f"Please: {_LONG}!", "sure", "never", first=True)]
        pq.write_table(pa.Table.from_pylist(some), tmp_path / "data" / folder / f"{name}.parquet")
    return tmp_path / "data"


@pytest.fixture
def start(tmp_path, pairs, write, spec, tiny_recipe):
    """A small model with a tokenizer for this text."""
    rows, labels = pairs(40)
    train_model(
        spec(write(rows, labels, []), tiny_recipe(max_steps=1), output_dir=tmp_path / "start", dev_selection=None)
    )
    return tmp_path / "start"


def _split(data, **changes):
    pool, _ = read_pairs(sorted((data / "pool").glob("*.parquet")))
    quiz = pq.read_table(data / "bench" / "quiz.parquet").to_pylist()
    values = {"holdout_share": 0.25, "max_holdout": 100, "max_candidates": 1_000, "seed": 1}
    return pool, split_pool(pool, items_of_rows("quiz", "pairs", quiz).items, **{**values, **changes})


def test_held_out_prompts_and_benchmark_texts_do_not_train(data):
    pool, split = _split(data)
    assert len(split.holdout) == 12
    assert {one.origin for one in split.holdout} == {"human"}
    assert not {one.pair.cluster for one in split.train} & {one.pair.cluster for one in split.holdout}
    assert prompt_cluster_key([("user", _LONG)]) not in {one.pair.cluster for one in split.train}
    assert split.counts.dropped == {"held_out_prompt": 12, "touches_a_benchmark": 1}
    assert split.counts.rows_in == len(pool) == 96


def test_what_is_not_looked_at_is_counted(data):
    _, split = _split(data, max_holdout=5, max_candidates=30)
    assert len(split.holdout) == 5
    assert split.counts.dropped["not_drawn"] == 54
    # All pairs of held-out prompts stay out, scored or not.
    assert split.counts.dropped["held_out_prompt"] == 12


def test_the_table_of_pairs_is_canonical_and_keeps_the_label(data):
    pool, _ = _split(data)
    for one, row in zip(pool, pairs_table(pool).to_pylist(), strict=True):
        assert row[f"response_{chosen_side(one)}"] == one.pair.chosen
        assert row[f"response_{3 - chosen_side(one)}"] == one.pair.rejected


def test_trl_reads_the_tokens_of_our_rows_and_long_pairs_are_left_out(data, start, tiny_recipe):
    _, split = _split(data)
    recipe = tiny_recipe(backbone="pretrained", model=str(start), max_tokens=64, batch_pairs=8)
    some, counts = fitting_pairs(split.train, recipe, 20, 0)
    assert len(some) == 16
    assert counts["trained_on"] == 16
    workload = tokens_for_trl(some, recipe, 0)
    backbone = build_backbone(recipe, [], 0, None)
    of = {one.pair.pair_id: one.pair for one in some}
    for pair_id, chosen, rejected in zip(workload.pair_ids, *workload.trl_columns().values(), strict=True):
        pair = of[pair_id]
        good, bad = backbone.encode([(pair.prompt, pair.chosen), (pair.prompt, pair.rejected)])
        assert chosen == [*good.prompt, *good.response]
        assert rejected == [*bad.prompt, *bad.response]
    shortest = min(sum(len(part[at]) for part in workload.parts()[:2]) for at in range(len(workload)))
    with pytest.raises(SynprefError, match="0 pairs fit"):
        fitting_pairs(
            split.train, tiny_recipe(backbone="pretrained", model=str(start), max_tokens=shortest // 2), 20, 0
        )


@pytest.mark.slow
def test_both_trainers_end_with_the_same_model(data, start, tmp_path):
    pytest.importorskip("trl")
    command = f"--data {data} --out {tmp_path / 'out'} --start {start} --pairs 32 --max-tokens 64 --eval-tokens 64"
    command += " --batch-pairs 8 --trl-micro-batch 2 --learning-rate 1e-3 --benchmarks quiz"
    result = run(parser().parse_args(command.split()))
    assert result["fitting"]["trained_on"] == 32
    assert len(result["training"]["ours"]["losses"]) == 4
    assert result["largest_loss_difference"] < 1e-4
    holdout, quiz = result["benchmarks"]
    assert (holdout["benchmark"], quiz["benchmark"]) == ("gold_holdout", "quiz")
    assert holdout["ours"]["n"] == holdout["trl"]["n"] == 12
    scores = [
        pq.read_table(tmp_path / "out" / f"scores_{name}.parquet")["score"].to_numpy() for name in ("ours", "trl")
    ]
    np.testing.assert_allclose(*scores, atol=1e-3)
    # Something was learned, and by both: the start's scores are others.
    assert np.ptp(scores[0]) > 1e-3
    assert "| gold_holdout | 12 |" in render(result)
    from mlflow.tracking import MlflowClient

    client = MlflowClient(tracking_uri=f"sqlite:///{tmp_path / 'out' / 'mlflow.db'}")
    runs = client.search_runs([client.get_experiment_by_name("train_on_pool").experiment_id])
    of = {each.info.run_name: each for each in runs}
    assert set(of) == {"ours", "trl", "comparison"}
    for name in ("ours", "trl"):
        for curve in ("loss", "train/accuracy"):
            assert len(client.get_metric_history(of[name].info.run_id, curve)) == 4
    assert "gold_holdout/ours" in of["comparison"].data.metrics
