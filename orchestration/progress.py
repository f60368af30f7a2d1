"""How a headless run shows itself: bars with rate and time left on a terminal, and a line a finished step."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from tqdm import tqdm

from orchestration.pipeline import Step, StepResult


def show_steps(start: Callable[[Callable[[int, int, Step], None]], Iterator[StepResult]]) -> None:
    """Run a pipeline and show each step as it begins and ends; without a terminal, only the lines.

    Steps that train or score draw bars of their own below, from their own processes.
    """
    # `disable=None` is tqdm's way to say: only where a person looks.
    with tqdm(unit="step", disable=None, file=sys.stderr) as bar:

        def on_step(number: int, total: int, step: Step) -> None:
            bar.total = total
            bar.set_description(str(step))

        for number, result in enumerate(start(on_step), start=1):
            tqdm.write(_line(number, result), file=sys.stdout)
            sys.stdout.flush()
            bar.update()


def _line(number: int, result: StepResult) -> str:
    state = "unchanged" if result.unchanged else f"{result.wall_s:7.1f} s"
    return f"{number:4d}  {result.step!s:<52} {state:>10}"


@contextmanager
def progress_bar(name: str) -> Iterator[Callable[[int, float], None]]:
    """A bar with rate and time left, and the function that moves it: rows done, share done (0 to 1).

    How many rows a file holds is often known only at its end, so the time left comes from the share.
    """
    with tqdm(desc=f"  {name}", unit="row", unit_scale=True, leave=False, disable=None, file=sys.stderr) as bar:

        def move(num_rows: int, share: float) -> None:
            bar.total = round(num_rows / share) if share > 0 else None
            bar.update(num_rows - bar.n)

        yield move
