"""Recorded people: verdicts that came with a source's rows and are replayed as a person's."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import datetime

import pyarrow as pa

from assets.accounting import StageCounts
from assets.contracts import VERDICTS, from_rows
from assets.human_gold.tasks import person_records
from assets.label_events import label_event

VERSION = "recorded-1"


@dataclass(frozen=True)
class Collected:
    """What people delivered for a round's tasks.

    Attributes:
        events: contract `label_events`, kind person; verdicts in canonical order.
        counts: tasks in, tasks with a label out, dropped by reason (why a task has no label).
    """

    events: pa.Table
    counts: StageCounts


@dataclass(frozen=True)
class RecordedPeople:
    """People whose verdicts came with a source's rows and are replayed.

    A person who judged a pair more than once is taken at the first verdict.

    Attributes:
        recorded: contract `recorded_verdicts`; only role "person" is read.
    """

    recorded: pa.Table

    @property
    def pair_ids(self) -> frozenset[str]:
        """Pairs that people can answer for."""
        return frozenset(row["pair_id"] for row in person_records(self.recorded))

    def collect(self, tasks: pa.Table, *, round_name: str, created_at: datetime) -> Collected:
        """Answer every task whose person has a verdict on record for its pair.

        Collecting twice gives events with the same ids, so that it adds nothing to the ledger.
        """
        record_of: dict[tuple[str, str], dict] = {}
        for row in person_records(self.recorded):
            record_of.setdefault((row["pair_id"], row["labeller"]), row)
        events, dropped = [], Counter[str]()
        for task in tasks.to_pylist():
            record = record_of.get((task["pair_id"], task["person"]))
            if record is None:
                dropped["no_record"] += 1
            elif record["verdict"] not in VERDICTS:
                dropped["unknown_verdict"] += 1
            else:
                events.append(
                    label_event(
                        pair_id=task["pair_id"],
                        kind="person",
                        labeller=task["person"],
                        version=VERSION,
                        verdict=record["verdict"],
                        round_name=round_name,
                        delivery=task["task_id"],
                        created_at=created_at,
                        evidence={
                            "task_id": task["task_id"],
                            "left_response": task["left_response"],
                            "recorded_in": record["source"],
                            "source_row": record["source_row"],
                        },
                    )
                )
        return Collected(
            from_rows(events, "label_events"), StageCounts(len(tasks), len(events), dict(sorted(dropped.items())))
        )
