"""A small Llama with a scalar head: the layers of `LlamaForSequenceClassification`, same names, same numbers.

It exists for start-up time: the sample trains and scores in some twenty processes, and importing transformers'
Llama costs several seconds in each, this one nothing beyond torch. What is saved loads through
`AutoModelForSequenceClassification`, and a test holds both to the same scores. In the last layer only the
responses' last tokens are computed, because nothing else reaches the head.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional as F

from training.layout import Layout

_ROPE_THETA = 10_000.0
# Llama's 0.02 is meant for widths of thousands. At width 64 a rule that needs prompt and response is at 0.54 to 1.00
# accuracy after 220 steps with it, depending on seed and rate; at 0.5 / sqrt(width) it is learnt after 55.
_INITIAL_STD = 0.5


@dataclass(frozen=True)
class LlamaShape:
    """Sizes, under the names of the published configuration format."""

    vocab_size: int
    hidden_size: int
    intermediate_size: int
    num_hidden_layers: int
    num_attention_heads: int
    max_position_embeddings: int
    rms_norm_eps: float = 1e-6

    @property
    def initial_std(self) -> float:
        """Standard deviation of new weights."""
        return _INITIAL_STD * self.hidden_size**-0.5

    def config(self, pad_token_id: int) -> dict:
        """Contents of `config.json`."""
        return {
            "architectures": ["LlamaForSequenceClassification"],
            "model_type": "llama",
            **self.__dict__,
            "num_key_value_heads": self.num_attention_heads,
            "head_dim": self.hidden_size // self.num_attention_heads,
            "hidden_act": "silu",
            "attention_bias": False,
            "mlp_bias": False,
            "rope_parameters": {"rope_type": "default", "rope_theta": _ROPE_THETA},
            "tie_word_embeddings": False,
            "initializer_range": self.initial_std,
            "pad_token_id": pad_token_id,
            "bos_token_id": None,
            "eos_token_id": None,
            "id2label": {"0": "reward"},
            "label2id": {"reward": 0},
            "dtype": "float32",
        }


class Attention(nn.Module):
    """Multi-head attention with rotary positions, without biases."""

    def __init__(self, shape: LlamaShape) -> None:
        super().__init__()
        size = shape.hidden_size
        self.num_heads = shape.num_attention_heads
        self.q_proj = nn.Linear(size, size, bias=False)
        self.k_proj = nn.Linear(size, size, bias=False)
        self.v_proj = nn.Linear(size, size, bias=False)
        self.o_proj = nn.Linear(size, size, bias=False)

    def forward(
        self, queries: torch.Tensor, keys: torch.Tensor, rotary_q: Rotary, rotary_k: Rotary, mask: torch.Tensor
    ) -> torch.Tensor:
        """Attend from [B, Q, H] to [B, T, H] under mask[B, 1, Q, T]."""
        q = _rotate(self._split(self.q_proj(queries)), rotary_q)
        k = _rotate(self._split(self.k_proj(keys)), rotary_k)
        out = F.scaled_dot_product_attention(q, k, self._split(self.v_proj(keys)), attn_mask=mask)
        return self.o_proj(out.transpose(1, 2).flatten(2))

    def _split(self, x: torch.Tensor) -> torch.Tensor:
        return x.unflatten(2, (self.num_heads, -1)).transpose(1, 2)


class MLP(nn.Module):
    """Gated feed-forward layer."""

    def __init__(self, shape: LlamaShape) -> None:
        super().__init__()
        self.gate_proj = nn.Linear(shape.hidden_size, shape.intermediate_size, bias=False)
        self.up_proj = nn.Linear(shape.hidden_size, shape.intermediate_size, bias=False)
        self.down_proj = nn.Linear(shape.intermediate_size, shape.hidden_size, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """[B, T, H] to [B, T, H]."""
        return self.down_proj(F.silu(self.gate_proj(x)) * self.up_proj(x))


class DecoderLayer(nn.Module):
    """Attention and feed-forward, each normalised before and added after."""

    def __init__(self, shape: LlamaShape, dropout: float) -> None:
        super().__init__()
        self.self_attn = Attention(shape)
        self.mlp = MLP(shape)
        self.input_layernorm = nn.RMSNorm(shape.hidden_size, eps=shape.rms_norm_eps)
        self.post_attention_layernorm = nn.RMSNorm(shape.hidden_size, eps=shape.rms_norm_eps)
        self.dropout = nn.Dropout(dropout)

    def forward(
        self, x: torch.Tensor, rotary: Rotary, mask: torch.Tensor, at: torch.Tensor | None = None
    ) -> torch.Tensor:
        """[B, T, H] to [B, T, H], or to [B, E, H] when only the positions at[B, E] are asked for."""
        keys = self.input_layernorm(x)
        queries, rotary_q = keys, rotary
        if at is not None:
            queries, x = _take(keys, at), _take(x, at)
            rotary_q = (_take(rotary[0][:, 0], at)[:, None], _take(rotary[1][:, 0], at)[:, None])
            mask = mask.gather(2, at[:, None, :, None].expand(-1, -1, -1, mask.shape[3]))
        x = x + self.dropout(self.self_attn(queries, keys, rotary_q, rotary, mask))
        return x + self.dropout(self.mlp(self.post_attention_layernorm(x)))


class _Model(nn.Module):
    def __init__(self, shape: LlamaShape, dropout: float) -> None:
        super().__init__()
        self.embed_tokens = nn.Embedding(shape.vocab_size, shape.hidden_size)
        self.layers = nn.ModuleList(DecoderLayer(shape, dropout) for _ in range(shape.num_hidden_layers))
        self.norm = nn.RMSNorm(shape.hidden_size, eps=shape.rms_norm_eps)


class SmallLlama(nn.Module):
    """One score per response of a layout.

    Args:
        dropout: of what attention and feed-forward add, while training.
    """

    def __init__(self, shape: LlamaShape, dropout: float = 0.0) -> None:
        super().__init__()
        self.shape = shape
        self.model = _Model(shape, dropout)
        self.score = nn.Linear(shape.hidden_size, 1, bias=False)
        for parameter in self.parameters():
            if parameter.dim() > 1:
                nn.init.normal_(parameter, std=shape.initial_std)

    def forward(self, batch: Layout) -> torch.Tensor:
        """Scores float32[n], in the order of the rows that were laid out."""
        x = self.model.embed_tokens(batch.input_ids)
        rotary = self._rotary(batch.position_ids)
        *first, last = self.model.layers
        for layer in first:
            x = layer(x, rotary, batch.mask)
        x = self.model.norm(last(x, rotary, batch.mask, at=batch.ends))
        return self.score(x).float().flatten()[batch.row_at]

    def _rotary(self, positions: torch.Tensor) -> Rotary:
        """Cosine and sine, each float32[B, 1, T, head size]."""
        size = self.shape.hidden_size // self.shape.num_attention_heads
        frequencies = _ROPE_THETA ** -(torch.arange(0, size, 2, dtype=torch.float32) / size)
        angles = positions[:, None, :, None].float() * frequencies
        angles = torch.cat([angles, angles], dim=-1)
        return angles.cos(), angles.sin()


Rotary = tuple[torch.Tensor, torch.Tensor]


def _rotate(x: torch.Tensor, rotary: Rotary) -> torch.Tensor:
    cosine, sine = rotary
    first, second = x.chunk(2, dim=-1)
    return x * cosine + torch.cat([-second, first], dim=-1) * sine


def _take(x: torch.Tensor, at: torch.Tensor) -> torch.Tensor:
    """x[B, T, ...] at positions at[B, E]: [B, E, ...]."""
    return x.gather(1, at[:, :, None].expand(-1, -1, x.shape[2]))
