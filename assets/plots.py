"""Plots for the UI: small matplotlib figures as Markdown images, so that a person sees results, not log lines."""

from __future__ import annotations

import base64
import io
from collections.abc import Collection, Mapping, Sequence
from typing import Any

_INK, _ACCENT, _GRID = "#33363b", "#3b6fb6", "#d9dce1"
_SERIES = (_ACCENT, "#c4622d", "#4c8c4a", "#7d5ba6", "#8a8d91", "#b8963a")


def bar_chart(values: Mapping[str, float], *, title: str, unit: str = "") -> str:
    """Horizontal bars, one per key in the order given, with the value written beside each."""
    figure, axes = _figure(height=0.9 + 0.3 * max(1, len(values)))
    names = list(values)
    bars = axes.barh(range(len(names)), [values[n] for n in names], color=_ACCENT, height=0.65)
    axes.set_yticks(range(len(names)), [_short(n) for n in names])
    axes.invert_yaxis()
    axes.bar_label(bars, [f"{values[n]:,.3g}" if values[n] < 1 else f"{values[n]:,.0f}" for n in names], padding=3)
    axes.margins(x=0.15)
    axes.set_xlabel(unit)
    return _markdown(figure, axes, title)


def histogram(values: Sequence[float], *, title: str, unit: str, bins: int = 40, logarithmic: bool = False) -> str:
    """Distribution of a quantity; a logarithmic axis for lengths."""
    import numpy as np

    figure, axes = _figure(height=2.4)
    data = np.asarray(values, dtype=float)
    data = data[np.isfinite(data)]
    if logarithmic and len(data):
        data = np.maximum(data, 1)
        edges = np.logspace(np.log10(data.min()), np.log10(data.max() + 1), bins)
        axes.hist(data, bins=edges, color=_ACCENT)
        axes.set_xscale("log")
    elif len(data):
        axes.hist(data, bins=bins, color=_ACCENT)
    axes.set_xlabel(unit)
    axes.set_ylabel("rows")
    return _markdown(figure, axes, title)


def line_chart(series: Mapping[str, tuple[Sequence[float], Sequence[float]]], *, title: str, x: str, y: str) -> str:
    """Curves over a common axis: name to (x values, y values)."""
    figure, axes = _figure(height=2.6)
    for colour, (name, (xs, ys)) in zip(_SERIES * len(series), series.items(), strict=False):
        axes.plot(xs, ys, label=_short(name), color=colour, linewidth=1.6, marker="o" if len(xs) < 12 else None)
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    if len(series) > 1:
        # Outside: inside it covers curves.
        axes.legend(frameon=False, fontsize=8, loc="center left", bbox_to_anchor=(1.0, 0.5))
    return _markdown(figure, axes, title)


def interval_chart(
    rows: Mapping[str, tuple[float, float | None, float | None]],
    *,
    title: str,
    unit: str,
    reference: float | None = 0.5,
    flagged: Collection[str] = (),
) -> str:
    """Estimates with their 95 % intervals: name to (value, low, high); an interval may be absent.

    Args:
        reference: where a grey line stands, such as chance or a bar.
        flagged: names to draw in the colour of warning; the title or the text beside the plot says what of.
    """
    figure, axes = _figure(height=0.9 + 0.32 * max(1, len(rows)))
    for position, (name, (value, low, high)) in enumerate(rows.items()):
        colour = _SERIES[1] if name in flagged else _ACCENT
        if low is not None and high is not None:
            axes.plot([low, high], [position, position], color=colour, linewidth=2)
        # Hollow where the interval is not given: a point alone looks surer than it is.
        axes.plot([value], [position], "o", color=colour, mfc=colour if low is not None else "white")
        # Beside the plot, in a column: above its point it would stand on the neighbour's interval.
        text = f"{value:.3f}" if low is None or high is None else f"{value:.3f}  [{low:.2f}, {high:.2f}]"
        axes.text(1.02, position, text, transform=axes.get_yaxis_transform(), va="center", size=8, color=colour)
    axes.set_yticks(range(len(rows)), [_short(n) for n in rows])
    axes.set_ylim(len(rows) - 0.4, -0.6)
    axes.grid(axis="y", color=_GRID, linewidth=0.5)
    axes.set_axisbelow(True)
    if reference is not None:
        axes.axvline(reference, color=_INK, linewidth=0.8, linestyle=":", zorder=0)
    axes.set_xlabel(unit)
    return _markdown(figure, axes, title)


def reliability_chart(
    series: Mapping[str, Sequence[tuple[float, float, int]]], *, title: str, unit: str = "confidence"
) -> str:
    """Share right over confidence, beside the line on which the two are equal.

    Args:
        series: name to bins as (mean confidence, share right, labels in it); the larger the bin, the larger its point.
    """
    figure, axes = _figure(height=3.2)
    axes.plot([0.5, 1], [0.5, 1], color=_INK, linewidth=0.8, linestyle=":", zorder=0)
    for colour, (name, bins) in zip(_SERIES * len(series), series.items(), strict=False):
        total = sum(num for _, _, num in bins) or 1
        xs, ys = [x for x, _, _ in bins], [y for _, y, _ in bins]
        axes.plot(xs, ys, color=colour, linewidth=1, alpha=0.6)
        axes.scatter(xs, ys, s=[12 + 250 * num / total for _, _, num in bins], color=colour, label=_short(name))
    axes.set_xlabel(unit)
    axes.set_ylabel("share right")
    axes.set_xlim(0.48, 1.02)
    if len(series) > 1:
        legend = axes.legend(frameon=False, fontsize=8, loc="center left", bbox_to_anchor=(1.0, 0.5))
        for handle in legend.legend_handles:
            handle.set_sizes([30])
    return _markdown(figure, axes, title)


def heatmap(
    values: Sequence[Sequence[float | None]],
    *,
    rows: Sequence[str],
    columns: Sequence[str],
    title: str,
    limits: tuple[float, float],
    unit: str = "",
) -> str:
    """A matrix of shares or coefficients in colour, with the value written in each cell; None is an empty cell.

    Args:
        limits: values that have the two ends of the colours. Limits of opposite sign get two colours that meet at 0.
    """
    import numpy as np
    from matplotlib.colors import LinearSegmentedColormap

    data = np.array([[np.nan if v is None else v for v in row] for row in values], dtype=float).reshape(
        len(rows), len(columns)
    )
    low, high = limits
    shades = ["#c4622d", "#ffffff", _ACCENT] if low < 0 < high else ["#ffffff", _ACCENT]
    if low < 0 < high:
        # White at 0, the stronger end at full colour.
        low, high = -max(-low, high), max(-low, high)
    side = 0.38 if len(columns) > 8 else 0.5
    figure, axes = _figure(height=1.3 + side * max(1, len(rows)), width=max(4.4, 2.4 + (side + 0.12) * len(columns)))
    colours = LinearSegmentedColormap.from_list("shares", shades).with_extremes(bad="#f1f2f4")
    image = axes.imshow(np.ma.masked_invalid(data), cmap=colours, vmin=low, vmax=high, aspect="auto")
    size = 8 if len(columns) <= 8 else 6.5
    for row, column in zip(*np.nonzero(np.isfinite(data)), strict=True):
        value = data[row, column]
        strong = abs(value - (low if low == 0 else 0)) > 0.6 * max(abs(low), abs(high))
        colour = "white" if strong else _INK
        axes.text(column, row, f"{value:.2f}", ha="center", va="center", size=size, color=colour)
    turned = max((len(c) for c in columns), default=0) > 6 and len(columns) > 3
    axes.set_xticks(
        range(len(columns)),
        [_short(c) for c in columns],
        rotation=40 if turned else 0,
        ha="right" if turned else "center",
    )
    axes.set_yticks(range(len(rows)), [_short(r) for r in rows])
    axes.spines[:].set_visible(False)
    axes.tick_params(length=0)
    figure.colorbar(image, ax=axes, shrink=0.8, label=unit).ax.tick_params(labelsize=7)
    return _markdown(figure, axes, title)


def _figure(height: float, width: float = 6.4) -> Any:
    from matplotlib.figure import Figure

    # A Figure of its own, not pyplot: nothing global, nothing to close.
    figure = Figure(figsize=(width, height), dpi=110, layout="constrained")
    axes = figure.subplots()
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(labelsize=8, colors=_INK)
    return figure, axes


def _markdown(figure: Any, axes: Any, title: str) -> str:
    axes.set_title(title, loc="left", fontsize=10, color=_INK)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", metadata={"Software": None})
    return f"![{title}](data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode()})"


def _short(name: str) -> str:
    return name if len(name) <= 32 else name[:31] + "…"
