"""Contender: `python -m training.benchmarking.contender TASK.json` measures one trainer in a fresh process.

Its last line is JSON: the seconds of each step, losses, memory, and the matrix rate of this machine meanwhile.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
from pydantic import Field

from assets.errors import SynprefError
from training.batching import epoch_batches
from training.benchmarking.workload import Workload
from training.recipe import TrainingRecipe
from training.specs import Spec, load_spec

Name = Literal["ours", "trl_tuned", "trl_defaults"]
Work = Literal["training", "scoring"]


class Task(Spec):
    """What one process measures.

    Attributes:
        contender: `ours`, or TRL's RewardTrainer: `trl_tuned` reads the same batches in the same order, in the
            recipe's precision and without gradient checkpointing; `trl_defaults` is what it does unasked, with its own
            batch and pairs in random order. Only its longest row is not cut: it would drop long pairs.
        recipe: `model` is a folder; one step is `batch_pairs`.
        micro_batch_pairs: TRL's pairs on the device at a time.
        warmup, steps: before and while time is taken. Scoring takes as many pairs, in one call each.
        scratch: folder that may be written to.
    """

    contender: Name
    work: Work
    workload: Path
    recipe: TrainingRecipe
    micro_batch_pairs: int = Field(default=8, gt=0)
    warmup: int = Field(default=1, gt=0)
    steps: int = Field(default=3, gt=0)
    seed: int = 0
    num_threads: int = Field(default=2, gt=0)
    scratch: Path

    @property
    def step_pairs(self) -> int:
        """Pairs of one step of the optimiser."""
        from training.benchmarking.trl_trainer import DEFAULT_BATCH

        return DEFAULT_BATCH if self.contender == "trl_defaults" else self.recipe.batch_pairs


def measure(task: Task) -> dict[str, Any]:
    """Run a task; `flops` are of the timed pairs, model FLOPs as `training.flops` counts them.

    Raises:
        SynprefError: the workload is too small, or the model cannot be used.
    """
    import torch

    from training.benchmarking.stopwatch import Stopwatch
    from training.flops import matrix_peak

    torch.set_num_threads(task.num_threads)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    dtype = torch.bfloat16 if device.type == "cuda" else torch.float32
    pairs = Workload.load(task.workload)
    needed = task.step_pairs * (task.warmup + task.steps)
    if len(pairs) < needed:
        raise SynprefError(
            f"{task.warmup + task.steps} steps of {task.step_pairs} pairs need {needed} pairs of {len(pairs)}.",
            where=str(task.workload),
            todo="ask for fewer steps or smaller batches, or give more pairs",
        )
    pairs = pairs.take(range(needed))
    order = step_order(task, pairs)
    peak_before = matrix_peak(device, dtype)
    watch = Stopwatch(device)
    run = _OURS if task.contender == "ours" else _TRL
    config, losses = run[task.work](task, pairs, order, watch)
    warmup = 1 if task.work == "scoring" else task.warmup
    result = watch.result(warmup)
    timed = pairs.take(order[task.warmup * task.step_pairs :])
    return {
        **result,
        **work_done(timed, config, task.work),
        "losses": losses,
        "step_pairs": task.step_pairs,
        # The better of two, because a busy machine can only take away.
        "matrix_peak_flops": max(peak_before, matrix_peak(device, dtype)),
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else f"CPU, {task.num_threads} threads",
    }


def step_order(task: Task, pairs: Workload) -> np.ndarray:
    """In which order the pairs are trained on, int64[n]: our loop's, like lengths together, or TRL's, random."""
    if task.contender == "trl_defaults":
        return np.random.default_rng(task.seed).permutation(len(pairs))
    return np.concatenate(epoch_batches(pairs.shared_lengths(), task.step_pairs, task.seed, 0))


def work_done(pairs: Workload, config: Any, work: Work) -> dict[str, float]:
    """Tokens and FLOPs of some pairs: one by one, and with prompts shared."""
    from training.flops import decoder_shape, pair_flops, shared_flops

    shape = decoder_shape(config)
    prompt, chosen, rejected = pairs.lengths().T
    kind = "training" if work == "training" else "forward"
    return {
        "num_pairs": len(pairs),
        "tokens": int((2 * prompt + chosen + rejected).sum()),
        "shared_tokens": int((prompt + chosen + rejected).sum()),
        "flops": float(getattr(pair_flops(shape, prompt, chosen, rejected), kind).sum()),
        "shared_flops": float(getattr(shared_flops(shape, prompt, [chosen, rejected]), kind).sum()),
    }


def _train_ours(task: Task, pairs: Workload, order: np.ndarray, watch: Any) -> tuple[Any, list[float]]:
    from training.backbones import build_backbone
    from training.loop import train
    from training.pairs import EncodedPair, ListedPairs

    backbone = build_backbone(task.recipe, [], task.seed, None)
    watch.watch(backbone.module.base_model)
    encoded = [
        EncodedPair(pair_id, *rows, 1.0, pair_id) for pair_id, rows in zip(pairs.pair_ids, pairs.rows(), strict=True)
    ]
    sources = ListedPairs(encoded, backbone.num_tokens), ListedPairs([], backbone.num_tokens)
    outcome = train(backbone, *sources, task.recipe, task.seed, lambda points, step, total: watch.mark())
    said = {point.step: point.value for point in outcome.curves if point.name == "train/tokens"}
    of_steps = np.array(pairs.shared_lengths())[order].reshape(-1, task.step_pairs).sum(1)
    if list(said.values()) != of_steps.tolist():
        raise SynprefError("Our loop did not train on the batches that the other trainers are given.")
    return backbone.module.config, [point.value for point in outcome.curves if point.name == "loss"]


def _score_ours(task: Task, pairs: Workload, order: np.ndarray, watch: Any) -> tuple[Any, list[float]]:
    from training.backbones import build_backbone
    from training.evaluating import score_rows

    backbone = build_backbone(task.recipe, [], task.seed, None)
    watch.watch(backbone.module.base_model)
    for part in _warmup_and_timed(task, order):
        rows = [row for both in pairs.take(part).rows() for row in both]
        score_rows(backbone, rows, task.recipe.micro_batch_tokens)
        watch.mark()
    return backbone.module.config, []


def _train_trl(task: Task, pairs: Workload, order: np.ndarray, watch: Any) -> tuple[Any, list[float]]:
    from training.benchmarking.trl_trainer import step_points

    trainer = _trl(task, pairs.take(order), watch)
    trainer.train()
    return trainer.model.config, [point.value for point in step_points(trainer) if point.name == "loss"]


def _score_trl(task: Task, pairs: Workload, order: np.ndarray, watch: Any) -> tuple[Any, list[float]]:
    from datasets import Dataset

    trainer = _trl(task, pairs.take(order[:1]), watch)
    for part in _warmup_and_timed(task, order):
        some = pairs.take(part)
        some = some.take(np.argsort(some.lengths()[:, 0] + some.lengths()[:, 1:].max(1), kind="stable"))
        trainer.evaluate(Dataset.from_dict(some.trl_columns()))
        watch.mark()
    return trainer.model.config, []


def _trl(task: Task, pairs: Workload, watch: Any) -> Any:
    from training.benchmarking.trl_trainer import build_trainer

    trainer = build_trainer(
        pairs,
        task.recipe,
        task.scratch,
        num_steps=task.warmup + task.steps,
        seed=task.seed,
        micro_batch_pairs=task.micro_batch_pairs if task.contender == "trl_tuned" else None,
        on_step=watch.mark,
    )
    watch.watch(trainer.model.base_model)
    return trainer


def _warmup_and_timed(task: Task, order: np.ndarray) -> list[np.ndarray]:
    return np.split(order, [task.warmup * task.step_pairs])


_OURS = {"training": _train_ours, "scoring": _score_ours}
_TRL = {"training": _train_trl, "scoring": _score_trl}


def main(arguments: Sequence[str] | None = None) -> int:
    """Entry point: exit code 0 with a line of JSON; 1 with {"error": ...}, memory that did not suffice included."""
    import torch

    task = load_spec((sys.argv[1:] if arguments is None else list(arguments))[0], Task)
    try:
        result = measure(task)
    except (SynprefError, torch.OutOfMemoryError) as error:
        print(json.dumps({"error": f"{type(error).__name__}: {error}"[:500]}), flush=True)
        return 1
    print(json.dumps(result), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
