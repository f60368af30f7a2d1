"""Training on the real pool by our trainer and by TRL's RewardTrainer: same pairs, tokens, batches, rates and start.

    python -m benchmarks.train_on_pool --data DATA --out FOLDER [--pairs 160 --max-tokens 256]

DATA holds `pool/*.parquet` (pairs) and `bench/*.parquet`. Pairs that people labelled are held out by prompt; the rest
trains, decontaminated against every benchmark that is scored. Both models are scored by our scorer, so that what is
compared is what training made of the weights. Results go to FOLDER/results.json and to MLflow (FOLDER/mlflow.db: a run
for each trainer with its curves, and one for the comparison).

The defaults are chosen for a quarter of an hour on two quiet cores, of which scoring takes a third. On a GPU: --pairs
1000000 --max-tokens 2048 --batch-pairs 256 --micro-batch-tokens 65536 --trl-micro-batch 32 --precision bfloat16
--eval-tokens 2048 --holdout-pairs 5000 --benchmarks llmbar judgebench.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from assets.errors import SynprefError
from benchmarks.pool_split import Split, chosen_side, pairs_table, split_pool
from benchmarks.trained_side_by_side import OURS, TRL, compare, render
from evaluation.benchmarks import LoadedBenchmark, load_benchmark, pairs_as_items
from training.backbones import build_backbone
from training.batching import epoch_batches
from training.benchmarking.pair_files import FilePair, read_pairs
from training.benchmarking.shapes import write_model
from training.benchmarking.trl_trainer import build_trainer, step_points
from training.benchmarking.workload import Workload
from training.recipe import TrainingRecipe
from training.specs import MLflowSpec, TrainSpec
from training.tracking import tracked
from training.train import train_model

MODEL = "smollm2-135m"
HOLDOUT = "gold_holdout"


def fitting_pairs(
    pairs: Sequence[FilePair], recipe: TrainingRecipe, num: int, seed: int
) -> tuple[list[FilePair], dict]:
    """The first pairs that are read whole, as many as fill whole batches, in order of pair id; and counts by reason.

    A pair that must be cut is left out, because trainers cut differently; a batch that is not full would weigh its
    pairs differently.
    """
    backbone = build_backbone(recipe, [], seed, None)
    kept: list[FilePair] = []
    too_long = 0
    for start in range(0, len(pairs), 1_024):
        some = pairs[start : start + 1_024]
        rows = backbone.encode(
            [(one.pair.prompt, text) for one in some for text in (one.pair.chosen, one.pair.rejected)]
        )
        for one, chosen, rejected in zip(some, rows[0::2], rows[1::2], strict=True):
            if chosen.num_truncated or rejected.num_truncated:
                too_long += 1
            else:
                kept.append(one)
        if len(kept) >= num:
            break
    whole = min(num, len(kept)) // recipe.batch_pairs * recipe.batch_pairs
    if not whole:
        raise SynprefError(f"{len(kept)} pairs fit, and a batch takes {recipe.batch_pairs}.", todo="raise --max-tokens")
    counts = {"longer_than_max_tokens": too_long, "beyond_what_was_asked_for": len(kept) - whole, "trained_on": whole}
    return sorted(kept[:whole], key=lambda one: one.pair.pair_id), counts


def tokens_for_trl(pairs: Sequence[FilePair], recipe: TrainingRecipe, seed: int) -> Workload:
    """The token ids that our trainer reads, in the order of its batches."""
    backbone = build_backbone(recipe, [], seed, None)
    rows = backbone.encode([(one.pair.prompt, text) for one in pairs for text in (one.pair.chosen, one.pair.rejected)])
    lengths = [backbone.num_tokens([one, two]) for one, two in zip(rows[0::2], rows[1::2], strict=True)]
    workload = Workload(
        [one.pair.pair_id for one in pairs],
        [row.prompt for row in rows[0::2]],
        [row.response for row in rows[0::2]],
        [row.response for row in rows[1::2]],
    )
    # Both sides of a pair that is read whole have the prompt's own ids.
    assert all(one.shares_prompt(two) for one, two in zip(rows[0::2], rows[1::2], strict=True))
    return workload.take(np.concatenate(epoch_batches(lengths, recipe.batch_pairs, seed, 0)))


def train_ours(pairs: Sequence[FilePair], recipe: TrainingRecipe, given: argparse.Namespace) -> dict[str, Any]:
    """Train as a user does, from files; returns curves, seconds and the model's folder."""
    texts, selection = given.out / "pairs.parquet", given.out / "selection.parquet"
    pq.write_table(pairs_table(pairs), texts)
    columns = {
        "pair_id": [one.pair.pair_id for one in pairs],
        "chosen": pa.array([chosen_side(one) for one in pairs], pa.int8()),
        "weight": [1.0] * len(pairs),
    }
    pq.write_table(pa.table(columns), selection)
    spec = TrainSpec(
        name="train_on_pool",
        seed=given.seed,
        output_dir=given.out / OURS,
        text_files=(texts,),
        train_selection=selection,
        recipe=recipe,
        mlflow=_mlflow(given.out, OURS),
    )
    report = train_model(spec)
    curves = pq.read_table(given.out / OURS / "curves.parquet").to_pylist()
    losses = [point["value"] for point in curves if point["name"] == "loss"]
    return {"losses": losses, "train_s": report["train_s"], "pairs_per_s": report["pairs_per_second"]}


def train_trl(pairs: Sequence[FilePair], recipe: TrainingRecipe, given: argparse.Namespace) -> dict[str, Any]:
    """The same with TRL, tuned: our batches, the recipe's precision, no gradient checkpointing."""
    workload = tokens_for_trl(pairs, recipe, given.seed)
    trainer = build_trainer(
        workload,
        recipe,
        given.out / "scratch",
        num_steps=len(workload) // recipe.batch_pairs,
        seed=given.seed,
        micro_batch_pairs=given.trl_micro_batch,
    )
    with tracked(_mlflow(given.out, TRL), {"trainer": "trl", **recipe.model_dump(mode="json")}) as tracker:
        started = time.monotonic()
        trainer.train()
        seconds = time.monotonic() - started
        points = step_points(trainer)
        tracker.points(points)
    trainer.save_model(str(given.out / TRL))
    losses = [point.value for point in points if point.name == "loss"]
    return {"losses": losses, "train_s": round(seconds, 2), "pairs_per_s": round(len(workload) / seconds, 2)}


def _mlflow(out: Path, name: str) -> MLflowSpec:
    return MLflowSpec(
        tracking_uri=f"sqlite:///{out / 'mlflow.db'}",
        experiment="train_on_pool",
        run_name=name,
        artifact_location=(out / "artifacts").as_uri(),
        log_model=False,
    )


def _holdout(split: Split) -> LoadedBenchmark:
    table = pairs_table(split.holdout)
    verdicts = {one.pair.pair_id: str(chosen_side(one)) for one in split.holdout}
    items = pairs_as_items(table, verdicts, name=HOLDOUT)
    return LoadedBenchmark(HOLDOUT, "pairs", items, split.counts, ())


def _log_comparison(found: Sequence[dict[str, Any]], given: argparse.Namespace) -> None:
    from training.loop import Point

    with tracked(_mlflow(given.out, "comparison"), {"max_tokens": given.max_tokens}) as tracker:
        for one in found:
            values = {OURS: one[OURS]["value"], TRL: one[TRL]["value"]}
            values["ours_minus_trl"] = one["ours_minus_trl"]["difference"]
            tracker.points([Point(0, f"{one['benchmark']}/{name}", value) for name, value in values.items()])


def run(given: argparse.Namespace) -> dict[str, Any]:
    """Everything; returns what is written to `results.json`."""
    from transformers.utils.logging import disable_progress_bar

    disable_progress_bar()
    given.out = given.out.resolve()
    given.out.mkdir(parents=True, exist_ok=True)
    started = given.start or given.out / "start"
    if not started.exists():
        write_model(MODEL, started, seed=given.seed, half=False)
    recipe = TrainingRecipe(
        backbone="pretrained",
        model=str(started),
        max_tokens=given.max_tokens,
        batch_pairs=given.batch_pairs,
        micro_batch_tokens=given.micro_batch_tokens,
        max_epochs=1,
        max_steps=1_000_000,
        learning_rate=given.learning_rate,
        precision=given.precision,
    )
    named = [load_benchmark(name, given.data / "bench" / f"{name}.parquet") for name in given.benchmarks]
    pool, read = read_pairs(sorted((given.data / "pool").glob("*.parquet")))
    split = split_pool(
        pool,
        pa.concat_tables([one.items for one in named]),
        holdout_share=0.25,
        max_holdout=given.holdout_pairs,
        max_candidates=16 * given.pairs,
        seed=given.seed,
    )
    pairs, fitting = fitting_pairs(split.train, recipe, given.pairs, given.seed)
    print(f"{len(pairs)} training pairs, {len(split.holdout)} held out, of {len(pool)}", flush=True)
    trained = {OURS: train_ours(pairs, recipe, given), TRL: train_trl(pairs, recipe, given)}
    found = compare(given.out, [_holdout(split), *named], max_tokens=given.eval_tokens, seed=given.seed)
    _log_comparison(found, given)
    gaps = np.abs(np.subtract(trained[OURS]["losses"], trained[TRL]["losses"]))
    result = {
        "rows_read": read.as_dict(),
        "split": split.counts.as_dict(),
        "fitting": fitting,
        "recipe": recipe.model_dump(mode="json"),
        "training": trained,
        "largest_loss_difference": float(gaps.max()),
        "benchmarks": found,
    }
    (given.out / "results.json").write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    return result


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = argparse.ArgumentParser(
        prog="python -m benchmarks.train_on_pool",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    made.add_argument("--data", type=Path, required=True, help="folder with pool/ and bench/")
    made.add_argument("--out", type=Path, required=True)
    made.add_argument("--start", type=Path, help="model folder with a head, in place of SmolLM2-135M and a drawn head")
    made.add_argument("--pairs", type=int, default=160, help="to train on, at most")
    made.add_argument("--max-tokens", type=int, default=256, help="longest row to train on; longer pairs are left out")
    made.add_argument("--eval-tokens", type=int, default=512, help="longest row to score; longer ones are cut, counted")
    made.add_argument("--batch-pairs", type=int, default=16)
    made.add_argument("--trl-micro-batch", type=int, default=1, help="pairs on the device at a time, with TRL")
    made.add_argument("--micro-batch-tokens", type=int, default=4_096)
    made.add_argument("--learning-rate", type=float, default=2e-5)
    made.add_argument("--precision", choices=["float32", "bfloat16", "bfloat16_weights"], default="float32")
    made.add_argument("--holdout-pairs", type=int, default=120)
    made.add_argument("--benchmarks", nargs="+", default=["llmbar"], help="names of files in bench/")
    made.add_argument("--seed", type=int, default=0)
    return made


def main(arguments: Sequence[str] | None = None) -> int:
    """Entry point."""
    try:
        print(render(run(parser().parse_args(arguments))))
    except SynprefError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
