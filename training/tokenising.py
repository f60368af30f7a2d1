"""Tokenising: a conversation and a response become token ids, truncated by one rule that is counted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from assets.identity import Turn
from training.data import Item

# At least this share of the budget stays with the prompt's end, however long the response is.
MIN_PROMPT_SHARE = 0.25


@dataclass(frozen=True)
class EncodedRow:
    """One response to one prompt, as a backbone reads it.

    Attributes:
        prompt, response: int32 token ids, or float32[d] embeddings (`frozen_encoder`).
        num_truncated: tokens that did not fit.
    """

    prompt: NDArray
    response: NDArray
    num_truncated: int = 0

    def shares_prompt(self, other: EncodedRow) -> bool:
        """Whether both rows continue the same prompt, as truncated."""
        return self.prompt is other.prompt or np.array_equal(self.prompt, other.prompt)

    def same_as(self, other: EncodedRow) -> bool:
        """Whether nothing that a model sees tells the two apart."""
        return self.shares_prompt(other) and np.array_equal(self.response, other.response)


class ChatTokeniser(Protocol):
    """What a tokenizer must do: render turns with its chat template, and turn rendered text into ids."""

    def render(self, turns: Sequence[Turn], *, open_reply: bool) -> str:
        """The conversation as text; `open_reply` ends it where the assistant's reply would begin."""

    def token_ids(self, texts: Sequence[str]) -> list[list[int]]:
        """Ids of already rendered texts. No token is added: the template has written BOS if there is one."""


def encode_items(items: Sequence[Item], tokeniser: ChatTokeniser, max_tokens: int) -> list[EncodedRow]:
    """Tokenise prompts and responses apart, so that all responses to a prompt share the prompt's ids.

    Args:
        max_tokens: prompt and response together, at most.
    """
    opened: dict[tuple[Turn, ...], str] = {}
    positions: dict[str, int] = {}
    replies: list[str] = []
    prompt_of: list[int] = []
    for turns, response in items:
        key = tuple(turns)
        if key not in opened:
            opened[key] = tokeniser.render(key, open_reply=True)
        whole = tokeniser.render((*key, ("assistant", response)), open_reply=False)
        # A template may open a reply otherwise than it writes a finished one: what they share is the prompt.
        prompt = _common_prefix(opened[key], whole)
        prompt_of.append(positions.setdefault(prompt, len(positions)))
        replies.append(whole[len(prompt) :])
    prompt_ids = [np.asarray(ids, dtype=np.int32) for ids in tokeniser.token_ids(list(positions))]
    reply_ids = [np.asarray(ids, dtype=np.int32) for ids in tokeniser.token_ids(replies)]
    return [truncate(prompt_ids[at], reply, max_tokens) for at, reply in zip(prompt_of, reply_ids, strict=True)]


def truncate(prompt: NDArray, response: NDArray, max_tokens: int) -> EncodedRow:
    """Cut what does not fit: the prompt's beginning first, then the response's end before its closing token.

    >>> row = truncate(np.arange(10), np.arange(100, 104), 8)
    >>> row.prompt.tolist(), row.response.tolist(), row.num_truncated
    ([6, 7, 8, 9], [100, 101, 102, 103], 6)
    >>> row = truncate(np.arange(10), np.arange(100, 112), 8)
    >>> row.prompt.tolist(), row.response.tolist(), row.num_truncated
    ([8, 9], [100, 101, 102, 103, 104, 111], 14)
    """
    excess = len(prompt) + len(response) - max_tokens
    if excess <= 0:
        return EncodedRow(prompt, response)
    least_prompt = min(len(prompt), max(1, int(max_tokens * MIN_PROMPT_SHARE)))
    keep_prompt = max(least_prompt, len(prompt) - excess)
    keep_response = min(len(response), max_tokens - keep_prompt)
    if keep_response < len(response):
        response = np.concatenate([response[: keep_response - 1], response[-1:]])
    return EncodedRow(prompt[len(prompt) - keep_prompt :], response, excess)


def _common_prefix(first: str, second: str) -> str:
    if second.startswith(first):
        return first
    same = next((at for at, (a, b) in enumerate(zip(first, second, strict=False)) if a != b), len(second))
    return first[:same]
