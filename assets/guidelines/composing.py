"""Composing: the guideline of one category, objectivity and controversiality, in full and in short."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from itertools import product

from assets.contracts import CONTROVERSIALITY, OBJECTIVITY, TASK_CATEGORIES
from assets.guidelines.files import GENERAL, IN_SHORT, MISTAKES, PEOPLE_ONLY, TOOLS, GuidelineFile, read_all
from assets.identity import digest

_TOOLS_MARK = re.compile(rf"[-*>\s]*\**{TOOLS}:", re.IGNORECASE)
# Within a line: up to the sentence's end.
_TOOLS_SENTENCE = re.compile(rf"\**{TOOLS}:.*?(?:[.!?](?=\s|$)|$)", re.IGNORECASE)


@dataclass(frozen=True)
class Guidelines:
    """All guidelines. Every method takes values of `assets.contracts` and raises KeyError for any other."""

    files: Mapping[str, GuidelineFile]

    def text(self, category: str, objectivity: str, controversiality: str, *, tools: bool = True) -> str:
        """The specialised guideline, as Markdown.

        Args:
            category, objectivity, controversiality: which one.
            tools: with the sections on what only people can do; judges get it without.
        """
        _check(objectivity, controversiality)
        own, general = self.files[category].sections, self.files[GENERAL].sections
        both = {**general, **own}
        cases = [f"When it is {objectivity}", f"When controversiality is {controversiality}"]
        before, after = list(own)[: list(own).index(MISTAKES)], list(own)[list(own).index(MISTAKES) :]
        order = [*_without_cases(before), *cases, *after, *_without_cases(general)]
        which = (category, objectivity, controversiality)
        parts = [
            f"# {self.files[category].title}: {objectivity}, controversiality {controversiality}",
            f"## {IN_SHORT}",
            f"**A good answer:** {self.desired(*which)}",
            f"**How to decide:** {self.short(*which, tools=False)}",
            *(f"## {title}\n\n{both[title]}" for title in order if tools or title not in PEOPLE_ONLY),
        ]
        return "\n\n".join(parts) + "\n"

    def short(self, category: str, objectivity: str, controversiality: str, *, tools: bool = True) -> str:
        """How to decide, as one paragraph: the `annotation_guideline` that rules write.

        Args:
            category, objectivity, controversiality: which one.
            tools: with a line on tools after it, which begins with "With tools:".
        """
        _check(objectivity, controversiality)
        own, general = self.files[category].short, self.files[GENERAL].short
        parts = (
            own["Decide"],
            general[f"{objectivity.capitalize()}, decide"],
            general.get(f"{controversiality.capitalize()}, decide", ""),
            general["Closing"],
        )
        paragraph = " ".join(filter(None, parts))
        return f"{paragraph}\n{TOOLS}: {_lower_first(own[TOOLS])}" if tools else paragraph

    def desired(self, category: str, objectivity: str, controversiality: str, constraints: Iterable[str] = ()) -> str:
        """What the user would want of a good answer, as one paragraph: the `desired_attributes` that rules write.

        Args:
            category, objectivity, controversiality: which one.
            constraints: what the request fixes, such as "length" or "format".
        """
        _check(objectivity, controversiality)
        general = self.files[GENERAL].short
        fixed = ", ".join(constraints)
        parts = (
            self.files[category].short["Desired"],
            general["Request fixes"].format(constraints=fixed) if fixed else "",
            general[f"{objectivity.capitalize()}, desired"],
            general.get(f"{controversiality.capitalize()}, desired", ""),
        )
        return " ".join(filter(None, parts))

    def version_of(self, category: str, objectivity: str, controversiality: str) -> str:
        """Version of one guideline: the category file's and the general file's number, and the text's hash.

        For example "3.2-9f86d081".
        """
        text = self.text(category, objectivity, controversiality)
        return f"{self.files[category].version}.{self.files[GENERAL].version}-{digest('guideline', text)[:8]}"

    @cached_property
    def version(self) -> str:
        """Hash of all texts, eight hex digits."""
        return digest("guidelines", *(self.text(*which) for which in combinations()))[:8]

    @cached_property
    def short_version(self) -> str:
        """Hash of the short texts alone, eight hex digits: changes when attributes written by rules would."""
        texts = (text for file in self.files.values() for text in (file.name, *file.short.values()))
        return digest("short guidelines", *texts)[:8]


def combinations() -> Iterable[tuple[str, str, str]]:
    """Every category x objectivity x controversiality; 72."""
    return product(TASK_CATEGORIES, OBJECTIVITY, CONTROVERSIALITY)


@cache
def load_guidelines() -> Guidelines:
    """The guidelines of this repository; read once.

    Raises:
        SynprefError: a file is missing, or lacks a part.
    """
    return Guidelines(read_all())


def without_tools(guideline: str) -> str:
    """A pair's own guideline, edited by people or not, without what is said on tools: as a judge gets it.

    A line that begins with "With tools:" goes, whatever was written after it; within a line, that sentence goes.

    >>> without_tools("Prefer what works.\\nWith tools: run both programs, e.g. in a sandbox.\\nMind the dates.")
    'Prefer what works.\\nMind the dates.'
    >>> without_tools("Prefer what works. With tools: run both programs. Mind the dates.")
    'Prefer what works. Mind the dates.'
    """
    lines = [line for line in guideline.splitlines() if not _TOOLS_MARK.match(line)]
    kept = (re.sub(r" {2,}", " ", _TOOLS_SENTENCE.sub("", line)).rstrip() for line in lines)
    return "\n".join(kept).strip()


def _without_cases(titles: Iterable[str]) -> list[str]:
    return [title for title in titles if title != IN_SHORT and not title.startswith("When ")]


def _check(objectivity: str, controversiality: str) -> None:
    if objectivity not in OBJECTIVITY or controversiality not in CONTROVERSIALITY:
        raise KeyError((objectivity, controversiality))


def _lower_first(text: str) -> str:
    return text[:1].lower() + text[1:]
