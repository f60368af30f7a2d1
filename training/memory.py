"""Memory: what a training step takes, estimated before anything is loaded, and how many layers are to be recomputed."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from assets.errors import ConfigError
from training.recipe import TrainingRecipe

_GB = 1e9
# Left to the allocator's gaps, the data and the rest of the process.
_USABLE = 0.92
_CGROUP = Path("/sys/fs/cgroup")


@dataclass(frozen=True)
class ModelSize:
    """What memory depends on.

    Attributes:
        num_parameters: all of them; `num_trained` those that gradients are kept for.
        num_layers: decoder layers, of these sizes: hidden state, all queries, all keys, feed-forward.
        num_norms: of a layer's hidden states; `norms_heads` where queries and keys are normalised too.
    """

    num_parameters: int
    num_trained: int
    num_layers: int
    hidden: int
    queries: int
    keys: int
    feed_forward: int
    num_norms: int
    norms_heads: bool


@dataclass(frozen=True)
class MemoryPlan:
    """Bytes of one process on the device that computes.

    Attributes:
        num_checkpointed_layers: whose activations are computed again in the backward pass.
    """

    weights: float
    gradients: float
    optimiser: float
    activations: float
    num_checkpointed_layers: int

    @property
    def total(self) -> float:
        """Bytes."""
        return self.weights + self.gradients + self.optimiser + self.activations


def plan_memory(
    size: ModelSize, recipe: TrainingRecipe, *, free: float, on_gpu: bool, compiled: bool, world_size: int = 1
) -> MemoryPlan:
    """What a step takes at most, with as few layers recomputed as fit where the recipe leaves that open.

    A step computes at most `micro_batch_tokens` at a time, or one pair that is longer: a pair is never split, so it is
    computed as a pack of its own, and the longest that the recipe lets through is what is planned for.

    Args:
        free: bytes that this process may use.
        compiled: whether layers are; they then keep less for the backward pass.

    Raises:
        ConfigError: it does not fit; says what takes how much, and what to lower.
    """
    pair = 2 * recipe.max_tokens
    tokens = min(max(recipe.micro_batch_tokens, pair), recipe.batch_pairs * pair)
    weights, gradients, optimiser = _of_parameters(size, recipe, on_gpu, world_size)
    element = 4 if recipe.precision == "float32" else 2
    layer = tokens * _kept_of_layer(size, element, compiled)
    handed_on = tokens * size.hidden * element

    def plan(recomputed: int) -> MemoryPlan:
        # A recomputed layer keeps its input; while its backward runs, all that it keeps besides. The last layer's
        # backward comes first, when everything is still there: to recompute it saves nothing.
        kept = size.num_layers - recomputed
        activations = max(kept, 1) * layer + size.num_layers * handed_on
        return MemoryPlan(weights, gradients, optimiser, activations, recomputed)

    least, most = {
        "never": (0, 0),
        "always": (size.num_layers - 1, size.num_layers - 1),
        "auto": (0, size.num_layers - 1),
    }[recipe.activation_checkpointing]
    room = _USABLE * free
    for recomputed in range(least, most + 1):
        if plan(recomputed).total <= room:
            return plan(recomputed)
    raise _too_much(plan(most), free, tokens, recipe, on_gpu)


def _of_parameters(
    size: ModelSize, recipe: TrainingRecipe, on_gpu: bool, world_size: int
) -> tuple[float, float, float]:
    weight, gradient, state = {
        "float32": (4, 4, 8),
        # On a GPU the optimiser holds the float32 weights; on a CPU the model does, and casts as it computes.
        "bfloat16": (2, 2, 12) if on_gpu else (6, 4, 8),
        "bfloat16_weights": (2, 2, 4),
    }[recipe.precision]
    zero = recipe.zero
    stage = zero.stage if zero else 0
    weights: float = weight * size.num_parameters / (world_size if stage == 3 else 1)
    gradients: float = gradient * size.num_trained / (world_size if stage >= 2 else 1)
    optimiser: float = state * size.num_trained / (world_size if stage >= 1 else 1)
    if on_gpu and zero and zero.offload_weights:
        weights = 0.0
    if on_gpu and zero and zero.offload_optimizer:
        optimiser = 0.0
    return weights, gradients, optimiser


def _kept_of_layer(size: ModelSize, element: int, compiled: bool) -> int:
    """Bytes of one token that a layer keeps for its backward pass.

    Counted on Llama, Qwen3 and Gemma 3 (a test counts again); the attention's kernel keeps its inputs and output, not
    its weights. A compiled layer keeps little more than what its matrices multiply: 70 KB at Qwen3-4B's shape in
    bfloat16, against 71 KB of a measured prototype.
    """
    if compiled:
        return element * (2 * size.hidden + 2 * size.queries + 2 * size.keys + 2 * size.feed_forward)
    # A norm computes in float32, and keeps its input so beside what it hands on.
    norm = 4 + element
    of_hidden = 2 * element + size.num_norms * norm
    of_queries = 3 * element + size.norms_heads * norm
    of_keys = 4 * element + size.norms_heads * norm
    return of_hidden * size.hidden + of_queries * size.queries + of_keys * size.keys + 4 * element * size.feed_forward


def _too_much(plan: MemoryPlan, free: float, tokens: int, recipe: TrainingRecipe, on_gpu: bool) -> ConfigError:
    parts = {
        "weights": plan.weights,
        "gradients": plan.gradients,
        "optimiser": plan.optimiser,
        f"activations of {tokens} tokens": plan.activations,
    }
    said = ", ".join(f"{name} {bytes_ / _GB:.1f}" for name, bytes_ in parts.items())
    fixed = plan.total - plan.activations
    if fixed < _USABLE * free:
        todo = "lower recipe.micro_batch_tokens and recipe.max_tokens"
        if recipe.activation_checkpointing == "never":
            todo += ", or let recipe.activation_checkpointing be auto"
    else:
        options = ["a smaller model", "recipe.lora"]
        if recipe.precision != "bfloat16_weights" and on_gpu:
            options.append("recipe.precision: bfloat16_weights")
        if recipe.zero is None or recipe.zero.stage < 3:
            options.append("a higher recipe.zero.stage over more processes")
        todo = f"use {', '.join(options[:-1])} or {options[-1]}"
    return ConfigError(
        f"The recipe asks for {plan.total / _GB:.1f} GB of memory where {free / _GB:.1f} GB are free: {said} GB.",
        where="recipe",
        kept="nothing was loaded",
        todo=todo,
    )


def free_memory(on_gpu: bool) -> float:
    """Bytes that this process can still take: of the GPU, or of the machine and of the container around us."""
    if on_gpu:
        import torch

        return float(torch.cuda.mem_get_info()[0])
    import psutil

    free = float(psutil.virtual_memory().available)
    try:
        limit = (_CGROUP / "memory.max").read_text().strip()
        used = float((_CGROUP / "memory.current").read_text())
        stat = dict(line.split() for line in (_CGROUP / "memory.stat").read_text().splitlines())
    except OSError:
        return free
    # Pages of files that were read once are given back when memory is asked for.
    return free if limit == "max" else min(free, float(limit) - used + float(stat.get("inactive_file", 0)))


def size_of(module: Any, recipe: TrainingRecipe) -> ModelSize:
    """Read off a decoder of transformers, which may lie on the meta device and so take no memory itself."""
    from torch import nn

    config = module.config.get_text_config()
    base = getattr(module.base_model, "language_model", module.base_model)
    names = [name for name, _ in base.layers[0].named_modules()]
    heads = config.num_attention_heads
    head = getattr(config, "head_dim", None) or config.hidden_size // heads
    num_parameters = sum(p.numel() for p in module.parameters())
    trained = num_parameters
    if recipe.lora is not None:
        linears = {name: part for name, part in module.named_modules() if isinstance(part, nn.Linear)}
        adapted = [
            part
            for name, part in linears.items()
            if name != "score" and (not recipe.lora.targets or name.rsplit(".", 1)[-1] in recipe.lora.targets)
        ]
        trained = config.hidden_size + recipe.lora.rank * sum(p.in_features + p.out_features for p in adapted)
    return ModelSize(
        num_parameters=num_parameters,
        num_trained=trained,
        num_layers=config.num_hidden_layers,
        hidden=config.hidden_size,
        queries=heads * head,
        keys=(getattr(config, "num_key_value_heads", None) or heads) * head,
        feed_forward=config.intermediate_size,
        num_norms=max(2, sum("norm" in name and "." not in name for name in names)),
        norms_heads=any(name.endswith("q_norm") for name in names),
    )
