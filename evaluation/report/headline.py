"""Headline: what the first screen of the run report says, in words. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from evaluation.report.formatting import interval, number, percent, points
from evaluation.report.sections import Comparison
from evaluation.report.summary import RunSummary


@dataclass(frozen=True)
class Tile:
    """One figure of the first screen. `tone`: good, bad or empty."""

    label: str
    value: str
    detail: str
    tone: str = ""


def verdict(summary: RunSummary) -> str:
    """One or two sentences: is the curated mixture's model better than the raw pool's, and is it champion."""
    comparison = summary.comparison
    if comparison is None:
        first = "This run compared no curated model with one of the raw pool."
    elif comparison.ci95 is None:
        first = (
            f"On {comparison.set}, {comparison.num_clusters} prompts are too few to say whether {comparison.candidate} "
            f"is better than {comparison.baseline}."
        )
    else:
        low, high = comparison.ci95
        found = "is better than" if low > 0 else "is worse than" if high < 0 else "is not shown to differ from"
        first = (
            f"On {comparison.set}, {comparison.candidate} {found} {comparison.baseline}: "
            f"{points(comparison.difference)} points, 95 % interval {points(low)} to {points(high)}, "
            f"paired over {number(comparison.num_clusters)} prompts."
        )
    promotion = summary.promotion
    if promotion is None:
        return first
    return first + (" It became champion." if promotion.promoted else " The gate did not promote the candidate.")


def tiles(summary: RunSummary) -> list[Tile]:
    """Gain over the raw pool, accuracy on the holdout, label accuracy before and after, planted and found."""
    found = []
    if summary.comparison is not None:
        found.append(_gain(summary.comparison))
        found += _accuracy(summary, summary.comparison)
    before, after = summary.label_accuracy.get("source_labels"), summary.label_accuracy.get("kept")
    if before and after and before.accuracy is not None and after.accuracy is not None:
        tone = "good" if after.accuracy > before.accuracy else "bad"
        detail = f"from {percent(before.accuracy)} as the sources came to {percent(after.accuracy)} as kept"
        found.append(Tile("Label accuracy", f"{points(after.accuracy - before.accuracy)} pts", detail, tone))
    planted = sum(one.planted for one in summary.planted)
    if planted:
        recovered = sum(one.found for one in summary.planted)
        detail = f"{number(recovered)} of {number(planted)}, {len(summary.planted)} kinds of problem"
        found.append(Tile("Planted and found", percent(recovered / planted), detail))
    return found


def _gain(comparison: Comparison) -> Tile:
    tone = ""
    if comparison.ci95 is not None:
        tone = "good" if comparison.ci95[0] > 0 else "bad" if comparison.ci95[1] < 0 else ""
    detail = f"95 % interval {interval(comparison.ci95, signed=True)}; {comparison.set}, {number(comparison.n)} pairs"
    return Tile("Curated against raw", f"{points(comparison.difference)} pts", detail, tone)


def _accuracy(summary: RunSummary, comparison: Comparison) -> list[Tile]:
    for model in summary.models:
        if model.name == comparison.candidate and model.set == comparison.set and model.accuracy is not None:
            detail = f"95 % interval {interval(model.ci95)}; {number(model.num_clusters)} prompts"
            return [Tile(f"Accuracy on {model.set}", percent(model.accuracy), detail)]
    return []
