"""Words and n-grams of texts as 64-bit hashes, read straight from Arrow's buffers.

A word is a run of letters and digits of a script that parts its words, in lower case, or a single character of one
that does not, such as Chinese; white space and punctuation of any script part words, and what has no width is
nothing. `published` words are those of the contamination lists that others publish: runs of a-z and 0-9, and every
other character beyond ASCII alone. A pair has some seven hundred words, so this is native code: Python manages a few
thousand pairs a second, these loops some fifty thousand on one core.
"""

from __future__ import annotations

import re
import unicodedata

import numba
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

_FNV_OFFSET, _FNV_PRIME = np.uint64(0xCBF29CE484222325), np.uint64(0x100000001B3)
_MIX = np.uint64(0x9E3779B97F4A7C15)
# Any odd number serves: words are mixed before they are combined.
_BASE = np.uint64(0xD6E8FEB86659FD93)
_ZERO = np.uint64(0)

# Scripts that write letters side by side, and the marks that go with letters.
_ALPHABETS = (
    *((0xAA, 0xAA), (0xB5, 0xB5), (0xBA, 0xBA), (0xC0, 0xD6), (0xD8, 0xF6), (0xF8, 0x36F), (0x370, 0x52F)),
    *((0x531, 0x587), (0x591, 0x7BF), (0x900, 0xDFF), (0x10A0, 0x137F), (0x13A0, 0x13FF), (0x1E00, 0x1FFF)),
    *((0xAC00, 0xD7A3),),
)
_JOINS = np.zeros(0x10000, np.bool_)
for _first, _last in _ALPHABETS:
    _JOINS[_first : _last + 1] = True
_WORD = re.compile("[a-z0-9" + "".join(f"{chr(a)}-{chr(b)}" for a, b in _ALPHABETS) + "]+|[^\\x00-\\x7f]")
_PUBLISHED_WORD = re.compile(r"[a-z0-9]+|[^\x00-\x7f]")
_WITHOUT_WIDTH = r"[\x{ad}\x{200b}-\x{200d}\x{2060}\x{feff}]"
_BETWEEN_WORDS = r"[\p{Z}\p{P}\x{85}]"

native = numba.njit(cache=True, nogil=True)
"""Compiled on first use, kept on disk for later processes, and run without Python's lock."""


class TextColumn:
    """Lower-cased texts as one array of bytes, for the loops below.

    Attributes:
        data: uint8, all texts one after the other in UTF-8.
        starts, ends: int64, one of each a text.
        runs: whether letters beyond ASCII make words with those beside them.
    """

    def __init__(self, texts: pa.Array | pa.ChunkedArray, *, published: bool = False) -> None:
        """Take an array of strings; null counts as an empty text."""
        lowered = _lowered(texts, published=published)
        self.runs = not published
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


def _lowered(texts: pa.Array | pa.ChunkedArray, *, published: bool) -> pa.Array:
    whole = texts.cast(pa.large_string())
    whole = whole.combine_chunks() if isinstance(whole, pa.ChunkedArray) else whole
    lowered = pc.utf8_lower(pc.fill_null(whole, ""))
    beyond_ascii = pc.invert(pc.string_is_ascii(lowered))
    if published or not pc.any(beyond_ascii).as_py():
        return lowered
    # Decomposed: Arrow leaves texts so whichever form it is asked for, and marks make words with their letters.
    some = pc.utf8_normalize(lowered.filter(beyond_ascii), form="NFD")
    some = pc.replace_substring_regex(some, _WITHOUT_WIDTH, "")
    return pc.replace_with_mask(lowered, beyond_ascii, pc.replace_substring_regex(some, _BETWEEN_WORDS, " "))


def words_of(text: str, *, published: bool = False) -> list[str]:
    """Words of a text, as the loops below see them.

    >>> words_of("It\u2019s 5 o'clock, né? \u4e2d\u6587"), words_of("né", published=True)
    (['it', 's', '5', 'o', 'clock', 'né', '中', '文'], ['n', 'é'])
    """
    plain = _lowered(pa.array([text], pa.string()), published=published)[0].as_py()
    if published:
        return _PUBLISHED_WORD.findall(plain)
    return [unicodedata.normalize("NFC", word) for word in _WORD.findall(plain)]


@native
def hash_words(data, start, end, runs, words):
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
        last = position + 1
        joins = False
        if byte >= 128:
            # A character of several bytes: those that continue it are 128 to 191.
            while last < end and 128 <= data[last] < 192:
                last += 1
            joins = runs and _joins(data, position, last)
        if inside and not joins:
            words[num_words] = mixed(state)
            num_words += 1
            state = _FNV_OFFSET
            inside = False
        if byte >= 128:
            for place in range(position, last):
                state = (state ^ np.uint64(data[place])) * _FNV_PRIME
            inside = True
            if not joins:
                words[num_words] = mixed(state)
                num_words += 1
                state = _FNV_OFFSET
                inside = False
        position = last
    if inside:
        words[num_words] = mixed(state)
        num_words += 1
    return num_words


@native
def _joins(data, position, last):
    """Whether a character of two or three bytes is of a script that writes letters side by side."""
    if last - position == 2:
        return _JOINS[(np.int64(data[position]) & 0x1F) << 6 | (np.int64(data[position + 1]) & 0x3F)]
    if last - position == 3:
        high = (np.int64(data[position]) & 0x0F) << 12 | (np.int64(data[position + 1]) & 0x3F) << 6
        return _JOINS[high | (np.int64(data[position + 2]) & 0x3F)]
    return False


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
def _ngrams_of_all(data, starts, ends, runs, n, max_words, hashes, texts):
    words, ngrams = np.empty(max_words, np.uint64), np.empty(max_words, np.uint64)
    total = 0
    for text in range(len(starts)):
        num = hash_ngrams(words, hash_words(data, starts[text], ends[text], runs, words), n, ngrams)
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
    total = _ngrams_of_all(texts.data, texts.starts, texts.ends, texts.runs, n, texts.max_words, hashes, owners)
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
