"""Recipe: how one reward model is trained. Paper's values in brackets."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from assets.settings_base import Count, Positive, Settings, Share


class LossSettings(Settings):
    """What is added to the Bradley-Terry loss; by default nothing (paper, section 7).

    Attributes:
        margin: the chosen score must lead by this much before a pair costs less than log 2.
        label_smoothing: share of labels taken to be wrong; below 0.5.
        centring: weight of the squared sum of a pair's two scores, which keeps scores around 0.
    """

    margin: Annotated[float, Field(ge=0)] = 0.0
    label_smoothing: Annotated[float, Field(ge=0, lt=0.5)] = 0.0
    centring: Annotated[float, Field(ge=0)] = 0.0


class LoraSettings(Settings):
    """Low-rank adapters instead of all weights; merged into the weights that are saved.

    Attributes:
        rank: of the adapters.
        alpha: scale; the adapters' product is multiplied by alpha / rank.
        dropout: of the adapters' input, while training.
        targets: names of the linear layers; empty for all of them.
    """

    rank: Positive = 16
    alpha: Annotated[float, Field(gt=0)] = 32.0
    dropout: Share = 0.0
    targets: tuple[str, ...] = ()


class CheckpointSettings(Settings):
    """Checkpoints that a killed training goes on from.

    Attributes:
        every_steps: between two checkpoints; 0 writes none, and a killed training begins again. Where they are
            written, one is also written whenever dev is better than ever.
        keep_last: how many of the newest are kept.
        keep_best: how many of those with the highest dev accuracy are kept besides; the best one holds the weights
            that training ends with.
        keep_when_done: whether they stay when the model has been written.
    """

    every_steps: Count = 0
    keep_last: Positive = 2
    keep_best: Positive = 1
    keep_when_done: bool = False


class ZeroSettings(Settings):
    """DeepSpeed's ZeRO: what is split over the processes.

    Attributes:
        stage: 0 nothing, 1 the optimiser's states, 2 also gradients, 3 also weights.
        offload_optimizer, offload_weights: keep them in main memory; weights at stage 3 only.
    """

    stage: Literal[0, 1, 2, 3] = 1
    offload_optimizer: bool = False
    offload_weights: bool = False

    @model_validator(mode="after")
    def _offload_fits_the_stage(self) -> ZeroSettings:
        if self.offload_weights and self.stage != 3:
            raise ValueError("offload_weights needs stage 3")
        if self.offload_optimizer and self.stage == 0:
            raise ValueError("offload_optimizer needs stage 1, 2 or 3")
        return self


class TrainingRecipe(Settings):
    """How one reward model is trained.

    backbone: `scratch` (a small Llama made from nothing), `frozen_encoder` (a sentence encoder that is not
    trained, with a head that is) or `pretrained` (any causal model through AutoModelForSequenceClassification).
    """

    backbone: Literal["scratch", "frozen_encoder", "pretrained"]
    # A Hugging Face id, a folder or `package:NAME`; empty for `scratch`.
    model: str = ""
    revision: str = ""
    # scratch only.
    hidden_size: Positive = 160
    num_layers: Positive = 4
    num_heads: Positive = 4
    vocabulary_size: Positive = 4096
    # frozen_encoder only: width of the head's hidden layer.
    head_size: Positive = 256
    max_tokens: Positive = 256  # [16,384]
    batch_pairs: Positive = 32  # [256 in the iterations, 10,240 at the end]
    # Tokens computed at a time, in training and in scoring: bounds memory, changes no result but rounding.
    micro_batch_tokens: Positive = 16_384
    max_steps: Positive = 300
    max_epochs: Positive = 20  # [1]
    learning_rate: Annotated[float, Field(gt=0)] = 1e-3  # [1e-6 to 4e-6; 3e-6 at the end]
    warmup_share: Share = 0.05
    schedule: Literal["linear", "constant"] = "linear"
    weight_decay: Annotated[float, Field(ge=0)] = 0.01
    max_grad_norm: Annotated[float, Field(gt=0)] = 1.0
    dropout: Share = 0.0
    eval_every: Positive = 50
    num_evals_without_gain: Positive = 1_000_000
    # bfloat16: of the computation, with weights and optimiser in float32; bfloat16_weights: of both.
    precision: Literal["float32", "bfloat16", "bfloat16_weights"] = "float32"
    max_train_pairs: Positive = 1_000_000
    loss: LossSettings = LossSettings()
    checkpoints: CheckpointSettings = CheckpointSettings()
    # pretrained only, from here on.
    lora: LoraSettings | None = None
    zero: ZeroSettings | None = None
    # auto: each layer on a GPU, none on a CPU.
    compile: Literal["auto", "always", "never"] = "auto"
    # auto: where the memory that a step takes, estimated before the start, does not fit without.
    activation_checkpointing: Literal["auto", "always", "never"] = "auto"

    @model_validator(mode="after")
    def _the_backbone_has_what_is_asked(self) -> TrainingRecipe:
        if self.backbone != "pretrained" and (self.precision != "float32" or self.lora is not None):
            raise ValueError(
                f"only the pretrained backbone takes lora or another precision than float32, not {self.backbone}"
            )
        return self
