"""Tokenising: a conversation and a response become token ids, truncated by one rule that is counted."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from assets.identity import Turn
from training.data import Item

# At least this share of the budget stays with the prompt's end, however long the response is.
MIN_PROMPT_SHARE = 0.25
PROBE_TURNS, PROBE_REPLY = (("user", "Is it?"),), "Yes."
"""A conversation by which a template is tried out."""
# Replies whose first letters a tokenizer may join to what stands before them.
_JOINING = (PROBE_REPLY, "\n\nYes.", " Yes.", "1", ".")


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

    @property
    def added_tokens(self) -> Iterable[str]:
        """Texts that are one token wherever they stand, so that what is before them never joins what is after."""

    def render(self, turns: Sequence[Turn], *, open_reply: bool) -> str:
        """The conversation as text; `open_reply` ends it where the assistant's reply would begin."""

    def token_ids(self, texts: Sequence[str]) -> list[list[int]]:
        """Ids of already rendered texts. No token is added: the template has written BOS if there is one."""


class Splitter:
    """Cuts rendered conversations into the prompt, which responses share, and the reply.

    The cut depends on the prompt alone, never on the response. It is after the last added token before the reply,
    since a tokenizer joins nothing across one. Cut where the reply begins, a reply that begins with a line break
    would be tokenised otherwise than in the whole text, whose role line ends with one. Where there is no such token,
    the cut is there nevertheless, and not exact.

    Attributes:
        exact: whether the ids of both parts are those of the whole text, whatever the reply begins with.
    """

    def __init__(self, tokeniser: ChatTokeniser) -> None:
        self._tokeniser = tokeniser
        opened = tokeniser.render(PROBE_TURNS, open_reply=True)
        head = _common_prefix(opened, self.whole(PROBE_TURNS, PROBE_REPLY))
        cut = self._after_added_token(head)
        self._from_end = len(opened) - cut
        # Tokens that take white space along, or a mark put before each text, join across added tokens too.
        self.exact = cut > 0 and all(self._joins_exactly(reply) for reply in _JOINING)
        if not self.exact:
            self._from_end = len(opened) - len(head)

    def whole(self, turns: tuple[Turn, ...], response: str) -> str:
        """The conversation with its reply, as text."""
        return self._tokeniser.render((*turns, ("assistant", response)), open_reply=False)

    def prompt(self, turns: tuple[Turn, ...]) -> str:
        """The prompt's part of a conversation's text."""
        opened = self._tokeniser.render(turns, open_reply=True)
        return opened[: len(opened) - self._from_end]

    def split(self, prompt: str, turns: tuple[Turn, ...], *responses: str) -> tuple[str, list[str]]:
        """The part of the text that all responses share, and the rest for each.

        Args:
            prompt: as `prompt` gives it. Less is shared where the template writes a prompt otherwise once it is
                answered, as those do that look at the last turn.
        """
        texts = [self.whole(turns, response) for response in responses]
        for text in texts:
            if not text.startswith(prompt):
                common = _common_prefix(prompt, text)
                prompt = common[: self._after_added_token(common) or len(common)]
        return prompt, [text[len(prompt) :] for text in texts]

    def _after_added_token(self, text: str) -> int:
        ends = [text.rfind(token) + len(token) for token in self._tokeniser.added_tokens if token in text]
        return max(ends, default=0)

    def _joins_exactly(self, reply: str) -> bool:
        prompt, (rest,) = self.split(self.prompt(PROBE_TURNS), PROBE_TURNS, reply)
        first, second, together = self._tokeniser.token_ids([prompt, rest, prompt + rest])
        return [*first, *second] == list(together)


def encode_items(items: Sequence[Item], tokeniser: ChatTokeniser, max_tokens: int) -> list[EncodedRow]:
    """Tokenise prompts and responses apart, so that all responses to a prompt share the prompt's ids.

    Args:
        max_tokens: prompt and response together, at most.
    """
    if not items:
        return []
    splitter = Splitter(tokeniser)
    prompts: dict[tuple[Turn, ...], str] = {}
    positions: dict[str, int] = {}
    replies: list[str] = []
    prompt_of: list[int] = []
    for turns, response in items:
        key = tuple(turns)
        if key not in prompts:
            prompts[key] = splitter.prompt(key)
        prompt, (reply,) = splitter.split(prompts[key], key, response)
        prompt_of.append(positions.setdefault(prompt, len(positions)))
        replies.append(reply)
    prompt_ids = [np.asarray(ids, dtype=np.int32) for ids in tokeniser.token_ids(list(positions))]
    reply_ids = [np.asarray(ids, dtype=np.int32) for ids in tokeniser.token_ids(replies)]
    return [truncate(prompt_ids[at], reply, max_tokens) for at, reply in zip(prompt_of, reply_ids, strict=True)]


def kept_tokens(
    num_prompt: NDArray[np.int64], num_response: NDArray[np.int64], max_tokens: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """How many tokens `truncate` leaves of prompts and responses, from their numbers, int64[n] each.

    >>> [kept.tolist() for kept in kept_tokens(np.array([10, 10, 2]), np.array([4, 12, 3]), 8)]
    [[4, 2, 2], [4, 6, 3]]
    """
    least_prompt = np.minimum(num_prompt, min(max(1, int(max_tokens * MIN_PROMPT_SHARE)), max_tokens - 1))
    excess = np.maximum(num_prompt + num_response - max_tokens, 0)
    prompt = np.where(excess > 0, np.maximum(least_prompt, num_prompt - excess), num_prompt)
    return prompt, np.minimum(num_response, max_tokens - prompt)


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
    least_prompt = min(len(prompt), max(1, int(max_tokens * MIN_PROMPT_SHARE)), max_tokens - 1)
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
