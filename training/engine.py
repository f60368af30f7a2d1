"""Engine: carries gradients and the optimiser's step for one module, on one process or on many."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

import torch

from training.recipe import TrainingRecipe


class Engine(Protocol):
    """What the loop knows of how weights change. Every process of a run calls every method, in the same order.

    Attributes:
        rank, world_size: this process among those that train together; 0 and 1 alone.
    """

    rank: int
    world_size: int

    def backward(self, loss: torch.Tensor, *, last: bool) -> None:
        """Add the gradient of a part of the step's loss; gradients are summed over parts and processes.

        Args:
            last: whether this is the step's last part on this process.
        """

    def step(self, learning_rate: float) -> float:
        """Clip, update, forget the gradients; returns the norm before clipping. A norm that is not finite updates
        nothing."""

    def discard_gradients(self) -> None:
        """Forget what `backward` has added since the last step."""

    def total(self, values: torch.Tensor) -> torch.Tensor:
        """Sum over the processes, float64[n] on the CPU; the same on each."""

    def state(self) -> Iterator[tuple[str, torch.Tensor]]:
        """Everything that resuming needs, float32 on the CPU, whole whatever the number of processes.

        Names: `weights/NAME`, `exp_avg/NAME`, `exp_avg_sq/NAME` for each trained parameter, `num_updates` (int64[]).
        Tensors are copies.
        """

    def load_state(self, state: dict[str, torch.Tensor]) -> None:
        """Inverse of `state`, also where it was written by another number of processes."""

    def weights(self) -> dict[str, torch.Tensor]:
        """All weights under their names in the module, copies on the CPU; empty on every process but the first."""


class LocalEngine:
    """Implements `Engine` on one process with AdamW."""

    rank, world_size = 0, 1

    def __init__(self, module: torch.nn.Module, recipe: TrainingRecipe) -> None:
        self._module = module
        self._max_grad_norm = recipe.max_grad_norm
        self._optimiser = torch.optim.AdamW(parameter_groups(module, recipe), lr=recipe.learning_rate, fused=True)

    def backward(self, loss: torch.Tensor, *, last: bool) -> None:
        """See `Engine`."""
        loss.backward()

    def step(self, learning_rate: float) -> float:
        """See `Engine`."""
        for group in self._optimiser.param_groups:
            group["lr"] = learning_rate
        norm = torch.nn.utils.clip_grad_norm_(self._module.parameters(), self._max_grad_norm)
        if torch.isfinite(norm):
            self._optimiser.step()
        self.discard_gradients()
        return norm.item()

    def discard_gradients(self) -> None:
        """See `Engine`."""
        self._optimiser.zero_grad(set_to_none=True)

    def total(self, values: torch.Tensor) -> torch.Tensor:
        """See `Engine`."""
        return values.double().cpu()

    def state(self) -> Iterator[tuple[str, torch.Tensor]]:
        """See `Engine`."""
        raise NotImplementedError

    def load_state(self, state: dict[str, torch.Tensor]) -> None:
        """See `Engine`."""
        raise NotImplementedError

    def weights(self) -> dict[str, torch.Tensor]:
        """See `Engine`."""
        return {name: tensor.detach().cpu().clone() for name, tensor in self._module.state_dict().items()}


def parameter_groups(module: torch.nn.Module, recipe: TrainingRecipe) -> list[dict]:
    """Trained parameters; weight decay on matrices only, because norms and biases have no scale to shrink."""
    trained = [p for p in module.parameters() if p.requires_grad]
    groups = [
        {"params": [p for p in trained if p.dim() > 1], "weight_decay": recipe.weight_decay},
        {"params": [p for p in trained if p.dim() <= 1], "weight_decay": 0.0},
    ]
    return [group for group in groups if group["params"]]
