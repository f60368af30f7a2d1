"""Encoding: rows of the pairs table become tokens and the facts that selecting pairs needs. No files, no processes."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from assets.identity import Turn, prompt_cluster_key, storable
from training.chat_templates import TemplateRefusedError
from training.template_tokeniser import TemplateTokeniser
from training.token_cache.pair_keys import KEY, keys_of
from training.tokenising import Splitter

# What is true of a pair, as bits of `flags`.
EMPTY_PROMPT, EMPTY_RESPONSE, EQUAL_RESPONSES, TEMPLATE_REFUSED, TEXT_TOO_LONG = 1, 2, 4, 8, 16
SPECIAL_TEXT, SAME_LAST_TOKEN, REPAIRED_TEXT = 32, 64, 128

MAX_CHARS = 20_000_000
"""Characters of a pair; more would take minutes and gigabytes, for a pair that is truncated anyway."""
# Characters handed to the tokenizers library at a time: what it makes of them takes some 150 times their memory.
_CHARS_AT_ONCE = 1_000_000

INDEX = np.dtype(
    [
        ("key", KEY),
        ("cluster", KEY),
        ("prompt_at", np.int64),
        ("replies_at", np.int64),
        ("num_prompt", np.int32),
        ("num_1", np.int32),
        ("num_2", np.int32),
        ("num_common", np.int32),
        ("checksum", np.uint32),
        ("flags", np.uint8),
    ]
)
"""One row per pair: where its tokens are. The second response follows the first; pairs may share a prompt's tokens.

`cluster`: see `assets.identity.prompt_cluster_key`. `num_common`: tokens that both responses begin with. `checksum`:
CRC-32 of the tokens of prompt and both responses, checked whenever a pair is read.
"""


@dataclass
class EncodedPart:
    """Some pairs.

    Attributes:
        index: dtype `INDEX`; places count from the part's beginning.
        tokens: uint16 or int32.
        refused: some of the pairs that the template refuses: key to what it said.
    """

    index: NDArray[Any]
    tokens: NDArray[Any]
    refused: dict[bytes, str] = field(default_factory=dict)


def token_dtype(vocabulary_size: int) -> np.dtype:
    """What a token is stored as."""
    return np.dtype(np.uint16 if vocabulary_size <= 2**16 else np.int32)


@dataclass
class _Row:
    key: bytes
    cluster: str
    flags: int
    prompt: int = -1
    replies: tuple[int, int] = (-1, -1)


class PairEncoder:
    """Tokenises pairs with one tokenizer."""

    def __init__(self, tokeniser: TemplateTokeniser) -> None:
        self._tokeniser = tokeniser
        self._splitter = Splitter(tokeniser)
        self._dtype = token_dtype(tokeniser.vocabulary_size)
        self._num_special = lru_cache(maxsize=4096)(self._count_special)

    def encode(self, table: pa.Table) -> EncodedPart:
        """Tokenise prompt and responses of each row, untruncated.

        Args:
            table: columns `pair_id`, `prompt`, `response_1`, `response_2`.
        """
        rows: list[_Row] = []
        texts: dict[str, int] = {}
        expected: list[int] = []
        refused: dict[bytes, str] = {}
        clusters: dict[tuple[Turn, ...], str] = {}
        prompts: dict[tuple[Turn, ...], str] = {}
        for key, turns, responses, repaired in _texts(table):
            if turns not in clusters:
                clusters[turns] = prompt_cluster_key(turns)
            row = _Row(key, clusters[turns], _facts(turns, responses) | REPAIRED_TEXT * repaired)
            rows.append(row)
            if row.flags & TEXT_TOO_LONG:
                continue
            try:
                if not all(role for role, _ in turns):
                    raise TemplateRefusedError("A turn has no role.")
                if turns not in prompts:
                    prompts[turns] = self._splitter.prompt(turns)
                prompt, replies = self._splitter.split(prompts[turns], turns, *responses)
            except TemplateRefusedError as error:
                row.flags |= TEMPLATE_REFUSED
                refused[key] = str(error)
                continue
            row.prompt = texts.setdefault(prompt, len(texts))
            row.replies = texts.setdefault(replies[0], len(texts)), texts.setdefault(replies[1], len(texts))
            roles = tuple(role for role, _ in turns)
            expected.append(self._num_special(roles))
        return self._lay_out(rows, self._ids(list(texts)), expected, refused)

    def _ids(self, texts: list[str]) -> list[NDArray[Any]]:
        found: list[NDArray[Any]] = []
        for some in _in_chunks(texts):
            found += [np.array(ids, dtype=self._dtype) for ids in self._tokeniser.token_ids(some)]
        return found

    def _lay_out(
        self, rows: list[_Row], ids: list[NDArray[Any]], expected: list[int], refused: dict[bytes, str]
    ) -> EncodedPart:
        index = np.zeros(len(rows), INDEX)
        parts: list[NDArray[Any]] = []
        prompt_at: dict[int, int] = {}
        num_special = [int(self._tokeniser.is_special[some].sum()) for some in ids]
        size, expectation = 0, iter(expected)
        for row, entry in zip(rows, index, strict=True):
            if row.prompt >= 0:
                prompt, (first, second) = ids[row.prompt], (ids[at] for at in row.replies)
                if row.prompt not in prompt_at:
                    prompt_at[row.prompt] = size
                    parts.append(prompt)
                    size += len(prompt)
                parts += (first, second)
                entry["prompt_at"], entry["replies_at"] = prompt_at[row.prompt], size
                entry["num_prompt"], entry["num_1"], entry["num_2"] = len(prompt), len(first), len(second)
                entry["num_common"] = num_common(first, second)
                entry["checksum"] = checksum(prompt, first, second)
                size += len(first) + len(second)
                usual = next(expectation)
                if usual >= 0 and any(num_special[row.prompt] + num_special[at] != usual for at in row.replies):
                    row.flags |= SPECIAL_TEXT
                if first[-1:] == second[-1:]:
                    row.flags |= SAME_LAST_TOKEN
            entry["key"], entry["cluster"], entry["flags"] = row.key, bytes.fromhex(row.cluster), row.flags
        tokens = np.concatenate(parts) if parts else np.zeros(0, self._dtype)
        return EncodedPart(index, tokens, refused)

    def _count_special(self, roles: tuple[str, ...]) -> int:
        """Special tokens that the template alone writes around turns of these roles and a reply; -1 if unknown."""
        try:
            whole = self._splitter.whole(tuple((role, "x") for role in roles), "x")
        except TemplateRefusedError:
            return -1
        (ids,) = self._tokeniser.token_ids([whole])
        return int(self._tokeniser.is_special[ids].sum())


def num_common(first: NDArray[Any], second: NDArray[Any]) -> int:
    """Tokens that both begin with.

    >>> num_common(np.array([1, 2, 3]), np.array([1, 2, 4, 5]))
    2
    """
    shorter = min(len(first), len(second))
    differs = first[:shorter] != second[:shorter]
    return int(np.argmax(differs)) if differs.any() else shorter


def checksum(*tokens: NDArray[Any]) -> int:
    """CRC-32 of stored tokens."""
    state = 0
    for some in tokens:
        state = zlib.crc32(np.ascontiguousarray(some).data, state)
    return state


def _facts(turns: tuple[Turn, ...], responses: tuple[str, str]) -> int:
    flags = 0
    if not any(content.strip() for _, content in turns):
        flags |= EMPTY_PROMPT
    if not all(response.strip() for response in responses):
        flags |= EMPTY_RESPONSE
    if responses[0] == responses[1]:
        flags |= EQUAL_RESPONSES
    if sum(len(content) for _, content in turns) + sum(map(len, responses)) > MAX_CHARS:
        flags |= TEXT_TOO_LONG
    return flags


def _texts(table: pa.Table) -> Iterator[tuple[bytes, tuple[Turn, ...], tuple[str, str], bool]]:
    """Key, turns, responses, and whether bytes that are no UTF-8 were replaced."""
    keys = keys_of(table["pair_id"])
    columns = [table[name] for name in ("prompt", "response_1", "response_2")]
    try:
        rows: list[Any] = list(zip(*(column.to_pylist() for column in columns), strict=True))
    except UnicodeDecodeError:
        rows = list(zip(*(_binary(column).to_pylist() for column in columns), strict=True))
    for key, (prompt, *responses) in zip(keys, rows, strict=True):
        turns = [(turn["role"], turn["content"]) for turn in prompt or ()]
        repaired = any(not _is_text(value) for value in (*(part for turn in turns for part in turn), *responses))
        yield (
            bytes(key).ljust(KEY.itemsize, b"\0"),
            tuple((_decoded(role), _decoded(content)) for role, content in turns),
            (_decoded(responses[0]), _decoded(responses[1])),
            repaired,
        )


def _binary(column: pa.ChunkedArray) -> pa.ChunkedArray:
    kind = column.type
    if pa.types.is_list(kind):
        struct = pa.struct([(item.name, pa.binary()) for item in kind.value_type])
        return column.cast(pa.list_(struct), safe=False)
    return column.cast(pa.binary())


def _is_text(value: str | bytes | None) -> bool:
    if not isinstance(value, bytes):
        return True
    try:
        value.decode()
    except UnicodeDecodeError:
        return False
    return True


def _decoded(value: str | bytes | None) -> str:
    if value is None:
        return ""
    return storable(value) if isinstance(value, str) else value.decode("utf-8", "replace")


def _in_chunks(texts: list[str]) -> Iterator[list[str]]:
    some: list[str] = []
    size = 0
    for text in texts:
        if some and size + len(text) > _CHARS_AT_ONCE:
            yield some
            some, size = [], 0
        some.append(text)
        size += len(text)
    if some:
        yield some
