"""Judge plots: a qualification as pictures for the UI."""

from __future__ import annotations

from assets import plots
from assets.llm_annotated.judge_slices import DIMENSIONS
from assets.llm_annotated.qualification import Qualification

# Judges drawn beside each other in one reliability plot: more cannot be told apart.
_MAX_CURVES = 6


def qualification_plots(found: Qualification) -> dict[str, str]:
    """Markdown images by name; those that nothing is known for are left out."""
    names = [judge.judge for judge in found.judges]
    drawn: dict[str, str] = {}
    accuracies = {
        judge.judge: (judge.accuracy, *(judge.interval or (None, None)))
        for judge in found.judges
        if judge.accuracy is not None
    }
    if accuracies:
        drawn["accuracy"] = plots.interval_chart(
            accuracies,
            title="Accuracy on gold dev; not used in the colour of warning",
            unit="share right, 95 % interval",
            flagged=[judge.judge for judge in found.judges if not judge.used],
        )
    for name, title in (
        ("position_bias", "Preference for the response shown first"),
        ("length_bias", "Longer response"),
    ):
        rows = {
            judge.judge: (getattr(judge, name), *(getattr(judge, f"{name}_interval") or (None, None)))
            for judge in found.judges
            if getattr(judge, name) is not None
        }
        if rows:
            drawn[name] = plots.interval_chart(
                rows,
                title=f"{title}: share above a judge without the bias",
                unit="difference of shares, 95 % interval",
                reference=0.0,
                flagged=[judge.judge for judge in found.judges if name in judge.flags],
            )
    curves = {}
    if found.measures is not None and found.measures.calibrated.num:
        curves["panel"] = [(b.confidence, b.accuracy, b.num) for b in found.measures.calibrated.bins]
        curves["panel, no temperature"] = [(b.confidence, b.accuracy, b.num) for b in found.measures.raw.bins]
    for judge in found.judges:
        if judge.used and len(curves) < _MAX_CURVES:
            curves[judge.judge] = [(b.confidence, b.accuracy, b.num) for b in judge.reliability.bins]
    if curves:
        drawn["reliability"] = plots.reliability_chart(curves, title="Confidence and the share that is right, gold dev")
    parts = list(
        dict.fromkeys(
            (s.dimension, s.part) for d in DIMENSIONS for j in found.judges for s in j.slices if s.dimension == d
        )
    )
    if parts:
        of_judge = {judge.judge: {(s.dimension, s.part): s.accuracy for s in judge.slices} for judge in found.judges}
        drawn["slices"] = plots.heatmap(
            [[of_judge[name].get(part) for name in names] for part in parts],
            rows=[part for _, part in parts],
            columns=names,
            title="Accuracy by part of gold dev",
            limits=(0.0, 1.0),
            unit="share right",
        )
    if len(names) > 1:
        for key, title in (("agreement_rate", "Share of equal sides"), ("error_correlation", "Correlation of errors")):
            value = {frozenset((p.judge_a, p.judge_b)): getattr(p, key) for p in found.pairs}
            drawn[key] = plots.heatmap(
                [[1.0 if a == b else value.get(frozenset((a, b))) for b in names] for a in names],
                rows=names,
                columns=names,
                title=title,
                limits=(0.0, 1.0) if key == "agreement_rate" else (-1.0, 1.0),
            )
    return drawn
