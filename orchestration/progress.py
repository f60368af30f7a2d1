"""How a headless run shows itself: a bar with the step and time left on a terminal, plain lines otherwise."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from orchestration.pipeline import Step, StepResult


def show_steps(start: Callable[[Callable[[int, int, Step], None]], Iterator[StepResult]]) -> None:
    """Run a pipeline and show each step as it begins and ends."""
    if not sys.stdout.isatty():
        for number, result in enumerate(start(lambda *_: None), start=1):
            print(_line(number, result), flush=True)
        return
    columns = (
        TextColumn("{task.description:<44}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console()) as progress:
        task = progress.add_task("starting", total=None)

        def on_step(number: int, total: int, step: Step) -> None:
            progress.update(task, description=str(step), total=total, completed=number - 1)

        for number, result in enumerate(start(on_step), start=1):
            progress.console.print(_line(number, result), markup=False, highlight=False)
            progress.update(task, completed=number)


def _line(number: int, result: StepResult) -> str:
    state = "unchanged" if result.unchanged else f"{result.wall_s:7.1f} s"
    return f"{number:4d}  {result.step!s:<52} {state:>10}"
