"""Attention over a packed layout: one function, registered with transformers, that its own models call.

The layout reaches it through the models' keyword arguments, and transformers builds no mask of its own, because none is
registered under our name. On a CPU every response is attended to by itself, so the cost is a sum over responses, not
the square of the pack. On a GPU FlexAttention runs with block masks built once a pack; it has no backward
on a CPU, so there only its forward is tested.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch.nn import functional as F
from torch.nn.attention.flex_attention import BlockMask, flex_attention

from assets.errors import SynprefError
from training.packed_layout import PackedLayout

NAME = "synpref_packed"
BLOCK = 128
"""Keys and queries of one block of a FlexAttention mask; a layout's width is a multiple of it."""
# What models hand to every attention function without it changing what is computed.
_HARMLESS = {"position_ids", "use_cache", "output_attentions", "output_hidden_states", "cache_position", "is_causal"}


class Attend(Protocol):
    """Attention over one pack."""

    def __call__(
        self,
        query: torch.Tensor,
        key: torch.Tensor,
        value: torch.Tensor,
        *,
        scale: float,
        dropout: float,
        window: int | None,
        softcap: float | None,
    ) -> torch.Tensor:
        """Query [1, N, T, D], key and value [1, M, T, D] with N a multiple of M, to [1, T, N, D].

        Args:
            window: positions that a token sees, itself included; None for all.
            softcap: logits become softcap * tanh(logit / softcap).
        """


def packed_attention(
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    *,
    packed: Attend | None = None,
    scaling: float | None = None,
    dropout: float = 0.0,
    sliding_window: int | None = None,
    softcap: float | None = None,
    **other: Any,
) -> tuple[torch.Tensor, None]:
    """What transformers calls, with `packed` from the call of the model.

    Raises:
        SynprefError: the model asks for something that this attention does not do, or was called without a layout.
    """
    unknown = sorted(name for name, value in other.items() if value is not None and name not in _HARMLESS)
    if packed is None or attention_mask is not None or unknown:
        what = f"the arguments {unknown}" if unknown else "a mask of its own" if packed else "no packed layout"
        raise SynprefError(
            f"{type(module).__name__} calls attention with {what}.",
            todo="use a decoder with plain or sliding-window attention, such as Llama, Qwen3 or Gemma 3",
        )
    scale = query.shape[-1] ** -0.5 if scaling is None else scaling
    out = packed(query, key, value, scale=scale, dropout=dropout, window=sliding_window, softcap=softcap)
    return out, None


def register() -> str:
    """Make the attention known to transformers; returns the name to load models with."""
    from transformers import AttentionInterface

    AttentionInterface.register(NAME, packed_attention)
    return NAME


class SlicedAttention:
    """Implements `Attend` slice by slice with PyTorch's own kernel: on CPUs, and the reference for the other.

    A group's prompt and first response are one causal call, every further response one over the prompt's keys and its
    own. Against one masked call a group that takes 0.7 of the time, forward and backward, on pairs of real lengths.
    """

    def __init__(self, layout: PackedLayout) -> None:
        self._layout = layout
        self._parts: dict[int | None, list[_Part]] = {}

    # Its shapes change with every pack; in a compiled layer it stays as it is.
    @torch.compiler.disable
    def __call__(
        self,
        query: torch.Tensor,
        key: torch.Tensor,
        value: torch.Tensor,
        *,
        scale: float,
        dropout: float,
        window: int | None,
        softcap: float | None,
    ) -> torch.Tensor:
        """See `Attend`; padding gets zeros."""
        if window not in self._parts:
            self._parts[window] = _parts(self._layout, window)
        out = []
        for part in self._parts[window]:
            q, k, v = query[:, :, part.queries], _runs(key, part.keys), _runs(value, part.keys)
            if softcap is None:
                causal = part.mask is None
                seen = F.scaled_dot_product_attention(q, k, v, part.mask, dropout, causal, scale=scale, enable_gqa=True)
            else:
                seen = _softcapped(q, k, v, part.mask, dropout, scale, softcap)
            out.append(seen.transpose(1, 2))
        padding = query.shape[2] - self._layout.groups[-1][-1]
        if padding:
            out.append(query.new_zeros(1, padding, query.shape[1], query.shape[3]))
        return torch.cat(out, dim=1)


@dataclass(frozen=True)
class _Part:
    """Queries, the runs of keys they see, and which they see of these: bool[queries, keys], or None for causally."""

    queries: slice
    keys: tuple[slice, ...]
    mask: torch.Tensor | None


def _parts(layout: PackedLayout, window: int | None) -> list[_Part]:
    seen = tree_mask_mod(layout, window)
    parts = []
    for start, split, *ends in layout.groups:
        for begin, end in itertools.pairwise([start, *ends]):
            first = begin == start
            keys = (slice(start, end),) if first else (slice(start, split), slice(begin, end))
            if first and (window is None or end - start <= window):
                mask = None
            else:
                places = torch.cat([torch.arange(run.start, run.stop) for run in keys])
                mask = seen(0, 0, torch.arange(begin, end)[:, None], places[None])
            parts.append(_Part(slice(begin, end), keys, mask))
    return parts


def _runs(x: torch.Tensor, runs: tuple[slice, ...]) -> torch.Tensor:
    return x[:, :, runs[0]] if len(runs) == 1 else torch.cat([x[:, :, run] for run in runs], dim=2)


class BlockAttention:
    """Implements `Attend` with FlexAttention.

    Args:
        layout: on the device that computes; its width a multiple of `BLOCK`.
        windows: those that the model's layers ask for, None among them.
    """

    def __init__(self, layout: PackedLayout, windows: frozenset[int | None]) -> None:
        self._masks = {window: block_mask(layout, window) for window in windows}

    def __call__(
        self,
        query: torch.Tensor,
        key: torch.Tensor,
        value: torch.Tensor,
        *,
        scale: float,
        dropout: float,
        window: int | None,
        softcap: float | None,
    ) -> torch.Tensor:
        """See `Attend`; there is no dropout."""
        assert not dropout, "FlexAttention has no dropout; the recipe was checked"
        attend: Any = (
            flex_attention if torch.compiler.is_compiling() or not query.is_cuda else _compiled_flex_attention()
        )
        out = attend(
            query,
            key,
            value,
            score_mod=None if softcap is None else _softcap_mod(softcap),
            block_mask=self._masks[window],
            scale=scale,
            enable_gqa=query.shape[1] != key.shape[1],
        )
        return out.transpose(1, 2)


def tree_mask_mod(layout: PackedLayout, window: int | None) -> Callable[..., torch.Tensor]:
    """FlexAttention's form of the rule: whether the token at place q sees the one at place k."""
    prompt_from, own_from = layout.windowed(window)
    prompt_to = layout.prompt_to

    def seen(b: Any, h: Any, q: torch.Tensor, k: torch.Tensor) -> torch.Tensor:
        return ((k >= prompt_from[q]) & (k < prompt_to[q])) | ((k >= own_from[q]) & (k <= q))

    return seen


def block_mask(layout: PackedLayout, window: int | None) -> BlockMask:
    """Which blocks of keys a block of queries sees in part or as a whole.

    Counted from the runs of each token, T * T / BLOCK numbers, where `create_block_mask` would try all T * T pairs.
    """
    width = layout.own_from.shape[0]
    assert width % BLOCK == 0, "the backbone rounds widths up to whole blocks"
    prompt_from, own_from = layout.windowed(window)
    places = torch.arange(width, dtype=torch.int32, device=own_from.device)
    counts = _seen_in_blocks(prompt_from, layout.prompt_to) + _seen_in_blocks(own_from, places + 1)
    counts = counts.view(width // BLOCK, BLOCK, -1).sum(1)
    part, whole = (counts > 0) & (counts < BLOCK * BLOCK), counts == BLOCK * BLOCK
    return BlockMask.from_kv_blocks(
        *_as_indices(part), *_as_indices(whole), BLOCK_SIZE=BLOCK, mask_mod=tree_mask_mod(layout, window)
    )


def _seen_in_blocks(start: torch.Tensor, stop: torch.Tensor) -> torch.Tensor:
    """int32[T, T / BLOCK]: keys of each block that lie in a token's run [start, stop)."""
    first = torch.arange(0, len(start), BLOCK, dtype=torch.int32, device=start.device)
    low, high = torch.maximum(start[:, None], first), torch.minimum(stop[:, None], first + BLOCK)
    return (high - low).clamp(min=0)


def _as_indices(blocks: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """How many blocks each row has, int32[1, 1, R], and which, in order, int32[1, 1, R, C], the rest behind."""
    order = blocks.int().argsort(dim=1, descending=True, stable=True)
    return blocks.sum(1, dtype=torch.int32)[None, None], order.int()[None, None]


def _softcapped(
    q: torch.Tensor,
    k: torch.Tensor,
    v: torch.Tensor,
    mask: torch.Tensor | None,
    dropout: float,
    scale: float,
    softcap: float,
) -> torch.Tensor:
    shared = q.shape[1] // k.shape[1]
    k, v = k.repeat_interleave(shared, dim=1), v.repeat_interleave(shared, dim=1)
    if mask is None:
        mask = torch.ones(q.shape[2], k.shape[2], dtype=torch.bool).tril()
    logits = softcap * torch.tanh(q @ k.transpose(2, 3) * scale / softcap)
    weights = logits.float().masked_fill(~mask, float("-inf")).softmax(-1).to(q.dtype)
    return F.dropout(weights, dropout) @ v


@functools.cache
def _softcap_mod(softcap: float) -> Callable[..., torch.Tensor]:
    def capped(score: torch.Tensor, *place: Any) -> torch.Tensor:
        return softcap * torch.tanh(score / softcap)

    return capped


@functools.cache
def _compiled_flex_attention() -> Callable[..., torch.Tensor]:
    return torch.compile(flex_attention, dynamic=False)
