"""Progress of a batch of calls: rate, spend and time left; a bar on a terminal, elsewhere a line now and then."""

from __future__ import annotations

import sys
import time

from tqdm import tqdm

_LINE_EVERY_S = 30.0


class CallProgress:
    """A bar or lines on stderr.

    Args:
        name: of the model and the batch.
        total: number of calls.
        done: how many of them the ledger holds already.
    """

    def __init__(self, name: str, total: int, done: int) -> None:
        self._name, self._done_before = name, done
        self._bar = tqdm(
            total=total, initial=done, desc=f"  {name}", unit="call", leave=False, disable=None, file=sys.stderr
        )
        self._num, self._total = done, total
        self._began = self._said = time.monotonic()

    def __enter__(self) -> CallProgress:
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.close()

    def move(self, num: int, usd: float, concurrency: int) -> None:
        """So many more calls are done; `usd` is what this batch has cost since it began."""
        self._num += num
        if not self._bar.disable:
            self._bar.set_postfix_str(f"${usd:,.4f}, {concurrency} at once", refresh=False)
            self._bar.update(num)
            return
        now = time.monotonic()
        if now - self._said >= _LINE_EVERY_S:
            self._said = now
            print(self.line(now - self._began, usd), file=sys.stderr, flush=True)

    def line(self, seconds: float, usd: float) -> str:
        """The state as one line, `seconds` after the beginning."""
        rate = (self._num - self._done_before) / seconds if seconds > 0 else 0.0
        left = f"{(self._total - self._num) / rate:,.0f} s left" if rate else "time left unknown"
        return f"  {self._name}: {self._num:,} of {self._total:,} calls, {rate:,.1f}/s, ${usd:,.4f}, {left}"
