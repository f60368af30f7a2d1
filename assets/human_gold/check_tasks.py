"""Check tasks: what people are asked to learn about them - blind repeats, and items whose answer is known.

They look like any other task; their answers are no votes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pyarrow as pa

from assets.chance import rank_key, uniform
from assets.contracts import from_rows
from assets.human_gold.tasks import left_response
from assets.identity import digest

MAX_PEOPLE_PER_KNOWN_ITEM = 5
"""Tasks for whoever comes next that one known item makes: a small team could never take more."""


def with_check_tasks(
    tasks: pa.Table,
    known: Mapping[str, str],
    *,
    repeat_rate: float,
    repeat_after: int,
    known_answer_rate: float,
    round_name: str,
    seed: int,
) -> pa.Table:
    """A round's tasks with repeats and known-answer items among them.

    Args:
        tasks: contract `annotation_tasks`, of purpose label.
        known: canonical verdict of pairs that nobody is asked to label in this round.
        repeat_rate: share of the label tasks that come back to who answered them.
        repeat_after: further answers of the person that lie between.
        known_answer_rate: known-answer items for every label task, within what `known` has.
        round_name, seed: of the tasks.

    Returns:
        Contract `annotation_tasks`, in order of task id.
    """
    rows = tasks.to_pylist()
    repeats = [
        _repeat(row, repeat_after, round_name, seed)
        for row in rows
        if uniform(seed, "repeat", row["task_id"]) < repeat_rate
    ]
    known_items = _known_answers(rows, known, known_answer_rate, round_name, seed)
    return from_rows(sorted([*rows, *repeats, *known_items], key=lambda row: row["task_id"]), "annotation_tasks")


def _repeat(row: Mapping, repeat_after: int, round_name: str, seed: int) -> dict:
    again = digest("repeat", round_name, row["task_id"])
    # Drawn anew, so that a person who always takes one side disagrees with themselves.
    left = None if row["person"] is None else left_response(seed, again, row["person"])
    return {
        **row,
        "task_id": again,
        "purpose": "repeat",
        "left_response": left,
        "after_num_answers": repeat_after,
        "reason": "repeat",
    }


def _known_answers(
    rows: Sequence[Mapping], known: Mapping[str, str], rate: float, round_name: str, seed: int
) -> list[dict]:
    by_person: dict[str | None, list[int]] = {}
    for row in rows:
        by_person.setdefault(row["person"], []).append(row["priority"])
    found = []
    for person, priorities in sorted(by_person.items(), key=lambda entry: entry[0] or ""):
        items = sorted(known, key=lambda pair: rank_key(seed, "known", pair, person or ""))
        places = MAX_PEOPLE_PER_KNOWN_ITEM if person is None else 1
        num = min(int(rate * len(priorities)), len(items) * places)
        priorities.sort()
        for n in range(num):
            pair = items[n % len(items)]
            found.append(
                {
                    "task_id": digest("known_answer", round_name, pair, person or f"place {n // len(items)}"),
                    "pair_id": pair,
                    "purpose": "known_answer",
                    "person": person,
                    "left_response": None if person is None else left_response(seed, pair, person),
                    # Spread evenly among the person's other tasks.
                    "priority": priorities[n * len(priorities) // num],
                    "after_num_answers": None,
                    "known_verdict": known[pair],
                    "reason": "known_answer",
                    "due": None,
                }
            )
    return found
