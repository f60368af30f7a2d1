"""TRL's RewardTrainer on our tokens: the same ids, batches, order, learning rates and initial weights as ours."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from assets.errors import ConfigError
from training.benchmarking.workload import Workload
from training.loop import Point, learning_rate
from training.recipe import TrainingRecipe

DEFAULT_BATCH = 8
"""Pairs on a device in TRL's defaults (transformers' TrainingArguments)."""


def build_trainer(
    workload: Workload,
    recipe: TrainingRecipe,
    scratch: Path,
    *,
    num_steps: int,
    seed: int,
    micro_batch_pairs: int | None,
    on_step: Callable[[], None] = lambda: None,
) -> Any:
    """A trainer that reads the workload's rows in their order.

    Args:
        recipe: `model` is a folder with weights and head; its schedule is used step by step.
        micro_batch_pairs: pairs on the device at a time, the rest of a step's `recipe.batch_pairs` accumulated, in the
            recipe's precision, without gradient checkpointing. None for TRL's defaults, in which a step has
            `DEFAULT_BATCH` pairs, weights are float32 under bfloat16 autocast and activations are computed twice.
        on_step: called after each step of the optimiser.

    Raises:
        ConfigError: TRL is not installed, or a step is no multiple of the micro-batch.
    """
    try:
        import trl
    except ImportError as error:
        raise ConfigError("TRL is not installed.", todo="pip install 'synpref[trl]'") from error
    import torch
    from datasets import Dataset
    from transformers import AutoModelForSequenceClassification, AutoTokenizer, TrainerCallback

    class Marks(TrainerCallback):
        def on_step_end(self, args, state, control, **kwargs):
            on_step()

    class Trainer(trl.RewardTrainer):
        def create_scheduler(self, num_training_steps, optimizer=None):
            def share(step: int) -> float:
                # The scheduler looks one step beyond the last.
                return learning_rate(min(step, num_steps - 1), num_steps, recipe) / recipe.learning_rate

            self.lr_scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer or self.optimizer, share)
            return self.lr_scheduler

    half_weights = micro_batch_pairs is not None and recipe.precision == "bfloat16_weights"
    model = AutoModelForSequenceClassification.from_pretrained(
        recipe.model, num_labels=1, dtype=torch.bfloat16 if half_weights else torch.float32, use_safetensors=True
    )
    settings: dict[str, Any] = {"per_device_train_batch_size": DEFAULT_BATCH}
    if micro_batch_pairs is not None:
        if recipe.batch_pairs % micro_batch_pairs:
            raise ConfigError(f"A step of {recipe.batch_pairs} pairs is no multiple of {micro_batch_pairs}.")
        settings = {
            "per_device_train_batch_size": micro_batch_pairs,
            "gradient_accumulation_steps": recipe.batch_pairs // micro_batch_pairs,
            "gradient_checkpointing": False,
            "bf16": recipe.precision == "bfloat16",
        }
    arguments = trl.RewardConfig(
        output_dir=str(scratch),
        max_steps=num_steps,
        learning_rate=recipe.learning_rate,
        weight_decay=recipe.weight_decay,
        max_grad_norm=recipe.max_grad_norm,
        per_device_eval_batch_size=micro_batch_pairs or DEFAULT_BATCH,
        # It would drop longer pairs; ours were cut to length when they were tokenised.
        max_length=None,
        train_sampling_strategy="sequential",
        use_cpu=not torch.cuda.is_available(),
        seed=seed,
        logging_steps=1,
        report_to="none",
        save_strategy="no",
        disable_tqdm=True,
        **settings,
    )
    return Trainer(
        model=model,
        args=arguments,
        train_dataset=Dataset.from_dict(workload.trl_columns()),
        processing_class=AutoTokenizer.from_pretrained(recipe.model),
        callbacks=[Marks()],
    )


def step_points(trainer: Any) -> list[Point]:
    """What TRL logged of each step, under our curves' names."""
    names = {"loss": "loss", "accuracy": "train/accuracy", "margin": "train/margin", "grad_norm": "train/grad_norm"}
    return [
        Point(entry["step"], ours, float(entry[theirs]))
        for entry in trainer.state.log_history
        for theirs, ours in names.items()
        if "loss" in entry and theirs in entry
    ]
