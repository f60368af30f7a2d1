"""Launch: the command that starts a training in one process or in several on this machine. Pure."""

from __future__ import annotations

import sys
from pathlib import Path

from assets.errors import ConfigError


def launch_command(spec: Path, num_processes: int = 1, *, python: str = sys.executable) -> list[str]:
    """The command for one machine; docs/training_at_scale.md has those for several.

    torchrun finds a free port, names each process's place and ends all of them when one dies.

    Args:
        spec: JSON file for `training.train`.
        num_processes: one per GPU.

    Raises:
        ConfigError: fewer than one process.

    >>> " ".join(launch_command(Path("spec.json"), 8, python="python"))
    'python -m torch.distributed.run --standalone --nproc_per_node 8 --module training.train spec.json'
    """
    if num_processes < 1:
        raise ConfigError("A training needs at least one process.", where="processes_per_node")
    if num_processes == 1:
        return [python, "-m", "training.train", str(spec)]
    torchrun = ["torch.distributed.run", "--standalone", "--nproc_per_node", str(num_processes)]
    return [python, "-m", *torchrun, "--module", "training.train", str(spec)]
