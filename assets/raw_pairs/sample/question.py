"""What the sample's task categories share: a question with right and wrong answers, and the word lists."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from random import Random
from typing import Any, TypeVar

from assets.identity import Turn
from assets.settings import read_yaml

T = TypeVar("T")


@dataclass(frozen=True)
class Question:
    """A prompt with answers of known worth.

    Any good answer is better than any bad one; two good ones are equally good. Good and bad answers are built
    alike, so that a single answer read without its prompt tells (nearly) nothing: only `refusal` may leak a little.

    Attributes:
        category: one of `CATEGORIES`.
        turns: the conversation; the last turn is the user's.
        good: answers that do what was asked, all different.
        bad: answers that do not, all different.
    """

    category: str
    turns: tuple[Turn, ...]
    good: tuple[str, ...]
    bad: tuple[str, ...]

    def __post_init__(self) -> None:
        texts = self.good + self.bad
        assert len(set(texts)) == len(texts), f"a question of {self.category} has the same answer twice: {texts}"


@cache
def vocabulary() -> Mapping[str, Any]:
    """The word lists of vocabulary.yaml, read once."""
    return read_yaml(Path(__file__).with_name("vocabulary.yaml"))


def other(rng: Random, options: Sequence[T], *taken: T) -> T:
    """One of the options that is not taken."""
    return rng.choice([option for option in options if option not in taken])


def some(rng: Random, options: Sequence[T]) -> list[T]:
    """One or two of the options, in random order."""
    return rng.sample(options, rng.choice((1, 2)))


def joined(*parts: str) -> str:
    """Sentences in one line, empty ones left out."""
    return " ".join(part for part in parts if part)


def distinct(make: Sequence[str], *without: str) -> tuple[str, ...]:
    """The texts without repetitions and without those given, order kept."""
    return tuple(text for text in dict.fromkeys(make) if text not in without)
