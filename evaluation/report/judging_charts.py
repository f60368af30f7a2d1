"""Judging charts: reliability, agreement and slices of judges as inline SVG in the page's colours."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from markupsafe import Markup

from evaluation.report import charts
from evaluation.report.charts import _TONES, SERIES_TONES, _drawing, _figure, _key, _short, _svg
from evaluation.report.judging_sections import JudgeDetail, Judging, Reliability


def judging_charts(judging: Judging) -> list[tuple[str, Markup]]:
    """Captions and charts of a section, those with something to show."""
    found = []
    # The panel's curves in one chart, the judges' in another: a dozen lines cannot be told apart.
    panel = [one for one in judging.reliability if one.name.startswith("panel") and one.points]
    judges = [one for one in judging.reliability if not one.name.startswith("panel") and one.points]
    for caption, curves in (("Is the panel's confidence true", panel), ("Is a judge's share of votes true", judges)):
        if curves:
            found.append((caption, reliability_chart(curves, title=caption)))
    for caption, name in (
        ("Preference for the first shown", "position_bias"),
        ("Preference for length", "length_bias"),
    ):
        if any(getattr(one, name) is not None for one in judging.judges):
            found.append((caption, bias_chart(judging.judges, name, title=caption)))
    names = [one.name for one in judging.judges]
    if judging.pairs:
        for caption, name in (("Agreement of judges", "agreement"), ("Correlation of errors", "error_correlation")):
            value = {frozenset((one.first, one.second)): getattr(one, name) for one in judging.pairs}
            cells = [[1.0 if a == b else value.get(frozenset((a, b))) for b in names] for a in names]
            found.append((caption, matrix_chart(cells, names, names, title=caption)))
    return found


@_drawing()
def reliability_chart(curves: Sequence[Reliability], *, title: str) -> Markup:
    """Share right over confidence, beside the line of equality; larger points hold more labels."""
    figure, axes = _figure(3.1)
    axes.plot([0.5, 1], [0.5, 1], ":", color=_TONES["muted"], linewidth=1)
    for at, curve in enumerate(curves):
        colour = _TONES[SERIES_TONES[at % len(SERIES_TONES)]]
        total = sum(num for _, _, num in curve.points)
        xs, ys = [x for x, _, _ in curve.points], [y for _, y, _ in curve.points]
        axes.plot(xs, ys, color=colour, linewidth=1.2)
        axes.scatter(xs, ys, s=[15 + 260 * num / total for _, _, num in curve.points], color=colour)
    axes.set_xlim(0.48, 1.02)
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(lambda value, _: f"{100 * value:.0f} %")
    axes.set_xlabel("confidence", color=_TONES["muted"], fontsize=12)
    axes.set_ylabel("share right", color=_TONES["muted"], fontsize=12)
    return _svg(figure, title) + _key([curve.name for curve in curves])


@_drawing()
def bias_chart(judges: Sequence[JudgeDetail], name: str, *, title: str) -> Markup:
    """One row a judge: the bias with its interval, around zero."""
    shown = [one for one in judges if getattr(one, name) is not None]
    figure, axes = _figure(0.4 + charts._ROW_IN * len(shown), fill_width=True)
    axes.axvline(0, color=_TONES["muted"], linewidth=1, linestyle=":")
    for position, one in enumerate(shown):
        y, value, ci95 = len(shown) - 1 - position, getattr(one, name), getattr(one, f"{name}_ci95")
        colour = _TONES["accent" if one.used else "contrast"]
        if ci95:
            axes.hlines(y - 0.1, *ci95, color=colour, linewidth=4, alpha=0.35)
        axes.plot([value], [y - 0.1], "o", color=colour, markersize=7)
        text = f"{_short(one.name)}  {100 * value:+.1f}".replace("-", "−")
        axes.text(0, y + 0.3, text, transform=axes.get_yaxis_transform(), color=_TONES["ink"], fontsize=12, va="center")
    axes.set_ylim(-0.5, len(shown) - 0.35)
    axes.set_yticks([])
    axes.margins(x=0.1)
    axes.xaxis.set_major_formatter(lambda value, _: f"{100 * value:.0f}".replace("-", "−"))
    axes.spines["left"].set_visible(False)
    return _svg(figure, title)


@_drawing()
def matrix_chart(
    cells: Sequence[Sequence[float | None]], rows: Sequence[str], columns: Sequence[str], *, title: str
) -> Markup:
    """A matrix of shares or correlations, the stronger the fuller; columns are numbered as the rows are."""
    figure, axes = _figure(0.7 + 0.36 * len(rows))
    for y, row in enumerate(cells):
        for x, value in enumerate(row):
            if value is None:
                continue
            tone = _TONES["accent" if value >= 0 else "contrast"]
            axes.fill([x - 0.5, x + 0.5, x + 0.5, x - 0.5], [y - 0.5, y - 0.5, y + 0.5, y + 0.5], color=tone, lw=0)
            axes.patches[-1].set_alpha(0.65 * min(1.0, abs(value)))
            text = f"{value:.2f}".replace("-", "−")
            axes.text(x, y, text, ha="center", va="center", fontsize=10, color=_TONES["ink"])
    axes.set_xticks(range(len(columns)), [str(n + 1) for n in range(len(columns))])
    axes.set_yticks(range(len(rows)), [f"{n + 1} {_short(name)}" for n, name in enumerate(rows)], fontsize=9)
    axes.set_xlim(-0.5, len(columns) - 0.5)
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.spines[:].set_visible(False)
    return _svg(figure, title)


def slice_table(judging: Judging) -> Mapping[str, list[tuple[str, list[tuple[float, int] | None]]]]:
    """By dimension, rows of (part, one cell a judge), for the template."""
    names = [one.name for one in judging.judges]
    found: dict[str, list[tuple[str, list[tuple[float, int] | None]]]] = {}
    for row in judging.slices:
        cells = [row.judges[name][:2] if name in row.judges else None for name in names]
        found.setdefault(row.dimension, []).append((row.part, cells))
    return found
