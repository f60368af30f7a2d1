"""A decoder of transformers with a scalar head, run on packed layouts."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import nn

from training import attention
from training.packed_layout import PackedLayout, pack_rows
from training.tokenising import EncodedRow

# Padding is masked, so any token serves.
_ANY_ID = 0


class ScalarHead(nn.Linear):
    """The score of hidden states, in float32 whatever the rest computes in.

    Two scores of about 20 differ by 0.1 in bfloat16 or not at all.
    """

    def forward(self, hidden: torch.Tensor) -> torch.Tensor:
        """[..., H] to float32[..., 1]."""
        with torch.autocast(hidden.device.type, enabled=False):
            return nn.functional.linear(hidden.float(), self.weight.float())


class PackedDecoder:
    """Scores of rows by one forward pass over a packed layout.

    Args:
        precision, compiled: as the recipe's `precision` and `compile`.

    Attributes:
        module: the model as transformers made it, which trains and is saved.
        budget: width of layouts where layers are compiled for one shape; nothing elsewhere.
    """

    def __init__(self, module: Any, precision: str, compiled: str, device: torch.device) -> None:
        self.device = device
        self.module = module.to(device)
        self.budget = attention.BLOCK
        self._precision = precision
        config = module.config.get_text_config()
        self._windows = frozenset({None, getattr(config, "sliding_window", None)})
        base = module.base_model
        # Of a model that also sees pictures, the part that reads text.
        self._base = getattr(base, "language_model", base)
        self._compiled = compiles_layers(compiled, device.type == "cuda")
        if self._compiled:
            for layer in self._base.layers:
                layer.compile(dynamic=False)

    def recompute_layers(self, num: int) -> None:
        """While training, keep only the input of the first `num` layers, and compute them again for their backward."""
        from torch.utils.checkpoint import checkpoint

        for layer in self._base.layers[:num]:
            # transformers' own switch, which its models set for all layers at once.
            layer.gradient_checkpointing = True
            layer._gradient_checkpointing_func = functools.partial(checkpoint, use_reentrant=False)

    def scores(self, rows: Sequence[EncodedRow]) -> torch.Tensor:
        """float32[len(rows)]; neighbours with the same prompt share it."""
        tokens = pack_rows(rows, pad_id=_ANY_ID)
        if self.device.type == "cuda" or self._compiled:
            tokens = pack_rows(rows, pad_id=_ANY_ID, width=whole_width(tokens.input_ids.shape[1], self.budget))
        return self._forward(tokens.to(self.device))

    def _forward(self, layout: PackedLayout) -> torch.Tensor:
        on_gpu = self.device.type == "cuda"
        packed: attention.Attend = (
            attention.BlockAttention(layout, self._windows) if on_gpu else attention.SlicedAttention(layout)
        )
        whole = next(self._base.parameters()).dtype == torch.float32
        with (
            torch.autocast(self.device.type, torch.bfloat16, enabled=whole and self._precision == "bfloat16"),
            _only_at(layout.ends, self._base, inside_layer=not self._compiled),
        ):
            hidden = self._base(
                input_ids=layout.input_ids, position_ids=layout.position_ids, use_cache=False, packed=packed
            ).last_hidden_state
        # A model without a last norm of that name hands on all tokens.
        last = hidden if hidden.shape[1] == len(layout.ends) else hidden[:, layout.ends]
        return self.module.score(last).flatten()


def compiles_layers(compiled: str, on_gpu: bool) -> bool:
    """Whether the recipe's `compile` means yes."""
    return compiled == "always" or (compiled == "auto" and on_gpu)


def whole_width(num_tokens: int, budget: int) -> int:
    """Width of a layout in whole blocks: the budget, doubled until the tokens fit.

    Few widths, because layers are compiled anew for each.

    >>> whole_width(900, 1000), whole_width(1025, 1000), whole_width(5000, 1000)
    (1024, 2048, 8192)
    """
    width = -(-budget // attention.BLOCK) * attention.BLOCK
    while width < num_tokens:
        width *= 2
    return width


@contextlib.contextmanager
def _only_at(ends: torch.Tensor, base: Any, *, inside_layer: bool) -> Iterator[None]:
    """Leave out what no head reads: outside the last tokens, the last norm and, in part, the last layer.

    The last layer's keys and values are needed of every token; its queries, its output projection and its
    feed-forward part of the last tokens alone. Zeros stand where nothing was computed.

    Args:
        inside_layer: also in the last layer, whose shapes then vary with the number of rows.
    """

    def take(module: nn.Module, args: tuple[torch.Tensor, ...]) -> tuple[torch.Tensor, ...]:
        return (args[0][:, ends], *args[1:])

    handles = [base.norm.register_forward_pre_hook(take)] if hasattr(base, "norm") else []
    if inside_layer:
        layer = base.layers[-1]
        attend = getattr(layer, "self_attn", None)
        for part in (getattr(attend, "q_proj", None), getattr(attend, "o_proj", None), getattr(layer, "mlp", None)):
            handles += _sparsely(part, ends) if part is not None else []
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _sparsely(part: nn.Module, ends: torch.Tensor) -> list[Any]:
    """Hooks that give a module some of the tokens, and its output a place among zeros."""
    width = 0

    def take(module: nn.Module, args: tuple[torch.Tensor, ...]) -> tuple[torch.Tensor, ...]:
        nonlocal width
        width = args[0].shape[1]
        return (args[0][:, ends],)

    def put_back(module: nn.Module, args: tuple[torch.Tensor, ...], out: torch.Tensor) -> torch.Tensor:
        return out.new_zeros(1, width, out.shape[2]).index_copy(1, ends, out)

    return [part.register_forward_pre_hook(take), part.register_forward_hook(put_back)]
