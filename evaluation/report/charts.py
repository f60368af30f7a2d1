"""Charts: matplotlib figures as inline SVG that takes its colours and font from the page, light or dark.

Drawn narrow (a phone's width), with a row's label above its mark, so that long names need no margin.
"""

from __future__ import annotations

import contextlib
import io
import itertools
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from markupsafe import Markup, escape

from evaluation.report.formatting import number

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_WIDTH_IN = 4.6
_ROW_IN = 0.48
_LABEL_CHARS = 34
# Colours that matplotlib draws with; each is replaced by the page's variable of that name.
_TONES = {
    "ink": "#010203",
    "muted": "#010204",
    "line": "#010205",
    "accent": "#010206",
    "contrast": "#010207",
    "good": "#010208",
    "bad": "#010209",
    "c1": "#01020a",
    "c2": "#01020b",
    "c3": "#01020c",
    "c4": "#01020d",
    "c5": "#01020e",
    "c6": "#01020f",
}
SERIES_TONES = ("accent", "contrast", "c1", "c2", "c3", "c4", "c5", "c6")


@contextlib.contextmanager
def _drawing() -> Iterator[None]:
    """Settings under which every chart is made, whatever the process has set before."""
    import matplotlib

    with matplotlib.rc_context(
        {
            # Text stays text: the page's font, selectable; and a dollar sign in a source's name is no formula.
            "svg.fonttype": "none",
            "text.parse_math": False,
            # Ids that are the same in every run.
            "svg.hashsalt": "synpref",
            "axes.linewidth": 0.8,
        }
    ):
        yield


@dataclass(frozen=True)
class Mark:
    """One row of an interval chart. `tone` is a name of `_TONES`; values are shares, 0 to 1."""

    label: str
    value: float
    ci95: tuple[float, float] | None = None
    tone: str = "accent"


def span_of(marks: Sequence[Mark]) -> tuple[float, float]:
    """Ends of an axis that holds all marks and their intervals, with a little room.

    >>> span_of([Mark("a", 0.5), Mark("b", 0.9, (0.8, 0.99))])
    (0.46, 1.0)
    """
    ends = [value for mark in marks for value in (mark.value, *(mark.ci95 or ()))]
    return round(max(0.0, min(ends) - 0.04), 6), round(min(1.0, max(ends) + 0.04), 6)


@_drawing()
def interval_chart(marks: Sequence[Mark], *, title: str, span: tuple[float, float] | None = None) -> Markup:
    """Points with their intervals, one row each, on a common axis in percent.

    Args:
        span: ends of the axis, so that several charts can be compared; by default `span_of(marks)`.
    """
    figure, axes = _figure(0.5 + _ROW_IN * len(marks), fill_width=True)
    low, high = span or span_of(marks)
    for position, mark in enumerate(marks):
        y = len(marks) - 1 - position
        colour = _TONES[mark.tone]
        axes.hlines(y, low, high, color=_TONES["line"], linewidth=0.8)
        if mark.ci95:
            axes.hlines(y, *mark.ci95, color=colour, linewidth=4, alpha=0.35)
        axes.plot([mark.value], [y], "o", color=colour, markersize=7)
        axes.text(low, y + 0.33, _short(mark.label), ha="left", va="center", color=_TONES["ink"], fontsize=12)
        axes.text(
            high, y + 0.33, f"{100 * mark.value:.1f} %", ha="right", va="center", color=_TONES["ink"], fontsize=12
        )
    axes.set_ylim(-0.5, len(marks) - 0.35)
    axes.set_xlim(low, high)
    axes.set_yticks([])
    axes.xaxis.set_major_locator(_locator())
    axes.xaxis.set_major_formatter(lambda value, _: f"{100 * value:.0f} %")
    axes.spines["left"].set_visible(False)
    return _svg(figure, title)


@_drawing()
def share_bars(
    rows: Mapping[str, Mapping[str, int]], parts: Sequence[str], tones: Mapping[str, str], *, title: str
) -> Markup:
    """One stacked bar a row, parts as shares of the row's sum; rows without anything are left out.

    Args:
        rows: row label to part to count.
        parts: order of the parts.
        tones: part to a name of `_TONES`.
    """
    shown = {label: counts for label, counts in rows.items() if sum(counts.values())}
    figure, axes = _figure(0.35 + 0.6 * len(shown), fill_width=True)
    for position, (label, counts) in enumerate(shown.items()):
        y, left, total = len(shown) - 1 - position, 0.0, sum(counts.values())
        for part in parts:
            share = counts.get(part, 0) / total
            axes.barh(y - 0.08, share, left=left, height=0.34, color=_TONES[tones[part]], linewidth=0)
            left += share
        axes.text(0, y + 0.33, _short(label), ha="left", va="center", color=_TONES["ink"], fontsize=12)
        axes.text(1, y + 0.33, number(total), ha="right", va="center", color=_TONES["muted"], fontsize=12)
    axes.set_ylim(-0.45, len(shown) - 0.4)
    axes.set_xlim(0, 1)
    axes.set_yticks([])
    axes.xaxis.set_major_formatter(lambda value, _: f"{100 * value:.0f} %")
    axes.spines["left"].set_visible(False)
    return _svg(figure, title)


@_drawing()
def line_chart(
    series: Mapping[str, Sequence[tuple[float, float]]],
    *,
    title: str,
    xlabel: str,
    percent: bool = False,
    intervals: Mapping[str, Sequence[tuple[float, float] | None]] | None = None,
    ticks: Sequence[str] | None = None,
) -> Markup:
    """Lines over steps or rounds, with a key of their names below.

    Args:
        series: name to points (x, y).
        intervals: name to one interval a point, drawn as bars.
        ticks: labels of x = 0, 1, ... in place of numbers.
    """
    figure, axes = _figure(2.9)
    for at, (name, points) in enumerate(series.items()):
        colour = _TONES[SERIES_TONES[at % len(SERIES_TONES)]]
        # Beside each other, so that intervals at the same round can be told apart.
        shift = 0.08 * (at - (len(series) - 1) / 2) if intervals else 0.0
        points = [(x + shift, y) for x, y in points]
        xs, ys = [x for x, _ in points], [y for _, y in points]
        axes.plot(xs, ys, "-o" if len(points) <= 12 else "-", color=colour, linewidth=1.8, markersize=5)
        for (x, _), interval in zip(points, (intervals or {}).get(name, ()), strict=False):
            if interval is not None:
                axes.vlines(x, *interval, color=colour, linewidth=4, alpha=0.3)
    if ticks is not None:
        axes.set_xticks(range(len(ticks)), ticks)
        axes.set_xlim(-0.3, len(ticks) - 0.7)
    if percent:
        axes.yaxis.set_major_formatter(lambda value, _: f"{100 * value:.0f} %")
    axes.set_xlabel(xlabel, color=_TONES["muted"], fontsize=12)
    axes.grid(axis="y", color=_TONES["line"], linewidth=0.8)
    axes.set_axisbelow(True)
    return _svg(figure, title) + _key(series)


@_drawing()
def stacked_columns(columns: Sequence[str], parts: Mapping[str, Sequence[int]], *, title: str, xlabel: str) -> Markup:
    """Counts stacked over columns (rounds), the sum on top.

    Args:
        parts: part to one count a column.
    """
    figure, axes = _figure(2.9)
    base = [0] * len(columns)
    for at, counts in enumerate(parts.values()):
        colour = _TONES[SERIES_TONES[at % len(SERIES_TONES)]]
        axes.bar(range(len(columns)), counts, bottom=base, width=0.55, color=colour, linewidth=0)
        base = [b + c for b, c in zip(base, counts, strict=True)]
    for x, total in enumerate(base):
        axes.annotate(
            number(total), (x, total), (0, 4), textcoords="offset points", ha="center", color=_TONES["ink"], fontsize=12
        )
    axes.set_xticks(range(len(columns)), columns)
    axes.margins(y=0.14)
    axes.yaxis.set_major_formatter(lambda value, _: number(round(value)))
    axes.set_xlabel(xlabel, color=_TONES["muted"], fontsize=12)
    axes.grid(axis="y", color=_TONES["line"], linewidth=0.8)
    axes.set_axisbelow(True)
    return _svg(figure, title) + _key(parts)


def _figure(height: float, *, fill_width: bool = False) -> tuple[Figure, Axes]:
    """An empty chart; `fill_width` is for charts without labels beside their y axis. Height in inches."""
    # Figure alone, without pyplot: no global state, no display.
    from matplotlib.figure import Figure

    figure = Figure(figsize=(_WIDTH_IN, height), layout=None if fill_width else "constrained")
    axes = figure.add_subplot()
    if fill_width:
        figure.subplots_adjust(left=0.03, right=0.94, top=1 - 0.05 / height, bottom=0.3 / height)
    figure.patch.set_alpha(0)
    axes.patch.set_alpha(0)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    for side in ("left", "bottom"):
        axes.spines[side].set_color(_TONES["line"])
    axes.tick_params(colors=_TONES["muted"], labelsize=11.5, length=0, pad=5)
    return figure, axes


def _key(names: Iterable[str]) -> Markup:
    """The key of a chart as HTML, so that long names wrap as text does."""
    row = Markup('<span><i style="background:var(--{})"></i>{}</span>')
    tones = itertools.cycle(SERIES_TONES)
    return Markup('<div class="key">{}</div>').format(Markup("").join(row.format(next(tones), name) for name in names))


def _short(label: str) -> str:
    """A label that fits beside its value; the table below a chart has the whole of it."""
    return label if len(label) <= _LABEL_CHARS else label[: _LABEL_CHARS - 1] + "…"


def _locator():
    from matplotlib.ticker import MaxNLocator

    return MaxNLocator(nbins=5, steps=[1, 2, 5, 10])


def _svg(figure: Figure, title: str) -> Markup:
    sink = io.StringIO()
    figure.savefig(sink, format="svg", transparent=True, metadata={"Date": None, "Creator": None, "Type": None})
    text = sink.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    # Without its own size the picture fills the width that the page gives it.
    for attribute in ("width", "height"):
        text = re.sub(rf'(<svg[^>]*?) {attribute}="[^"]*"', r"\1", text, count=1)
    for name, colour in _TONES.items():
        text = text.replace(colour, f"var(--{name})")
    label = f'<svg role="img" aria-label="{escape(title)}" '
    # matplotlib escapes every text that it writes, and the title is escaped here.
    return Markup(text.replace("<svg ", label, 1))  # noqa: S704
