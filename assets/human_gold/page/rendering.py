"""The rendered view: Markdown and code as safe HTML.

Raw HTML stays text, images are named and not loaded, links show where they lead. What the renderer makes goes
through a sanitiser all the same, so that a mistake in the first is caught by the second.
"""

from __future__ import annotations

import hashlib
import re
import threading
from collections import OrderedDict
from collections.abc import Sequence
from html import escape
from typing import Any

import nh3
from markdown_it import MarkdownIt
from markdown_it.renderer import RendererHTML
from markdown_it.token import Token
from markdown_it.utils import EnvType, OptionsDict
from pygments import highlight
from pygments.formatters import HtmlFormatter
from pygments.lexers import get_lexer_by_name
from pygments.util import ClassNotFound

MAX_HIGHLIGHTED_CHARS, MAX_HIGHLIGHTED_LINE = 10_000, 400
"""Longer code blocks, and ones with longer lines, are shown without colours: lexers are regular expressions, and
several take time with the square of a line's length (5,000 quotes in a row: half a second)."""

# Languages that people ask about. A short list, because any lexer of the library could be asked for by a response.
LANGUAGES = frozenset(
    """
    bash c c++ cpp cs csharp css dart diff dockerfile go graphql haskell html ini java javascript js json
    jsx julia kotlin lua matlab nasm perl php powershell py python python3 r rb rs ruby rust scala sh shell
    sql swift tex toml ts tsx typescript xml yaml yml zsh
    """.split()  # noqa: SIM905 - a list of words reads better as words
)
_TAGS = {
    *("p", "br", "hr", "em", "strong", "s", "code", "pre", "blockquote", "ul", "ol", "li", "h3", "h4", "h5", "h6"),
    *("table", "thead", "tbody", "tr", "th", "td", "a", "span", "div"),
}
_BLOCKS = ("p", "blockquote", "ul", "ol", "li", "h3", "h4", "h5", "h6", "th", "td", "div")
_CLASS = re.compile(r"(hl-[a-z0-9]{1,4}|wide|target|no-image|align-(left|center|right))")
_ALIGNMENT = re.compile(r"text-align:(left|center|right)")


def sanitised(html: str) -> str:
    """HTML with nothing left in it but the tags and attributes that rendered Markdown needs."""
    return nh3.clean(
        html,
        tags=_TAGS,
        attributes={
            **{tag: {"dir"} for tag in _BLOCKS},
            **{tag: {"dir", "class"} for tag in ("th", "td", "div")},
            "pre": {"dir"},
            "span": {"class"},
            "ol": {"dir", "start"},
            "a": {"href", "target"},
        },
        attribute_filter=_kept_attribute,
        url_schemes={"http", "https", "mailto"},
        link_rel="noopener noreferrer nofollow",
        strip_comments=True,
    )


def markdown_html(text: str) -> str:
    """Markdown as sanitised HTML. Headings start at level 3, below those of the page."""
    return sanitised(_MARKDOWN.render(text))


class RenderCache:
    """Rendered texts by the hash of their source, the least used dropped first.

    Args:
        max_chars: characters of HTML that are kept altogether.
    """

    def __init__(self, max_chars: int = 20_000_000) -> None:
        self._max_chars, self._num_chars = max_chars, 0
        self._kept: OrderedDict[bytes, str] = OrderedDict()
        self._lock = threading.Lock()

    def markdown_html(self, text: str) -> str:
        """As `markdown_html`, remembered."""
        key = hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).digest()
        with self._lock:
            if (known := self._kept.get(key)) is not None:
                self._kept.move_to_end(key)
                return known
        html = markdown_html(text)
        with self._lock:
            if key not in self._kept and len(html) <= self._max_chars:
                self._kept[key] = html
                self._num_chars += len(html)
            while self._num_chars > self._max_chars:
                self._num_chars -= len(self._kept.popitem(last=False)[1])
        return html

    def __len__(self) -> int:
        return self._num_chars


class _Renderer(RendererHTML):
    """Markdown-it's renderer, with the answers of this page to images, links, headings, code and direction."""

    def renderToken(self, tokens: Sequence[Token], idx: int, options: OptionsDict, env: EnvType) -> str:
        token = tokens[idx]
        if token.tag in ("h1", "h2", "h3", "h4", "h5", "h6"):
            token.tag = f"h{min(6, int(token.tag[1]) + 2)}"
        if token.nesting == 1 and token.tag in _BLOCKS:
            token.attrSet("dir", "auto")
        if token.tag in ("th", "td") and (alignment := _ALIGNMENT.match(str(token.attrs.pop("style", "")))):
            token.attrSet("class", f"align-{alignment.group(1)}")
        html = super().renderToken(tokens, idx, options, env)
        # A table may be wider than its column: it scrolls by itself.
        if token.type == "table_open":
            return f'<div class="wide" dir="auto">{html}'
        return f"{html}</div>" if token.type == "table_close" else html

    def image(self, tokens: Sequence[Token], idx: int, options: OptionsDict, env: EnvType) -> str:
        token = tokens[idx]
        alt = self.renderInlineAsText(token.children, options, env) if token.children else ""
        source = str(token.attrs.get("src", ""))
        return (
            f'<span class="no-image">[image, not loaded: {escape(alt or "no description")} - {escape(source)}]</span>'
        )

    def link_open(self, tokens: Sequence[Token], idx: int, options: OptionsDict, env: EnvType) -> str:
        token = tokens[idx]
        token.attrSet("target", "_blank")
        token.meta["target"] = token.attrs.get("href", "")
        env.setdefault("links", []).append(str(token.attrs.get("href", "")))
        return self.renderToken(tokens, idx, options, env)

    def link_close(self, tokens: Sequence[Token], idx: int, options: OptionsDict, env: EnvType) -> str:
        target = env["links"].pop()
        # An address written out as its own text needs no second mention.
        said = tokens[idx - 1].content == target
        shown = "" if said or not target else f' <span class="target">({escape(target)})</span>'
        return self.renderToken(tokens, idx, options, env) + shown

    def fence(self, tokens: Sequence[Token], idx: int, options: OptionsDict, env: EnvType) -> str:
        token = tokens[idx]
        language = (token.info.split() or [""])[0].lower()
        return f'<pre dir="ltr"><code>{coloured(token.content, language)}</code></pre>\n'

    def code_block(self, tokens: Sequence[Token], idx: int, options: OptionsDict, env: EnvType) -> str:
        return f'<pre dir="ltr"><code>{escape(tokens[idx].content)}</code></pre>\n'


def coloured(code: str, language: str) -> str:
    """Code as HTML with classes for its colours; escaped text where the language is not one of `LANGUAGES`."""
    too_long = len(code) > MAX_HIGHLIGHTED_CHARS or max(map(len, code.split("\n"))) > MAX_HIGHLIGHTED_LINE
    if too_long or language not in LANGUAGES:
        return escape(code)
    try:
        return highlight(code, get_lexer_by_name(language, stripnl=False), _FORMATTER)
    except ClassNotFound:
        return escape(code)


def _kept_attribute(tag: str, name: str, value: str) -> str | None:
    if name == "class":
        return value if all(_CLASS.fullmatch(part) for part in value.split()) else None
    if name == "dir":
        return value if value in ("auto", "ltr") else None
    if name == "target":
        return "_blank"
    if name == "href":
        # A relative address would lead into this page.
        return value if value.lower().startswith(("http://", "https://", "mailto:")) else None
    return value


def _markdown() -> MarkdownIt:
    options: dict[str, Any] = {"html": False, "linkify": False, "typographer": False}
    return MarkdownIt("commonmark", options, renderer_cls=_Renderer).enable(["table", "strikethrough"])


_FORMATTER = HtmlFormatter(nowrap=True, classprefix="hl-")
_MARKDOWN = _markdown()
