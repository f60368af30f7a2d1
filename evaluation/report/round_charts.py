"""Round charts: how many neighbours a round's queries earned, and how near what they brought is."""

from __future__ import annotations

from markupsafe import Markup

from evaluation.report import charts
from evaluation.report.round_sections import RoundPage


def round_page_charts(page: RoundPage) -> list[tuple[str, Markup]]:
    """Caption and chart, for what the round has."""
    found = []
    if page.earned:
        columns = [name.removeprefix("k = ") for name in page.earned]
        chart = charts.stacked_columns(
            columns, {"gold queries": list(page.earned.values())}, title=f"Queries of {page.name} by k", xlabel="k"
        )
        found.append(("Gold queries by neighbours earned", chart))
    if page.similarities:
        chart = charts.stacked_columns(
            list(page.similarities),
            {"retrieved pairs": list(page.similarities.values())},
            title=f"Retrieved pairs of {page.name} by similarity",
            xlabel="cosine similarity to the query, from",
        )
        found.append(("Retrieved pairs by similarity to their query", chart))
    return found
