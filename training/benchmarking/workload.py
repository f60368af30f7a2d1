"""Workload: token ids of pairs that every contender of a measurement is given, in one file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from assets.durable_files import replacing
from assets.errors import SynprefError
from training.batching import epoch_batches
from training.benchmarking.shapes import UNKNOWN
from training.tokenising import EncodedRow

PROMPT_MEDIAN, RESPONSE_MEDIAN = 180, 280
"""Tokens; the log-normal lengths of design.md, section 6."""
SIGMA = 0.85
"""Of the logarithm of both lengths. The section gives medians alone; with rows of at most 4,096 tokens, this is the
spread with which pairs cost the FLOPs that its rates and shares of peak say (Qwen3-0.6B within 1 %, 4B within 5 %)."""
_PARTS = ("prompt", "chosen", "rejected")


@dataclass(frozen=True)
class Workload:
    """Pairs as token ids, int32.

    Attributes:
        pair_ids: where the pairs are real; else numbers.
    """

    pair_ids: list[str]
    prompt: list[NDArray[np.int32]]
    chosen: list[NDArray[np.int32]]
    rejected: list[NDArray[np.int32]]

    def __len__(self) -> int:
        return len(self.prompt)

    def take(self, indices: Sequence[int] | NDArray[np.int64]) -> Workload:
        """Some pairs, in the order given."""
        prompt, chosen, rejected = ([values[i] for i in indices] for values in self.parts())
        return Workload([self.pair_ids[i] for i in indices], prompt, chosen, rejected)

    def parts(self) -> tuple[list[NDArray[np.int32]], list[NDArray[np.int32]], list[NDArray[np.int32]]]:
        """Prompts, chosen and rejected responses."""
        return self.prompt, self.chosen, self.rejected

    def lengths(self) -> NDArray[np.int64]:
        """int64[n, 3], tokens of prompt, chosen and rejected response."""
        return np.array([[len(ids) for ids in part] for part in self.parts()], dtype=np.int64).T.reshape(-1, 3)

    def shared_lengths(self) -> list[int]:
        """Tokens of each pair with its prompt counted once."""
        return [int(n) for n in self.lengths().sum(1)]

    def rows(self) -> list[tuple[EncodedRow, EncodedRow]]:
        """Chosen and rejected row of each pair, as our backbones read them."""
        return [(EncodedRow(p, c), EncodedRow(p, r)) for p, c, r in zip(*self.parts(), strict=True)]

    def trl_columns(self) -> dict[str, list[list[int]]]:
        """The tokenised columns of TRL's RewardTrainer: the same ids, prompt and response joined."""
        return {
            "chosen_ids": [np.concatenate(ids).tolist() for ids in zip(self.prompt, self.chosen, strict=True)],
            "rejected_ids": [np.concatenate(ids).tolist() for ids in zip(self.prompt, self.rejected, strict=True)],
        }

    def save(self, path: Path) -> None:
        """Write one npz file, whole or not at all."""
        flat = {name: np.concatenate(part) for name, part in zip(_PARTS, self.parts(), strict=True)}
        with replacing(path) as temporary, temporary.open("wb") as file:
            ids = np.array(self.pair_ids, dtype="U")
            np.savez(file, allow_pickle=False, lengths=self.lengths(), pair_ids=ids, **flat)

    @classmethod
    def load(cls, path: Path) -> Workload:
        """Inverse of `save`."""
        with np.load(path, allow_pickle=False) as file:
            ends = np.cumsum(file["lengths"], axis=0)[:-1]
            parts = [np.split(file[name], ends[:, at]) for at, name in enumerate(_PARTS)]
            return cls(file["pair_ids"].tolist(), *parts)


def in_steps(workload: Workload, batch_pairs: int, num_steps: int, seed: int) -> Workload:
    """The pairs of some steps in the order in which our loop trains on them: like lengths together.

    Batches are those of `training.batching.epoch_batches`, so a trainer that reads rows in order sees the same
    batches in the same order.

    Raises:
        SynprefError: there are fewer pairs than the steps take.
    """
    needed = batch_pairs * num_steps
    if len(workload) < needed:
        raise SynprefError(
            f"{num_steps} steps of {batch_pairs} pairs need {needed} pairs, and there are {len(workload)}.",
            todo="ask for fewer steps or smaller batches, or give more pairs",
        )
    some = workload.take(range(needed))
    return some.take(np.concatenate(epoch_batches(some.shared_lengths(), batch_pairs, seed, 0)))


def lognormal_workload(num_pairs: int, max_tokens: int, vocabulary_size: int, seed: int) -> Workload:
    """Random ids of log-normal lengths; a longer row than `max_tokens` is drawn again."""
    rng = np.random.default_rng(seed)
    drawn: list[NDArray[np.int64]] = []
    medians = np.log([PROMPT_MEDIAN, RESPONSE_MEDIAN, RESPONSE_MEDIAN])
    while len(drawn) < num_pairs:
        lengths = np.maximum(1, np.rint(rng.lognormal(medians, SIGMA))).astype(np.int64)
        if lengths[0] + lengths[1:].max() <= max_tokens:
            drawn.append(lengths)
    return random_workload(np.array(drawn), vocabulary_size, seed)


def random_workload(lengths: NDArray[np.int64], vocabulary_size: int, seed: int) -> Workload:
    """Random ids of given lengths int64[n, 3] (prompt, chosen, rejected); none is a special token."""
    rng = np.random.default_rng([seed, 1])
    parts = [
        [rng.integers(UNKNOWN + 1, vocabulary_size, n, dtype=np.int32) for n in lengths[:, part]] for part in range(3)
    ]
    return Workload([str(number) for number in range(len(lengths))], *parts)
