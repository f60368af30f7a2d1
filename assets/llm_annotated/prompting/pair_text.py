"""Pair text: everything of a pair that a prompt may show."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace


@dataclass(frozen=True)
class PairText:
    """One pair.

    Attributes:
        turns: (role, content) of the conversation, in order.
        response_1, response_2: in canonical order.
        attributes: the five fields of `assets.contracts`, as people left them.
    """

    turns: Sequence[tuple[str, str]]
    response_1: str
    response_2: str
    attributes: Mapping[str, str]

    def shown(self, first_shown: int) -> tuple[str, str]:
        """Candidate 1 and Candidate 2 where response `first_shown` is Candidate 1."""
        both = (self.response_1, self.response_2)
        return both if first_shown == 1 else both[::-1]

    def swapped(self) -> PairText:
        """The same pair with its responses exchanged."""
        return replace(self, response_1=self.response_2, response_2=self.response_1)

    @property
    def guideline(self) -> tuple[str, str, str]:
        """Which specialised guideline it is judged by: category, objectivity, controversiality."""
        found = self.attributes
        return found["task_category"], found["objectivity"], found["controversiality"]
