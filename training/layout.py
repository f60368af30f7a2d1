"""Layout: how rows become one padded batch in which responses to the same prompt share it.

A sequence is [prompt | response 1 | ... | response K]. A response sees the prompt and itself, never another; all
continue the prompt's positions. So a pair costs its prompt once. Small models run on this layout, and it is the
reference that the packed one (`training.packed_layout`) is tested against.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch

from training.tokenising import EncodedRow

# A pair's. Where sequences are padded to the longest, one with many responses would widen the whole batch.
PAIR = 2
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


def group_rows(
    rows: Sequence[EncodedRow], max_responses: int | None = PAIR, max_tokens: int | None = None
) -> list[list[int]]:
    """Indices of neighbouring rows that share a prompt, in order.

    Args:
        max_responses: of a group; None for as many as there are.
        max_tokens: of a group, its prompt counted once; a single row may have more.
    """
    groups: list[list[int]] = []
    size = 0
    for index, row in enumerate(rows):
        joined = size + len(row.response)
        if (
            groups
            and (max_responses is None or len(groups[-1]) < max_responses)
            and (max_tokens is None or joined <= max_tokens)
            and row.shares_prompt(rows[groups[-1][0]])
        ):
            groups[-1].append(index)
            size = joined
        else:
            groups.append([index])
            size = len(row.prompt) + len(row.response)
    return groups


def num_tokens(rows: Sequence[EncodedRow], max_responses: int | None = PAIR) -> int:
    """Tokens that rows take, shared prompts counted once."""
    return sum(
        len(rows[group[0]].prompt) + sum(len(rows[index].response) for index in group)
        for group in group_rows(rows, max_responses)
    )


def lay_out(
    rows: Sequence[EncodedRow],
    *,
    pad_id: int,
    padding_side: Literal["left", "right"] = "right",
    max_responses: int | None = PAIR,
) -> Layout:
    """Lay rows out; see the module for what a sequence holds.

    Args:
        rows: rows that shall share a prompt stand next to each other.
        pad_id: any valid id; padding is masked.
        padding_side: scores do not depend on it.
        max_responses: of a sequence; scores do not depend on it.
    """
    groups = group_rows(rows, max_responses)
    sizes = [num_tokens([rows[index] for index in group], None) for group in groups]
    width = max(sizes)
    ids = np.full((len(groups), width), pad_id, dtype=np.int64)
    positions = np.zeros((len(groups), width), dtype=np.int64)
    # 0 for the prompt, 1 to K for the responses, -1 for padding.
    segments = np.full((len(groups), width), _PAD, dtype=np.int32)
    ends = np.zeros((len(groups), max(map(len, groups))), dtype=np.int64)
    row_at = np.zeros(len(rows), dtype=np.int64)
    for b, group in enumerate(groups):
        prompt = rows[group[0]].prompt
        at = width - sizes[b] if padding_side == "left" else 0
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
