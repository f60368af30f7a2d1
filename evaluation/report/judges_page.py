"""Judges' page: a qualification as one HTML page, with the ways of guidance side by side where they were compared."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from evaluation.report import charts
from evaluation.report.judging_charts import judging_charts, slice_table
from evaluation.report.judging_sections import Judging
from evaluation.report.render import environment
from evaluation.report.sections import Judge, LabelAccuracy

Difference = tuple[float, tuple[float, float] | None]


def render_judges_page(
    name: str,
    way: str,
    judges: Sequence[Judge],
    judging: Judging,
    ways: Mapping[str, Mapping[str, LabelAccuracy]],
    differences: Mapping[str, Mapping[tuple[str, str], Difference]],
) -> str:
    """The page without any outside reference.

    Args:
        name: of the run.
        way: how the judges were guided.
        judges, judging: as in the run's report.
        ways: by judge and way, where several were compared.
        differences: by judge and two ways, the first less the second with its interval.
    """
    way_names = list(dict.fromkeys(one for of_judge in ways.values() for one in of_judge))
    marks = [
        charts.Mark(one.name, one.accuracy, one.ci95, "accent" if one.used else "contrast")
        for one in judges
        if one.accuracy is not None
    ]
    tones = dict(zip(way_names, ("contrast", "c1", "accent"), strict=False))
    way_marks = [
        charts.Mark(f"{judge}, {which}", one.accuracy, one.ci95, tones[which])
        for judge, of_judge in ways.items()
        for which, one in of_judge.items()
        if one.accuracy is not None
    ]
    return (
        environment()
        .get_template("judges_page.html")
        .render(
            name=name,
            way="no examples" if way == "none" else f"{way} examples",
            judges=judges,
            judging=judging,
            simulated=[one.name for one in judges if one.simulated],
            chart=charts.interval_chart(marks, title="Accuracy on gold dev") if marks else None,
            ways_chart=charts.interval_chart(way_marks, title="Ways of guidance")
            if len(way_names) > 1 and way_marks
            else None,
            ways=ways if len(way_names) > 1 else {},
            way_names=way_names,
            way_pairs=list(dict.fromkeys(two for of_judge in differences.values() for two in of_judge)),
            differences=differences,
            judging_charts=judging_charts(judging),
            judging_slices=slice_table(judging),
        )
    )
