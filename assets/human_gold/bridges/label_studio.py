"""Label Studio: a round's tasks become a project there, and its annotations become answers on the desk.

One Label Studio task is one task of the desk, with the sides that were drawn for it, and is answered once. A task that
is one person's is for this person alone; others' annotations of it become dead letters. Every person has a tab with
their tasks, and there is one of those that anyone may answer. What is deleted in Label Studio stays on the desk.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, timedelta
from pathlib import Path
from typing import Any
from xml.sax.saxutils import quoteattr

from sqlalchemy import Engine, select

from assets.contracts import CONTROVERSIALITY, OBJECTIVITY, TASK_CATEGORIES
from assets.guidelines import Guidelines
from assets.human_gold.bridges.intake import Delivered, Intake, Outcome
from assets.human_gold.bridges.label_studio_api import LabelStudio
from assets.human_gold.bridges.reports import Report, Taken, time_of, write_down
from assets.human_gold.bridges.tasks import RoundExport
from assets.human_gold.desk.database import Clock, now, reading
from assets.human_gold.desk.schema import TaskRow
from assets.human_gold.desk.views import EDITABLE_ATTRIBUTES, REASONS

SOURCE = "label_studio"
"""Name under which dead letters of annotations are kept."""

SERVER_ENVIRONMENT = {
    "LABEL_STUDIO_ENABLE_LEGACY_API_TOKEN": "true",
    "LABEL_STUDIO_DISABLE_SIGNUP_WITHOUT_LINK": "true",
    # It must not call out: usage statistics, error reports of server and browser, the look for a newer version.
    "LABEL_STUDIO_COLLECT_ANALYTICS": "false",
    "LABEL_STUDIO_SENTRY_DSN": "",
    "LABEL_STUDIO_FRONTEND_SENTRY_DSN": "",
    "LABEL_STUDIO_LATEST_VERSION_CHECK": "false",
    # Its home page has the server fetch tips from a code host, which no setting stops: the proxy leads nowhere.
    "HTTP_PROXY": "http://127.0.0.1:9",
    "HTTPS_PROXY": "http://127.0.0.1:9",
    "NO_PROXY": "127.0.0.1,localhost",
}
"""Environment variables to start a Label Studio server with."""

ANYONE = "anyone"
_TEMPLATE = Path(__file__).with_name("label_studio.xml")
_TASKS_AT_ONCE = 20
# Annotations that were being written while the last pull read; seeing one twice adds nothing.
_OVERLAP = timedelta(minutes=1)
# The only form of UTC time that its filters read.
_TIME = "%Y-%m-%dT%H:%M:%S.%fZ"
_CHOICES = {"task_category": TASK_CATEGORIES, "objectivity": OBJECTIVITY, "controversiality": CONTROVERSIALITY}


@dataclass(frozen=True)
class Pushed:
    """What a push did.

    Attributes:
        project: its id.
        num_new: tasks that were added.
        num_known: tasks that were there.
        num_removed: tasks without annotation that were taken away, since the desk waits for them no more.
        left_out: tasks of the round that were not pushed, by reason; see `tasks.RoundExport`.
    """

    project: int
    num_new: int
    num_known: int
    num_removed: int
    left_out: Mapping[str, int]


def label_config() -> str:
    """The labelling configuration of a preference pair."""
    reasons = "\n".join(f"    <Choice value={quoteattr(reason)}/>" for reason in REASONS)
    choices = []
    for name, values in _CHOICES.items():
        choices.append(f'  <Header value="{name.replace("_", " ").capitalize()}, if it is another" size="5"/>')
        choices.append(f'  <Choices name="{name}" toName="conversation" choice="single" layout="select">')
        choices += [f"    <Choice value={quoteattr(value)}/>" for value in values]
        choices.append("  </Choices>")
    return _TEMPLATE.read_text("utf-8").replace("{reasons}", reasons).replace("{choices}", "\n".join(choices))


def project_title(round_name: str) -> str:
    """Title of a round's project, by which it is found again."""
    return f"synpref {round_name}"


def push_round(
    studio: LabelStudio, engine: Engine, round_name: str, guidelines: Guidelines, *, clock: Clock = now
) -> Pushed:
    """Bring a round's project to the tasks that wait on the desk; pushing again adds only what is missing.

    Raises:
        SynprefError: the desk has no such round, or Label Studio cannot be reached or refuses. The next push goes on
            where this one stopped.
    """
    export = RoundExport(engine, round_name, guidelines)
    project = studio.project(project_title(round_name))
    if project is None:
        instruction = "Answer the tasks of your own tab, and those of the tab for anyone."
        project = studio.create_project(project_title(round_name), label_config(), instruction)
    there = {task["data"].get("task_id"): task for task in studio.tasks(project)}
    new: list[dict[str, Any]] = []
    num_new = num_known = 0
    waiting, people = set(), set()
    for task in export:
        waiting.add(task["task_id"])
        people.add(task["person"])
        if task["task_id"] in there:
            num_known += 1
            continue
        new.append(task_data(task))
        num_new += 1
        if len(new) == _TASKS_AT_ONCE:
            studio.add_tasks(project, new)
            new = []
    if new:
        studio.add_tasks(project, new)
    for person in sorted(people, key=lambda name: (name is None, name)):
        name = person or ANYONE
        studio.create_tab(project, f"for {name}", "for_person", f"For {name}")
    num_removed = 0
    for task_id in _given_up(engine, round_name, [key for key in there if key and key not in waiting]):
        if not there[task_id]["annotations"]:
            studio.remove_task(there[task_id]["id"])
            num_removed += 1
    pushed = Pushed(project, num_new, num_known, num_removed, dict(sorted(export.left_out.items())))
    detail = {"url": studio.url, "new": num_new, "known": num_known, "removed": num_removed}
    write_down(engine, clock, "label_studio_pushed", round_name, detail)
    return pushed


def pull_answers(
    studio: LabelStudio,
    engine: Engine,
    round_name: str,
    handle_of: Mapping[str, str],
    *,
    since: str | None = None,
    clock: Clock = now,
    rule: str = "no_majority",
) -> Taken:
    """Take the annotations of a round's project in; pulling again adds only what is new or corrected.

    Args:
        studio: the server.
        engine: of the annotation database.
        round_name: which round.
        handle_of: handle by e-mail address in Label Studio, in whatever case.
        since: `upto` of the last pull, to read only what changed after it; None reads everything.
        clock: gives the time, UTC.
        rule: of adjudication, as the desk's.

    Returns:
        What became of every annotation. Reasons beside those of `Intake.take`: `skipped` (in Label Studio),
        `unreadable_row`. A round without project has no annotations.

    Raises:
        SynprefError: Label Studio cannot be reached or refuses; what was taken in by then stays.
    """
    title = project_title(round_name)
    report = Report(SOURCE, title)
    project = studio.project(title)
    if project is None:
        return report.close(since)
    handles = {email.casefold(): handle for email, handle in handle_of.items()}
    emails = studio.emails()
    intake = Intake(engine, "label_studio", round_name=round_name, clock=clock, rule=rule)
    newest = None
    for task in studio.tasks(project, since):
        changed = time_of(task["updated_at"]).astimezone(UTC)
        newest = changed if newest is None else max(newest, changed)
        for annotation in sorted(task["annotations"], key=lambda annotation: annotation["id"]):
            if annotation["was_cancelled"]:
                report.skip("skipped")
                continue
            email = emails.get(annotation["completed_by"], "")
            read = read_annotation(task["data"], annotation, email, handles)
            outcome = read if isinstance(read, Outcome) else intake.take(read)
            report.add(annotation["id"], outcome, json.dumps(annotation["result"], sort_keys=True))
    taken = report.close(since if newest is None else (newest - _OVERLAP).strftime(_TIME))
    write_down(engine, clock, "label_studio_pulled", round_name, {"url": studio.url, **taken.summary})
    return taken


def task_data(task: Mapping[str, Any]) -> dict[str, Any]:
    """What Label Studio shows of an exported task, as texts that it does not interpret."""
    turns = (f"[{turn['role']}]\n{turn['content']}" for turn in task["conversation"])
    attributes = task["attributes"]
    return {
        "task_id": task["task_id"],
        "for_person": f"For {task['person'] or ANYONE}",
        "conversation": "\n\n".join(turns),
        "left": task["left"],
        "right": task["right"],
        "attributes": "\n".join(f"{name.replace('_', ' ').capitalize()}: {attributes[name]}" for name in attributes),
        "guideline": task["guideline"]["text"],
        "guideline_version": task["guideline"]["version"],
    }


def read_annotation(
    data: Mapping[str, Any], annotation: Mapping[str, Any], email: str, handles: Mapping[str, str]
) -> Delivered | Outcome:
    """The answer of an annotation, or why it is none. Pure.

    Args:
        data: of its task.
        annotation: as the API gives it.
        email: of who wrote it; empty when nobody knows.
        handles: handle by case-folded e-mail address.
    """
    handle = handles.get(email.casefold())
    if handle is None:
        return Outcome("unknown_person", email or f"user {annotation['completed_by']}")
    if not isinstance(data.get("task_id"), str):
        return Outcome("unknown_task", "the task was not pushed from here")
    try:
        given = _given(annotation["result"])
        verdict = _one(given, "verdict")
        lead_time = annotation.get("lead_time")
        return Delivered(
            act=f"{annotation['id']}@{annotation['updated_at']}",
            verdict=verdict,
            task_id=data["task_id"],
            person=handle,
            # Its control is hidden for the other verdicts, and may still hold what was chosen before.
            strength=(_one(given, "strength") or None) if verdict in ("left", "right") else None,
            reasons=tuple(given.get("reasons", ())),
            comment="\n".join(given.get("comment", ())),
            edited_attributes={
                name: "\n".join(given[name]) for name in EDITABLE_ATTRIBUTES if any(given.get(name, ()))
            },
            guideline_version=str(data.get("guideline_version", "")),
            active_seconds=None if lead_time is None else float(lead_time),
            answered_at=time_of(annotation["updated_at"]),
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        return Outcome("unreadable_row", f"{type(error).__name__}: {error}"[:300])


def _given(result: list[Mapping[str, Any]]) -> dict[str, list[str]]:
    """Chosen and written values by control."""
    given: dict[str, list[str]] = {}
    for part in result:
        value = part["value"]
        values = value["choices"] if part["type"] == "choices" else value.get("text", [])
        given.setdefault(part["from_name"], []).extend([values] if isinstance(values, str) else map(str, values))
    return given


def _one(given: Mapping[str, list[str]], name: str) -> str:
    values = given.get(name, [])
    return values[0] if len(values) == 1 else ", ".join(values)


def _given_up(engine: Engine, round_name: str, task_ids: list[str]) -> list[str]:
    """Those that the desk waits for no more, because they were withdrawn or answered elsewhere."""
    with reading(engine) as session:
        query = select(TaskRow.task_id).where(TaskRow.round_name == round_name, TaskRow.status.in_(("open", "claimed")))
        waiting = set(session.scalars(query))
    return [task_id for task_id in task_ids if task_id not in waiting]
