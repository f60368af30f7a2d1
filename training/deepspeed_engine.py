"""DeepSpeed engine: ZeRO 0 to 3 behind `training.engine.Engine`; a state fits any stage and number of processes."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import torch
import torch.distributed as dist

from assets.errors import ConfigError, SynprefError
from training.deepspeed_config import deepspeed_config, import_deepspeed
from training.recipe import TrainingRecipe

_MOMENTS = ("exp_avg", "exp_avg_sq")


class DeepSpeedEngine:
    """Implements `Engine`. A process group must exist: `training.distribution.process_group`.

    The module must be run through `forward`, because DeepSpeed counts the parts of a step and, at stage 3, fetches
    weights at the calls of the module it was given.
    """

    def __init__(self, module: torch.nn.Module, recipe: TrainingRecipe) -> None:
        if recipe.zero is None or not dist.is_initialized():
            raise ConfigError(
                "DeepSpeed trains inside a process group, with a recipe that names a ZeRO stage.",
                where="recipe.zero",
                todo="set it and open training.distribution.process_group(recipe) first",
            )
        deepspeed = import_deepspeed()
        self.rank, self.world_size = dist.get_rank(), dist.get_world_size()
        self.can_repeat = False
        self._stage = recipe.zero.stage
        self._max_grad_norm = recipe.max_grad_norm
        self._module = module
        self._num_updates = 0
        # What the optimiser keeps them in.
        self._weights_dtype = torch.bfloat16 if recipe.precision == "bfloat16_weights" else torch.float32
        optimiser = _build_optimiser(module, recipe)
        self._engine, *_ = deepspeed.initialize(
            model=_Called(module), optimizer=optimiser, config=deepspeed_config(recipe), dist_init_required=False
        )
        self._device = self._engine.device
        self._trained = {name: p for name, p in module.named_parameters() if p.requires_grad}
        _create_moments(self._engine.optimizer, optimiser)

    def forward(self, function: Callable[..., torch.Tensor], *arguments: Any) -> torch.Tensor:
        """See `Engine`: what `function`, which runs the module, returns."""
        return self._engine(function, *arguments)

    def backward(self, loss: torch.Tensor, *, last: bool) -> None:
        """See `Engine`."""
        self._engine.set_gradient_accumulation_boundary(last)
        # DeepSpeed takes the mean over processes; a step's loss is a sum.
        self._engine.backward(loss * self.world_size, scale_wrt_gas=False)

    def step(self, learning_rate: float) -> float:
        """See `Engine`. Where DeepSpeed clips (stages 1 to 3), a norm that is not finite is given as infinite."""
        for group in self._engine.optimizer.param_groups:
            group["lr"] = learning_rate
        if self._stage == 0:
            # In float32 without ZeRO, DeepSpeed clips but neither says the norm nor looks at it.
            norm = torch.nn.utils.clip_grad_norm_(self._trained.values(), self._max_grad_norm).item()
            if math.isfinite(norm):
                self._engine.step()
            self.discard_gradients()
        else:
            self._engine.step()
            norm = float(self._engine.get_global_grad_norm())
        self._num_updates += math.isfinite(norm)
        return norm

    def discard_gradients(self) -> None:
        """See `Engine`; after whole calls of `backward`, one that was interrupted leaves DeepSpeed unusable."""
        for parameter in self._trained.values():
            parameter.grad = None
        if self._stage:
            _forget(self._engine.optimizer)

    def total(self, values: torch.Tensor) -> torch.Tensor:
        """See `Engine`."""
        values = values.detach().double().to(self._device, copy=True)
        dist.all_reduce(values)
        return values.cpu()

    def state(self) -> Iterator[tuple[str, torch.Tensor]]:
        """See `Engine`; one parameter is whole at a time, and every process must go through all of them."""
        for name, parameter in self._trained.items():
            yield f"weights/{name}", self._whole(parameter, None)
            for moment in _MOMENTS:
                yield f"{moment}/{name}", self._whole(parameter, moment)
        yield "num_updates", torch.tensor(self._num_updates)

    def load_state(self, state: Mapping[str, torch.Tensor]) -> None:
        """See `Engine`.

        Raises:
            SynprefError: the state is of another model; nothing is changed then.
        """
        self._refuse_other(state)
        for name, parameter in self._trained.items():
            self._set(parameter, None, state[f"weights/{name}"])
            for moment in _MOMENTS:
                self._set(parameter, moment, state[f"{moment}/{name}"])
        self._num_updates = int(state["num_updates"])
        for moments in _inner_optimiser(self._engine.optimizer).state.values():
            step = moments["step"]
            moments["step"] = torch.full_like(step, self._num_updates) if torch.is_tensor(step) else self._num_updates

    def weights(self) -> dict[str, torch.Tensor]:
        """See `Engine`; trained weights are the optimiser's own, float32 unless the recipe trains in bfloat16."""
        whole = {}
        for name, tensor in self._module.state_dict(keep_vars=True).items():
            trained = name in self._trained
            value = self._whole(tensor, None).to(self._weights_dtype) if trained else _gathered(tensor)
            if self.rank == 0:
                whole[name] = value
        return whole

    def _whole(self, parameter: torch.Tensor, moment: str | None) -> torch.Tensor:
        from deepspeed.utils import safe_get_full_fp32_param, safe_get_full_optimizer_state

        if self._stage == 0:
            value = parameter if moment is None else self._engine.optimizer.state[parameter][moment]
        elif moment is None:
            value = safe_get_full_fp32_param(parameter)
        else:
            value = safe_get_full_optimizer_state(parameter, moment)
        return value.detach().to("cpu", torch.float32, copy=True).view(whole_shape(parameter))

    def _set(self, parameter: torch.Tensor, moment: str | None, value: torch.Tensor) -> None:
        from deepspeed import zero
        from deepspeed.utils import (
            safe_set_full_fp32_param,
            safe_set_full_optimizer_state,
        )

        value = value.to(self._device, torch.float32).view(whole_shape(parameter))
        if moment is not None:
            if self._stage == 0:
                self._engine.optimizer.state[parameter][moment].copy_(value)
            else:
                safe_set_full_optimizer_state(parameter, value, moment)
            return
        if self._stage:
            safe_set_full_fp32_param(parameter, value)
        # The weights that compute are a copy of the optimiser's.
        with torch.no_grad(), zero.GatheredParameters([parameter], modifier_rank=0, enabled=self._stage == 3):
            if self._stage != 3 or self.rank == 0:
                parameter.copy_(value)

    def _refuse_other(self, state: Mapping[str, torch.Tensor]) -> None:
        expected = {f"{kind}/{name}" for name in self._trained for kind in ("weights", *_MOMENTS)} | {"num_updates"}
        wrong = sorted(expected ^ set(state))
        wrong += [
            f"{kind}/{name}"
            for name, parameter in self._trained.items()
            for kind in ("weights", *_MOMENTS)
            if f"{kind}/{name}" in state and state[f"{kind}/{name}"].shape != whole_shape(parameter)
        ]
        if wrong:
            raise SynprefError(
                f"The state is of another model: {len(wrong)} tensors are missing, unknown or of another shape.",
                where=", ".join(wrong[:5]),
                kept="the model as it was",
                todo="resume with the recipe the state was written with",
            )


class _Called(torch.nn.Module):
    """Runs any function of the module it holds, so that all of DeepSpeed's hooks see the call."""

    def __init__(self, module: torch.nn.Module) -> None:
        super().__init__()
        self.module = module

    def forward(self, function: Callable[..., torch.Tensor], *arguments: Any) -> torch.Tensor:
        return function(*arguments)


def parameter_groups(module: torch.nn.Module, recipe: TrainingRecipe) -> list[dict]:
    """Trained parameters for AdamW; weight decay on matrices only, because norms and biases have no scale to shrink."""
    trained = [p for p in module.parameters() if p.requires_grad]
    groups = [
        {"params": [p for p in trained if len(whole_shape(p)) > 1], "weight_decay": recipe.weight_decay},
        {"params": [p for p in trained if len(whole_shape(p)) <= 1], "weight_decay": 0.0},
    ]
    return [group for group in groups if group["params"]]


def whole_shape(parameter: torch.Tensor) -> torch.Size:
    """Shape of a parameter, also where ZeRO-3 has split it and the tensor itself is empty."""
    return getattr(parameter, "ds_shape", parameter.shape)


def _build_optimiser(module: torch.nn.Module, recipe: TrainingRecipe) -> torch.optim.Optimizer:
    groups = parameter_groups(module, recipe)
    assert recipe.zero is not None
    if not recipe.zero.offload_optimizer:
        return torch.optim.AdamW(groups, lr=recipe.learning_rate, fused=True)
    from deepspeed.ops.adam import DeepSpeedCPUAdam

    try:
        return DeepSpeedCPUAdam(
            groups, lr=recipe.learning_rate, fp32_optimizer_states=recipe.precision != "bfloat16_weights"
        )
    except Exception as error:
        raise ConfigError(
            f"The optimiser that works in main memory could not be built: {str(error).strip() or error!r}.",
            where="recipe.zero.offload_optimizer",
            todo="install g++ and ninja (and nvcc where there is a GPU), or turn offload_optimizer off",
        ) from error


def _inner_optimiser(optimiser: Any) -> Any:
    """The optimiser that ZeRO gives its part of the weights to."""
    return optimiser if isinstance(optimiser, torch.optim.Optimizer) else optimiser.optimizer


def _create_moments(optimiser: Any, built: torch.optim.Optimizer) -> None:
    """Give every weight its moments before the first step: a state can then be read and set at any time."""
    # Each of ZeRO's implementations (BF16 at stage 1, 1 and 2, 3) has its own name for its part of the weights.
    names = ("fp32_groups_flat_partition", "single_partition_of_fp32_groups", "fp32_partitioned_groups_flat")
    parts = next((getattr(optimiser, name) for name in names if hasattr(optimiser, name)), None)
    if parts is None:
        parts = [parameter for group in optimiser.param_groups for parameter in group["params"]]
    moments_in_float32 = getattr(built, "fp32_optimizer_states", False)
    for part in parts:
        on_cpu = type(built).__name__ == "DeepSpeedCPUAdam"
        step = 0 if on_cpu else torch.zeros((), dtype=torch.float32, device=part.device)
        dtype = torch.float32 if moments_in_float32 else part.dtype
        moments = {name: torch.zeros_like(part, dtype=dtype, requires_grad=False) for name in _MOMENTS}
        built.state[part] = {"step": step, **moments}
    if hasattr(optimiser, "_lazy_init_hp_params_optimizer_state"):
        optimiser._lazy_init_hp_params_optimizer_state()


def _forget(optimiser: Any) -> None:
    """What `backward` has put into ZeRO's own buffers, as its step clears it when it refuses a gradient."""
    optimiser.zero_grad()
    if hasattr(optimiser, "reset_cpu_buffers"):
        optimiser.reset_cpu_buffers()
    # Stages 1 and 2 only; at stage 3, and in bfloat16 at stage 1, zero_grad has done it all.
    if hasattr(optimiser, "all_grad_tensors"):
        optimiser.micro_step_id = -1
        optimiser._release_preflattened_grad_buffers()
        for buffers in (optimiser.averaged_gradients, optimiser.all_grad_tensors):
            for key in buffers:
                buffers[key] = None


def _gathered(tensor: torch.Tensor) -> torch.Tensor:
    from deepspeed import zero

    with zero.GatheredParameters([tensor], enabled=hasattr(tensor, "ds_id")):
        return tensor.detach().to("cpu", copy=True)
