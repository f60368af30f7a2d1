"""Glue: the few moves every `assets.py` makes, so that an asset reads as declare, read, call, publish, report."""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import dagster as dg

from assets import plots
from assets.errors import SynprefError
from assets.partition_writer import Manifest
from assets.settings import REPOSITORY

# What would make an image, a link, code or a table's border of a cell's text.
_MARKDOWN_SIGNS = re.compile(r"[\\`*_\[\]~|$]")

FAILED_CHECK_STOPS = dg.AssetCheckSeverity.ERROR
FAILED_CHECK_WARNS = dg.AssetCheckSeverity.WARN


def now() -> datetime:
    """The clock of the glue; rules take times as arguments."""
    return datetime.now(UTC)


def failure(error: SynprefError) -> dg.Failure:
    """A run's end that a person can act on; trying again would not help."""
    metadata = {k: v for k, v in vars(error).items() if k in ("what", "where", "kept", "todo") and v}
    return dg.Failure(description=str(error), metadata=metadata, allow_retries=False)


def markdown_table(rows: list[dict[str, Any]], *, limit: int = 50) -> dg.MarkdownMetadataValue:
    """A small table for the UI; cells are escaped, and a cut table says how much it leaves out."""
    if not rows:
        return dg.MetadataValue.md("*no rows*")
    names = list(rows[0])

    def cell(value: Any) -> str:
        text = f"{value:.4g}" if isinstance(value, float) else str("" if value is None else value)
        # Cut before escaping: half an escape would show.
        text = text if len(text) <= 300 else text[:299] + "…"
        text = _MARKDOWN_SIGNS.sub(r"\\\g<0>", text.replace("&", "&amp;").replace("<", "&lt;"))
        return " ⏎ ".join(text.splitlines())

    lines = ["| " + " | ".join(names) + " |", "|" + "---|" * len(names)]
    lines += ["| " + " | ".join(cell(row.get(n)) for n in names) + " |" for row in rows[:limit]]
    if len(rows) > limit:
        lines.append(f"\n*{len(rows) - limit} more rows*")
    return dg.MetadataValue.md("\n".join(lines))


def plot(markdown: str) -> dg.MarkdownMetadataValue:
    """A chart of `assets.plots` as metadata."""
    return dg.MetadataValue.md(markdown)


def published(manifest: Manifest, *, unchanged: bool = False, **metadata: Any) -> dg.MaterializeResult:
    """What an asset returns: the manifest's facts, row accounting with a plot of drop reasons, and extras."""
    facts: dict[str, Any] = {
        "dagster/row_count": manifest.num_rows,
        "content_hash": manifest.content_hash,
        "inputs": manifest.inputs,
        "file": manifest.file,
        "unchanged": unchanged,
    }
    facts |= counts_metadata(manifest.info.get("counts"))
    return dg.MaterializeResult(
        metadata=facts | metadata, data_version=dg.DataVersion(manifest.content_hash), check_results=[]
    )


def counts_metadata(counts: Mapping[str, Any] | None) -> dict[str, Any]:
    """Row accounting as metadata: rows in, rows out and, where any were dropped, how many for which reason."""
    if not counts:
        return {}
    facts: dict[str, Any] = {"rows_in": counts["rows_in"], "rows_out": counts["rows_out"]}
    if counts["dropped"]:
        facts["dropped"] = markdown_table([{"reason": r, "rows": n} for r, n in counts["dropped"].items()])
        facts["dropped_plot"] = plot(plots.bar_chart(counts["dropped"], title="Rows dropped, by reason", unit="rows"))
    return facts


def run_process(
    context: dg.AssetExecutionContext, pipes: dg.PipesSubprocessClient, module: str, *arguments: Any
) -> None:
    """Run one of our own modules in a process of its own, its progress and messages going to the run's log.

    torch never loads in Dagster's processes, and a crash costs one step.
    """
    run_command(context, pipes, [sys.executable, "-m", module, *map(str, arguments)])


def run_command(context: dg.AssetExecutionContext, pipes: dg.PipesSubprocessClient, command: list[str]) -> None:
    """Run a command that starts our own modules; as `run_process`."""
    pipes.run(
        command=command,
        context=context,
        cwd=str(REPOSITORY),
        env={"PYTHONPATH": str(REPOSITORY), "PYTHONUNBUFFERED": "1"},
    ).get_results()
