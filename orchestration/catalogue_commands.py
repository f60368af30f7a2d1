"""What `synpref sources` prints: the catalogue, and what a source's first rows would become."""

from __future__ import annotations

from assets.errors import ConfigError
from assets.raw_pairs.catalogue import SourceEntry, add_source, load_catalogue
from assets.raw_pairs.ingest import check_source
from assets.workspace import Workspace

NUM_PAIRS_SHOWN = 10


def list_sources(workspace: Workspace) -> str:
    """One line a source."""
    lines = []
    for entry in load_catalogue(workspace.catalogue_path, workspace):
        place = f"{entry.hub.id}@{entry.hub.revision}" if entry.hub else ", ".join(entry.paths)
        origin = entry.label_origin or "by row"
        lines.append(f"{entry.name:<28} {origin:<15} {entry.licence:<14} {entry.layout:<24} {place}")
    return "\n".join(lines) or f"{workspace.catalogue_path} names no source."


def check_sources(workspace: Workspace, name: str | None) -> tuple[str, bool]:
    """Layout, pairs and dead letters of the first rows of a source, or of all, and whether every one gave pairs.

    Raises:
        ConfigError: the catalogue has no source of that name, or a source cannot be read.
    """
    entries = load_catalogue(workspace.catalogue_path, workspace)
    chosen = [e for e in entries if name in (None, e.name)]
    if name is not None and not chosen:
        raise ConfigError(
            f"The catalogue has no source {name!r}.",
            where=str(workspace.catalogue_path),
            todo=f"use one of {', '.join(e.name for e in entries)}",
        )
    texts, passed = [], True
    for entry in chosen:
        text, good = _check(entry)
        texts.append(text)
        passed &= good
    return "\n\n".join(texts), passed


def add_source_entry(workspace: Workspace, path: str, *, name: str, licence: str, label_origin: str) -> str:
    """Add a source to the configuration's catalogue and say what to do next."""
    entry = add_source(
        workspace.catalogue_path,
        path,
        name=name,
        licence=licence,
        label_origin=label_origin,  # type: ignore[arg-type]
    )
    return (
        f"{entry.name} added to {workspace.catalogue_path}.\n"
        f"Look at it: synpref sources check {entry.name} --config {workspace.config_path}"
    )


def _check(entry: SourceEntry) -> tuple[str, bool]:
    lines, good = [entry.name], True
    for report in check_source(entry):
        lines.append(f"  {report.file}: layout {report.layout.name}, {report.num_pairs} pairs in the rows looked at")
        good &= report.num_pairs > 0
        for pair in report.pairs[:NUM_PAIRS_SHOWN]:
            lines += [f"    prompt:   {_short(pair.turns[-1][1] if pair.turns else '')}"]
            lines += [f"      a:      {_short(pair.response_a)}", f"      b:      {_short(pair.response_b)}"]
            lines += [f"      prefers {pair.verdict or 'nothing'}"]
        for number, letter in report.dead_letters[:NUM_PAIRS_SHOWN]:
            lines.append(f"    row {number} cannot be read: {letter.reason} ({letter.detail})")
    return "\n".join(lines), good


def _short(text: str, limit: int = 100) -> str:
    line = "".join(ch if ch.isprintable() else " " for ch in " ".join(text.split()))
    return line if len(line) <= limit else line[: limit - 1] + "…"
