"""Collecting: a round's tasks go to the people of the configuration, and their labels come to the ledger."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any

import pyarrow as pa
from sqlalchemy import Engine

from assets.errors import SynprefError
from assets.human_gold.delivering import deliver
from assets.human_gold.desk.batches import batch_progress
from assets.human_gold.desk.database import open_database
from assets.human_gold.recorded_people import RecordedPeople
from assets.human_gold.roster import answerable_pairs
from assets.human_gold.selection import OFFERED_SCHEMA, in_order_of_priority, select_for_people
from assets.human_gold.sending import send_batch
from assets.partition_writer import Manifest
from assets.pool import pool_with_splits
from assets.staleness import current
from assets.workspace import Workspace


@contextmanager
def open_desk(workspace: Workspace) -> Iterator[Engine]:
    """The run's annotation database, made when it is not there yet."""
    engine = open_database(workspace.annotation_url)
    try:
        yield engine
    finally:
        engine.dispose()


def people_of_round(workspace: Workspace, round_name: str) -> list[dict[str, Any]]:
    """Pairs of the round's selection that go to people, the most urgent first: pair_id and reason."""
    settings, lake = workspace.settings, workspace.lake
    retrieved = {
        row["pair_id"]: row["reason"]
        for row in lake.read("retrieved_pairs", columns=["pair_id", "reason"], round=round_name).to_pylist()
    }
    before = settings.round_names[: settings.round_names.index(round_name)]
    pool = pool_with_splits(lake, before).select(["pair_id", "objectivity", "controversiality"])
    offered = [row | {"reason": retrieved[row["pair_id"]]} for row in pool.to_pylist() if row["pair_id"] in retrieved]
    if round_name == settings.round_names[0]:
        return [dict(row) for row in in_order_of_priority(offered, settings.seed) if row["reason"] == "seed_people"]
    # Judges answer after people in a round, so there is nothing of theirs to compare the model with yet: its own doubt
    # decides.
    scores = lake.read("retrieved_scores", ["pair_id", "probability_1"], round=round_name)
    model_says = dict(zip(scores["pair_id"].to_pylist(), scores["probability_1"].to_pylist(), strict=True))
    nothing = {"judge_verdict": None, "judge_confidence": None}
    offered = [row | {"probability_1": model_says.get(row["pair_id"])} for row in offered]
    chosen = select_for_people(
        pa.Table.from_pylist([row | nothing for row in offered], schema=OFFERED_SCHEMA),
        budget=settings.rounds.people_per_round,
        seed=settings.seed,
        people_can_answer=answerable_pairs(workspace),
    )
    of_pair = {row["pair_id"]: row for row in offered}
    rows = [of_pair[row["pair_id"]] | row for row in chosen.table.to_pylist()]
    return [dict(row) for row in in_order_of_priority(rows, settings.seed)]


def send_to_desk(workspace: Workspace, round_name: str) -> dict[str, int] | None:
    """Send the round's tasks to the annotation desk; None where nothing was to be sent."""
    if workspace.settings.people.provider == "recorded":
        return None
    with open_desk(workspace) as engine:
        if workspace.settings.people.provider == "simulated":
            from assets.human_gold.simulated_people import make_accounts

            make_accounts(engine, workspace.settings.people)
        sent = send_batch(workspace, engine, round_name)
    return None if sent is None else {"tasks_sent": sent.num_tasks_new, "tasks_withdrawn": sent.num_withdrawn}


def require_answers(workspace: Workspace, round_name: str) -> None:
    """Stop a run that has come to people who are not done: judges are guided by what they say.

    Raises:
        SynprefError: tasks of the round, or disagreements about them, are open at the annotation page.
    """
    if workspace.settings.people.provider != "page":
        return
    with open_desk(workspace) as engine:
        found = [b for b in batch_progress(engine) if b["round_name"] == round_name]
    for batch in found:
        num_open, num_cases = batch["num_open"] + batch["num_claimed"], batch["num_cases_open"]
        if num_open or num_cases:
            raise SynprefError(
                f"{round_name} waits for people: {batch['num_answered']} of {batch['num_tasks']} labels are in, "
                f"{num_open} tasks and {num_cases} disagreements are open.",
                where=f"round {round_name} at the annotation page",
                kept="everything up to the tasks, and every label given so far",
                todo="let people finish at the page (`synpref annotate`) and run again, withdraw what is open "
                "on the manager's page, or add --labels-so-far",
            )


def collect_labels(workspace: Workspace, round_name: str, inputs: str, created_at: datetime) -> tuple[Manifest, bool]:
    """Bring what people said of the round's tasks to the ledger.

    Args:
        inputs: fingerprint of the tasks. Recorded and simulated people have answered once and for all; real ones go
            on answering while nothing else changes, so they are asked every time.

    Returns:
        The events' manifest, and whether nothing was new.
    """
    lake, people = workspace.lake, workspace.settings.people
    partition = {"kind": "person", "batch": round_name}
    if people.provider != "page" and (done := current(lake, "label_events", partition, inputs)):
        return done, True
    if people.provider == "recorded":
        provider = RecordedPeople(lake.read("recorded_verdicts"))
        tasks = lake.read("annotation_tasks", round=round_name)
        collected = provider.collect(tasks, round_name=round_name, created_at=created_at)
        info = {"counts": collected.counts.as_dict()}
        return lake.append_events("label_events", collected.events, partition, inputs=inputs, info=info), False
    with open_desk(workspace) as engine:
        send_batch(workspace, engine, round_name)
        if people.provider == "simulated":
            from assets.human_gold.simulated_people import work_through

            work_through(workspace, engine)
        delivery = deliver(lake, engine, round_name, inputs=inputs)
    return delivery.manifest, delivery.num_new == 0
