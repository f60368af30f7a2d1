"""Packed layout: many groups [prompt | response 1 | ... | response K] end to end in one row, nothing wasted on padding.

What a token sees is two runs of keys: of its group's prompt, and of what it belongs to itself (its response, or the
prompt) up to itself. Every mask, for the CPU and for the GPU, is read off these runs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch

from assets.errors import SynprefError
from training.layout import group_rows
from training.tokenising import EncodedRow


@dataclass(frozen=True)
class PackedLayout:
    """One row of T tokens from n rows of g groups.

    Attributes:
        input_ids, position_ids: int64[1, T]; every response continues its prompt's positions.
        prompt_from, prompt_to: int32[T], keys of the prompt that a token of a response sees, end excluded; an
            empty run for the prompt's own tokens and for padding.
        own_from: int32[T], first key of the run that ends with the token itself. Padding sees itself alone.
        ends: int64[n], the last token of each row's response, in the rows' order; found from lengths, never by
            comparing with the padding id.
        groups: of each its first place, the end of its prompt, and the end of each response.
    """

    input_ids: torch.Tensor
    position_ids: torch.Tensor
    prompt_from: torch.Tensor
    prompt_to: torch.Tensor
    own_from: torch.Tensor
    ends: torch.Tensor
    groups: tuple[tuple[int, ...], ...]

    def to(self, device: torch.device) -> PackedLayout:
        """The same layout on another device."""
        moved: dict[str, Any] = {
            name: value.to(device, non_blocking=True)
            for name, value in vars(self).items()
            if isinstance(value, torch.Tensor)
        }
        return replace(self, **moved)

    def windowed(self, window: int | None) -> tuple[torch.Tensor, torch.Tensor]:
        """`prompt_from` and `own_from` where a token sees `window` positions, itself included; None for all.

        Positions are counted, not places in the row: a response sees what it would see alone.
        """
        if window is None:
            return self.prompt_from, self.own_from
        hidden = (self.position_ids[0] - (window - 1)).clamp(min=0).int()
        places = torch.arange(len(hidden), dtype=torch.int32, device=hidden.device)
        return self.prompt_from + hidden, torch.maximum(self.own_from, places - (window - 1))


def pack_rows(rows: Sequence[EncodedRow], *, pad_id: int, width: int | None = None) -> PackedLayout:
    """Lay rows out end to end; neighbours with the same prompt share it, however many they are.

    Args:
        pad_id: any valid id; no token sees padding but itself.
        width: T; None for as wide as the tokens are. Only where kernels are compiled for one shape is it needed.

    Raises:
        SynprefError: a response has no token.

    >>> row = lambda *response: EncodedRow(np.array([5, 6]), np.array(response))
    >>> packed = pack_rows([row(7), row(8, 9)], pad_id=0, width=6)
    >>> packed.input_ids.tolist(), packed.position_ids.tolist()
    ([[5, 6, 7, 8, 9, 0]], [[0, 1, 2, 2, 3, 0]])
    >>> packed.ends.tolist(), packed.own_from.tolist()
    ([2, 4], [0, 0, 2, 3, 3, 5])
    """
    groups = group_rows(rows, max_responses=None)
    if width is None:
        width = sum(len(rows[group[0]].prompt) + sum(len(rows[at].response) for at in group) for group in groups)
    ids = np.full(width, pad_id, dtype=np.int64)
    positions = np.zeros(width, dtype=np.int64)
    prompt_from, prompt_to = np.zeros(width, dtype=np.int32), np.zeros(width, dtype=np.int32)
    own_from = np.arange(width, dtype=np.int32)
    ends = np.zeros(len(rows), dtype=np.int64)
    places: list[tuple[int, ...]] = []
    at = 0
    for group in groups:
        prompt, start = rows[group[0]].prompt, at
        at += len(prompt)
        ids[start:at] = prompt
        positions[start:at] = np.arange(len(prompt))
        own_from[start:at] = start
        split = at
        for index in group:
            response = rows[index].response
            if not len(response):
                raise SynprefError("A response without a token has no score.", where=f"row {index} of its batch")
            place = slice(at, at + len(response))
            ids[place] = response
            positions[place] = np.arange(len(prompt), len(prompt) + len(response))
            prompt_from[place], prompt_to[place], own_from[place] = start, split, at
            at += len(response)
            ends[index] = at - 1
        places.append((start, split, *(int(ends[index]) + 1 for index in group)))
    return PackedLayout(
        torch.from_numpy(ids)[None],
        torch.from_numpy(positions)[None],
        torch.from_numpy(prompt_from),
        torch.from_numpy(prompt_to),
        torch.from_numpy(own_from),
        torch.from_numpy(ends),
        tuple(places),
    )
