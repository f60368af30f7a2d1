"""The inbox: verdicts that real people deliver as JSON Lines files in a folder.

One object a line with `pair_id`, `person` and `verdict`: "left" or "right" as the task showed them, "1" or "2"
in canonical order, "tie" or "undecided". Further fields go into the event's evidence. Files are only ever added
or appended to; they are read in order of their names.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

import pyarrow as pa

from assets.accounting import StageCounts
from assets.contracts import VERDICTS, from_rows
from assets.human_gold.people import Collected, person_event
from assets.identity import digest, storable

SOURCE = "inbox"
"""Name under which dead letters of the inbox are kept."""

_FIELDS = ("pair_id", "person", "verdict")
_SIDES = ("left", "right")


@dataclass(frozen=True)
class Line:
    """One delivered line: its place and its text as it came."""

    file: str
    number: int
    text: str

    def dead_letter(self, reason: str, detail: str) -> dict:
        """The row of `dead_letters` that keeps a line nobody can use."""
        return {
            "source": SOURCE,
            "file": self.file,
            "source_row": self.number,
            "reason": reason,
            "detail": storable(detail),
            "row_hash": digest("inbox_row", self.text),
        }


@dataclass(frozen=True)
class InboxPeople:
    """Real people, whose answers are found in a folder.

    Attributes:
        folder: holds `*.jsonl`; a folder that is not there yet holds no answers.
        persons: names of those who may answer.
        known_pairs: every pair that may be asked about, in any round.
        version: of the annotation protocol; goes into every label event.
    """

    folder: Path
    persons: Collection[str]
    known_pairs: Collection[str]
    version: str = "inbox-1"
    simulated: bool = field(default=False, init=False)

    def collect(self, tasks: pa.Table, *, round_name: str, created_at: datetime) -> Collected:
        """Match answers with tasks; a later answer of the same person corrects the earlier one.

        Rows delivered are dropped as dead letters (unreadable_row, unknown_pair, unknown_person,
        unknown_verdict), as `no_task_in_round` (for another round's collection) or as `repeated` (says what
        the person's last answer said). Tasks without an answer are `not_answered`.
        """
        task_of = {(task["pair_id"], task["person"]): task for task in tasks.to_pylist()}
        events: list[dict] = []
        letters: list[dict] = []
        dropped: Counter[str] = Counter()
        last: dict[str, dict] = {}
        num_lines = 0
        for line in self._lines():
            num_lines += 1
            row = self._read(line)
            if "reason" in row:
                letters.append(row)
                dropped[row["reason"]] += 1
                continue
            task = task_of.get((row["pair_id"], row["person"]))
            if task is None:
                dropped["no_task_in_round"] += 1
                continue
            verdict = canonical(row["verdict"], task["left_response"])
            if verdict is None:
                letters.append(line.dead_letter("unknown_verdict", "a side, though the task shows none"))
                dropped["unknown_verdict"] += 1
                continue
            before = last.get(task["task_id"])
            if before is not None and before["verdict"] == verdict:
                dropped["repeated"] += 1
                continue
            event = person_event(
                task,
                verdict,
                self,
                round_name,
                created_at,
                # The first answer delivers the task; a correction is known by the line it stands on.
                delivery=None if before is None else digest(task["task_id"], line.file, str(line.number)),
                supersedes=None if before is None else before["event_id"],
                extra={"answer": row["verdict"], "file": line.file, "line": line.number, "given": row["given"]},
            )
            last[task["task_id"]] = event
            events.append(event)
        waiting = len(tasks) - len(last)
        return Collected(
            events=from_rows(events, "label_events"),
            counts=StageCounts(len(tasks), len(last), {"not_answered": waiting} if waiting else {}),
            dead_letters=from_rows(letters, "dead_letters"),
            delivered=StageCounts(num_lines, len(events), dict(sorted(dropped.items()))),
        )

    def _lines(self) -> Iterator[Line]:
        for path in sorted(self.folder.glob("*.jsonl")):
            with path.open("rb") as lines:
                for number, raw in enumerate(lines, start=1):
                    if raw.strip():
                        yield Line(path.name, number, raw.decode("utf-8", "replace"))

    def _read(self, line: Line) -> dict:
        """The line's answer, or its dead letter (which has a `reason`)."""
        try:
            row = json.loads(line.text)
        except (ValueError, RecursionError) as error:
            return line.dead_letter("unreadable_row", f"not JSON: {error}")
        if not isinstance(row, Mapping) or any(name not in row for name in _FIELDS):
            return line.dead_letter("unreadable_row", f"not an object with {', '.join(_FIELDS)}")
        pair_id, person, verdict = (str(row[name]) for name in _FIELDS)
        if pair_id not in self.known_pairs:
            return line.dead_letter("unknown_pair", pair_id)
        if person not in self.persons:
            return line.dead_letter("unknown_person", person)
        if verdict not in (*VERDICTS, *_SIDES):
            return line.dead_letter("unknown_verdict", verdict)
        given = json.dumps({key: value for key, value in row.items() if key not in _FIELDS}, ensure_ascii=False)
        return {"pair_id": pair_id, "person": person, "verdict": verdict, "given": json.loads(storable(given))}


def canonical(verdict: str, left_response: int | None) -> str | None:
    """A verdict in canonical order; None for a side when the task does not say which response was on the left.

    >>> [canonical(v, 2) for v in ("left", "right", "1", "tie")]
    ['2', '1', '1', 'tie']
    """
    if verdict not in _SIDES:
        return verdict
    if left_response is None:
        return None
    return str(left_response if verdict == "left" else 3 - left_response)
