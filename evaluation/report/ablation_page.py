"""Ablation page: the comparison of the loop's arms as JSON, HTML and lines for a terminal."""

from __future__ import annotations

from pathlib import Path

from markupsafe import Markup

from evaluation.ablation import Ablation
from evaluation.files import write_text
from evaluation.report import charts
from evaluation.report.formatting import interval, percent, points, words
from evaluation.report.render import environment


def write_ablation(ablation: Ablation, folder: Path) -> list[str]:
    """Write `ablation.json` and `ablation.html` into the folder; returns what to print."""
    write_text(folder / "ablation.json", ablation.model_dump_json(indent=2) + "\n")
    write_text(folder / "ablation.html", render_ablation(ablation))
    return [*lines_of(ablation), f"page:  {folder / 'ablation.html'}", f"table: {folder / 'ablation.json'}"]


def render_ablation(ablation: Ablation) -> str:
    """The page: curves a set, differences from the full recipe, labels and dollars."""
    return environment().get_template("ablation.html").render(ablation=ablation, charts=_charts(ablation))


def lines_of(ablation: Ablation) -> list[str]:
    """The last round of every arm and set, with the paired difference from the full recipe.

    Intervals are at 95 %, over prompts.
    """
    last = ablation.rounds[-1]
    differences = {(d.arm, d.set_name): d for d in ablation.differences if d.round_name == last}
    lines = []
    for score in ablation.scores:
        if score.round_name != last:
            continue
        line = f"{score.set_name:<16} {score.arm:<18} {percent(score.accuracy)} ({interval(score.ci95)})"
        if (found := differences.get((score.arm, score.set_name))) is not None:
            line += f", against full {points(found.difference)} points ({interval(found.ci95, signed=True)})"
        lines.append(line)
    return lines


def _charts(ablation: Ablation) -> list[tuple[str, Markup]]:
    ticks = [name.removeprefix("round_") for name in ablation.rounds]
    at = {name: float(place) for place, name in enumerate(ablation.rounds)}
    found = []
    for set_name in ablation.sets:
        series: dict[str, list[tuple[float, float]]] = {}
        intervals: dict[str, list[tuple[float, float] | None]] = {}
        for score in ablation.scores:
            if score.set_name == set_name and score.accuracy is not None:
                series.setdefault(words(score.arm), []).append((at[score.round_name], score.accuracy))
                intervals.setdefault(words(score.arm), []).append(score.ci95)
        if series:
            title = f"Accuracy on {words(set_name)} after each round"
            chart = charts.line_chart(
                series, title=title, xlabel="round", percent=True, intervals=intervals, ticks=ticks
            )
            found.append((title, chart))
    return found
