"""People: who answers annotation tasks without a page. Providers behind one protocol."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

import pyarrow as pa

from assets.accounting import StageCounts
from assets.chance import simulated_name, uniform
from assets.contracts import VERDICTS, from_rows
from assets.errors import ConfigError
from assets.human_gold.tasks import person_records
from assets.label_events import label_event


@dataclass(frozen=True)
class Collected:
    """What people delivered for a round's tasks.

    Attributes:
        events: contract `label_events`, kind person; verdicts in canonical order.
        counts: tasks in, tasks with a label out, dropped by reason (why a task has no label).
        dead_letters: contract `dead_letters`; rows that people delivered and nobody can use.
        delivered: rows delivered in, events out, dropped by reason. Equal to the labels where a provider
            answers tasks one by one.
    """

    events: pa.Table
    counts: StageCounts
    dead_letters: pa.Table
    delivered: StageCounts


class People(Protocol):
    """Answers annotation tasks."""

    @property
    def version(self) -> str:
        """Goes into every label event."""
        ...

    @property
    def simulated(self) -> bool:
        """True for people who are none."""
        ...

    def collect(self, tasks: pa.Table, *, round_name: str, created_at: datetime) -> Collected:
        """Labels for the tasks (contract `annotation_tasks`) that are answered by now.

        Collecting twice gives events with the same ids, so a repeated delivery adds nothing to the ledger.
        """
        ...


@dataclass(frozen=True)
class SimulatedPeople:
    """People who do not exist: each is right with a stated probability, independently of the others.

    Attributes:
        accuracies: share of pairs each person gets right, by name; names are shown as "simulated NAME".
        truth: the right verdict by pair ("1", "2" or "tie").
        seed: of their mistakes.
        undecided_rate: share of pairs on which a person answers "undecided".
    """

    accuracies: Mapping[str, float]
    truth: Mapping[str, str]
    seed: int
    undecided_rate: float = 0.0
    version: str = field(default="simulated-1", init=False)
    simulated: bool = field(default=True, init=False)

    def __post_init__(self) -> None:
        if not self.accuracies:
            raise ConfigError("Simulated people need names and accuracies.", where="people.persons")

    @property
    def names(self) -> tuple[str, ...]:
        """Names as they stand in tasks and label events."""
        return tuple(simulated_name(name) for name in sorted(self.accuracies))

    def collect(self, tasks: pa.Table, *, round_name: str, created_at: datetime) -> Collected:
        """Answer every task whose person and whose pair's truth are known."""
        accuracy_of = {simulated_name(name): accuracy for name, accuracy in self.accuracies.items()}
        events, dropped = [], Counter[str]()
        for task in tasks.to_pylist():
            if task["person"] not in accuracy_of:
                dropped["unknown_person"] += 1
            elif self.truth.get(task["pair_id"]) not in ("1", "2", "tie"):
                dropped["no_truth"] += 1
            else:
                verdict = self.answer(task["person"], accuracy_of[task["person"]], task["pair_id"])
                events.append(person_event(task, verdict, self, round_name, created_at))
        return answered(tasks, events, dropped)

    def answer(self, person: str, accuracy: float, pair_id: str) -> str:
        """One person's verdict on one pair, in canonical order."""
        if uniform(self.seed, "undecided", person, pair_id) < self.undecided_rate:
            return "undecided"
        return noisy_verdict(self.truth[pair_id], uniform(self.seed, "person", person, pair_id) < accuracy, pair_id)


@dataclass(frozen=True)
class RecordedPeople:
    """People whose verdicts came with a source's rows and are replayed.

    A person who judged a pair more than once is taken at the first verdict.

    Attributes:
        recorded: contract `recorded_verdicts`; only role "person" is read.
    """

    recorded: pa.Table
    version: str = field(default="recorded-1", init=False)
    simulated: bool = field(default=False, init=False)

    @property
    def pair_ids(self) -> frozenset[str]:
        """Pairs that people can answer for."""
        return frozenset(row["pair_id"] for row in person_records(self.recorded))

    def collect(self, tasks: pa.Table, *, round_name: str, created_at: datetime) -> Collected:
        """Answer every task whose person has a verdict on record for its pair."""
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
                extra = {"recorded_in": record["source"], "source_row": record["source_row"]}
                events.append(person_event(task, record["verdict"], self, round_name, created_at, extra=extra))
        return answered(tasks, events, dropped)


def noisy_verdict(truth: str, right: bool, *drawn_for: str | int) -> str:
    """The truth, or a wrong verdict: the other side of a decided pair, either side of a tie."""
    if right:
        return truth
    if truth == "tie":
        return "1" if uniform("side of a tie", *drawn_for) < 0.5 else "2"
    return "2" if truth == "1" else "1"


def person_event(
    task: Mapping,
    verdict: str,
    people: People,
    round_name: str,
    created_at: datetime,
    *,
    delivery: str | None = None,
    supersedes: str | None = None,
    extra: Mapping | None = None,
) -> dict:
    """The label event of one answered task; evidence says which side the person saw on the left."""
    return label_event(
        pair_id=task["pair_id"],
        kind="person",
        labeller=task["person"],
        version=people.version,
        verdict=verdict,
        round_name=round_name,
        delivery=delivery or task["task_id"],
        created_at=created_at,
        simulated=people.simulated,
        supersedes=supersedes,
        evidence={"task_id": task["task_id"], "left_response": task["left_response"], **(extra or {})},
    )


def answered(tasks: pa.Table, events: list[dict], dropped: Mapping[str, int]) -> Collected:
    """What a provider delivers that answers tasks one by one."""
    return Collected(
        events=from_rows(events, "label_events"),
        counts=StageCounts(len(tasks), len(events), dict(sorted(dropped.items()))),
        dead_letters=from_rows([], "dead_letters"),
        delivered=StageCounts(len(events), len(events)),
    )
