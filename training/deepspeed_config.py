"""DeepSpeed's configuration, made from a recipe, and how weights are split while they load. No other file names its
settings."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

from assets.errors import ConfigError
from training.recipe import TrainingRecipe

# Elements of one message. DeepSpeed's own 5e8 costs 2 GB a buffer in float32; below 5e7 messages stop being efficient.
_BUCKET = 50_000_000
# Smaller parameters stay whole at stage 3: norms, and the head, which is read without a call of its layer.
_PERSISTENT = 100_000


def deepspeed_config(recipe: TrainingRecipe) -> dict[str, Any]:
    """What `deepspeed.initialize` is given.

    Micro-batches, their number and the learning rate are the loop's; DeepSpeed is told one of each.

    Raises:
        ConfigError: stage 0 with weights in bfloat16, which DeepSpeed has no way for.
    """
    zero = recipe.zero
    assert zero is not None
    config: dict[str, Any] = {
        "train_micro_batch_size_per_gpu": 1,
        "gradient_accumulation_steps": 1,
        "steps_per_print": None,
        "zero_allow_untested_optimizer": True,
        # Stage 0 clips in `DeepSpeedEngine.step`.
        "gradient_clipping": recipe.max_grad_norm if zero.stage else 0.0,
        "zero_optimization": {
            "stage": zero.stage,
            "reduce_bucket_size": _BUCKET,
            "allgather_bucket_size": _BUCKET,
            "stage3_prefetch_bucket_size": _BUCKET,
            "stage3_param_persistence_threshold": _PERSISTENT,
        },
    }
    if zero.offload_optimizer:
        config["zero_optimization"]["offload_optimizer"] = {"device": "cpu", "pin_memory": _on_gpu()}
    if zero.offload_weights:
        config["zero_optimization"]["offload_param"] = {"device": "cpu", "pin_memory": _on_gpu()}
    if recipe.precision == "bfloat16_weights":
        if zero.stage == 0:
            raise ConfigError(
                "Stage 0 keeps weights in float32.", where="recipe.precision", todo="set recipe.zero.stage to 1"
            )
        config["bf16"] = {"enabled": True, "bf16_master_weights_and_grads": True, "bf16_optimizer_states": True}
    elif recipe.precision == "bfloat16" and zero.stage:
        # A step of 10,240 pairs adds up hundreds of parts: in bfloat16 the later ones would vanish.
        config["bf16"] = {"enabled": True}
        config["data_types"] = {"grad_accum_dtype": "fp32"}
    return config


@contextlib.contextmanager
def weights_split_while_loading(recipe: TrainingRecipe) -> Iterator[None]:
    """At stage 3, `from_pretrained` inside the block gives each process its part of every weight.

    A process reads the files one tensor at a time, so no machine holds all weights once per process. At other stages
    nothing changes. Must be opened inside `training.distribution.process_group`.
    """
    if recipe.zero is None or recipe.zero.stage != 3:
        yield
        return
    import_deepspeed()
    from transformers.integrations import HfDeepSpeedConfig
    from transformers.integrations.deepspeed import unset_hf_deepspeed_config

    # transformers keeps a weak reference: the object must live as long as the block.
    alive = HfDeepSpeedConfig(deepspeed_config(recipe))
    try:
        yield
    finally:
        unset_hf_deepspeed_config()
        del alive


def import_deepspeed() -> Any:
    """DeepSpeed, quiet, and with messages that end when a process has died."""
    import logging
    import warnings

    import deepspeed
    from deepspeed import ops

    # Its way around gloo on one machine compiles C++ for minutes at the first use, and waits for a process that has
    # died without any timeout.
    ops.__compatible_ops__["deepspeed_shm_comm"] = False
    logging.getLogger("DeepSpeed").setLevel(logging.ERROR)
    # It calls functions that torch has renamed, and each call would say so.
    warnings.filterwarnings("ignore", category=FutureWarning, module="torch.distributed")
    return deepspeed


def _on_gpu() -> bool:
    import torch

    return torch.cuda.is_available()
