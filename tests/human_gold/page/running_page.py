"""A running annotation page over a desk with pairs made by hand, as the tests of this folder use it."""

import hashlib
import socket
import threading
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import httpx
import uvicorn

from assets.human_gold.desk.batches import Item, Task, push_batch
from assets.human_gold.desk.database import open_database
from assets.human_gold.page.app import create_app
from assets.human_gold.page.settings import PageSettings

PASSWORD = "a calm grey heron"
ATTRIBUTES = {
    "task_category": "math",
    "objectivity": "objective",
    "controversiality": "low",
    "desired_attributes": "The right number, and how it is found.",
    "annotation_guideline": "Work it out yourself first.",
    "writer": "hand",
    "writer_version": "1",
}


class HandMadeGuidelines:
    """One sentence for each kind of pair."""

    version = "all-1"

    def text(self, category, objectivity, controversiality, *, tools=True):
        return f"# For {category}\n\nThis pair is **{objectivity}**, controversiality {controversiality}."

    def version_of(self, category, objectivity, controversiality):
        return f"{category[:4]}-{objectivity[:3]}-{controversiality}"


class Clock:
    """The time of day, which a test can turn."""

    def __init__(self):
        self.now = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)

    def __call__(self):
        return self.now


def item(number, *, prompt=None, left="It is 4.", right="It is 5.", attributes=None, hidden=None):
    return Item(
        pair_id=hashlib.blake2b(str(number).encode(), digest_size=16).hexdigest(),
        source="by hand",
        prompt=prompt or [{"role": "user", "content": f"Question {number}: what is 2 + 2?"}],
        response_1=left,
        response_2=right,
        attributes={**ATTRIBUTES, **(attributes or {})},
        hidden=hidden or {},
    )


def task(of, handle=None, *, left=1, copy=0):
    task_id = hashlib.blake2b(f"{of.pair_id} {handle} {copy}".encode(), digest_size=16).hexdigest()
    return Task(task_id=task_id, pair_id=of.pair_id, handle=handle, left_response=left)


@dataclass
class Member:
    """Somebody who is signed in, by HTTP."""

    handle: str
    http: httpx.Client
    csrf: str

    def post(self, path, content=None, **headers):
        return self.http.post(path, json=content or {}, headers={"x-csrf-token": self.csrf, **headers})


@dataclass
class Page:
    """The page, the database below it, and how to get in."""

    engine: object
    app: object
    base: str
    clock: Clock
    members: dict = field(default_factory=dict)

    @property
    def accounts(self):
        return self.app.state.services.accounts

    def push(self, items, tasks, round_name="round_1"):
        return push_batch(self.engine, round_name, 7, items, tasks, {}, self.clock)

    def link(self, handle, role="annotator", **also):
        return f"{self.base}/invitation/{self.accounts.invite(handle, role, by=None, **also)}"

    def add(self, handle, role="annotator", **also):
        self.accounts.accept_invitation(self.accounts.invite(handle, role, by=None, **also), PASSWORD)

    def client(self):
        return httpx.Client(base_url=self.base, follow_redirects=False, timeout=30)

    def sign_in(self, handle):
        http = self.client()
        reply = post_form(http, "/sign-in", handle=handle, password=PASSWORD)
        assert reply.status_code == 303, reply.text
        return Member(handle, http, csrf_of(http))

    def member(self, handle, role="annotator"):
        """Somebody with an account, signed in."""
        self.add(handle, role)
        return self.sign_in(handle)


def field_of(html, name):
    """The value of a hidden field."""
    return html.split(f'name="{name}" value="')[1].split('"')[0]


def csrf_of(http):
    return http.get("/work").text.split('data-csrf="')[1].split('"')[0]


def post_form(http, path, **fields):
    """Fetch a form and send it filled in."""
    token = field_of(http.get(path).text, "csrf_token")
    return http.post(path, data={"csrf_token": token, **fields})


class Running:
    """A page served on a free port of loopback; a context."""

    def __init__(self, folder: Path, **settings):
        self.clock = Clock()
        self.engine = open_database(f"sqlite:///{folder / 'desk.db'}")
        agreement = settings.pop("agreement", None)
        self.app = create_app(
            self.engine,
            guidelines=HandMadeGuidelines(),
            settings=PageSettings(**settings),
            clock=self.clock,
            agreement=agreement,
        )
        self.socket = socket.socket()
        self.socket.bind(("127.0.0.1", 0))
        self.server = uvicorn.Server(uvicorn.Config(self.app, log_level="warning", access_log=False))
        self.thread = threading.Thread(target=self.server.run, kwargs={"sockets": [self.socket]}, daemon=True)

    def __enter__(self):
        self.thread.start()
        while not self.server.started:
            assert self.thread.is_alive()
            time.sleep(0.02)
        return Page(self.engine, self.app, f"http://127.0.0.1:{self.socket.getsockname()[1]}", self.clock)

    def __exit__(self, *_):
        self.server.should_exit = True
        self.thread.join(20)
        self.engine.dispose()
