"""LoRA: low-rank adapters put into a model's linear layers, and merged into its weights when training is done."""

from __future__ import annotations

import torch

from assets.errors import ConfigError
from training.recipe import LoraSettings

# The scalar head is new: it is trained whole, never adapted.
_HEAD = "score"


def add_adapters(module: torch.nn.Module, settings: LoraSettings, seed: int) -> None:
    """Replace linear layers in place by adapted ones; only adapters and the scalar head are trained from here on.

    Adapters begin as nothing: the model scores as before.

    Args:
        seed: of the adapters' first matrices.

    Raises:
        ConfigError: a target is no linear layer of the model.
    """
    from peft import LoraConfig, inject_adapter_in_model

    linear = {name.rpartition(".")[2] for name, part in module.named_modules() if isinstance(part, torch.nn.Linear)}
    linear.discard(_HEAD)
    targets = sorted(settings.targets or linear)
    unknown = [name for name in targets if name not in linear]
    if unknown or not targets:
        raise ConfigError(
            f"The model has no linear layers named {', '.join(unknown) or 'at all'}.",
            where="recipe.lora.targets",
            todo=f"choose among {', '.join(sorted(linear)) or 'another model'}",
        )
    config = LoraConfig(
        r=settings.rank,
        # peft divides it by the rank; a whole number is asked for by its annotation alone.
        lora_alpha=settings.alpha,  # type: ignore[arg-type]
        lora_dropout=settings.dropout,
        target_modules=targets,
    )
    torch.manual_seed(seed)
    inject_adapter_in_model(config, module)
    for name, parameter in module.named_parameters():
        if name.startswith(f"{_HEAD}."):
            parameter.requires_grad_(True)


def merge_adapters(module: torch.nn.Module) -> None:
    """Add adapters to the weights they adapt and put the plain layers back: the module is what it was, but trained."""
    from peft.tuners.tuners_utils import BaseTunerLayer

    adapted = [(name, part) for name, part in module.named_modules() if isinstance(part, BaseTunerLayer)]
    for name, layer in adapted:
        layer.merge()
        parent, _, own = name.rpartition(".")
        setattr(module.get_submodule(parent), own, layer.get_base_layer())
    for parameter in module.parameters():
        parameter.requires_grad_(True)
