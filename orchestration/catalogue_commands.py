"""What `synpref sources` prints: the catalogue, and what a source's first rows would become."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping

from assets.errors import ConfigError
from assets.raw_pairs.catalogue import SourceEntry, add_source, load_catalogue
from assets.raw_pairs.checking import CheckedPair, LayoutReport, check_source
from assets.raw_pairs.showing import positions_to_show
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
    reports = check_source(entry)
    head = f"{entry.name}: {len(reports)} file{'s' * (len(reports) != 1)}, licence {entry.licence}, labels "
    head += entry.label_origin or "as the rows say"
    lines = [head]
    for report in reports:
        lines += [f"  {report.file}", *(f"    {line}" for line in _of_file(report))]
    return "\n".join(lines), all(report.num_pairs > 0 for report in reports)


def _of_file(report: LayoutReport) -> list[str]:
    """What a person who adds the source looks at: the layout and why, what comes of the first rows, ten pairs."""
    layout, pairs = report.layout, report.pairs
    lines = [f"layout:   {layout.name} ({layout.why()})" if layout.fields else "layout:   unknown, no row is readable"]
    lines += [f"unused:   {', '.join(layout.unused)} (kept in meta)"] if layout.unused else []
    lines += [f"rows:     {report.num_rows} looked at, {len(report.dead_letters)} dead letters, {len(pairs)} pairs"]
    if pairs:
        prompts = {one.pair.turns for one in pairs}
        lines += [f"prompts:  {len(prompts)} different, {_lengths(sum(len(text) for _, text in p) for p in prompts)}"]
        lines += [f"responses: {_lengths(len(text) for p in pairs for text in (p.pair.response_a, p.pair.response_b))}"]
        lines += [f"labels:   {_counts(report.verdicts)}; by {_counts(Counter(one.label_origin for one in pairs))}"]
        num_votes = sum(one.num_votes for one in pairs)
        lines += [f"votes:    {num_votes} recorded verdicts for people and judges"] if num_votes else []
    for what, counts in (("dead", report.reasons), ("left out", report.left_out), ("no pair", report.problems)):
        lines += [f"{what + ':':<10}{_counts(counts)}"] if counts else []
    # Spread over the rows looked at: neighbours often share a prompt.
    for place in positions_to_show(len(pairs), NUM_PAIRS_SHOWN):
        lines += [f"  {line}" for line in _of_pair(pairs[place])]
    for number, letter in report.dead_letters[:NUM_PAIRS_SHOWN]:
        lines.append(f"  row {number}: {letter.reason} ({_short(letter.detail, 200)})")
    return lines


def _of_pair(one: CheckedPair) -> list[str]:
    pair = one.pair
    turns = f" ({len(pair.turns)} turns)" if len(pair.turns) > 1 else ""
    lines = [f"prompt{turns}: {_short(pair.turns[-1][1] if pair.turns else '')}"]
    for side, text, model in (("a", pair.response_a, pair.model_a), ("b", pair.response_b, pair.model_b)):
        better = "*" if one.verdict == side else " "
        lines.append(f"{better} {side}{f' [{_short(model, 30)}]' if model else ''}: {_short(text)}")
    margin = "" if pair.margin is None else f", margin {pair.margin:g}"
    problem = f"; no pair: {one.problem}" if one.problem else ""
    return [*lines, f"  label {one.verdict or 'none'}{margin}, by {one.label_origin}{problem}"]


def _lengths(lengths: Iterable[int]) -> str:
    found = sorted(lengths)
    return f"{found[len(found) // 2]} characters in the middle, {found[-1]} at most"


def _counts(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{number} {name}" for name, number in counts.items())


def _short(text: str, limit: int = 100) -> str:
    line = "".join(ch if ch.isprintable() else " " for ch in " ".join(text[: 20 * limit].split()))
    return line if len(line) <= limit else f"{line[: limit - 1]}… ({len(text)} characters)"
