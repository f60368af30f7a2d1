"""Reports: what a delivery brought, with every answer that nobody can use kept as a dead letter."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

import pyarrow as pa

from assets.accounting import StageCounts
from assets.contracts import from_rows
from assets.human_gold.bridges.intake import CORRECTED, Outcome
from assets.human_gold.desk import audit
from assets.human_gold.desk.database import Clock, writing
from assets.identity import digest, storable


@dataclass(frozen=True)
class Taken:
    """What came of one delivery.

    Attributes:
        counts: answers in, stored on the desk out, dropped by reason; `repeated` were there already.
        num_corrections: of the stored, those that correct an earlier one.
        dead_letters: contract `dead_letters`: what nobody can use.
        upto: until when the tool's answers are in; the next delivery may begin there. None for a file.
    """

    counts: StageCounts
    num_corrections: int
    dead_letters: pa.Table
    upto: str | None = None

    @property
    def summary(self) -> dict:
        """For logs and the audit log."""
        return {**self.counts.as_dict(), "corrections": self.num_corrections, "upto": self.upto}


@dataclass
class Report:
    """A delivery while it is taken in.

    Attributes:
        source: name under which its dead letters are kept.
        file: file or project.
    """

    source: str
    file: str
    _num: Counter[str] = field(default_factory=Counter)
    _letters: list[dict] = field(default_factory=list)

    def add(self, place: int, outcome: Outcome, raw: str) -> None:
        """Count an answer, and keep one that cannot be used.

        Args:
            place: line of the file, or the answer's id in the tool.
            outcome: what became of it.
            raw: as it was delivered; only its hash is kept.
        """
        self._num[outcome.kind] += 1
        if outcome.refused:
            self._letters.append(
                {
                    "source": self.source,
                    "file": self.file,
                    "source_row": place,
                    "reason": outcome.kind,
                    "detail": storable(outcome.detail),
                    "row_hash": digest("delivered_answer", storable(raw)),
                }
            )

    def skip(self, reason: str) -> None:
        """Count something that is no answer and no mistake either."""
        self._num[reason] += 1

    def close(self, upto: str | None = None) -> Taken:
        """The report."""
        stored = {kind: n for kind, n in self._num.items() if Outcome(kind).stored}
        dropped = {kind: n for kind, n in sorted(self._num.items()) if kind not in stored}
        counts = StageCounts(self._num.total(), sum(stored.values()), dropped)
        return Taken(counts, stored.get(CORRECTED, 0), from_rows(self._letters, "dead_letters"), upto)


def write_down(engine, clock: Clock, action: str, subject: str, detail: Mapping) -> None:
    """Put a delivery or an export into the audit log."""
    with writing(engine) as session:
        audit.write(session, clock(), None, action, subject, detail)


def time_of(text: str) -> datetime:
    """A point in time, from ISO 8601.

    Raises:
        ValueError: no time, or one without zone.
    """
    at = datetime.fromisoformat(text)
    if at.tzinfo is None:
        raise ValueError(f"{text}: a time without zone")
    return at
