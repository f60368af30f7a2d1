"""Languages: which language a text is written in, by CLD2; code and texts too short to tell are `unknown`."""

from __future__ import annotations

import re

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

UNKNOWN = "unknown"

# Not language: fenced code, addresses.
_NOT_PROSE = r"(?s:```.*?(?:```|\z))|https?://\S+|\S+@\S+"
# Measured on 984 functions of HumanEvalPack and 10,000 answers in prose and maths (docs/decisions.md).
_MIN_CODE_SYMBOLS, _MIN_CODE_LINES = 0.08, 0.7


def _bytes_in(characters: str) -> np.ndarray:
    table = np.zeros(256, bool)
    table[list(characters.encode())] = True
    return table


_CODE_SYMBOL = _bytes_in("{}()[]<>=;_/*&|#~`")
_CODE_LINE_END = _bytes_in(";{})]:,=")
_INDENT = _bytes_in(" \t")
_BLANK = _bytes_in(" \t\r\n\v\f")

# Shorter texts of plain ASCII letters are called Scots or Latin as easily as English.
_MIN_ASCII_BYTES = 25
# What CLD2 refuses to read.
_UNREADABLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ufdd0-\ufdef\ufffe\uffff]|[^\u0000-\uffff]")
# CLD2's names where they are not ISO 639-1.
_ISO = {"iw": "he", "jw": "jv", "mo": "ro"}


def detect_languages(texts: pa.Array, num_chars: int) -> tuple[pa.Array, np.ndarray]:
    """Language of each text, and how sure.

    Args:
        texts: strings without nulls; duplicates are looked at once.
        num_chars: characters of each text's beginning that are looked at.

    Returns:
        ISO 639-1 codes (639-2 where there is none) or `unknown`, and the confidence: share of the text's letters
        that CLD2 counts for that language, 0 to 1; 0 for `unknown`.

    >>> codes, sure = detect_languages(pa.array(["Où est la bibliothèque, s'il vous plaît ?", "42"]), 1000)
    >>> codes.to_pylist(), sure.round(1).tolist()
    (['fr', 'unknown'], [1.0, 0.0])
    """
    encoded = pc.utf8_slice_codeunits(texts, 0, num_chars).dictionary_encode()
    distinct = encoded.dictionary
    prose = pc.replace_substring_regex(distinct, _NOT_PROSE, " ")
    found = [
        (UNKNOWN, 0.0) if code else _detect(text)
        for text, code in zip(prose.to_pylist(), _is_code(prose).tolist(), strict=True)
    ]
    codes = pa.array([code for code, _ in found], pa.string()).take(encoded.indices)
    confidence = np.array([share for _, share in found])[encoded.indices.to_numpy()] if found else np.zeros(0)
    return codes, confidence


def _is_code(texts: pa.Array) -> np.ndarray:
    """Whether a text reads like a program: many brackets and signs, and lines that are indented or end in one."""
    plain = texts.cast(pa.large_string())
    _, offsets, data = plain.buffers()
    starts = np.frombuffer(offsets, np.int64)[plain.offset : plain.offset + len(plain) + 1]
    if starts[-1] == starts[0]:
        return np.zeros(len(plain), bool)
    characters = np.frombuffer(data, np.uint8)[starts[0] : starts[-1]]
    starts = starts - starts[0]
    line_feed = characters == ord("\n")
    begins = np.r_[False, line_feed[:-1]]
    begins[starts[:-1][starts[:-1] < len(characters)]] = True
    ends = np.r_[line_feed[1:], True]
    ends[starts[1:][starts[1:] > 0] - 1] = True
    ends &= ~line_feed

    def count(mask: np.ndarray) -> np.ndarray:
        return np.diff(np.r_[0, np.cumsum(mask)][starts])

    # Of a character of several bytes, the first counts.
    solid = count(~_BLANK[characters] & ((characters & 0xC0) != 0x80))
    symbols = count(_CODE_SYMBOL[characters]) / np.maximum(solid, 1)
    lines = count(ends & _CODE_LINE_END[characters]) + count(begins & _INDENT[characters])
    return (symbols > _MIN_CODE_SYMBOLS) & (lines / np.maximum(count(ends), 1) > _MIN_CODE_LINES)


def _detect(text: str) -> tuple[str, float]:
    import pycld2

    try:
        reliable, num_bytes, details = pycld2.detect(text, isPlainText=True)
    except pycld2.error:
        try:
            reliable, num_bytes, details = pycld2.detect(_UNREADABLE.sub(" ", text), isPlainText=True)
        except pycld2.error:
            return UNKNOWN, 0.0
    _, code, percent, _ = details[0]
    if not reliable or code == "un" or (num_bytes < _MIN_ASCII_BYTES and text.isascii()):
        return UNKNOWN, 0.0
    code = code.split("-")[0]
    return _ISO.get(code, code), percent / 100
