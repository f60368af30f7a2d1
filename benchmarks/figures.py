"""Figures of raw pairs as a page: `docs/figures.md` with its plots, from what `benchmarks.all` measured.

python -m benchmarks.figures SCRATCH/results.jsonl [--out docs]
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from assets.settings import REPOSITORY

_SIZE_NAMES = ("rows", "pairs", "documents")
_TITLES = {
    "ingestion": "Parse, identify and publish, 4 KB pairs",
    "pool": "Duplicates, role swaps, conflicts on keys",
    "near_duplicates": "Near duplicates by MinHash, 4 KB pairs",
    "contamination": "13-grams against 30,000 benchmark prompts, 4 KB pairs",
}
_TARGETS = {
    "ingestion": "20,000 pairs/s",
    "pool": "40 M in 90 s under 6 GB (step `duplicates`)",
    "near_duplicates": "1 M in 240 s, recall 0.95 at Jaccard 0.8",
    "contamination": "1 M in 120 s",
}


def size_of(row: Mapping) -> int:
    """Rows, pairs or documents of a measurement."""
    return next(int(row[name]) for name in _SIZE_NAMES if isinstance(row.get(name), int))


def series_of(row: Mapping) -> str:
    """What a measurement is compared under: the tool, its tokenizer, or the step."""
    tool = row.get("tool", row.get("step", "synpref"))
    return f"{tool}, {row['tokenizer']}" if "tokenizer" in row else str(tool)


def table(rows: Iterable[Mapping]) -> str:
    """A Markdown table of one group."""
    lines = [
        "| what | pairs | wall | pairs/s | peak memory | load before | recall by Jaccard |",
        "|---|---|---|---|---|---|---|",
    ]
    for row in sorted(rows, key=lambda r: (series_of(r), size_of(r))):
        size, wall_s = size_of(row), row["wall_s"]
        recall = row.get("recall", "")
        if isinstance(recall, Mapping):
            near = f"from 0.8: {row['recall_from_0.8']}; " if "recall_from_0.8" in row else ""
            recall = near + ", ".join(f"{level}: {value}" for level, value in recall.items() if float(level) >= 0.75)
        cells = [series_of(row), f"{size:,}", f"{wall_s:,.1f} s", f"{size / wall_s:,.0f}"]
        cells += [f"{row['peak_mb'] / 1000:.2f} GB", str(row.get("load_before", "")), str(recall)]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def ratios(rows: Sequence[Mapping]) -> list[str]:
    """Ours against each peer: at the size that both were measured at, and by pairs a second at the largest of each.

    At a small size most of our time is reading compiled code and indexing the benchmarks.
    """
    ours = {size_of(row): row for row in rows if series_of(row).startswith("synpref")}
    found = []
    for row in rows:
        size = size_of(row)
        if not series_of(row).startswith("datatrove") or size not in ours:
            continue
        times = row["wall_s"] / ours[size]["wall_s"]
        largest = max(ours)
        rate, own_rate = size / row["wall_s"], largest / ours[largest]["wall_s"]
        found.append(
            f"{series_of(row)}, {size:,} pairs: {row['wall_s']:,.1f} s, {times:.1f} times ours; "
            f"{rate:,.0f} pairs/s against {own_rate:,.0f} of ours at {largest:,}, {own_rate / rate:,.0f} times"
        )
    return found


def draw(rows: Sequence[Mapping], title: str, path: Path) -> None:
    """Time and memory against the number of pairs."""
    import matplotlib

    matplotlib.use("Agg")
    matplotlib.rcParams["svg.hashsalt"] = "synpref"
    import matplotlib.pyplot as plt

    series = defaultdict(list)
    for row in rows:
        series[series_of(row)].append(row)
    figure, (time_axes, memory_axes) = plt.subplots(1, 2, figsize=(9, 3.2), layout="constrained")
    for name, measured in sorted(series.items()):
        measured.sort(key=size_of)
        sizes = [size_of(row) for row in measured]
        time_axes.plot(sizes, [row["wall_s"] for row in measured], marker="o", label=name)
        memory_axes.plot(sizes, [row["peak_mb"] / 1000 for row in measured], marker="o", label=name)
    for axes, unit in ((time_axes, "seconds"), (memory_axes, "GB at the peak")):
        axes.set_xscale("log")
        axes.set_xlabel("pairs")
        axes.set_ylabel(unit)
        axes.grid(alpha=0.3)
    time_axes.set_yscale("log")
    memory_axes.set_ylim(bottom=0)
    memory_axes.legend(frameon=False, fontsize=8)
    figure.suptitle(title, fontsize=10)
    # No date and no random names in the file: the same figures give the same bytes.
    figure.savefig(path, metadata={"Date": None})
    plt.close(figure)


def write_page(rows: Sequence[Mapping], out: Path) -> Path:
    """Write `figures.md` and its plots into a folder; returns the page's path."""
    plots = out / "figures"
    plots.mkdir(parents=True, exist_ok=True)
    groups = defaultdict(list)
    for row in rows:
        groups[row["group"]].append(row)
    parts = ["# Figures of raw pairs", "", "Measured by `python -m benchmarks.all` on two cores, drawn by"]
    parts[-1] += " `python -m benchmarks.figures`; `load before` says how idle the machine was. datatrove runs with the"
    parts[-1] += " words of spaCy, as it comes, and split at spaces, which are the same words on these texts."
    for group in _TITLES:
        if group not in groups:
            continue
        path = plots / f"{group}.svg"
        draw(groups[group], _TITLES[group], path)
        parts += ["", f"## {_TITLES[group]}", f"Target: {_TARGETS[group]}.", "", table(groups[group]), ""]
        parts += [f"- {line}" for line in ratios(groups[group])]
        parts += ["", f"![{_TITLES[group]}](figures/{path.name})"]
    page = out / "figures.md"
    page.write_text("\n".join(parts) + "\n", encoding="utf-8")
    return page


def main(arguments: Sequence[str] | None = None) -> int:
    """Entry point."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.figures", description=__doc__.splitlines()[0])
    parser.add_argument("results", type=Path)
    parser.add_argument("--out", type=Path, default=REPOSITORY / "docs")
    given = parser.parse_args(arguments)
    rows = [json.loads(line) for line in given.results.read_text().splitlines()]
    print(write_page(rows, given.out))
    return 0


if __name__ == "__main__":
    sys.exit(main())
