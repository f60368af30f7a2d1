"""Loop: trains any backbone on encoded pairs and keeps the checkpoint that is best on dev."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from assets.errors import SynprefError
from training.backbones import Backbone
from training.batching import epoch_batches
from training.engine import Engine, LocalEngine
from training.layout import group_rows
from training.loss import bradley_terry
from training.pairs import EncodedPair, PairSource
from training.recipe import TrainingRecipe
from training.tokenising import EncodedRow


class NonFiniteLossError(SynprefError):
    """Training met a loss that is not a number."""


@dataclass(frozen=True)
class Point:
    """One value of one curve."""

    step: int
    name: str
    value: float


@dataclass(frozen=True)
class TrainingOutcome:
    """What a training came to; the backbone holds the weights of `best_step`.

    Attributes:
        steps, epochs: done; epochs in parts.
        best_step: whose weights were kept: highest dev accuracy, then lowest dev loss, then earliest; the
            last step where there is no dev pair.
        dev_margins: float64[n], chosen minus rejected score of every dev pair at `best_step`.
        train_loss: mean over the last tenth of the steps, at least one.
        seconds: of training and dev evaluation; `pairs_per_second` of training alone.
        curves: every point, in order.
        stopped_because: `max_steps`, `max_epochs` or `no_gain`.
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


@dataclass
class _Best:
    step: int = 0
    key: tuple[float, float] = (-1.0, 0.0)
    weights: dict[str, torch.Tensor] | None = None
    margins: NDArray[np.float64] | None = None
    evals_since: int = 0


def train(
    backbone: Backbone,
    pairs: PairSource,
    dev: PairSource,
    recipe: TrainingRecipe,
    seed: int,
    on_points: Callable[[Sequence[Point], int, int], None],
) -> TrainingOutcome:
    """Minimise the Bradley-Terry loss.

    Args:
        on_points: called after every step with its points, the steps done and the steps planned.

    Raises:
        NonFiniteLossError: a loss is NaN or infinite; names the pairs of the step that have such scores.
    """
    lengths = pairs.lengths
    steps_per_epoch = -(-len(pairs) // recipe.batch_pairs)
    total = min(recipe.max_steps, recipe.max_epochs * steps_per_epoch)
    stopped = "max_steps" if total == recipe.max_steps else "max_epochs"
    engine = LocalEngine(backbone.module, recipe)
    torch.manual_seed(seed)
    curves: list[Point] = []
    best = _Best()
    started, trained_seconds, num_pairs, step = time.monotonic(), 0.0, 0, 0
    while step < total and stopped != "no_gain":
        for batch in epoch_batches(lengths, recipe.batch_pairs, seed, step // steps_per_epoch):
            before = time.monotonic()
            some, sizes = [pairs[i] for i in batch.tolist()], lengths[batch].tolist()
            points = _step(backbone, engine, some, sizes, recipe, step, total)
            trained_seconds += time.monotonic() - before
            num_pairs += len(batch)
            step += 1
            if len(dev) and (step % recipe.eval_every == 0 or step == total):
                points += _evaluate(backbone, dev, recipe, step, best)
            curves += points
            on_points(points, step, total)
            if best.evals_since >= recipe.num_evals_without_gain:
                stopped = "no_gain"
            if step == total or stopped == "no_gain":
                break
    if best.weights is not None:
        backbone.module.load_state_dict(best.weights)
    backbone.module.eval()
    losses = [point.value for point in curves if point.name == "loss"]
    return TrainingOutcome(
        steps=step,
        epochs=round(step / steps_per_epoch, 3),
        best_step=best.step if len(dev) else step,
        dev_margins=best.margins if best.margins is not None else np.zeros(0),
        train_loss=float(np.mean(losses[-max(1, len(losses) // 10) :])),
        seconds=time.monotonic() - started,
        pairs_per_second=num_pairs / max(trained_seconds, 1e-9),
        curves=tuple(curves),
        stopped_because=stopped,
    )


def learning_rate(step: int, total: int, recipe: TrainingRecipe) -> float:
    """Rate of a step, counted from 0: linear warm-up from one part to all, then constant or linear towards 0."""
    warmup = round(recipe.warmup_share * total)
    if step < warmup:
        return recipe.learning_rate * (step + 1) / (warmup + 1)
    if recipe.schedule == "constant":
        return recipe.learning_rate
    return recipe.learning_rate * (total - step) / (total - warmup)


def _step(
    backbone: Backbone,
    engine: Engine,
    batch: list[EncodedPair],
    lengths: list[int],
    recipe: TrainingRecipe,
    step: int,
    total: int,
) -> list[Point]:
    backbone.module.train()
    rate = learning_rate(step, total, recipe)
    # The loss is normalised by the pairs of the whole step, however many parts it is computed in.
    total_weight = sum(pair.weight for pair in batch)
    loss_sum = 0.0
    done: list[EncodedPair] = []
    parts: list[torch.Tensor] = []
    micro_batches = list(backbone.micro_batches(lengths, recipe.micro_batch_tokens))
    for part in micro_batches:
        some = [batch[i] for i in part]
        scores = backbone.scores([row for pair in some for row in (pair.chosen, pair.rejected)])
        weights = torch.tensor([pair.weight for pair in some], device=scores.device)
        loss = (bradley_terry(scores[0::2], scores[1::2]) * weights).sum() / total_weight
        if not torch.isfinite(loss):
            raise _non_finite(some, scores, step)
        engine.backward(loss, last=part is micro_batches[-1])
        loss_sum += loss.item()
        done += some
        parts.append(scores.detach().float())
    norm = engine.step(rate)
    if not math.isfinite(norm):
        raise _non_finite(done, torch.cat(parts), step)
    both = torch.cat(parts)
    good, bad = both[0::2], both[1::2]
    values = {
        "loss": loss_sum,
        "accuracy": (good > bad).float().mean().item(),
        "margin": (good - bad).mean().item(),
        "reward_min": both.min().item(),
        "reward_mean": both.mean().item(),
        "reward_max": both.max().item(),
        "grad_norm": norm,
        "learning_rate": rate,
        "tokens": float(sum(lengths)),
    }
    return [Point(step + 1, f"train/{name}" if name != "loss" else name, value) for name, value in values.items()]


def _non_finite(pairs: Sequence[EncodedPair], scores: torch.Tensor, step: int) -> NonFiniteLossError:
    finite = torch.isfinite(scores.detach()).reshape(-1, 2).all(1).tolist()
    blamed = [pair.pair_id for pair, good in zip(pairs, finite, strict=True) if not good]
    said = "with scores that are not finite" if blamed else "whose loss or gradient is not finite"
    named = blamed or [pair.pair_id for pair in pairs]
    return NonFiniteLossError(
        f"The loss of step {step + 1} is not finite; pairs {said}: {', '.join(named)}.",
        where=f"step {step + 1}",
        kept="no model was written; the one before, if any, is untouched",
        todo="look at these pairs' texts and weights, lower the learning rate, or train in float32",
    )


def _evaluate(backbone: Backbone, dev: PairSource, recipe: TrainingRecipe, step: int, best: _Best) -> list[Point]:
    margins = pair_margins(backbone, dev, recipe.micro_batch_tokens)
    accuracy = float(np.mean(margins > 0))
    loss = float(np.mean(np.logaddexp(0.0, -margins)))
    best.evals_since += 1
    if (accuracy, -loss) > best.key:
        best.step, best.key, best.margins, best.evals_since = step, (accuracy, -loss), margins, 0
        best.weights = {name: tensor.detach().cpu().clone() for name, tensor in backbone.module.state_dict().items()}
    return [Point(step, "dev/accuracy", accuracy), Point(step, "dev/loss", loss)]


def pair_margins(backbone: Backbone, pairs: PairSource, max_tokens: int) -> NDArray[np.float64]:
    """Chosen minus rejected score of every pair, float64[n]."""
    backbone.module.eval()
    margins = np.zeros(len(pairs))
    with torch.inference_mode():
        for batch in backbone.micro_batches(pairs.lengths, max_tokens):
            rows = [row for pair in map(pairs.__getitem__, batch) for row in (pair.chosen, pair.rejected)]
            scores = backbone.scores(rows).double().cpu().numpy()
            margins[batch] = scores[0::2] - scores[1::2]
    return margins


def score_rows(
    backbone: Backbone,
    rows: Sequence[EncodedRow],
    max_tokens: int,
    progress: Callable[[int], object] = lambda done: None,
) -> NDArray[np.float64]:
    """Scores float64[n] of encoded rows, in their order.

    Args:
        max_tokens: padded tokens computed at a time; changes scores by rounding alone.
        progress: called with the number of rows just done.
    """
    backbone.module.eval()
    scores = np.zeros(len(rows))
    groups = group_rows(rows)
    lengths = [backbone.num_tokens([rows[i] for i in group]) for group in groups]
    with torch.inference_mode():
        for batch in backbone.micro_batches(lengths, max_tokens):
            at = [i for group in batch for i in groups[group]]
            scores[at] = backbone.scores([rows[i] for i in at]).double().cpu().numpy()
            progress(len(at))
    return scores
