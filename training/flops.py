"""FLOPs: what matrix products a decoder with a scalar head needs for a pair, and how fast the machine multiplies.

A product of (m, k) with (k, n) costs 2 m k n. Per layer and token, forward, with hidden size h, q query and v
key-value heads of size d and an MLP of width f:

    queries 2 h q d, keys and values 2 (2 h v d), output 2 q d h, gated MLP 3 (2 h f)

and per (token, token it sees) 4 q d: 2 q d for the score, 2 q d for the weighted sum. A token sees itself, what is
before it and, in a sliding layer, no more than the window. The backward pass has two products for each of these. Not
counted: looking up embeddings, norms, rotations, activations, softmax, the optimiser, and anything computed twice.
There is no language-model head; the scalar head costs 2 h per response.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from assets.errors import ConfigError

if TYPE_CHECKING:
    import torch

# Decoders whose layers are what the module says: grouped-query attention and a gated MLP, dense.
ARCHITECTURES = ("llama", "qwen2", "qwen3", "gemma3_text", "mistral")
# Backward over forward.
_BACKWARD = 2


@dataclass(frozen=True)
class DecoderShape:
    """What decides a decoder's FLOPs.

    Attributes:
        windows: per layer, how many tokens one sees at most; 0 for all before it.
    """

    hidden_size: int
    num_heads: int
    num_key_value_heads: int
    head_size: int
    mlp_size: int
    windows: tuple[int, ...]

    @property
    def linear_per_token(self) -> int:
        """Forward FLOPs of all linear layers, per token."""
        attention = 2 * self.hidden_size * self.head_size * (2 * self.num_heads + 2 * self.num_key_value_heads)
        return len(self.windows) * (attention + 3 * 2 * self.hidden_size * self.mlp_size)

    @property
    def attention_per_sight(self) -> int:
        """Forward FLOPs of one layer's attention, per token and token it sees."""
        return 4 * self.num_heads * self.head_size


@dataclass(frozen=True)
class Flops:
    """Forward FLOPs of some work, by kind; float64, one number or one for each pair."""

    linear: Any
    attention: Any
    head: Any

    @property
    def forward(self) -> Any:
        """What scoring takes."""
        return self.linear + self.attention + self.head

    @property
    def training(self) -> Any:
        """Forward and backward, nothing computed twice."""
        return (1 + _BACKWARD) * self.forward

    def __add__(self, other: Flops) -> Flops:
        return Flops(self.linear + other.linear, self.attention + other.attention, self.head + other.head)


def decoder_shape(config: Any) -> DecoderShape:
    """The shape in a transformers configuration.

    Raises:
        ConfigError: the architecture is none of `ARCHITECTURES`, so that its FLOPs would be a guess.
    """
    text = config.get_text_config()
    if text.model_type not in ARCHITECTURES:
        raise ConfigError(
            f"The FLOPs of architecture {text.model_type!r} are not written out.",
            where="training.flops",
            todo=f"measure with one of {', '.join(ARCHITECTURES)}",
        )
    window = getattr(text, "sliding_window", None) or 0
    kinds = getattr(text, "layer_types", None) or ["full_attention"] * text.num_hidden_layers
    if text.model_type == "mistral":
        kinds = ["sliding_attention"] * text.num_hidden_layers
    return DecoderShape(
        hidden_size=text.hidden_size,
        num_heads=text.num_attention_heads,
        num_key_value_heads=text.num_key_value_heads,
        head_size=getattr(text, "head_dim", None) or text.hidden_size // text.num_attention_heads,
        mlp_size=text.intermediate_size,
        windows=tuple(window if kind == "sliding_attention" else 0 for kind in kinds),
    )


def seen_tokens(length: ArrayLike, window: int = 0) -> NDArray[np.float64]:
    """Sum over the tokens of a sequence of how many each sees, itself included; `window` 0 is none.

    >>> float(seen_tokens(4)), float(seen_tokens(4, 2))
    (10.0, 7.0)
    """
    n = np.asarray(length, dtype=np.float64)
    short = np.minimum(n, window) if window else n
    return short * (short + 1) / 2 + (n - short) * window


def row_flops(shape: DecoderShape, prompt: ArrayLike, response: ArrayLike) -> Flops:
    """One response read alone: [prompt | response], no padding. Lengths in tokens, numbers or arrays."""
    return shared_flops(shape, prompt, [response])


def pair_flops(shape: DecoderShape, prompt: ArrayLike, response_1: ArrayLike, response_2: ArrayLike) -> Flops:
    """Model FLOPs of a pair: both responses read one by one, unpadded, nothing shared.

    It is the work that any trainer is asked for, so the share of peak taken from it compares trainers, and one that
    shares prompts can come above what its processor computed.
    """
    return row_flops(shape, prompt, response_1) + row_flops(shape, prompt, response_2)


def shared_flops(shape: DecoderShape, prompt: ArrayLike, responses: Sequence[ArrayLike]) -> Flops:
    """What [prompt | response 1 | response 2 ...] needs when the prompt is computed once.

    Responses continue the prompt's positions, so each sees as much as it would alone.
    """
    p = np.asarray(prompt, dtype=np.float64)
    rs = [np.asarray(response, dtype=np.float64) for response in responses]
    attention: Any = 0.0
    for window in set(shape.windows):
        of_prompt = seen_tokens(p, window)
        seen = of_prompt + sum(seen_tokens(p + r, window) - of_prompt for r in rs)
        attention = attention + shape.windows.count(window) * shape.attention_per_sight * seen
    return Flops(shape.linear_per_token * (p + sum(rs)), attention, 2.0 * shape.hidden_size * len(rs))


def matrix_peak(device: torch.device, dtype: torch.dtype, *, size: int | None = None, repeats: int = 5) -> float:
    """FLOP/s of a square matrix product on this machine now: the best of some repeats.

    Args:
        size: rows; by default 8,192 on a GPU, where smaller ones do not fill it, and 1,024 on a CPU (15 ms each).
    """
    import torch

    size = size or (8_192 if device.type == "cuda" else 1_024)
    products = 20 if device.type == "cuda" else 4
    a, b = (torch.randn(size, size, device=device, dtype=torch.float32).to(dtype) for _ in range(2))
    best = 0.0
    for repeat in range(repeats + 1):
        _wait(device)
        started = time.perf_counter()
        for _ in range(products):
            a @ b
        _wait(device)
        # The first is warm-up.
        if repeat:
            best = max(best, products * 2 * size**3 / (time.perf_counter() - started))
    return best


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        import torch

        torch.cuda.synchronize(device)
