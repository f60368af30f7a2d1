"""Evaluating: scores of encoded rows, and accuracy on dev with its interval."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from evaluation.intervals import Estimate, estimate_accuracy
from training.backbones import Backbone
from training.curves import Point
from training.engine import Engine
from training.layout import group_rows
from training.out_of_memory import TokenBudget, within_memory
from training.pairs import PairSource
from training.stepping import NonFiniteLossError, parts_of
from training.tokenising import EncodedRow


@dataclass(frozen=True)
class DevResult:
    """What dev says of the weights.

    Attributes:
        margins: float64[n], chosen minus rejected score of every dev pair.
        estimate: accuracy, with an interval clustered by prompt from 20 clusters on.
        loss: mean Bradley-Terry loss, whatever is added to it in training.
    """

    margins: NDArray[np.float64]
    estimate: Estimate
    loss: float

    @property
    def key(self) -> tuple[float, float]:
        """Better weights have a greater one: first accuracy counts, then loss."""
        assert self.estimate.value is not None
        return self.estimate.value, -self.loss

    def points(self, step: int) -> list[Point]:
        """For the curves; without an interval where there is none."""
        assert self.estimate.value is not None
        values = {"dev/accuracy": self.estimate.value, "dev/loss": self.loss}
        if self.estimate.ci95 is not None:
            values["dev/accuracy_low"], values["dev/accuracy_high"] = self.estimate.ci95
        return [Point(step, name, value) for name, value in values.items()]


def evaluate(
    backbone: Backbone,
    engine: Engine,
    dev: PairSource,
    clusters: Sequence[str],
    budget: TokenBudget,
    seed: int,
    log: Callable[[str], None],
) -> DevResult:
    """Score dev over all processes of a training.

    Args:
        clusters: the prompt of each dev pair.
        seed: of the interval's resampling.
    """
    margins = within_memory(
        lambda tokens: _margins(backbone, engine, dev, tokens),
        budget,
        int(dev.lengths.max()),
        discard=lambda: None,
        log=log,
        can_repeat=engine.can_repeat,
    )
    bad = np.flatnonzero(~np.isfinite(margins))
    if len(bad):
        raise NonFiniteLossError(
            f"{len(bad)} dev pairs have scores that are not finite, e.g. {dev[int(bad[0])].pair_id}.",
            where="the dev selection",
            kept="checkpoints written so far",
            todo="look at these pairs' texts, lower the learning rate, or train in float32",
        )
    return judged(margins, clusters, seed)


def judged(margins: NDArray[np.float64], clusters: Sequence[str], seed: int) -> DevResult:
    """What margins of dev pairs say."""
    right = (margins > 0).astype(np.float64)
    return DevResult(
        margins, estimate_accuracy(right, clusters, seed=seed), float(np.mean(np.logaddexp(0.0, -margins)))
    )


def _margins(backbone: Backbone, engine: Engine, pairs: PairSource, max_tokens: int) -> NDArray[np.float64]:
    parts = parts_of(backbone, engine, pairs.lengths.tolist(), max_tokens)
    return engine.total(_own_margins(backbone, pairs, parts, engine.forward)).numpy()


def pair_margins(backbone: Backbone, pairs: PairSource, max_tokens: int) -> NDArray[np.float64]:
    """Chosen minus rejected score of every pair, float64[n], on one process."""
    parts = [(part, True) for part in backbone.micro_batches(pairs.lengths.tolist(), max_tokens)]
    return _own_margins(backbone, pairs, parts, lambda scores, rows: scores(rows)).numpy()


def _own_margins(
    backbone: Backbone,
    pairs: PairSource,
    parts: Sequence[tuple[list[int], bool]],
    forward: Callable[..., torch.Tensor],
) -> torch.Tensor:
    backbone.module.eval()
    margins = torch.zeros(len(pairs), dtype=torch.float64)
    # Not inference_mode: weights that ZeRO-3 fetches meanwhile are trained again afterwards.
    with torch.no_grad():
        for part, counts in parts:
            rows = [row for pair in map(pairs.__getitem__, part) for row in (pair.chosen, pair.rejected)]
            scores = forward(backbone.scores, rows).double().cpu()
            if counts:
                margins[part] = scores[0::2] - scores[1::2]
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
