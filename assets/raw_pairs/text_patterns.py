"""Text patterns: Markdown, encoding damage and refusals, counted by Arrow's RE2, whose time is linear in the text."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

# A refusal says so at once; further in, the same words are as a rule quoted.
REFUSAL_CHARS = 300

_MARKDOWN = (
    r"(?m)^ {0,3}#{1,6} ",  # headings
    r"(?m)^[ \t]*(?:[-*+]|\d{1,3}[.)]) +\S",  # list items
    r"\*\*[^*\n]+\*\*|__[^_\n]+__",  # bold
    r"(?m)^[ \t]*```",  # code fences, each of the two lines
)
_ENCODING_DAMAGE = (
    r"\x{FFFD}",  # a decoder's replacement character
    r"[\x00-\x08\x0B\x0C\x0E-\x1F\x7F-\x{9F}]",  # control characters but tab, line feed, carriage return
    # UTF-8 read as Windows-1252 or Latin-1: "Ã©" for é, "â€™" for ’, a byte order mark, the head of an emoji.
    "[ÃÂ][\\x{80}-\\x{BF}ŒœŠšŸŽžƒˆ˜–—‘’‚“”„†‡•…‰‹›€™]|â€|ï»¿|ðŸ",
)
# English alone: a refusal in another language is not found.
_REFUSAL = (
    r"(?i)\bi(?:'m|’m| am) (?:really |very |so |truly )?sorry,? (?:but )?(?:i |that |as an ai)"
    r"|\bi (?:can'?t|can’t|cannot|can not|could not|won'?t|won’t|will not)"
    r" (?:\w+ )?(?:assist|help|provide|fulfill|comply|answer|engage|support|create|generate|give|do that|discuss)"
    r"|\bi(?:'m|’m| am) (?:not able|unable) to\b|\bi (?:must|have to) (?:decline|refuse)\b"
    r"|\bas an ai(?: language)?(?: model| assistant)?,? i (?:can'?t|can’t|cannot|don'?t|don’t|do not|am not|am unable)"
    r"|\bi apologi[sz]e,? but (?:i|as an ai)\b"
    r"|\bagainst my (?:programming|guidelines|ethical guidelines|policies)\b"
)


def count_matches(texts: pa.Array, patterns: tuple[str, ...]) -> np.ndarray:
    """How often any of the patterns matches in each text, patterns counted apart and added."""
    total = np.zeros(len(texts), np.int64)
    for pattern in patterns:
        total += pc.count_substring_regex(texts, pattern).to_numpy(zero_copy_only=False)
    return total


def markdown_density(texts: pa.Array) -> np.ndarray:
    """Headings, list items, bold spans and code fences per 1,000 characters of each text; 0 for an empty one.

    >>> markdown_density(pa.array(["# Title\\n- one\\n- **two**", ""])).round(1).tolist()
    [173.9, 0.0]
    """
    sizes = pc.utf8_length(texts).to_numpy(zero_copy_only=False)
    return 1_000 * count_matches(texts, _MARKDOWN) / np.maximum(sizes, 1)


def num_encoding_faults(texts: pa.Array) -> np.ndarray:
    """Replacement characters, control characters and sequences that a wrong decoding leaves, per text.

    >>> num_encoding_faults(pa.array(["cafÃ© donâ€™t", "café, NÃO", "a\\ufffd\\x00"])).tolist()
    [2, 0, 2]
    """
    return count_matches(texts, _ENCODING_DAMAGE)


def refusals(texts: pa.Array) -> np.ndarray:
    """Whether each text begins with a refusal or a disclaimer in English, by patterns, in its first 300 characters.

    "As an AI language model, I don't have opinions. However, ..." counts: what follows is not looked at.

    >>> refusals(pa.array(["I'm sorry, but I can't help with that.", "Sorry is a song by Justin Bieber."])).tolist()
    [True, False]
    """
    heads = pc.utf8_slice_codeunits(texts, 0, REFUSAL_CHARS)
    return pc.match_substring_regex(heads, _REFUSAL).to_numpy(zero_copy_only=False)
