"""Pair text: everything of a pair that a prompt may show."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from assets.guidelines import without_tools
from assets.identity import digest
from assets.llm_annotated.prompting.data_blocks import block, showable

# Roles name their marks; any other is data and must not.
_ROLES = frozenset({"system", "user", "assistant", "tool"})


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

    @property
    def guideline(self) -> tuple[str, str, str]:
        """Which specialised guideline it is judged by: category, objectivity, controversiality."""
        found = self.attributes
        return found["task_category"], found["objectivity"], found["controversiality"]

    @property
    def num_chars(self) -> int:
        """Of conversation and responses."""
        return sum(len(content) for _, content in self.turns) + len(self.response_1) + len(self.response_2)

    def swapped(self) -> PairText:
        """The same pair with its responses exchanged."""
        return replace(self, response_1=self.response_2, response_2=self.response_1)

    def blocks(self, first_shown: int, delimiter: str) -> str:
        """Attributes, conversation and candidates between marks; response `first_shown` is Candidate 1."""
        *before, one, two = self._showable
        first, second = (one, two) if first_shown == 1 else (two, one)
        named = [*before, ("candidate_1", first[1]), ("candidate_2", second[1])]
        return "\n".join(block(name, delimiter, text) for name, text in named)

    @cached_property
    def folded(self) -> str:
        """All texts as they are shown, in lower case: where a delimiter must not occur."""
        return "\n".join(text for _, text in self._showable).lower()

    @cached_property
    def hash(self) -> str:
        """Of all texts as they are shown, whichever response comes first."""
        return digest("pair text", *(part for named in self._showable for part in named))

    @cached_property
    def _showable(self) -> tuple[tuple[str, str], ...]:
        """Block name and text of everything; the responses last."""
        named = [("attributes", shown_attributes(self.attributes))]
        named += [(role if role in _ROLES else "turn", content) for role, content in self.turns]
        named += [("response", self.response_1), ("response", self.response_2)]
        return tuple((name, showable(text)) for name, text in named)


def shown_attributes(attributes: Mapping[str, str]) -> str:
    """Attributes as a judge gets them: one a line, the pair's own guideline without what is said on tools."""
    lines = [
        f"{name.replace('_', ' ')}: {attributes[name]}" for name in ("task_category", "objectivity", "controversiality")
    ]
    if desired := attributes.get("desired_attributes"):
        lines.append(f"a good answer: {desired}")
    if guideline := without_tools(attributes.get("annotation_guideline") or ""):
        lines.append(f"how to decide this pair: {guideline}")
    return "\n".join(lines)
