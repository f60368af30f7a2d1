"""Prompt texts: reading the Markdown files of this folder, and the version that stands in every label."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import yaml

from assets.errors import SynprefError
from assets.identity import digest

FOLDER = Path(__file__).parent
NAMES = ("attributes", "judge")

_FRONT_MATTER = re.compile(r"\A---\n(.*?)\n---\n(.*)\Z", re.DOTALL)


@dataclass(frozen=True)
class PromptTexts:
    """One file.

    Attributes:
        version: of the front matter, raised by hand with every change of the text (see `lock`).
        sections: text by heading.
    """

    version: int
    sections: Mapping[str, str]

    @property
    def hash(self) -> str:
        """Of all texts, 32 hex digits."""
        return digest("prompt", *(part for section in self.sections.items() for part in section))

    @property
    def name(self) -> str:
        """Version and hash in short, such as "1-9f86d081": it stands in labellers' versions."""
        return f"{self.version}-{self.hash[:8]}"


@cache
def load_texts(name: str) -> PromptTexts:
    """The texts of a prompt of this folder; read once.

    Raises:
        SynprefError: there is no such file, or it has no version.
    """
    return read_texts(FOLDER / f"{name}.md")


def read_texts(path: Path) -> PromptTexts:
    """The texts of one file.

    Raises:
        SynprefError: the file is missing, has no version, or repeats a heading.
    """
    try:
        match = _FRONT_MATTER.match(path.read_text("utf-8"))
    except FileNotFoundError:
        raise SynprefError("There is no such prompt.", where=str(path)) from None
    front = yaml.safe_load(match[1]) if match else None
    version = front.get("version") if isinstance(front, Mapping) else None
    if match is None or type(version) is not int or version < 1:
        raise SynprefError(
            "A prompt has no version.", where=str(path), todo="begin it with lines '---', 'version: 1', '---'"
        )
    _, *parts = re.split(r"^## ", match[2], flags=re.MULTILINE)
    pairs = [(title.strip(), body.strip()) for title, _, body in (part.partition("\n") for part in parts)]
    if len(dict(pairs)) != len(pairs):
        raise SynprefError("A prompt repeats a heading.", where=str(path))
    return PromptTexts(version, dict(pairs))
