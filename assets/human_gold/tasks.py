"""Annotation tasks: which person sees which pair, and which response on the left."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import pyarrow as pa

from assets.chance import rank_key, uniform
from assets.contracts import from_rows
from assets.errors import ConfigError
from assets.identity import digest


def task_id(round_name: str, pair_id: str, person: str) -> str:
    """Id of one task; making the same round's tasks again gives the same ids."""
    return digest("annotation_task", round_name, pair_id, person)


def make_tasks(
    pair_ids: Iterable[str],
    persons: Sequence[str],
    *,
    votes_per_pair: int,
    round_name: str,
    seed: int,
    reasons: Mapping[str, str] | None = None,
    due: str | None = None,
) -> pa.Table:
    """Assign every pair to `votes_per_pair` people and draw each one's left response.

    Who sees a pair and on which side depends on the seed, the pair and the person alone.

    Args:
        pair_ids: pairs to label; a repeated id is one pair.
        persons: names, as they shall stand in the label events.
        votes_per_pair: different people a pair.
        round_name: such as round_0.
        seed: of the draw.
        reasons: why a pair is asked about, by pair id.
        due: ISO date, for the annotation page.

    Returns:
        Contract `annotation_tasks`, in order of task id.

    Raises:
        ConfigError: fewer different people than votes asked for.
    """
    names = sorted(set(persons))
    if votes_per_pair > len(names):
        raise ConfigError(
            f"{votes_per_pair} votes a pair need as many people, and there are {len(names)}.",
            where="people.votes_per_pair",
            todo="name more people or ask for fewer votes",
        )
    rows = []
    for pair in sorted(set(pair_ids)):
        asked = sorted(names, key=lambda person: rank_key(seed, "assigned", pair, person))[:votes_per_pair]
        for person in asked:
            rows.append(
                {
                    "task_id": task_id(round_name, pair, person),
                    "pair_id": pair,
                    "person": person,
                    "left_response": 1 if uniform(seed, "left", pair, person) < 0.5 else 2,
                    "reason": (reasons or {}).get(pair),
                    "due": due,
                }
            )
    return from_rows(sorted(rows, key=lambda row: row["task_id"]), "annotation_tasks")


def make_recorded_tasks(
    pair_ids: Iterable[str],
    recorded: pa.Table,
    *,
    votes_per_pair: int | None,
    round_name: str,
    reasons: Mapping[str, str] | None = None,
) -> pa.Table:
    """Tasks that recorded people can answer: one per pair and person with a verdict on record.

    Args:
        pair_ids: pairs to label; one without a record gets no task.
        recorded: contract `recorded_verdicts`; only role "person" is read. A labeller's name is one person,
            whatever the source.
        votes_per_pair: at most so many people a pair, those with the lowest source row and position first;
            None takes all.
        round_name: such as round_0.
        reasons: why a pair is asked about, by pair id.

    Returns:
        Contract `annotation_tasks`, in order of task id; `left_response` is null where it was not recorded.
    """
    wanted = set(pair_ids)
    found: dict[str, dict[str, int | None]] = {}
    for row in person_records(recorded):
        if row["pair_id"] in wanted:
            people = found.setdefault(row["pair_id"], {})
            if votes_per_pair is None or len(people) < votes_per_pair:
                people.setdefault(row["labeller"], row["first_shown"] or None)
    rows = [
        {
            "task_id": task_id(round_name, pair, person),
            "pair_id": pair,
            "person": person,
            "left_response": left,
            "reason": (reasons or {}).get(pair),
            "due": None,
        }
        for pair, people in found.items()
        for person, left in people.items()
    ]
    return from_rows(sorted(rows, key=lambda row: row["task_id"]), "annotation_tasks")


def person_records(recorded: pa.Table) -> list[dict]:
    """Rows of `recorded_verdicts` that people replay, in order of source, row and position."""
    rows = [row for row in recorded.to_pylist() if row["role"] == "person"]
    return sorted(rows, key=lambda r: (r["source"], r["source_row"], r["position"], r["labeller"]))
