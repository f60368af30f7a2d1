"""Plots of the report on people's labels: Markdown images with data URIs, one function a plot and all by name."""

from __future__ import annotations

from assets.human_gold.agreement.by_person import PersonQuality
from assets.human_gold.agreement.confusion import PersonConfusion
from assets.human_gold.agreement.quality import HumanQuality
from assets.human_gold.agreement.resampling import Interval, Share
from assets.plots import bar_chart, heatmap, interval_chart, line_chart

MOST_PEOPLE = 24
"""A plot shows this many people at most, those with the most labels; its title says how many there are."""


def charts_of(quality: HumanQuality) -> dict[str, str]:
    """Every plot that has something to show, by name; an image's text is its title."""
    shown = {p.person for p in sorted(quality.people, key=lambda p: (-p.num_labels, p.person))[:MOST_PEOPLE]}
    people = [p for p in quality.people if p.person in shown]
    confusions = [p for p in quality.crowd.people if p.person in shown]
    of_all = f" (the {len(shown)} of {len(quality.people)} people with most labels)"
    note = of_all if len(shown) < len(quality.people) else ""
    candidates = {
        "alpha_by_slice": _alpha(quality),
        "agreement_with_others": _with_others(quality, shown, note),
        "kappa": _kappa(quality, shown, note),
        "crowd_accuracy": _accuracy(confusions, note),
        "crowd_confusion": _confusions(confusions, note),
        "self_agreement": _shares(people, "self_agreement", "Same verdict on blind repeats", note),
        "known_answers": _shares(people, "known_accuracy", "Known-answer items answered right", note),
        "sides": _sides(people, note),
        "pace": _pace(people, note),
        "drift": _drift(quality, shown, note),
        "labels_per_week": _weeks(quality),
    }
    return {name: image for name, image in candidates.items() if image}


def _alpha(quality: HumanQuality) -> str:
    rows = {}
    if quality.overall.alpha is not None:
        rows["all votes"] = (quality.overall.alpha, *_ends(quality.overall.interval))
    for kind, by_name in quality.slices.items():
        if kind == "person":
            continue
        for name, one in by_name.items():
            if one.alpha is not None:
                rows[f"{kind}: {name}"] = (one.alpha, *_ends(one.interval))
    return interval_chart(rows, title="Agreement by slice", unit="Krippendorff's alpha", reference=0) if rows else ""


def _with_others(quality: HumanQuality, shown: set[str], note: str) -> str:
    rows = {
        p.person: (p.agreement_rate, *_ends(p.interval))
        for p in quality.overall.people
        if p.person in shown and p.agreement_rate is not None
    }
    title = f"Agreement with the majority of the others{note}"
    return interval_chart(rows, title=title, unit="share of compared pairs", reference=None) if rows else ""


def _kappa(quality: HumanQuality, shown: set[str], note: str) -> str:
    pairs = {
        (p.first, p.second): p.kappa for p in quality.pairs_of_people.pairs if p.first in shown and p.second in shown
    }
    if not pairs:
        return ""
    names = sorted({name for pair in pairs for name in pair})
    values = [[pairs.get((min(a, b), max(a, b))) if a != b else None for b in names] for a in names]
    known = [abs(k) for k in pairs.values() if k is not None]
    # Two colours that meet at 0; an even scale, and one that does not make small coefficients look large.
    most = max([0.5, *known])
    title = f"Cohen's kappa of every two people{note}"
    return heatmap(values, rows=names, columns=names, title=title, limits=(-most, most), unit="kappa")


def _accuracy(confusions: list[PersonConfusion], note: str) -> str:
    rows = {p.person: (p.accuracy.value, p.accuracy.low, p.accuracy.high) for p in confusions}
    flagged = {p.person for p in confusions if p.worse_than_chance}
    title = f"Accuracy as the crowd model sees it{note}"
    unit = "share of right verdicts, 95 % credible"
    return interval_chart(rows, title=title, unit=unit, flagged=flagged) if rows else ""


def _confusions(confusions: list[PersonConfusion], note: str) -> str:
    columns = ["better side", "other side", "says tie", "tie seen"]
    values = [[p.right.value, p.wrong_side.value, p.missed.value, p.tie_seen.value] for p in confusions]
    names = [p.person for p in confusions]
    title = f"What people say: on sided pairs, and on true ties{note}"
    return heatmap(values, rows=names, columns=columns, title=title, limits=(0.0, 1.0), unit="share") if names else ""


def confusion_chart(person: PersonConfusion) -> str:
    """One person's confusion matrix."""
    names = ["1 better", "2 better", "tie"]
    title = f"{person.person}: verdicts by the crowd's truth"
    return heatmap(
        person.matrix().tolist(), rows=names, columns=["says 1", "says 2", "says tie"], title=title, limits=(0.0, 1.0)
    )


def _shares(people: list[PersonQuality], name: str, title: str, note: str) -> str:
    rows = {}
    for person in people:
        share: Share = getattr(person, name)
        if share.rate is not None:
            rows[f"{person.person} ({share.num})"] = (share.rate, *_ends(share.interval))
    return interval_chart(rows, title=f"{title}{note}", unit="share (number asked)", reference=None) if rows else ""


def _sides(people: list[PersonQuality], note: str) -> str:
    rows = {p.person: (p.left.rate, *_ends(p.left_interval)) for p in people if p.left.rate is not None}
    flagged = {p.person for p in people if p.side_biased}
    unit = "share of verdicts for the left response; chance is 0.5"
    return interval_chart(rows, title=f"Sides{note}", unit=unit, flagged=flagged) if rows else ""


def _pace(people: list[PersonQuality], note: str) -> str:
    rates = {p.person: p.labels_per_hour for p in people if p.labels_per_hour is not None}
    return bar_chart(rates, title=f"Pace{note}", unit="labels per active hour") if rates else ""


def _drift(quality: HumanQuality, shown: set[str], note: str) -> str:
    flagged = [d for d in quality.drift if d.what == "agreement" and d.changed and d.person in shown]
    series: dict[str, tuple[list[float], list[float]]] = {}
    # Those who changed, against what the pairs they had let expect; or everybody where nobody did.
    for one in flagged[:3]:
        xs = [float(block.number) for block in one.blocks]
        series[one.person] = (xs, [block.agreement_rate for block in one.blocks])
        series[f"{one.person}, expected"] = (xs, [block.expected_rate for block in one.blocks])
    if not flagged:
        for one in [d for d in quality.drift if d.what == "agreement" and d.person in shown and len(d.blocks) > 1][:6]:
            series[one.person] = (
                [float(block.number) for block in one.blocks],
                [block.agreement_rate - block.expected_rate for block in one.blocks],
            )
    if not series:
        return ""
    title = (
        "Agreement with the crowd: people who changed"
        if flagged
        else "Agreement with the crowd, less what was expected"
    )
    size = max(block.num for one in quality.drift for block in one.blocks)
    return line_chart(series, title=title, x=f"block of up to {size} compared votes", y="share")


def _weeks(quality: HumanQuality) -> str:
    totals: dict[str, int] = {}
    for week in quality.weeks:
        totals[week.monday] = totals.get(week.monday, 0) + week.num_labels
    if not any(totals.values()):
        return ""
    return bar_chart(dict(sorted(totals.items())), title="Labels a week", unit="labels, by the week's Monday")


def _ends(interval: Interval | None) -> tuple[float | None, float | None]:
    return interval or (None, None)
