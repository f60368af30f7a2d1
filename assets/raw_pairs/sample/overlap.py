"""Which prompts overlap: 13-grams shared with the sample's own benchmark, by the project's definition of a word."""

from __future__ import annotations

import re
from collections.abc import Iterable

NGRAM = 13
_WORD = re.compile(r"[a-z0-9]+|[^\x00-\x7f]")


def words_of(text: str) -> list[str]:
    """Words of a text: runs of [a-z0-9]+ or single non-ASCII characters, lower case.

    >>> words_of("Été, 2 o'clock")
    ['é', 't', 'é', '2', 'o', 'clock']
    """
    return _WORD.findall(text.lower())


def ngrams(text: str, n: int = NGRAM) -> frozenset[tuple[str, ...]]:
    """All n-grams of a text; none when it has fewer than n words."""
    words = words_of(text)
    return frozenset(tuple(words[start : start + n]) for start in range(len(words) - n + 1))


def all_ngrams(texts: Iterable[str], n: int = NGRAM) -> frozenset[tuple[str, ...]]:
    """n-grams of any of the texts."""
    return frozenset().union(*(ngrams(text, n) for text in texts))
