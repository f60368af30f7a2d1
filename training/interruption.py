"""Interruption: a training that is told to end (SIGTERM, as Slurm and Kubernetes send it) ends after its step."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator
from types import FrameType

from assets.errors import SynprefError


class TrainingInterruptedError(SynprefError):
    """A training was told to end before it was done."""


@contextlib.contextmanager
def told_to_stop() -> Iterator[Callable[[], bool]]:
    """Give a function that says whether SIGTERM has come since; a second SIGTERM ends the process as usual.

    Outside the main thread, where Python takes no signals, it never has.
    """
    told = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield told.is_set
        return

    def remember(number: int, frame: FrameType | None) -> None:
        told.set()
        signal.signal(signal.SIGTERM, signal.SIG_DFL)

    former = signal.signal(signal.SIGTERM, remember)
    try:
        yield told.is_set
    finally:
        signal.signal(signal.SIGTERM, former)
