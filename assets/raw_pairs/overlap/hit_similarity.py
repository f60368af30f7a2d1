"""Whether an n-gram hit is one: how alike its two texts are as a whole. It is reported; no hit is removed by it."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from assets.raw_pairs.overlap.paraphrases import SIMILARITY_DIGITS, Embed

# What stands between words, by decontamination's definition of a word.
_BETWEEN = r"[\x00-/:-`{-\x7f]*"


def similarities(first: Sequence[str], second: Sequence[str], embed: Embed) -> NDArray[np.float64]:
    """Cosine of each text of the first list with its partner in the second; each distinct text is embedded once.

    An n-gram hit below a low bar is called false: its texts are not even loosely alike, so what they share is likely
    an idiom, a formula or an instruction that many prompts quote.
    """
    place = {text: number for number, text in enumerate(dict.fromkeys((*first, *second)))}
    if not place:
        return np.zeros(0)
    vectors = embed(list(place))
    a, b = (vectors[[place[text] for text in texts]] for texts in (first, second))
    return np.round(np.einsum("ij,ij->i", a, b, dtype=np.float64), SIMILARITY_DIGITS)


def around_span(text: str, span: str, num_chars: int) -> str:
    """The part of a text around its first occurrence of a span, about `num_chars` long.

    A long text that quotes a benchmark prompt is about something else as a whole; its part is what to compare.

    Args:
        span: words as decontamination writes them, one space between them. Where they do not occur, and in a
            text that is not longer, the text is returned as it is, up to `num_chars`.

    >>> around_span("So: a b c d. What, is 2 + 2? Thanks a lot for it.", "what is 2 2", 18)
    '. What, is 2 + 2? '
    """
    words = span.split(" ")
    lowered = text.lower()
    # Lower case can change a text's length; positions then no longer fit.
    found = None
    if span and len(lowered) == len(text):
        found = re.search(_BETWEEN.join(map(re.escape, words)), lowered)
    if found is None or len(text) <= num_chars:
        return text[:num_chars]
    spare = max(0, num_chars - (found.end() - found.start()))
    start = min(max(0, found.start() - spare // 2), max(0, len(text) - num_chars))
    return text[start : max(start + num_chars, found.end())]
