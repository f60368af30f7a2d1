"""MinHash sketches: what near duplicates are found by, without comparing every pair with every other.

A text is the set of its shingles, runs of five words (a shorter text is one shingle). Two sets agree in a MinHash with
the probability of their Jaccard similarity J, and in at least one of 18 bands of 7 MinHashes with 1 - (1 - J^7)^18:
98.5 % at 0.8, 73 % at 0.65, 13 % at 0.5. A band of a pair has three MinHashes of its prompt and four of its responses
together, so that neither a long prompt nor a stock answer alone brings two pairs into one band. Whoever meets in a band
is compared exactly (see `near_duplicates`), so the bands decide what is found and never what is called a duplicate.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from assets.raw_pairs.overlap.words import TextColumn, hash_ngrams, hash_words, mixed, native
from assets.tables.sources import NUM_BANDS

SKETCH_VERSION = "2"
"""Raised when the same text is to give another sketch."""

SHINGLE_WORDS = 5
ROWS_PER_BAND = 7
PROMPT_ROWS_PER_BAND = 3
NUM_HASHES = NUM_BANDS * ROWS_PER_BAND

_draw = np.random.default_rng(20250702)
# h(x) = a x + b modulo 2^32 with an odd a is one of the orders of all 32-bit numbers.
_FACTORS = _draw.integers(0, 1 << 31, NUM_HASHES, dtype=np.uint32) * np.uint32(2) + np.uint32(1)
_SHIFTS = _draw.integers(0, 1 << 32, NUM_HASHES, dtype=np.uint32)
_LARGEST = np.uint32(0xFFFFFFFF)


def min_hashes(*texts: tuple[pa.Array, int]) -> np.ndarray:
    """MinHashes of rows of texts.

    Args:
        texts: columns of strings, each with a tag. A row is the union of the shingles of its texts; equal words in
            columns of different tags make different shingles.

    Returns:
        uint32 [rows, NUM_HASHES]. Those of a union are the lower ones, number by number.
    """
    hashes = np.full((len(texts[0][0]), NUM_HASHES), _LARGEST, np.uint32)
    for column, tag in texts:
        text = TextColumn(column)
        room = max(1, text.max_words)
        _add_min_hashes(text.data, text.starts, text.ends, text.runs, room, np.uint64(tag), _FACTORS, _SHIFTS, hashes)
    return hashes


def hashes_of_pairs(prompts: np.ndarray, responses: np.ndarray) -> np.ndarray:
    """MinHashes of pairs, laid out by band, from those of their prompts and of both responses together.

    Args:
        prompts, responses: uint32 [pairs, NUM_HASHES].
    """
    from_responses = ROWS_PER_BAND - PROMPT_ROWS_PER_BAND
    parts = [
        hashes[:, : NUM_BANDS * num].reshape(len(hashes), NUM_BANDS, num)
        for hashes, num in ((prompts, PROMPT_ROWS_PER_BAND), (responses, from_responses))
    ]
    return np.concatenate(parts, axis=2).reshape(len(prompts), NUM_HASHES)


def bands_of(hashes: np.ndarray) -> np.ndarray:
    """Band hashes, uint64 [rows, NUM_BANDS]: rows equal in a band were equal in all its MinHashes."""
    bands = np.empty((len(hashes), NUM_BANDS), np.uint64)
    _hash_bands(hashes, ROWS_PER_BAND, bands)
    return bands


def shingles(texts: pa.Array) -> tuple[np.ndarray, np.ndarray]:
    """The sets of shingles of some texts.

    Returns:
        All sets one after the other (uint64, each ascending and without repetition), and where each begins and the
        last ends (int64 [texts + 1]).
    """
    column = TextColumn(texts)
    # A text has at most one shingle for each of its bytes, and at least one.
    room = int((column.ends - column.starts).sum()) + len(column)
    values, offsets = np.empty(room, np.uint64), np.zeros(len(column) + 1, np.int64)
    total = _sorted_shingles(
        column.data, column.starts, column.ends, column.runs, max(1, column.max_words), values, offsets
    )
    return values[:total].copy(), offsets


@native
def jaccard(first, second):
    """Jaccard similarity of two ascending arrays without repetition, 0 to 1."""
    i = j = shared = 0
    while i < len(first) and j < len(second):
        if first[i] == second[j]:
            shared += 1
            i += 1
            j += 1
        elif first[i] < second[j]:
            i += 1
        else:
            j += 1
    union = len(first) + len(second) - shared
    return shared / union if union else 1.0


@native
def _shingles_of(data, start, end, runs, words, ngrams):
    """Shingles of a text with repetition; a text of fewer words is one, of no words its bytes are."""
    num_words = hash_words(data, start, end, runs, words)
    if num_words >= SHINGLE_WORDS:
        return hash_ngrams(words, num_words, SHINGLE_WORDS, ngrams)
    if num_words:
        return hash_ngrams(words, num_words, num_words, ngrams)
    state = np.uint64(end - start)
    for position in range(start, end):
        state = mixed(state + np.uint64(data[position]))
    ngrams[0] = state
    return 1


@native
def _add_min_hashes(data, starts, ends, runs, room, tag, factors, shifts, hashes):
    words, ngrams = np.empty(room, np.uint64), np.empty(room, np.uint64)
    for row in range(len(starts)):
        lowest = hashes[row]
        for place in range(_shingles_of(data, starts[row], ends[row], runs, words, ngrams)):
            value = np.uint32(mixed(ngrams[place] + tag) >> np.uint64(32))
            for number in range(len(factors)):
                hashed = np.uint32(value * factors[number] + shifts[number])
                # Stored whether lower or not: a store that depends keeps the loop from eight numbers at a time.
                lowest[number] = min(lowest[number], hashed)


@native
def _hash_bands(hashes, rows_per_band, bands):
    for row in range(bands.shape[0]):
        for band in range(bands.shape[1]):
            state = np.uint64(band)
            for place in range(band * rows_per_band, (band + 1) * rows_per_band):
                state = mixed(state + np.uint64(hashes[row, place]))
            bands[row, band] = state


@native
def _sorted_shingles(data, starts, ends, runs, room, values, offsets):
    words, ngrams = np.empty(room, np.uint64), np.empty(room, np.uint64)
    total = 0
    for row in range(len(starts)):
        found = np.sort(ngrams[: _shingles_of(data, starts[row], ends[row], runs, words, ngrams)])
        for place in range(len(found)):
            if place == 0 or found[place] != found[place - 1]:
                values[total] = found[place]
                total += 1
        offsets[row + 1] = total
    return total
