"""Data Docs: what Great Expectations found at the boundary, as pages a person opens; one per source and an index.

Great Expectations renders the findings. The page around them is ours: its own loads styles, scripts and a logo from
seven hosts, and shows values of the data as they are.
"""

from __future__ import annotations

import html
import json
from collections.abc import Mapping
from copy import deepcopy
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import filelock

from assets.durable_files import write_atomically
from assets.lake import check_slug
from assets.raw_pairs.boundary import BoundaryReport, BoundaryResult
from assets.raw_pairs.ingest import IngestReport

_PAGES = Path(__file__).parent / "docs_pages"
_MAX_CHARS = 80


@dataclass(frozen=True)
class SourcePage:
    """What a source's page and its line of the index say beside the expectations.

    Attributes:
        source, licence: of the catalogue.
        published_at: when its pairs were published, ISO 8601, UTC.
        ingested: what became of its rows.
        report: what the expectations found.
    """

    source: str
    licence: str
    published_at: str
    ingested: IngestReport
    report: BoundaryReport

    @property
    def unmet(self) -> list[BoundaryResult]:
        """Expectations that do not hold."""
        return [result for result in self.report.results if not result.passed]

    def line(self) -> dict[str, Any]:
        """What the index says of the source."""
        return {
            "source": self.source,
            "passed": self.report.passed,
            "num_met": len(self.report.results) - len(self.unmet),
            "num_expectations": len(self.report.results),
            "num_rows": self.report.num_rows,
            "num_looked_at": self.report.num_looked_at,
            "num_problems": sum(self.ingested.problems.values()),
            "num_dead_letters": self.ingested.counts.num_dropped,
            "licence": self.licence,
            "published_at": self.published_at.removesuffix("+00:00").replace("T", " "),
        }

    def as_dict(self) -> dict[str, Any]:
        """What the page says of the source."""
        counts = self.ingested.counts
        return self.line() | {
            "unmet": [asdict(result) for result in self.unmet],
            "facts": {
                "licence": self.licence,
                "revision": self.ingested.revision,
                "layouts": ", ".join(f"{file}: {layout}" for file, layout in self.ingested.layouts.items()),
                "published": f"{self.line()['published_at']} UTC",
            },
            "counts": {
                "Rows": {"read": counts.rows_in, "made pairs": counts.rows_out, **_prefixed(counts.dropped)},
                "Labels": dict(self.ingested.verdicts),
                "Pairs that are none (kept, and excluded later)": dict(self.ingested.problems),
            },
        }


def publish_docs(folder: Path, page: SourcePage) -> Path:
    """Write a source's page and the index of all sources, each whole or not at all.

    Args:
        folder: of the run's Data Docs; made when missing.

    Returns:
        Path of the source's page; the index is `index.html` in the folder.
    """
    path = folder / "raw_pairs" / f"{check_slug(page.source, 'source')}.html"
    write_atomically(path, render_page(page))
    # Sources are read side by side; each index must hold the lines of all that were written before it.
    with filelock.FileLock(folder / ".lock"):
        write_atomically(path.with_suffix(".json"), json.dumps(page.line(), indent=1))
        lines = [json.loads(file.read_text("utf-8")) for file in sorted(path.parent.glob("*.json"))]
        write_atomically(folder / "index.html", render_index(lines))
    return path


def render_index(lines: list[Mapping[str, Any]]) -> str:
    """The index as HTML; sources that fail come first."""
    from jinja2 import Environment, FileSystemLoader, select_autoescape

    pages = Environment(loader=FileSystemLoader(_PAGES), autoescape=select_autoescape(["html"]))
    return pages.get_template("index_page.html").render(pages=sorted(lines, key=lambda s: (s["passed"], s["source"])))


def render_page(page: SourcePage) -> str:
    """A source's page as HTML. It runs no script and loads nothing, whatever the data holds."""
    from great_expectations.render import CollapseContent
    from great_expectations.render.renderer import ValidationResultsPageRenderer
    from great_expectations.render.view import DefaultJinjaPageView

    validation = deepcopy(page.report.validation)
    for result in validation.results:
        result.result = _shown(result.result)
        result.expectation_config.kwargs.pop("batch_id", None)
    document = ValidationResultsPageRenderer().render(validation)
    # The overview tells of suite, batch and run, which a person knows; its counts stand at the head of our page.
    document.sections = document.sections[1:]
    for section in document.sections:
        section.content_blocks = [b for b in section.content_blocks if not isinstance(b, CollapseContent)]
        for block in section.content_blocks:
            _drop_collapsed(getattr(block, "table", None), CollapseContent)
    view = DefaultJinjaPageView(custom_views_directory=str(_PAGES))
    return view.render(document, template="source_page.html", page=page.as_dict())


def _drop_collapsed(rows: Any, kind: type) -> None:
    """Leave out what a script would unfold: how to query the checked frame, which is gone."""
    for row in rows or []:
        for cell in row:
            if isinstance(cell, list):
                cell[:] = [part for part in cell if not isinstance(part, kind)]


def _shown(value: Any) -> Any:
    """A result with the values of the data cut and escaped: Great Expectations puts them into the page as they are."""
    if isinstance(value, str):
        return html.escape(value if len(value) <= _MAX_CHARS else value[: _MAX_CHARS - 1] + "…")
    if isinstance(value, Mapping):
        return {key: _shown(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [_shown(part) for part in value]
    return value


def _prefixed(dropped: Mapping[str, int]) -> dict[str, int]:
    return {f"dead letters: {reason}": count for reason, count in dropped.items()}
