"""Layout: how rows become one padded batch in which responses to the same prompt share it.

A sequence is [prompt | response] or [prompt | response 1 | response 2]. A response sees the prompt and itself,
never the other; both continue the prompt's positions. So a pair costs its prompt once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch

from training.tokenising import EncodedRow

# Responses of one prompt in one sequence: a pair's two.
MAX_RESPONSES = 2
_PAD, _PROMPT = -1, 0


@dataclass(frozen=True)
class Layout:
    """A batch of B sequences, T tokens wide, with at most E responses each, from n rows.

    Attributes:
        input_ids, position_ids: int64[B, T].
        mask: bool[B, 1, T, T], True where a query (third axis) sees a key (fourth). Padding sees itself only,
            so that no row of the softmax is empty.
        ends: int64[B, E], position of each response's last token; found from lengths, never by comparing with
            the padding id. Unused places repeat the first response.
        row_at: int64[n], where each row's score lies in the flattened [B, E].
    """

    input_ids: torch.Tensor
    position_ids: torch.Tensor
    mask: torch.Tensor
    ends: torch.Tensor
    row_at: torch.Tensor

    def to(self, device: torch.device) -> Layout:
        """The same batch on another device."""
        return Layout(*(getattr(self, name).to(device) for name in Layout.__dataclass_fields__))


def group_rows(rows: Sequence[EncodedRow]) -> list[list[int]]:
    """Indices of neighbouring rows that share a prompt, at most two a group, in order."""
    groups: list[list[int]] = []
    for index, row in enumerate(rows):
        if groups and len(groups[-1]) < MAX_RESPONSES and row.shares_prompt(rows[groups[-1][0]]):
            groups[-1].append(index)
        else:
            groups.append([index])
    return groups


def num_tokens(rows: Sequence[EncodedRow]) -> int:
    """Tokens that rows take, shared prompts counted once."""
    return sum(
        len(rows[group[0]].prompt) + sum(len(rows[index].response) for index in group) for group in group_rows(rows)
    )


def lay_out(rows: Sequence[EncodedRow], *, pad_id: int, padding_side: Literal["left", "right"] = "right") -> Layout:
    """Lay rows out; see the module for what a sequence holds.

    Args:
        rows: rows that shall share a prompt stand next to each other.
        pad_id: any valid id; padding is masked.
        padding_side: scores do not depend on it.
    """
    groups = group_rows(rows)
    width = max(num_tokens([rows[index] for index in group]) for group in groups)
    ids = np.full((len(groups), width), pad_id, dtype=np.int64)
    positions = np.zeros((len(groups), width), dtype=np.int64)
    # 0 for the prompt, 1 and 2 for the responses, -1 for padding.
    segments = np.full((len(groups), width), _PAD, dtype=np.int8)
    ends = np.zeros((len(groups), max(map(len, groups))), dtype=np.int64)
    row_at = np.zeros(len(rows), dtype=np.int64)
    for b, group in enumerate(groups):
        prompt = rows[group[0]].prompt
        at = width - num_tokens([rows[index] for index in group]) if padding_side == "left" else 0
        at = _fill(ids, positions, segments, b, at, prompt, 0, _PROMPT)
        for e, index in enumerate(group):
            at = _fill(ids, positions, segments, b, at, rows[index].response, len(prompt), e + 1)
            ends[b, e] = at - 1
            row_at[index] = b * ends.shape[1] + e
        ends[b, len(group) :] = ends[b, 0]
    return Layout(
        torch.from_numpy(ids),
        torch.from_numpy(positions),
        _tree_mask(torch.from_numpy(segments)),
        torch.from_numpy(ends),
        torch.from_numpy(row_at),
    )


def _fill(
    ids: np.ndarray,
    positions: np.ndarray,
    segments: np.ndarray,
    b: int,
    at: int,
    tokens: np.ndarray,
    first_position: int,
    segment: int,
) -> int:
    end = at + len(tokens)
    ids[b, at:end] = tokens
    positions[b, at:end] = np.arange(first_position, first_position + len(tokens))
    segments[b, at:end] = segment
    return end


def _tree_mask(segments: torch.Tensor) -> torch.Tensor:
    width = segments.shape[1]
    query, key = segments[:, :, None], segments[:, None, :]
    earlier = torch.ones(width, width, dtype=torch.bool).tril()
    seen = earlier & (key != _PAD) & (query != _PAD) & ((key == _PROMPT) | (key == query))
    return (seen | torch.eye(width, dtype=torch.bool))[:, None]
