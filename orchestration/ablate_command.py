"""The command line's `ablate`: the loop with one thing changed at a time, on the same budget."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from assets.workspace import Workspace, home_folder
from orchestration.options import SAMPLE_CONFIG, ConfigOption


def ablate_command(
    config: ConfigOption = SAMPLE_CONFIG,
    arms: Annotated[
        str, typer.Option(help="Which arms, separated by commas; the full recipe is always run.")
    ] = "random_retrieval,no_attributes,no_examples,no_people",
    seeds: Annotated[int, typer.Option(min=1, help="Repeat with so many seeds, counted up from the run's.")] = 1,
    trainings: Annotated[
        int, typer.Option(min=1, help="Train each round's model so many times, and report the mean.")
    ] = 3,
    out: Annotated[
        Path | None, typer.Option(help="Folder of the arms' homes and of the comparison; by default under the home.")
    ] = None,
) -> None:
    """Run the stage-1 loop with one thing changed at a time, on the same budget, and compare the arms."""
    from assets.ablations import named_arms
    from evaluation.report.ablation_page import write_ablation
    from orchestration.ablating import ablate

    chosen = named_arms(arms)
    folder = out or home_folder() / "ablations" / Workspace(config).settings.name
    found = ablate(config, chosen, seeds, folder.resolve(), _show, num_trainings=trainings)
    for line in write_ablation(found, folder):
        typer.echo(line)


def _show(name: str, start: Callable) -> None:
    from orchestration.progress import show_steps

    typer.echo(f"--- {name}")
    show_steps(start)
