"""The plain view: a text exactly as it is, with the characters that nobody can see shown as marks."""

from __future__ import annotations

import re
import unicodedata
from html import escape

CHUNK_CHARS = 4000
"""The browser lays a long text out chunk by chunk, when each comes into sight."""

# C0 and C1 without tab and line feed, soft hyphen, joiners and other characters of no width, bidirectional controls,
# line and paragraph separators, interlinear marks, tags, and halves of surrogate pairs, which no file can hold.
_INVISIBLE = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180e\u200b-\u200f\u2028-\u202e"
    "\u2060-\u206f\u3164\ufeff\uffa0\ufff9-\ufffb\U000e0000-\U000e007f\ud800-\udfff]"
)
_SHORT = {
    "\x00": "NUL",
    "\x0d": "CR",
    "\x1b": "ESC",
    "\x7f": "DEL",
    "\u00ad": "SHY",
    "\u061c": "ALM",
    "\u200b": "ZWSP",
    "\u200c": "ZWNJ",
    "\u200d": "ZWJ",
    "\u200e": "LRM",
    "\u200f": "RLM",
    "\u202a": "LRE",
    "\u202b": "RLE",
    "\u202c": "PDF",
    "\u202d": "LRO",
    "\u202e": "RLO",
    "\u2060": "WJ",
    "\u2066": "LRI",
    "\u2067": "RLI",
    "\u2068": "FSI",
    "\u2069": "PDI",
    "\ufeff": "BOM",
}
# Joiners are ordinary letters of a word in several scripts and of emoji: there the rendered view is right as it is.
_ORDINARY = frozenset("\u200c\u200d\r")


def num_suspicious(text: str) -> int:
    """How many invisible characters a text holds that the rendered view would hide and that no script needs.

    >>> num_suspicious("a\\u202eb\\u200d\\n")
    1
    """
    return sum(1 for mark in _INVISIBLE.finditer(text) if mark.group() not in _ORDINARY)


def marked(text: str) -> str:
    """The text as safe HTML; every invisible character is an element that names it.

    >>> marked("<b>\\u200b")
    '&lt;b&gt;<span class="mark" title="U+200B ZERO WIDTH SPACE">ZWSP</span>'
    """
    # CR LF is one line end and no finding; a lone CR is.
    return _INVISIBLE.sub(_mark, escape(text.replace("\r\n", "\n")))


def plain_html(text: str) -> str:
    """The text as a row of chunks, cut only at line ends; each finds its own direction of writing."""
    return "".join(f'<div class="chunk" dir="auto">{marked(chunk)}</div>' for chunk in chunks(text))


def chunks(text: str) -> list[str]:
    """The text cut at line ends into pieces of at least `CHUNK_CHARS`; the line end at a cut is left out.

    >>> chunks("one\\ntwo")
    ['one\\ntwo']
    """
    pieces, start = [], 0
    while len(text) - start > CHUNK_CHARS:
        cut = text.find("\n", start + CHUNK_CHARS)
        if cut < 0:
            break
        pieces.append(text[start:cut])
        start = cut + 1
    pieces.append(text[start:])
    return pieces


def _mark(match: re.Match[str]) -> str:
    char = match.group()
    code = f"U+{ord(char):04X}"
    name = unicodedata.name(char, "SURROGATE" if "\ud800" <= char <= "\udfff" else "CONTROL")
    return f'<span class="mark" title="{code} {name}">{_SHORT.get(char, code)}</span>'
