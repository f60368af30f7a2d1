"""Guideline files: reading one Markdown file with its front matter, and refusing one that lacks a part."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml

from assets.contracts import TASK_CATEGORIES
from assets.errors import SynprefError

FOLDER = Path(__file__).parent
GENERAL = "general"
IN_SHORT = "In short"
TOOLS = "With tools"
MISTAKES = "Common mistakes"
GENERAL_TOOLS = "Tools and language models"

CATEGORY_SECTIONS = (
    IN_SHORT,
    "What a good answer has",
    "How to decide",
    TOOLS,
    "When it is objective",
    "When it is subjective",
    "When controversiality is medium",
    "When controversiality is high",
    MISTAKES,
    "Examples",
)
"""Sections of a category's file, all of them, in this order."""

GENERAL_SECTIONS = (
    IN_SHORT,
    "When controversiality is low",
    "Judge by the attributes",
    "Sides, length and formatting",
    "Verdict and strength",
    "Harmful content",
    GENERAL_TOOLS,
    "Editing the attributes",
    "Time and care",
)
PEOPLE_ONLY = frozenset({TOOLS, GENERAL_TOOLS, "Editing the attributes", "Time and care"})
"""Sections about what only people can do; a judge does not get them."""

CATEGORY_ITEMS = ("Desired", "Decide", TOOLS)
GENERAL_ITEMS = (
    "Request fixes",
    *(f"{name}, {what}" for name in ("Objective", "Subjective", "Medium", "High") for what in ("desired", "decide")),
    "Closing",
)

_FRONT_MATTER = re.compile(r"\A---\n(.*?)\n---\n(.*)\Z", re.DOTALL)
_ITEM = re.compile(r"^- \*\*(.+?):\*\* ", re.MULTILINE)


@dataclass(frozen=True)
class GuidelineFile:
    """One file.

    Attributes:
        name: a task category, or `GENERAL`.
        version: of the front matter; raised by hand with every change of the text (see `lock`).
        title: the heading.
        sections: Markdown text by heading, in order.
        short: the items of `IN_SHORT`, each as one line.
    """

    name: str
    version: int
    title: str
    sections: Mapping[str, str]
    short: Mapping[str, str]


def file_name(category: str) -> str:
    """Name of a category's file.

    >>> file_name("coding & debugging")
    'coding_debugging.md'
    """
    return re.sub(r"\W+", "_", category) + ".md"


def read_all(folder: Path = FOLDER) -> dict[str, GuidelineFile]:
    """Every file by category, and the general one.

    Raises:
        SynprefError: a file is missing, or lacks or repeats a part.
    """
    return {name: read_file(folder / file_name(name), name) for name in (*TASK_CATEGORIES, GENERAL)}


def read_file(path: Path, name: str) -> GuidelineFile:
    """One file.

    Raises:
        SynprefError: it is missing, it is another category's, or its parts are not the ones expected.
    """
    try:
        text = path.read_text("utf-8")
    except FileNotFoundError:
        raise _refused(path, "There is no such guideline.", f"write the guideline of {name!r}") from None
    match = _FRONT_MATTER.match(text)
    if match is None:
        raise _refused(path, "A guideline has no front matter.", "begin it with lines '---', 'version: 1', '---'")
    front = yaml.safe_load(match[1])
    if not isinstance(front, Mapping) or front.get("category") != name or not _is_version(front.get("version")):
        raise _refused(
            path, "A guideline's front matter is wrong.", f"it needs 'category: {name}' and 'version:' with a number"
        )
    heading, *parts = re.split(r"^## ", match[2].strip(), flags=re.MULTILINE)
    pairs = [(title.strip(), body.strip()) for title, _, body in (part.partition("\n") for part in parts)]
    expected = GENERAL_SECTIONS if name == GENERAL else CATEGORY_SECTIONS
    _must_equal(path, "sections", [title for title, body in pairs if body], expected)
    sections = dict(pairs)
    short = short_items(sections[IN_SHORT])
    _must_equal(path, f"items under {IN_SHORT!r}", list(short), GENERAL_ITEMS if name == GENERAL else CATEGORY_ITEMS)
    return GuidelineFile(name, front["version"], heading.strip().removeprefix("# "), sections, short)


def short_items(body: str) -> dict[str, str]:
    """The items of a list of named texts, each as one line.

    >>> short_items("- **Desired:** A proof\\n  that holds.\\n- **Decide:** Check it.")
    {'Desired': 'A proof that holds.', 'Decide': 'Check it.'}
    """
    _, *parts = _ITEM.split(body)
    return {name: " ".join(text.split()) for name, text in zip(parts[::2], parts[1::2], strict=True)}


def _is_version(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value > 0


def _must_equal(path: Path, what: str, found: Sequence[str], expected: Sequence[str]) -> None:
    if list(found) != list(expected):
        raise _refused(
            path,
            f"A guideline's {what} are {', '.join(found)}.",
            f"write {', '.join(expected)}: each once, in this order, none empty",
        )


def _refused(path: Path, what: str, todo: str) -> SynprefError:
    return SynprefError(what, where=str(path), todo=todo)
