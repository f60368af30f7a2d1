"""Stepping: one step of training, however many parts and processes it is computed in."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from assets.chance import rank_key
from assets.errors import SynprefError
from training.backbones import Backbone
from training.curves import Point
from training.engine import Engine
from training.loss import bradley_terry
from training.metering import Meter, num_positions
from training.out_of_memory import TokenBudget, within_memory
from training.pairs import EncodedPair, PairSource
from training.recipe import TrainingRecipe

# A step may have ten thousand pairs; so many are named.
_MAX_NAMED = 100


class NonFiniteLossError(SynprefError):
    """Training met a loss that is not a number."""


@dataclass(frozen=True)
class Stepper:
    """Takes steps. Everything random in a step is drawn from the seed and the step's number, nothing from the past.

    Attributes:
        budget: tokens computed at a time; halved for good where memory runs out.
        log: told of it.
    """

    backbone: Backbone
    engine: Engine
    pairs: PairSource
    recipe: TrainingRecipe
    seed: int
    budget: TokenBudget
    meter: Meter
    log: Callable[[str], None]

    def take(self, step: int, num_steps: int, batch: Sequence[int], rate: float) -> list[Point]:
        """Compute one step and update the weights; returns its points, over all processes.

        Args:
            step: counted from 0.
            batch: indices of its pairs, the same on every process.

        Raises:
            NonFiniteLossError: a loss or gradient is NaN or infinite; names the pairs that have such scores. No
                weight is changed.
        """
        started = time.monotonic()
        self.backbone.module.train()
        lengths = self.pairs.lengths[batch].tolist()
        done = within_memory(
            lambda tokens: self._compute(step, batch, lengths, tokens),
            self.budget,
            max(lengths),
            discard=self.engine.discard_gradients,
            log=self.log,
            can_repeat=self.engine.can_repeat,
        )
        values = self._statistics(done)
        # Every process learns here whether any met a value that is not finite, and all stop at the same place.
        finite = all(math.isfinite(values[name]) for name in ("loss", "train/reward_min", "train/reward_max"))
        norm = self.engine.step(rate) if finite else math.nan
        if not math.isfinite(norm):
            self.engine.discard_gradients()
            raise non_finite(done.pairs, done.scores, step)
        values |= {"train/grad_norm": norm, "train/learning_rate": rate}
        values |= self.meter.measures(
            started,
            tokens=values["train/tokens"],
            pairs=len(batch),
            flops=values.pop("flops"),
            world_size=self.engine.world_size,
            steps_left=num_steps - step - 1,
        )
        return [Point(step + 1, name, value) for name, value in values.items()]

    def _compute(self, step: int, batch: Sequence[int], lengths: list[int], max_tokens: int) -> _Computed:
        parts = parts_of(self.backbone, self.engine, lengths, max_tokens)
        torch.manual_seed(step_seed(self.seed, step, self.engine.rank))
        held = [([self.pairs[batch[at]] for at in part], counts) for part, counts in parts]
        # The loss is normalised by the weights of the whole step, however many parts and processes compute it.
        own = math.fsum(pair.weight for some, counts in held if counts for pair in some)
        total_weight = self.engine.total(torch.tensor([own], dtype=torch.float64)).item()
        losses, scores = [], []
        for at, (some, counts) in enumerate(held):
            found = self.engine.forward(
                self.backbone.scores, [row for pair in some for row in (pair.chosen, pair.rejected)]
            )
            weights = torch.tensor([pair.weight * counts for pair in some], device=found.device) / total_weight
            loss = (bradley_terry(found[0::2], found[1::2], self.recipe.loss) * weights).sum()
            self.engine.backward(loss, last=at == len(held) - 1)
            losses.append(loss.detach())
            scores.append(found.detach().float())
        counted = [(some, own) for (some, counts), own in zip(held, scores, strict=True) if counts]
        # One wait for the device a step: what is not finite is found here, before anything is updated.
        return _Computed(
            pairs=[pair for some, _ in counted for pair in some],
            scores=torch.cat([own for _, own in counted]).cpu() if counted else torch.zeros(0),
            loss=torch.stack(losses).double().sum().item(),
            num_positions=sum(num_positions(self.backbone, [lengths[at] for at in part]) for part, _ in parts),
            num_tokens=sum(lengths[at] for part, counts in parts if counts for at in part),
        )

    def _statistics(self, done: _Computed) -> dict[str, float]:
        chosen, rejected = done.scores[0::2].double(), done.scores[1::2].double()
        sizes = np.array([pair_sizes(pair) for pair in done.pairs], dtype=np.int64).reshape(-1, 3)
        empty = not done.pairs
        own = [
            done.loss,
            (chosen > rejected).sum().item(),
            (chosen - rejected).sum().item(),
            (chosen + rejected).sum().item(),
            float(len(done.pairs)),
            float(done.num_tokens),
            float(sizes.sum() + sizes[:, 0].sum()),
            float(done.num_positions),
            self.meter.flops(sizes),
            # No process is without pairs unless another has them: an empty one never decides.
            math.inf if empty else done.scores.min().item(),
            -math.inf if empty else done.scores.max().item(),
        ]
        every = gathered(self.engine, own)
        loss, right, margin, reward, pairs, tokens, unshared, positions, flops = every[:, :9].sum(0)
        return {
            "loss": loss,
            "train/accuracy": right / pairs,
            "train/margin": margin / pairs,
            "train/reward_min": every[:, 9].min(),
            "train/reward_mean": reward / (2 * pairs),
            "train/reward_max": every[:, 10].max(),
            "train/tokens": tokens,
            "train/sharing_saved": 1 - tokens / unshared if unshared else 0.0,
            "train/padding": 1 - tokens / positions if positions else 0.0,
            "flops": flops,
        }


@dataclass(frozen=True)
class _Computed:
    """What one process computed of a step: its pairs, float32[2 n] scores chosen and rejected in turn, its loss."""

    pairs: list[EncodedPair]
    scores: torch.Tensor
    loss: float
    num_positions: int
    num_tokens: int


def parts_of(
    backbone: Backbone, engine: Engine, lengths: Sequence[int], max_tokens: int
) -> list[tuple[list[int], bool]]:
    """Which pairs this process computes together, and whether a part counts.

    With several processes each has equally many parts; one with less work computes a pair that does not count.
    """
    if engine.world_size == 1:
        return [(part, True) for part in backbone.micro_batches(lengths, max_tokens)]
    from training.distribution import own_packs
    from training.packing import plan_step

    return own_packs(lengths, max_tokens, engine.rank, engine.world_size, plan_step)


def gathered(engine: Engine, values: Sequence[float]) -> NDArray[np.float64]:
    """Values of every process, float64[world_size, n]: each fills its own row of zeros, and rows are summed."""
    # Infinity and NaN survive a sum with zeros.
    table = torch.zeros(engine.world_size, len(values), dtype=torch.float64)
    table[engine.rank] = torch.tensor(values, dtype=torch.float64)
    return engine.total(table.flatten()).reshape(table.shape).numpy()


def step_seed(seed: int, step: int, rank: int) -> int:
    """Seed of everything random in a step, 0 to 2^60 - 1; dropout differs between processes."""
    return int(rank_key("step", seed, step, rank)[:15], 16)


def pair_sizes(pair: EncodedPair) -> tuple[int, int, int]:
    """Tokens of prompt, chosen and rejected response."""
    return len(pair.chosen.prompt), len(pair.chosen.response), len(pair.rejected.response)


def non_finite(pairs: Sequence[EncodedPair], scores: torch.Tensor, step: int) -> NonFiniteLossError:
    """The error that names the pairs whose scores are not finite, or all where none is to blame."""
    finite = torch.isfinite(scores).reshape(-1, 2).all(1).tolist()
    blamed = [pair.pair_id for pair, good in zip(pairs, finite, strict=True) if not good]
    said = "with scores that are not finite" if blamed else "whose loss or gradient is not finite"
    ids = blamed or [pair.pair_id for pair in pairs]
    named = ", ".join(ids[:_MAX_NAMED]) + (f" and {len(ids) - _MAX_NAMED} more" if len(ids) > _MAX_NAMED else "")
    return NonFiniteLossError(
        f"The loss of step {step + 1} is not finite; pairs {said}: {named}.",
        where=f"step {step + 1}",
        kept="no model was written; the one before, and checkpoints, are untouched",
        todo="look at these pairs' texts and weights, lower the learning rate, or train in float32",
    )
