"""Distribution: which process this is among those that train together, their group, and what each one computes."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from assets.errors import ConfigError, SynprefError

if TYPE_CHECKING:
    from training.recipe import TrainingRecipe

TIMEOUT_VARIABLE = "SYNPREF_PROCESS_TIMEOUT_S"
DEFAULT_TIMEOUT_S = 1800
"""How long a process waits for the others. Above the time that the first one tokenises or loads alone."""
_LOST_SIGNS = ("gloo", "NCCL", "Connection closed by peer", "Connection reset by peer", "TCPStore", "c10d")


class ProcessLostError(SynprefError):
    """Another process of a training has ended, or does not answer."""


@dataclass(frozen=True)
class Place:
    """This process among those that train together.

    Attributes:
        rank: 0 to world_size - 1; the first alone writes files, MLflow, messages and bars.
        local_rank: the same among the processes of one machine: the number of its GPU.
        launched: whether a launcher named it; a process that a person starts alone is not.
    """

    rank: int = 0
    local_rank: int = 0
    world_size: int = 1
    launched: bool = False

    @property
    def is_first(self) -> bool:
        """Whether this process speaks and writes for all."""
        return self.rank == 0


def place_of(environment: Mapping[str, str]) -> Place:
    """What a launcher says in the environment: torchrun and deepspeed (`RANK`), or Slurm's `srun`.

    A Slurm batch script outside `srun` is one process, however many tasks its allocation has: it would wait for
    the others for ever.

    Raises:
        ConfigError: a variable is missing, no number, or out of its range.

    >>> meet = {"MASTER_ADDR": "node1", "MASTER_PORT": "29500"}
    >>> place_of({"RANK": "3", "LOCAL_RANK": "1", "WORLD_SIZE": "4", **meet})
    Place(rank=3, local_rank=1, world_size=4, launched=True)
    >>> place_of({"SLURM_PROCID": "0", "SLURM_NTASKS": "8"})
    Place(rank=0, local_rank=0, world_size=1, launched=False)
    """
    if "RANK" in environment:
        names = ("RANK", "LOCAL_RANK", "WORLD_SIZE")
    elif "SLURM_STEP_NUM_TASKS" in environment and "SLURM_PROCID" in environment:
        names = ("SLURM_PROCID", "SLURM_LOCALID", "SLURM_STEP_NUM_TASKS")
    else:
        return Place()
    rank, local_rank, world_size = (_number(environment, name) for name in names)
    if not 0 <= local_rank <= rank < world_size:
        said = ", ".join(f"{name}={environment[name]}" for name in names)
        raise ConfigError(
            f"The launcher's variables do not fit together: {said}.", where="environment", todo="use one launcher"
        )
    if world_size > 1:
        for name in ("MASTER_ADDR", "MASTER_PORT"):
            if not environment.get(name):
                raise ConfigError(
                    f"{world_size} processes are to train together, and {name} does not say where they meet.",
                    where="environment",
                    todo="start with torchrun or deepspeed, or export it: docs/training_at_scale.md",
                )
    return Place(rank, local_rank, world_size, launched=True)


def timeout_of(environment: Mapping[str, str]) -> timedelta:
    """How long a process waits for the others before it stops.

    Raises:
        ConfigError: the variable is no number above 0.
    """
    if TIMEOUT_VARIABLE not in environment:
        return timedelta(seconds=DEFAULT_TIMEOUT_S)
    seconds = _number(environment, TIMEOUT_VARIABLE)
    if seconds <= 0:
        raise ConfigError(f"{TIMEOUT_VARIABLE} must be above 0.", where="environment")
    return timedelta(seconds=seconds)


@contextlib.contextmanager
def process_group(recipe: TrainingRecipe) -> Iterator[Place]:
    """Join the processes that train together, for as long as the block lasts; NCCL on GPUs, gloo on CPUs.

    One process without ZeRO joins nothing. Where another process ends or hangs inside the block, this one stops:
    at once when the connection breaks, otherwise after `timeout_of`; NCCL's watchdog then ends the process itself.

    Raises:
        ConfigError: several processes were started for a recipe without `zero`, or the variables are wrong.
        ProcessLostError: another process has ended or does not answer.
    """
    place = place_of(os.environ)
    if recipe.zero is None and place.world_size > 1:
        raise ConfigError(
            f"{place.world_size} processes were started, and the recipe does not say what is split over them.",
            where="recipe.zero",
            todo="set recipe.zero.stage, or start one process",
        )
    if recipe.zero is None:
        yield place
        return
    import torch
    import torch.distributed as dist

    backend = "gloo"
    if torch.cuda.is_available():
        backend = "nccl"
        torch.cuda.set_device(place.local_rank)
    # DeepSpeed reads it even where the group is there already.
    os.environ.setdefault("LOCAL_RANK", str(place.local_rank))
    timeout = timeout_of(os.environ)
    with _lost_processes_named(place, timeout):
        if place.launched:
            dist.init_process_group(backend, rank=place.rank, world_size=place.world_size, timeout=timeout)
        else:
            dist.init_process_group(backend, store=dist.HashStore(), rank=0, world_size=1, timeout=timeout)
        yield place
        if place.world_size > 1:
            # The first process writes after the last step; the others must not take the group down meanwhile.
            dist.barrier()
        # After an error nobody waits for this: it could wait for processes that are gone.
        dist.destroy_process_group()


def gather_all(values: Sequence[str]) -> list[str]:
    """The values of every process, in order of rank, on every process; every process must call it."""
    import torch.distributed as dist

    if not dist.is_initialized() or dist.get_world_size() == 1:
        return list(values)
    parts: list[list[str]] = [[] for _ in range(dist.get_world_size())]
    dist.all_gather_object(parts, list(values))
    return [value for part in parts for value in part]


Planner = Callable[[Sequence[int], int, int], list[list[list[int]]]]
"""`training.packing.plan_step`: lengths, tokens a pack, processes; for each process its packs."""


def own_packs(
    lengths: Sequence[int], max_tokens: int, rank: int, world_size: int, planner: Planner
) -> list[tuple[list[int], bool]]:
    """The packs of one process in a step, and whether each counts.

    Every process computes the same plan from the same lengths, so nothing is sent. A process with less work than
    the others computes the step's shortest pair instead of an empty pack: ZeRO-3 gathers weights together, so all
    must run the model equally often. Such a pack does not count: its loss is taken times 0.

    Returns:
        Indices of whole pairs, and False for the packs that only keep step.
    """
    packs = planner(lengths, max_tokens, world_size)[rank]
    shortest = min(range(len(lengths)), key=lengths.__getitem__)
    return [(list(pack), True) if pack else ([shortest], False) for pack in packs]


@contextlib.contextmanager
def _lost_processes_named(place: Place, timeout: timedelta) -> Iterator[None]:
    import torch.distributed as dist

    try:
        yield
    except (RuntimeError, dist.DistError) as error:
        lost = isinstance(error, dist.DistError) or any(sign in str(error) for sign in _LOST_SIGNS)
        if place.world_size == 1 or not lost:
            raise
        raise ProcessLostError(
            f"Another process of this training has ended or did not answer for {timeout.total_seconds():.0f} s.",
            where=f"process {place.rank} of {place.world_size}: {str(error).splitlines()[0][:200]}",
            kept="checkpoints written so far",
            todo="look for the first error among the processes' logs, then start again: training goes on from the "
            "last checkpoint",
        ) from error


def _number(environment: Mapping[str, str], name: str) -> int:
    value = environment.get(name, "")
    try:
        return int(value)
    except ValueError:
        raise ConfigError(
            f"{name} is {value!r}, not a number.", where="environment", todo="start with torchrun, deepspeed or srun"
        ) from None
