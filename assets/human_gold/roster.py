"""The roster: which pairs the configured people can answer for, and the tasks they are given."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import pyarrow.compute as pc

from assets.chance import simulated_name
from assets.human_gold.check_tasks import with_check_tasks
from assets.human_gold.known_answers import known_answers
from assets.human_gold.recorded_people import RecordedPeople
from assets.human_gold.tasks import TaskBatch, make_recorded_tasks, make_tasks
from assets.lake import Lake
from assets.pool import known_truth
from assets.workspace import Workspace


def answerable_pairs(workspace: Workspace) -> Collection[str] | None:
    """Pairs the people can answer for; None means all."""
    lake, provider = workspace.lake, workspace.settings.people.provider
    if provider == "recorded":
        return RecordedPeople(lake.read("recorded_verdicts")).pair_ids
    if provider == "simulated":
        return {pair for pair, verdict in known_truth(lake).items() if verdict in ("1", "2", "tie")}
    return None


def pairs_for_people(lake: Lake, round_name: str) -> set[str]:
    """Pairs that a round asks people to label."""
    tasks = lake.read("annotation_tasks", ["pair_id"], pc.field("purpose") == "label", round=round_name)
    return set(tasks["pair_id"].to_pylist())


def tasks_for(workspace: Workspace, pair_ids: Sequence[str], round_name: str, reasons: Mapping[str, str]) -> TaskBatch:
    """One round's annotation tasks for the pairs, the most urgent first."""
    settings = workspace.settings
    people = settings.people
    if people.provider == "recorded":
        return make_recorded_tasks(
            pair_ids,
            workspace.lake.read("recorded_verdicts"),
            votes_per_pair=people.votes_per_pair,
            round_name=round_name,
            reasons=reasons,
        )
    batch = make_tasks(
        pair_ids,
        # Real people come and go: whoever is there takes the next task.
        [simulated_name(name) for name in people.persons] if people.provider == "simulated" else None,
        votes_per_pair=people.votes_per_pair,
        overlap_rate=people.overlap_rate,
        max_labels=people.max_labels_per_round,
        round_name=round_name,
        seed=settings.seed,
        reasons=reasons,
    )
    checked = with_check_tasks(
        batch.table,
        known_answers(workspace, round_name, pair_ids),
        repeat_rate=people.repeat_rate,
        repeat_after=people.repeat_after,
        known_answer_rate=people.known_answer_rate,
        round_name=round_name,
        seed=settings.seed,
    )
    return TaskBatch(checked, batch.counts)
