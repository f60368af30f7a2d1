"""The roster: which people a configuration names, and the tasks they can be given."""

from __future__ import annotations

from collections.abc import Collection, Mapping

import pyarrow as pa

from assets.errors import ConfigError
from assets.human_gold.inbox import InboxPeople
from assets.human_gold.people import People, RecordedPeople, SimulatedPeople
from assets.human_gold.tasks import make_recorded_tasks, make_tasks
from assets.pool import known_truth
from assets.workspace import Workspace


def open_people(workspace: Workspace) -> People:
    """The provider that the configuration names.

    Raises:
        ConfigError: simulated people without a known truth, or an inbox without persons.
    """
    people, lake = workspace.settings.people, workspace.lake
    if people.provider == "recorded":
        return RecordedPeople(lake.read("recorded_verdicts"))
    if not people.persons:
        raise ConfigError("people.persons names nobody.", where=str(workspace.config_path), todo="name the people")
    if people.provider == "inbox":
        pool = lake.read("candidate_pool", columns=["pair_id"])
        return InboxPeople(workspace.inbox, list(people.persons), set(pool["pair_id"].to_pylist()))
    truth = known_truth(lake)
    if not truth:
        raise ConfigError(
            "Simulated people need a sample whose truth is known.",
            where=str(workspace.config_path),
            todo="use people.provider recorded or inbox for real data",
        )
    return SimulatedPeople(people.persons, truth, workspace.settings.seed, people.undecided_rate)


def answerable_pairs(people: People) -> Collection[str] | None:
    """Pairs the people can answer for; None means all."""
    return people.pair_ids if isinstance(people, RecordedPeople) else None


def tasks_for(
    workspace: Workspace, people: People, pair_ids: Collection[str], round_name: str, reasons: Mapping[str, str]
) -> pa.Table:
    """One round's annotation tasks for the pairs, as many people a pair as the configuration says."""
    settings = workspace.settings
    votes = settings.people.votes_per_pair
    if isinstance(people, RecordedPeople):
        return make_recorded_tasks(
            pair_ids, people.recorded, votes_per_pair=votes, round_name=round_name, reasons=reasons
        )
    names = people.names if isinstance(people, SimulatedPeople) else sorted(settings.people.persons)
    return make_tasks(pair_ids, names, votes_per_pair=votes, round_name=round_name, seed=settings.seed, reasons=reasons)
