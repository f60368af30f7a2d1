"""Pacing: how many requests may be on their way, when to wait, and when to stop asking a server that only fails."""

from __future__ import annotations

from dataclasses import dataclass

from assets.chance import uniform
from assets.llm_annotated.calling.outcomes import Outcome


@dataclass(frozen=True)
class Patience:
    """How long failures are waited out.

    Attributes:
        first_wait_s: most seconds before the second try; doubles with every further one.
        most_wait_s: most seconds between two tries.
        most_retry_after_s: a server that asks to be left alone for longer than this is not waited for.
        failures_in_a_row: as many without one success between them open the circuit.
        hopeless_in_a_row: as many refusals that no other request would escape end it.
    """

    first_wait_s: float = 1.0
    most_wait_s: float = 30.0
    most_retry_after_s: float = 120.0
    failures_in_a_row: int = 10
    hopeless_in_a_row: int = 3

    def wait_s(self, key: str, num_tries: int, asked_s: float | None) -> float:
        """Seconds before the next try: drawn from the request's key, so that not all come back at once.

        Between a half and the whole of a bound that doubles with every try, and never less than the server asks for.
        """
        bound = min(self.most_wait_s, self.first_wait_s * 2.0 ** min(num_tries - 1, 30))
        return (asked_s or 0.0) + bound * (0.5 + 0.5 * uniform("retry", key, num_tries))


class Pacing:
    """State of one server as replies show it. All times are seconds of one monotonic clock.

    Concurrency grows by one for every `limit` successes and halves when the server says or shows that it is too much.
    The circuit opens when everything fails: then one probe at a time is sent, at growing intervals, and after
    `max_tries` failed probes the rest is given up.

    Attributes:
        limit: how many requests may be on their way.
        not_before: nothing is sent before this moment.
        given_up: nothing more is sent in this batch.
        cause: of the last failure, for people.
    """

    def __init__(self, concurrency: int, max_tries: int, patience: Patience) -> None:
        self._most, self._max_tries, self._patience = concurrency, max_tries, patience
        self.limit = float(concurrency)
        self.cause = ""
        self.given_up = self._open = False
        self._in_a_row = self._hopeless = 0.0
        self._halved_at = self._opened_at = self.not_before = float("-inf")
        self._num_probes = 0

    def begin(self, now: float) -> None:
        """A new batch: a server that was given up gets one probe."""
        if self.given_up:
            self.given_up, self._open, self._num_probes = False, True, self._max_tries - 1
            self._hopeless = self._patience.hopeless_in_a_row - 1
            self.not_before = now

    def slots(self, now: float, num_running: int) -> int:
        """How many more requests may be sent now."""
        if self.given_up or now < self.not_before:
            return 0
        return int(num_running == 0) if self._open else max(0, int(self.limit) - num_running)

    def record(self, outcome: Outcome, sent_at: float, now: float) -> None:
        """Learn from one try that was sent at `sent_at`."""
        if outcome.crowded and sent_at > self._halved_at:
            # Those sent before the last cut say nothing about what it did.
            self.limit, self._halved_at = max(1.0, self.limit / 2), now
        if outcome.wait_s is not None and outcome.again:
            if outcome.wait_s > self._patience.most_retry_after_s:
                self._give_up(f"asks to be left alone for {outcome.wait_s:,.0f} s; {outcome.cause}")
                return
            self.not_before = max(self.not_before, now + outcome.wait_s)
        if outcome.field is not None:
            return
        if outcome.hopeless:
            self._hopeless += 1
            if self._hopeless >= self._patience.hopeless_in_a_row:
                self._give_up(outcome.cause)
        elif outcome.again:
            self._fail(outcome, sent_at, now)
        else:
            # Also where this request was refused for its own faults: the server is there and knows its work.
            self._succeed()

    def _succeed(self) -> None:
        self._in_a_row = self._hopeless = 0.0
        self._open, self._num_probes = False, 0
        self.limit = min(float(self._most), self.limit + 1 / self.limit)

    def _fail(self, outcome: Outcome, sent_at: float, now: float) -> None:
        # A server that limits the rate is alive: it takes four times as many refusals to stop asking it.
        self._in_a_row += 0.25 if outcome.status == "rate_limited" else 1.0
        self.cause = outcome.cause
        if not self._open and self._in_a_row >= self._patience.failures_in_a_row:
            self._open, self._opened_at = True, now
            self._probe_after(now)
        elif self._open and sent_at >= self._opened_at:
            self._num_probes += 1
            if self._num_probes >= self._max_tries:
                self._give_up(outcome.cause)
            self._probe_after(now)

    def _probe_after(self, now: float) -> None:
        wait_s = min(self._patience.most_wait_s, self._patience.first_wait_s * 2.0**self._num_probes)
        self.not_before = max(self.not_before, now + wait_s)

    def _give_up(self, cause: str) -> None:
        self.given_up, self.cause = True, cause
