"""Annotation tasks: which person sees which pair, and which response on the left."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pyarrow as pa

from assets.accounting import StageCounts
from assets.chance import rank_key, uniform
from assets.contracts import from_rows
from assets.errors import ConfigError
from assets.identity import digest


def task_id(round_name: str, pair_id: str, person: str) -> str:
    """Id of one task; making the same round's tasks again gives the same ids."""
    return digest("annotation_task", round_name, pair_id, person)


@dataclass(frozen=True)
class TaskBatch:
    """A round's tasks.

    Attributes:
        table: contract `annotation_tasks`, in order of task id.
        counts: pairs offered in, pairs asked about out, dropped over_label_budget.
    """

    table: pa.Table
    counts: StageCounts


def make_tasks(
    pair_ids: Sequence[str],
    persons: Sequence[str] | None,
    *,
    votes_per_pair: int,
    round_name: str,
    seed: int,
    overlap_rate: float = 1.0,
    max_labels: int | None = None,
    reasons: Mapping[str, str] | None = None,
    due: str | None = None,
) -> TaskBatch:
    """Ask for labels: of a share of the pairs by `votes_per_pair` people each, of the others by one.

    Who sees a pair, on which side, and whether it is one of many people's, depends on the seed, the pair and the
    person alone.

    Args:
        pair_ids: pairs to label, the most urgent first; a repeated id is one pair.
        persons: names, as they shall stand in the label events; None leaves every task to whoever comes next.
        votes_per_pair: different people a pair.
        round_name: such as round_0.
        seed: of the draw.
        overlap_rate: share of the pairs that get `votes_per_pair` labels.
        max_labels: budget in labels; the first pair that does not fit ends the batch, so that none overtakes.
        reasons: why a pair is asked about, by pair id.
        due: ISO date, for the annotation page.

    Raises:
        ConfigError: fewer different people than votes asked for.
    """
    names = sorted(set(persons)) if persons is not None else None
    if names is not None and votes_per_pair > len(names):
        raise ConfigError(
            f"{votes_per_pair} votes a pair need as many people, and there are {len(names)}.",
            where="people.votes_per_pair",
            todo="name more people or ask for fewer votes",
        )
    pairs = list(dict.fromkeys(pair_ids))
    rows: list[dict] = []
    num_asked = 0
    for priority, pair in enumerate(pairs):
        votes = votes_per_pair if uniform(seed, "overlap", pair) < overlap_rate else 1
        if max_labels is not None and len(rows) + votes > max_labels:
            break
        num_asked += 1
        asked: Sequence[str | None] = [None] * votes
        if names is not None:
            asked = sorted(names, key=lambda person: rank_key(seed, "assigned", pair, person))[:votes]
        rows += [
            {
                "task_id": task_id(round_name, pair, f"place {place}" if person is None else person),
                "pair_id": pair,
                "purpose": "label",
                "person": person,
                "left_response": None if person is None else left_response(seed, pair, person),
                "priority": priority,
                "reason": (reasons or {}).get(pair),
                "due": due,
            }
            for place, person in enumerate(asked)
        ]
    left = len(pairs) - num_asked
    return TaskBatch(
        from_rows(sorted(rows, key=lambda row: row["task_id"]), "annotation_tasks"),
        StageCounts(len(pairs), num_asked, {"over_label_budget": left} if left else {}),
    )


def left_response(seed: int, pair_id: str, person: str) -> int:
    """Which response, 1 or 2 in canonical order, the person sees on the left."""
    return 1 if uniform(seed, "left", pair_id, person) < 0.5 else 2


def make_recorded_tasks(
    pair_ids: Sequence[str],
    recorded: pa.Table,
    *,
    votes_per_pair: int | None,
    round_name: str,
    reasons: Mapping[str, str] | None = None,
) -> TaskBatch:
    """Tasks that recorded people can answer: one per pair and person with a verdict on record.

    Args:
        pair_ids: pairs to label, the most urgent first; one without a record gets no task.
        recorded: contract `recorded_verdicts`; only role "person" is read. A labeller's name is one person,
            whatever the source.
        votes_per_pair: at most so many people a pair, those with the lowest source row and position first;
            None takes all.
        round_name: such as round_0.
        reasons: why a pair is asked about, by pair id.

    Returns:
        The tasks; `left_response` is null where it was not recorded. Pairs are dropped as no_record.
    """
    priority_of = {pair: place for place, pair in enumerate(dict.fromkeys(pair_ids))}
    found: dict[str, dict[str, int | None]] = {}
    for row in person_records(recorded):
        if row["pair_id"] in priority_of:
            people = found.setdefault(row["pair_id"], {})
            if votes_per_pair is None or len(people) < votes_per_pair:
                people.setdefault(row["labeller"], row["first_shown"] or None)
    rows = [
        {
            "task_id": task_id(round_name, pair, person),
            "pair_id": pair,
            "purpose": "label",
            "person": person,
            "left_response": left,
            "priority": priority_of[pair],
            "reason": (reasons or {}).get(pair),
            "due": None,
        }
        for pair, people in found.items()
        for person, left in people.items()
    ]
    left_out = len(priority_of) - len(found)
    return TaskBatch(
        from_rows(sorted(rows, key=lambda row: row["task_id"]), "annotation_tasks"),
        StageCounts(len(priority_of), len(found), {"no_record": left_out} if left_out else {}),
    )


def person_records(recorded: pa.Table) -> list[dict]:
    """Rows of `recorded_verdicts` that people replay, in order of source, row and position."""
    rows = [row for row in recorded.to_pylist() if row["role"] == "person"]
    return sorted(rows, key=lambda r: (r["source"], r["source_row"], r["position"], r["labeller"]))
