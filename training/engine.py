"""Engine: carries gradients and the optimiser's step for one module, on one process or on many."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Protocol

import torch

from assets.errors import ConfigError, SynprefError
from training.recipe import TrainingRecipe

_MOMENTS = ("exp_avg", "exp_avg_sq")
# Masters are updated in blocks of this many, so that gradients in float32 take 1 GiB and not as much as the weights.
_MASTERS_PER_BLOCK = 2**28


class Engine(Protocol):
    """What the loop knows of how weights change. Every process of a run calls every method, in the same order.

    Attributes:
        rank, world_size: this process among those that train together; 0 and 1 alone.
        can_repeat: whether a step that was broken off can be computed again. Not with several processes, where the
            others have gone on to a sum that this one would never enter, nor with DeepSpeed at all.
    """

    rank: int
    world_size: int
    can_repeat: bool

    def forward(self, function: Callable[..., torch.Tensor], *arguments: Any) -> torch.Tensor:
        """What `function`, which runs the module, returns: engines that spread the weights must see every call."""

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

    def load_state(self, state: Mapping[str, torch.Tensor]) -> None:
        """Inverse of `state`, also where it was written by another number of processes."""

    def weights(self) -> dict[str, torch.Tensor]:
        """All weights under their names in the module, copies on the CPU; empty on every process but the first."""


class LocalEngine:
    """Implements `Engine` on one process with AdamW.

    Where the recipe computes in bfloat16 on a GPU, the module itself is bfloat16 and the engine holds float32 master
    weights: bfloat16 has 8 bits, and an update of less than 1/256 of a weight would be lost in it. On a CPU the
    backbone's autocast computes in bfloat16 over float32 weights, which needs no masters. `bfloat16_weights` keeps
    weights and states in bfloat16.

    Args:
        with_masters: by default where the recipe says bfloat16 and the module is on a GPU.
    """

    rank, world_size = 0, 1
    can_repeat = True

    def __init__(self, module: torch.nn.Module, recipe: TrainingRecipe, *, with_masters: bool | None = None) -> None:
        self._module = module
        self._max_grad_norm = recipe.max_grad_norm
        trained = {name: p for name, p in module.named_parameters() if p.requires_grad}
        if not trained:
            raise ConfigError("The model has no weight that is trained.", where="recipe.lora")
        if with_masters is None:
            with_masters = recipe.precision == "bfloat16" and next(iter(trained.values())).is_cuda
        # Copies are made before the module is rounded, so that masters start from the weights as they were loaded.
        masters = {name: p.detach().float().clone() for name, p in trained.items()} if with_masters else trained
        if with_masters or recipe.precision == "bfloat16_weights":
            round_parameters(module)
        self._trained = trained
        self._masters: dict[str, torch.Tensor] = {name: tensor for name, tensor in masters.items()}
        self._with_masters = with_masters
        self._is_rounded = any(p.dtype != torch.float32 for p in trained.values())
        self._sums: dict[str, torch.Tensor] = {}
        self._num_parts = 0
        self._blocks = _blocks(trained, _MASTERS_PER_BLOCK if with_masters else None)
        self._optimisers = [
            torch.optim.AdamW(_groups(self._masters, block, recipe.weight_decay), lr=recipe.learning_rate, fused=True)
            for block in self._blocks
        ]

    def forward(self, function: Callable[..., torch.Tensor], *arguments: Any) -> torch.Tensor:
        """See `Engine`."""
        return function(*arguments)

    def backward(self, loss: torch.Tensor, *, last: bool) -> None:
        """See `Engine`."""
        loss.backward()
        self._num_parts += 1
        if self._is_rounded and not (last and self._num_parts == 1):
            # Many small parts added up in bfloat16 would lose the later ones.
            for name, p in self._trained.items():
                if p.grad is None:
                    continue
                if name in self._sums:
                    self._sums[name] += p.grad
                else:
                    self._sums[name] = p.grad.float()
                p.grad = None

    def step(self, learning_rate: float) -> float:
        """See `Engine`."""
        gradients = {name: self._sums.get(name, p.grad) for name, p in self._trained.items()}
        norms = [torch.linalg.vector_norm(g, dtype=torch.float32) for g in gradients.values() if g is not None]
        norm = torch.linalg.vector_norm(torch.stack(norms))
        if torch.isfinite(norm):
            scale = torch.clamp(self._max_grad_norm / (norm + 1e-6), max=1.0)
            for block, optimiser in zip(self._blocks, self._optimisers, strict=True):
                self._update(block, optimiser, gradients, scale, learning_rate)
        self.discard_gradients()
        return norm.item()

    def _update(
        self,
        block: list[str],
        optimiser: torch.optim.Optimizer,
        gradients: dict[str, torch.Tensor | None],
        scale: torch.Tensor,
        learning_rate: float,
    ) -> None:
        """Update a block of weights; its gradients are in the weights' precision only meanwhile."""
        for group in optimiser.param_groups:
            group["lr"] = learning_rate
        for name in block:
            gradient, master = gradients[name], self._masters[name]
            self._trained[name].grad = None
            if gradient is not None:
                gradient = gradient.to(master.dtype).mul_(scale)
            master.grad = gradient
        optimiser.step()
        for name in block:
            self._masters[name].grad = None
            if self._with_masters:
                self._trained[name].data.copy_(self._masters[name])

    def discard_gradients(self) -> None:
        """See `Engine`."""
        self._sums, self._num_parts = {}, 0
        for p in self._trained.values():
            p.grad = None

    def total(self, values: torch.Tensor) -> torch.Tensor:
        """See `Engine`."""
        return values.double().cpu()

    def state(self) -> Iterator[tuple[str, torch.Tensor]]:
        """See `Engine`."""
        num_updates = 0
        for block, optimiser in zip(self._blocks, self._optimisers, strict=True):
            for name in block:
                held = optimiser.state.get(self._masters[name], {})
                num_updates = max(num_updates, int(held.get("step", 0)))
                yield f"weights/{name}", _copy(self._masters[name])
                for moment in _MOMENTS:
                    values = held.get(moment)
                    yield f"{moment}/{name}", _copy(torch.zeros_like(self._masters[name]) if values is None else values)
        yield "num_updates", torch.tensor(num_updates)

    def load_state(self, state: Mapping[str, torch.Tensor]) -> None:
        """See `Engine`.

        Raises:
            SynprefError: the state is of other weights than the module's.
        """
        check_names(state, {name: tuple(p.shape) for name, p in self._trained.items()})
        num_updates = float(state["num_updates"])
        with torch.no_grad():
            for block, optimiser in zip(self._blocks, self._optimisers, strict=True):
                for name in block:
                    master = self._masters[name]
                    master.copy_(state[f"weights/{name}"])
                    self._trained[name].copy_(master)
                    # A state that was never updated is none: AdamW makes it with the first gradient.
                    optimiser.state.pop(master, None)
                    if num_updates:
                        optimiser.state[master] = {
                            "step": torch.tensor(num_updates, device=master.device),
                            **{key: state[f"{key}/{name}"].to(master.device, master.dtype) for key in _MOMENTS},
                        }
        self.discard_gradients()

    def weights(self) -> dict[str, torch.Tensor]:
        """See `Engine`."""
        return {name: tensor.detach().cpu().clone() for name, tensor in self._module.state_dict().items()}


def round_parameters(module: torch.nn.Module) -> None:
    """Make all parameters bfloat16, in place.

    Buffers stay: the frequencies of rotary positions are a buffer, and in bfloat16 positions beyond 256 run together.
    """
    for parameter in module.parameters():
        parameter.data = parameter.data.to(torch.bfloat16)


def is_bfloat16(module: torch.nn.Module) -> bool:
    """Whether all parameters are bfloat16."""
    return all(parameter.dtype == torch.bfloat16 for parameter in module.parameters())


def check_names(state: Mapping[str, torch.Tensor], shapes: Mapping[str, tuple[int, ...]]) -> None:
    """Raise when a state is not one of weights with these names and shapes."""
    expected = {f"{kind}/{name}": shape for name, shape in shapes.items() for kind in ("weights", *_MOMENTS)}
    expected["num_updates"] = ()
    missing, unknown = sorted(expected.keys() - state.keys()), sorted(state.keys() - expected.keys())
    other = [name for name, shape in expected.items() if name in state and tuple(state[name].shape) != shape]
    if missing or unknown or other:
        said = {"missing": missing, "unknown": unknown, "of another shape": other}
        parts = [f"{len(names)} tensors {how}, e.g. {names[0]}" for how, names in said.items() if names]
        raise SynprefError(f"A checkpoint is of another model: {'; '.join(parts)}.")


def _blocks(trained: Mapping[str, torch.Tensor], size: int | None) -> list[list[str]]:
    """Names in order, cut into blocks of at most so many weights (or one larger one)."""
    blocks: list[list[str]] = [[]]
    held = 0
    for name, parameter in trained.items():
        if size is not None and blocks[-1] and held + parameter.numel() > size:
            blocks.append([])
            held = 0
        blocks[-1].append(name)
        held += parameter.numel()
    return blocks


def _groups(weights: Mapping[str, torch.Tensor], names: list[str], decay: float) -> list[dict]:
    """Groups for AdamW; weight decay on matrices only, because norms and biases have no scale to shrink."""
    groups = [
        {"params": [weights[name] for name in names if weights[name].dim() > 1], "weight_decay": decay},
        {"params": [weights[name] for name in names if weights[name].dim() <= 1], "weight_decay": 0.0},
    ]
    return [group for group in groups if group["params"]]


def _copy(tensor: torch.Tensor) -> torch.Tensor:
    return tensor.detach().to("cpu", torch.float32, copy=True)


def build_engine(module: torch.nn.Module, recipe: TrainingRecipe) -> Engine:
    """The engine that a recipe asks for: DeepSpeed where `recipe.zero` is set, else one process."""
    if recipe.zero is None:
        return LocalEngine(module, recipe)
    from training.deepspeed_engine import DeepSpeedEngine

    return DeepSpeedEngine(module, recipe)


def parameter_groups(module: torch.nn.Module, recipe: TrainingRecipe) -> list[dict]:
    """Trained parameters; weight decay on matrices only, because norms and biases have no scale to shrink."""
    trained = [p for p in module.parameters() if p.requires_grad]
    groups = [
        {"params": [p for p in trained if p.dim() > 1], "weight_decay": recipe.weight_decay},
        {"params": [p for p in trained if p.dim() <= 1], "weight_decay": 0.0},
    ]
    return [group for group in groups if group["params"]]
