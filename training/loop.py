"""Loop: the order of things in a training: steps, dev, checkpoints, and when it ends. Each has a module of its own."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray

from training.backbones import Backbone
from training.curves import Point as Point
from training.engine import Engine, build_engine
from training.evaluating import evaluate
from training.interruption import TrainingInterruptedError
from training.metering import Meter
from training.out_of_memory import TokenBudget
from training.pairs import EncodedPair as EncodedPair
from training.pairs import PairSource
from training.progress import Progress
from training.recipe import TrainingRecipe
from training.resuming import Checkpoints
from training.schedule import BatchOrder
from training.schedule import learning_rate as learning_rate
from training.stepping import NonFiniteLossError as NonFiniteLossError
from training.stepping import Stepper


@dataclass(frozen=True)
class TrainingOutcome:
    """What a training came to; on the first process the backbone holds the weights of `best_step`.

    Attributes:
        steps, epochs: done; epochs in parts.
        best_step: whose weights were kept: highest dev accuracy, then lowest dev loss, then earliest; the
            last step where there is no dev pair.
        dev_margins: float64[n], chosen minus rejected score of every dev pair at `best_step`.
        train_loss: mean over the last tenth of the steps, at least one.
        seconds: of training and dev evaluation; `pairs_per_second` of training alone. Of all the runs that a resumed
            training had, what was done twice not counted.
        curves: every point, in order.
        stopped_because: `max_steps`, `max_epochs` or `no_gain`.
        resumed_at: steps of the checkpoints that it went on from.
        token_budget, num_halved: tokens computed at a time at the end, and how often memory made that less.
    """

    steps: int
    epochs: float
    best_step: int
    dev_margins: NDArray[np.float64]
    train_loss: float
    seconds: float
    pairs_per_second: float
    curves: tuple[Point, ...]
    stopped_because: str
    resumed_at: tuple[int, ...] = ()
    token_budget: int = 0
    num_halved: int = 0


@dataclass(frozen=True)
class Surroundings:
    """What a training may be given besides its data; by default nothing is kept and nobody interrupts it.

    Attributes:
        engine: made from the recipe when None.
        checkpoints: written and gone on from.
        meter: measures speed; without FLOPs and peak it knows no share of peak.
        told_to_stop: asked after every step.
        log: told what a person should know.
    """

    engine: Engine | None = None
    checkpoints: Checkpoints | None = None
    meter: Meter = field(default_factory=Meter)
    told_to_stop: Callable[[], bool] = lambda: False
    log: Callable[[str], None] = lambda line: None


def train(
    backbone: Backbone,
    pairs: PairSource,
    dev: PairSource,
    recipe: TrainingRecipe,
    seed: int,
    on_points: Callable[[Sequence[Point], int, int], None],
    around: Surroundings | None = None,
) -> TrainingOutcome:
    """Minimise the Bradley-Terry loss, from the newest checkpoint on where there is one.

    Args:
        on_points: called after every step with its points, the steps done and the steps planned; where training is
            gone on with, first with all points so far.

    Raises:
        NonFiniteLossError: a loss is NaN or infinite; names the pairs of the step that have such scores.
        CheckpointError: checkpoints cannot be written, or those that are there not be gone on from.
        TrainingInterruptedError: it was told to stop; the step it was in is done and kept in a checkpoint.
    """
    around = around or Surroundings()
    engine = around.engine or build_engine(backbone.module, recipe)
    checkpoints = around.checkpoints
    progress = (checkpoints.resume(engine) if checkpoints else None) or Progress()
    budget = TokenBudget(recipe.micro_batch_tokens, progress.num_halved)
    if progress.num_halved:
        budget.tokens = min(budget.tokens, progress.token_budget)
    order = BatchOrder(pairs.lengths, recipe, seed)
    stepper = Stepper(backbone, engine, pairs, recipe, seed, budget, around.meter, around.log)
    clusters = [dev[at].cluster for at in range(len(dev))]
    best_weights: dict[str, torch.Tensor] | None = None
    if progress.step:
        on_points(progress.curves, progress.step, order.num_steps)

    while progress.step < order.num_steps and progress.num_evals_since_best < recipe.num_evals_without_gain:
        started = time.monotonic()
        batch = order.batch(progress.step)
        rate = learning_rate(progress.step, order.num_steps, recipe)
        points = stepper.take(progress.step, order.num_steps, batch, rate)
        progress.step += 1
        progress.num_pairs += len(batch)
        progress.trained_seconds += time.monotonic() - started
        key, is_best = None, False
        if len(dev) and (progress.step % recipe.eval_every == 0 or progress.step == order.num_steps):
            result = evaluate(backbone, engine, dev, clusters, budget, seed, around.log)
            points += result.points(progress.step)
            key, is_best = result.key, progress.take_dev(result.key, result.margins)
            if is_best and checkpoints is None:
                best_weights = engine.weights()
        progress.curves += points
        progress.token_budget, progress.num_halved = budget.tokens, budget.num_halved
        progress.seconds += time.monotonic() - started
        on_points(points, progress.step, order.num_steps)
        _keep(progress, key, is_best, engine, around, order.num_steps)

    if len(dev) and progress.best_step != progress.step and checkpoints is not None:
        engine.load_state(checkpoints.load(progress.best_step))
        best_weights = None
    # Every process takes part in collecting them; the first one has them.
    hold(backbone.module, best_weights if best_weights is not None else engine.weights())
    backbone.module.eval()
    return _outcome(progress, order, recipe, with_dev=len(dev) > 0)


def _keep(
    progress: Progress, key: tuple[float, float] | None, is_best: bool, engine: Engine, around: Surroundings, total: int
) -> None:
    """Write a checkpoint where one is due, and end where somebody asks for it."""
    checkpoints = around.checkpoints
    # One process may have been told before the others: they end together.
    stop = engine.total(torch.tensor([float(around.told_to_stop())])).item() > 0 and progress.step < total
    if checkpoints is not None:
        checkpoints.poll()
        if stop or checkpoints.is_due(progress.step, is_best=is_best):
            checkpoints.save(progress, key, engine)
    if not stop:
        return
    if checkpoints is None:
        kept, todo = "nothing: recipe.checkpoints.every_steps is 0", "start again; training begins anew"
    else:
        checkpoints.wait()
        kept = f"a checkpoint of step {progress.step} in {checkpoints.folder}"
        todo = "start the same command again; training goes on from there"
    raise TrainingInterruptedError(
        f"Training was told to stop (SIGTERM) and did so after step {progress.step} of {total}.", kept=kept, todo=todo
    )


def hold(module: torch.nn.Module, weights: dict[str, torch.Tensor]) -> None:
    """Put weights into a module, in the module's precision; no weights, no change.

    Where ZeRO-3 has spread a parameter, the module holds an empty one: it gets the whole weight, in main memory.
    """
    if not weights:
        return
    for name, parameter in module.named_parameters():
        device = parameter.device if parameter.numel() else torch.device("cpu")
        parameter.data = weights[name].to(device, parameter.dtype)


def _outcome(progress: Progress, order: BatchOrder, recipe: TrainingRecipe, *, with_dev: bool) -> TrainingOutcome:
    stopped = "max_steps" if order.num_steps == recipe.max_steps else "max_epochs"
    if progress.num_evals_since_best >= recipe.num_evals_without_gain:
        stopped = "no_gain"
    losses = [point.value for point in progress.curves if point.name == "loss"]
    return TrainingOutcome(
        steps=progress.step,
        epochs=round(progress.step / order.steps_per_epoch, 3),
        best_step=progress.best_step if with_dev else progress.step,
        dev_margins=np.array(progress.best_margins),
        train_loss=float(np.mean(losses[-max(1, len(losses) // 10) :])),
        seconds=progress.seconds,
        pairs_per_second=progress.num_pairs / max(progress.trained_seconds, 1e-9),
        curves=tuple(progress.curves),
        stopped_because=stopped,
        resumed_at=tuple(progress.resumed_at),
        token_budget=progress.token_budget,
        num_halved=progress.num_halved,
    )
