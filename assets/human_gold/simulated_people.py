"""Simulated people: they sign in at the annotation page and answer as people do, each with a stated error rate.

They use the routes that a browser uses, on a server of their own on loopback, so that every run without people is also
a run of the page. They are called simulated wherever they show.
"""

from __future__ import annotations

import math
import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import httpx
from sqlalchemy import Engine

from assets.chance import normal, simulated_name, uniform
from assets.errors import SynprefError
from assets.human_gold.desk.accounts import Accounts
from assets.identity import digest, identify_pair
from assets.pool import known_truth
from assets.settings import PeopleSettings
from assets.workspace import Workspace

# Looking at a pair takes a simulated person so long: 25 s in the median, most between 10 and 60 s.
_LOG_SECONDS_MEAN, _LOG_SECONDS_SD = math.log(25), 0.45


@dataclass(frozen=True)
class SimulatedPerson:
    """Somebody who does not exist, right with a stated probability, independently of the others.

    Attributes:
        handle: as it stands in accounts and label events; begins with "simulated".
        accuracy: share of pairs they get right.
        undecided_rate: share of pairs on which they cannot decide.
        seed: of their mistakes.
    """

    handle: str
    accuracy: float
    undecided_rate: float
    seed: int

    def verdict(self, pair_id: str, key: str, truth: str) -> str:
        """Their verdict in canonical order; asked again under another key they think again."""
        if uniform(self.seed, "undecided", self.handle, pair_id, key) < self.undecided_rate:
            return "undecided"
        right = uniform(self.seed, "person", self.handle, pair_id, key) < self.accuracy
        return noisy_verdict(truth, right, pair_id)

    def answer(self, task: Mapping[str, Any], truth: str) -> dict[str, Any]:
        """What they send for a task as the page gave it."""
        key, pair_id = task["key"], task["pair_id"]
        verdict = self.verdict(pair_id, key, truth)
        turns = [(turn["role"], turn["content"]) for turn in task["conversation"]]
        left = "2" if identify_pair(turns, task["left"], task["right"]).swapped else "1"
        sided = verdict in ("1", "2")
        draw = (self.seed, self.handle, key)
        return {
            "key": key,
            "client_key": digest("simulated_answer", self.handle, key, str(task["revision"])),
            "verdict": verdict if not sided else "left" if verdict == left else "right",
            "strength": ("clearly" if uniform("strength", *draw) < 0.6 else "slightly") if sided else None,
            "reasons": ["correctness"] if sided else [],
            "comment": "a simulated verdict",
            "edited_attributes": {},
            "guideline_version": task["guideline_version"],
            "active_seconds": round(math.exp(_LOG_SECONDS_MEAN + _LOG_SECONDS_SD * normal("seconds", *draw)), 1),
            "revision": task["revision"],
        }


def noisy_verdict(truth: str, right: bool, *drawn_for: str | int) -> str:
    """The truth, or a wrong verdict: the other side of a decided pair, either side of a tie."""
    if right:
        return truth
    if truth == "tie":
        return "1" if uniform("side of a tie", *drawn_for) < 0.5 else "2"
    return "2" if truth == "1" else "1"


def people_of(settings: PeopleSettings, seed: int) -> tuple[list[SimulatedPerson], list[SimulatedPerson]]:
    """Annotators and adjudicators of a configuration, by name."""
    return (
        [
            SimulatedPerson(simulated_name(name), accuracy, settings.undecided_rate, seed)
            for name, accuracy in sorted(settings.persons.items())
        ],
        [
            SimulatedPerson(simulated_name(name), accuracy, 0.0, seed)
            for name, accuracy in sorted(settings.adjudicators.items())
        ],
    )


def make_accounts(engine: Engine, settings: PeopleSettings) -> None:
    """Accounts of the simulated people, where there are none yet; nobody can sign in to them until a run does."""
    accounts = Accounts(engine)
    for names, role in ((settings.persons, "annotator"), (settings.adjudicators, "adjudicator")):
        for name in sorted(names):
            if accounts.person(simulated_name(name)) is None:
                accounts.invite(simulated_name(name), role, by=None, simulated=True)


def work_through(workspace: Workspace, engine: Engine) -> None:
    """Let every simulated person answer what there is for them, then the adjudicators what people disagree on.

    Running it again after a kill goes on where it was: what was answered is no longer asked.
    """
    from assets.human_gold.serving import app_of, running

    truth = known_truth(workspace.lake)
    annotators, adjudicators = people_of(workspace.settings.people, workspace.settings.seed)
    with running(app_of(workspace, engine)) as address:
        for person in annotators:
            with signed_in(address, engine, person.handle) as client:
                for task in _asked(client, "/api/next"):
                    client.post(
                        "/api/answers?plain=1", json=person.answer(task, truth[task["pair_id"]])
                    ).raise_for_status()
        for person in adjudicators:
            with signed_in(address, engine, person.handle) as client:
                for task in _asked(client, "/api/cases/next"):
                    client.post("/api/decisions", json=person.answer(task, truth[task["pair_id"]])).raise_for_status()


@contextmanager
def signed_in(address: str, engine: Engine, handle: str) -> Iterator[httpx.Client]:
    """A client that is signed in, through an invitation and a password that nobody keeps."""
    accounts = Accounts(engine)
    person = accounts.person(handle)
    if person is None:
        raise SynprefError(f"There is no account named {handle!r}.", todo="materialise annotation_tasks first")
    password = secrets.token_urlsafe(24)
    accounts.accept_invitation(accounts.invite(handle, person.role, by=None, simulated=True), password)
    with httpx.Client(base_url=address, timeout=60) as client:
        client.get("/sign-in").raise_for_status()
        fields = {"handle": handle, "password": password, "csrf_token": client.cookies["synpref_form"]}
        client.post("/sign-in", data=fields)
        session = client.get("/api/session").raise_for_status().json()
        client.headers["X-CSRF-Token"] = session["csrf_token"]
        yield client
        client.post("/sign-out", data={"csrf_token": session["csrf_token"]})


def _asked(client: httpx.Client, route: str) -> Iterator[dict[str, Any]]:
    """Tasks one after the other, each once the one before it was answered, until there is none."""
    while (task := client.get(route, params={"plain": True}).raise_for_status().json()["task"]) is not None:
        yield task
