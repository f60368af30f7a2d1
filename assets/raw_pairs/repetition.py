"""Repetition: how much of a text repeats what it has said before, by the measures of Gopher's quality rules.

Rae et al. 2021 (arXiv 2112.11446), appendix A.1, drop web documents by the share of characters in duplicate lines
(above 0.20), in the most frequent 3-gram (0.18) and in repeated 5-grams (0.15). Here the shares are of the UTF-8
bytes of the text's words, so that none exceeds 1, and white space counts for nothing.

This module loads numba, which takes a second: import it inside the function that needs it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numba
import numpy as np
import pyarrow as pa

TOP_NGRAM = 3
REPEATED_NGRAM = 5
_PRIME = np.uint64(0x100000001B3)
_OFFSET = np.uint64(0xCBF29CE484222325)


@dataclass(frozen=True)
class Repetition:
    """Measures of n texts; every array has n entries.

    Attributes:
        num_words: runs of characters without white space; each Chinese or Japanese character is one of its own.
        duplicate_line_rate: share of bytes in lines that stood in the text before, 0 to 1.
        top_3gram_rate: share covered by the most frequent 3-gram of words, 0 when none occurs twice.
        duplicate_5gram_rate: share covered by second and later occurrences of 5-grams of words.
    """

    num_words: np.ndarray
    duplicate_line_rate: np.ndarray
    top_3gram_rate: np.ndarray
    duplicate_5gram_rate: np.ndarray


def measure_repetition(texts: pa.Array) -> Repetition:
    """Measure every text of an Arrow string array without nulls.

    >>> found = measure_repetition(pa.array(["ha ha ha ha ha ha", "each word is new here", "same\\nsame\\n"]))
    >>> found.num_words.tolist(), found.duplicate_line_rate.tolist(), found.top_3gram_rate.tolist()
    ([6, 5, 2], [0.0, 0.0, 0.5], [1.0, 0.0, 0.0])
    """
    plain = texts.cast(pa.large_string())
    _, offsets, data = plain.buffers()
    starts = np.frombuffer(offsets, np.int64)[plain.offset : plain.offset + len(plain) + 1]
    characters = np.frombuffer(data, np.uint8) if data is not None and data.size else np.zeros(0, np.uint8)
    return Repetition(*_measure(characters, starts))


@numba.njit(cache=True)
def _is_space(byte):
    return byte == 32 or (9 <= byte <= 13)


@numba.njit(cache=True)
def _stands_alone(characters, at, end):
    """Whether three bytes are a Chinese or Japanese character (U+2E80 to U+9FFF): such scripts have no spaces."""
    if at + 2 >= end or characters[at] < 0xE2 or characters[at] > 0xE9:
        return False
    point = ((characters[at] & 0x0F) << 12) | ((characters[at + 1] & 0x3F) << 6) | (characters[at + 2] & 0x3F)
    return 0x2E80 <= point <= 0x9FFF


@numba.njit(cache=True)
def _split(characters, start, end, hashes, sizes):
    """Fill hash and size in bytes of every word; returns how many there are."""
    num_words = 0
    at = start
    while at < end:
        if _is_space(characters[at]):
            at += 1
            continue
        state = _OFFSET
        first = at
        if _stands_alone(characters, at, end):
            for step in range(3):
                state = (state ^ np.uint64(characters[at + step])) * _PRIME
            at += 3
        else:
            while at < end and not _is_space(characters[at]) and not _stands_alone(characters, at, end):
                state = (state ^ np.uint64(characters[at])) * _PRIME
                at += 1
        hashes[num_words] = state
        sizes[num_words] = at - first
        num_words += 1
    return num_words


@numba.njit(cache=True)
def _find(keys, slots, key, mask):
    """Slot of a key in an open-addressing table: its own, or the first free one (-1)."""
    slot = np.int64((key ^ (key >> np.uint64(29))) & mask)
    while slots[slot] >= 0 and keys[slot] != key:
        slot = np.int64((slot + 1) & np.int64(mask))
    return slot


@numba.njit(cache=True)
def _ngram(hashes, at, size):
    state = _OFFSET
    for step in range(size):
        state = (state ^ hashes[at + step]) * _PRIME
        state ^= state >> np.uint64(32)
    return state


@numba.njit(cache=True)
def _covered_by_repeats(hashes, sizes, num_words, size, top_only):
    """Bytes of words inside repeated n-grams: all of the most frequent one, or repeats of any (second and later)."""
    num_ngrams = num_words - size + 1
    if num_ngrams < 2:
        return 0
    capacity = 4
    while capacity < 2 * num_ngrams:
        capacity *= 2
    mask = np.uint64(capacity - 1)
    keys = np.zeros(capacity, np.uint64)
    first = np.full(capacity, -1, np.int64)
    counts = np.zeros(capacity, np.int64)
    wanted = np.zeros(num_ngrams, np.bool_)
    best = -1
    for at in range(num_ngrams):
        key = _ngram(hashes, at, size)
        slot = _find(keys, first, key, mask)
        if first[slot] < 0:
            keys[slot] = key
            first[slot] = at
        else:
            wanted[at] = not top_only
        counts[slot] += 1
        # Of equally frequent ones the first to get there counts: the same text gives the same share.
        if counts[slot] > 1 and (best < 0 or counts[slot] > counts[best]):
            best = slot
    if top_only:
        if best < 0:
            return 0
        for at in range(num_ngrams):
            wanted[at] = _ngram(hashes, at, size) == keys[best]
    covered = 0
    until = 0
    for at in range(num_ngrams):
        if wanted[at]:
            for word in range(max(at, until), at + size):
                covered += sizes[word]
            until = at + size
    return covered


@numba.njit(cache=True)
def _bytes_in_duplicate_lines(characters, start, end):
    num_lines = 1
    for at in range(start, end):
        num_lines += characters[at] == 10
    if num_lines < 2:
        return 0
    capacity = 4
    while capacity < 2 * num_lines:
        capacity *= 2
    mask = np.uint64(capacity - 1)
    keys = np.zeros(capacity, np.uint64)
    seen = np.full(capacity, -1, np.int64)
    covered = 0
    state, size = _OFFSET, 0
    for at in range(start, end + 1):
        if at < end and characters[at] != 10:
            if not _is_space(characters[at]):
                state = (state ^ np.uint64(characters[at])) * _PRIME
                size += 1
            continue
        if size:
            slot = _find(keys, seen, state, mask)
            if seen[slot] < 0:
                keys[slot] = state
                seen[slot] = at
            else:
                covered += size
        state, size = _OFFSET, 0
    return covered


@numba.njit(cache=True)
def _measure(characters, starts):
    num_texts = len(starts) - 1
    num_words = np.zeros(num_texts, np.int64)
    lines = np.zeros(num_texts)
    top = np.zeros(num_texts)
    repeated = np.zeros(num_texts)
    longest = 0
    for text in range(num_texts):
        longest = max(longest, starts[text + 1] - starts[text])
    hashes = np.zeros(longest, np.uint64)
    sizes = np.zeros(longest, np.int64)
    for text in range(num_texts):
        start, end = starts[text], starts[text + 1]
        found = _split(characters, start, end, hashes, sizes)
        num_words[text] = found
        total = 0
        for word in range(found):
            total += sizes[word]
        if total:
            lines[text] = _bytes_in_duplicate_lines(characters, start, end) / total
            top[text] = _covered_by_repeats(hashes, sizes, found, TOP_NGRAM, True) / total
            repeated[text] = _covered_by_repeats(hashes, sizes, found, REPEATED_NGRAM, False) / total
    return num_words, lines, top, repeated
