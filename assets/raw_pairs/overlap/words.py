"""Words and n-grams of texts as 64-bit hashes, read straight from Arrow's buffers.

A word is a run of a-z and 0-9 or a single character beyond ASCII, in lower case; everything else parts words. The
same definition serves decontamination and near duplicates. A pair has some seven hundred words, so this is native
code: Python manages a few thousand pairs a second, these loops some fifty thousand on one core.
"""

from __future__ import annotations

import numba
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

_FNV_OFFSET, _FNV_PRIME = np.uint64(0xCBF29CE484222325), np.uint64(0x100000001B3)
_MIX = np.uint64(0x9E3779B97F4A7C15)
# Any odd number serves: words are mixed before they are combined.
_BASE = np.uint64(0xD6E8FEB86659FD93)
_ZERO = np.uint64(0)

native = numba.njit(cache=True, nogil=True)
"""Compiled on first use, kept on disk for later processes, and run without Python's lock."""


class TextColumn:
    """Lower-cased texts as one array of bytes, for the loops below.

    Attributes:
        data: uint8, all texts one after the other in UTF-8.
        starts, ends: int64, one of each a text.
    """

    def __init__(self, texts: pa.Array | pa.ChunkedArray) -> None:
        """Take an array of strings; null counts as an empty text."""
        whole = texts.cast(pa.large_string())
        whole = whole.combine_chunks() if isinstance(whole, pa.ChunkedArray) else whole
        lowered = pc.utf8_lower(pc.fill_null(whole, ""))
        _, offsets, data = lowered.buffers()
        ends = np.frombuffer(offsets, np.int64, len(lowered) + 1 + lowered.offset)[lowered.offset :]
        self.data = np.frombuffer(data, np.uint8) if data is not None else np.zeros(0, np.uint8)
        self.starts, self.ends = ends[:-1], ends[1:]
        self._keeps_alive = lowered

    def __len__(self) -> int:
        return len(self.starts)

    @property
    def max_words(self) -> int:
        """No text has more words than this."""
        return int((self.ends - self.starts).max(initial=0))


@native
def hash_words(data, start, end, words):
    """Fill `words` (uint64, as long as the text has bytes) with the hashes of a text's words; returns how many."""
    num_words = 0
    state = _FNV_OFFSET
    inside = False
    position = start
    while position < end:
        byte = data[position]
        if (97 <= byte <= 122) or (48 <= byte <= 57):
            state = (state ^ np.uint64(byte)) * _FNV_PRIME
            inside = True
            position += 1
            continue
        if inside:
            words[num_words] = mixed(state)
            num_words += 1
            state = _FNV_OFFSET
            inside = False
        position += 1
        if byte >= 128:
            # The first byte of a character; those that continue it are 128 to 191.
            state = (state ^ np.uint64(byte)) * _FNV_PRIME
            while position < end and 128 <= data[position] < 192:
                state = (state ^ np.uint64(data[position])) * _FNV_PRIME
                position += 1
            words[num_words] = mixed(state)
            num_words += 1
            state = _FNV_OFFSET
    if inside:
        words[num_words] = mixed(state)
        num_words += 1
    return num_words


@native
def mixed(value):
    """A 64-bit hash whose every bit depends on every bit of the value."""
    value ^= value >> np.uint64(32)
    value *= _MIX
    value ^= value >> np.uint64(29)
    value *= _MIX
    return value ^ (value >> np.uint64(32))


@native
def power(n):
    """`_BASE` to the n, modulo 2^64: what the first of n + 1 words weighs in an n-gram."""
    result = np.uint64(1)
    for _ in range(n):
        result *= _BASE
    return result


@native
def hash_ngrams(words, num_words, n, ngrams):
    """Fill `ngrams` with the hashes of a text's n-grams, in order; returns how many: 0 below n words."""
    if num_words < n:
        return 0
    weight = power(n - 1)
    state = _ZERO
    for place in range(n):
        state = state * _BASE + words[place]
    ngrams[0] = mixed(state)
    for first in range(1, num_words - n + 1):
        state = (state - words[first - 1] * weight) * _BASE + words[first + n - 1]
        ngrams[first] = mixed(state)
    return num_words - n + 1


@native
def _ngrams_of_all(data, starts, ends, n, max_words, hashes, texts):
    words, ngrams = np.empty(max_words, np.uint64), np.empty(max_words, np.uint64)
    total = 0
    for text in range(len(starts)):
        num = hash_ngrams(words, hash_words(data, starts[text], ends[text], words), n, ngrams)
        hashes[total : total + num] = ngrams[:num]
        texts[total : total + num] = text
        total += num
    return total


def ngrams_of(texts: TextColumn, n: int) -> tuple[np.ndarray, np.ndarray]:
    """All n-grams of some texts.

    Returns:
        Hashes (uint64) in order of text and place, and the number of the text of each (int64).
    """
    room = int((texts.ends - texts.starts).sum())
    hashes, owners = np.empty(room, np.uint64), np.empty(room, np.int64)
    total = _ngrams_of_all(texts.data, texts.starts, texts.ends, n, texts.max_words, hashes, owners)
    return hashes[:total].copy(), owners[:total].copy()


@native
def _ascii_keys(data, starts, ends, keys):
    for text in range(len(starts)):
        state = _FNV_OFFSET
        apart = True
        for position in range(starts[text], ends[text]):
            byte = data[position]
            if (97 <= byte <= 122) or (48 <= byte <= 57):
                if apart:
                    state = mixed(state)
                state = (state ^ np.uint64(byte)) * _FNV_PRIME
                apart = False
            else:
                apart = True
        keys[text] = mixed(state)


def ascii_keys_of(texts: TextColumn) -> np.ndarray:
    """Hash of each text's runs of a-z and 0-9 in order (uint64).

    Texts that are equal up to case and white space have the same, whatever white space they are written with.
    """
    keys = np.empty(len(texts), np.uint64)
    _ascii_keys(texts.data, texts.starts, texts.ends, keys)
    return keys
