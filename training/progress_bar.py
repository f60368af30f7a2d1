"""Progress bar: a training as a person at a terminal sees it, on standard error."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence

from training.curves import Point

OnPoints = Callable[[Sequence[Point], int, int], None]
# Name beside the bar, curve, form.
_SHOWN = (
    ("loss", "loss", "{:.3f}"),
    ("accuracy", "train/accuracy", "{:.3f}"),
    ("pairs/s", "speed/pairs_per_second", "{:.1f}"),
    ("tokens/s", "speed/tokens_per_second", "{:.0f}"),
    ("of peak", "speed/share_of_peak", "{:.2f}"),
    ("GiB", "speed/memory_gib", "{:.1f}"),
    ("dev", "dev/accuracy", "{:.3f}"),
)


@contextlib.contextmanager
def progress_bar(
    name: str, record: Callable[[Sequence[Point]], None], log: Callable[[str], None], *, shown: bool
) -> Iterator[OnPoints]:
    """Give a function for the loop's points, which moves the bar, records points and logs dev accuracy.

    Args:
        shown: whether there is a bar where standard error is a terminal; elsewhere there is none.
    """
    from tqdm import tqdm

    latest: dict[str, float] = {}
    with tqdm(
        desc=f"training {name}", unit="step", mininterval=2, disable=None if shown else True, file=sys.stderr
    ) as bar:

        def on_points(points: Sequence[Point], step: int, total: int) -> None:
            record(points)
            if step - bar.n > 1:
                # Gone on with: the rate is of the steps from here on.
                bar.initial = bar.n = step
            bar.total = total
            bar.update(step - bar.n)
            latest.update((point.name, point.value) for point in points)
            bar.set_postfix(_beside(latest), refresh=False)
            if points and points[0].step == step and points[-1].name.startswith("dev/"):
                log(f"{name}: step {step} of {total}, dev accuracy {latest['dev/accuracy']:.3f}")

        yield on_points


def say_beside_bar(line: str) -> None:
    """Write a line to standard error without breaking a bar."""
    from tqdm import tqdm

    tqdm.write(line, file=sys.stderr)


def _beside(values: Mapping[str, float]) -> dict[str, str]:
    return {short: form.format(values[name]) for short, name, form in _SHOWN if name in values}
