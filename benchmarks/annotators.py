"""People at the annotation page as programs: a desk with many tasks, a server of it, and clients that label.

Clients remember what the server acknowledged, so that nothing can be lost or doubled without being noticed.
"""

from __future__ import annotations

import random
import secrets
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import httpx
from sqlalchemy import Engine

from assets.chance import rank_key
from assets.human_gold.desk.accounts import Accounts
from assets.human_gold.desk.batches import Item, Task, push_batch
from assets.identity import digest, identify_pair
from assets.settings import REPOSITORY

_WORDS = (
    "gold",
    "silver",
    "pair",
    "judge",
    "label",
    "prompt",
    "answer",
    "reason",
    "margin",
    "people",
    "model",
    "round",
)
_ATTRIBUTES = {
    "task_category": "math",
    "objectivity": "objective",
    "controversiality": "low",
    "desired_attributes": "Right and clear.",
    "annotation_guideline": "Solve it first.",
    "writer": "benchmark",
    "writer_version": "1",
}


def fill_desk(engine: Engine, *, num_pairs: int, votes_per_pair: int, num_chars: int, seed: int = 1) -> None:
    """Put made-up pairs on the desk, each to be labelled by so many people."""
    items, tasks = [], []
    for n in range(num_pairs):
        prompt, one, two = (_text(seed, n, part, num_chars // 3) for part in range(3))
        ids = identify_pair([("user", prompt)], one, two)
        first, second = (two, one) if ids.swapped else (one, two)
        turns = [{"role": "user", "content": prompt}]
        items.append(Item(ids.pair_id, "made up", turns, first, second, _ATTRIBUTES, {}))
        tasks += [
            Task(digest("benchmark", ids.pair_id, str(vote)), ids.pair_id, priority=n) for vote in range(votes_per_pair)
        ]
    push_batch(engine, "round_0", seed, items, tasks, {"desk_key": "benchmark"})


def _text(seed: int, n: int, part: int, num_chars: int) -> str:
    drawn = random.Random(rank_key(seed, n, part))
    return " ".join(drawn.choices(_WORDS, k=max(1, num_chars // 6)))


def make_people(engine: Engine, names: Sequence[str], role: str = "annotator") -> dict[str, str]:
    """Accounts with passwords, by name."""
    accounts = Accounts(engine)
    passwords = {name: secrets.token_urlsafe(18) for name in names}
    for name, password in passwords.items():
        accounts.accept_invitation(accounts.invite(name, role, by=None), password)
    return passwords


class PageProcess:
    """The annotation page as a process of its own, which can be killed and started again on the same port."""

    def __init__(self, config: Path, environment: dict[str, str]) -> None:
        self.config, self.environment = config, environment
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.address = f"http://127.0.0.1:{self.port}"
        self.process: subprocess.Popen | None = None

    def start(self) -> None:
        """Start it and wait until it answers."""
        command = [sys.executable, "-m", "orchestration.cli", "annotate", "--config", str(self.config)]
        self.process = subprocess.Popen(
            [*command, "--port", str(self.port)], env=self.environment, cwd=REPOSITORY, stdout=subprocess.DEVNULL
        )
        for _ in range(600):
            try:
                httpx.get(f"{self.address}/sign-in", timeout=5)
                return
            except httpx.TransportError:
                if self.process.poll() is not None:
                    raise RuntimeError(f"the page ended with {self.process.returncode}") from None
                time.sleep(0.1)
        raise RuntimeError("the page did not come up")

    def kill(self) -> None:
        """SIGKILL: no goodbye."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()


@dataclass
class Annotator:
    """A client that labels until it is told to stop, and sends an answer again until it is acknowledged.

    Attributes:
        acknowledged: task id and verdict as shown, of every answer that the server confirmed.
        seconds: by kind of request, how long each that was answered took.
        num_sent_again: requests that got no answer and were sent again.
    """

    address: str
    name: str
    password: str
    think_s: float
    stop: threading.Event
    acknowledged: dict[str, str] = field(default_factory=dict)
    seconds: dict[str, list[float]] = field(default_factory=lambda: {"next": [], "answer": []})
    num_sent_again: int = 0
    error: Exception | None = None

    def work(self) -> None:
        """Label until told to stop or until nothing is left."""
        drawn = random.Random(self.name)
        try:
            with httpx.Client(base_url=self.address, timeout=30) as client:
                self._sign_in(client)
                while not self.stop.is_set():
                    reply = self._ask("next", lambda: client.get("/api/next"))
                    task = reply.json()["task"]
                    if task is None:
                        return
                    self.stop.wait(drawn.expovariate(1 / self.think_s) if self.think_s else 0)
                    verdict = drawn.choice(("left", "right", "tie", "undecided"))
                    body = {
                        "key": task["key"],
                        "client_key": secrets.token_hex(16),
                        "verdict": verdict,
                        "strength": "clearly" if verdict in ("left", "right") else None,
                        "reasons": ["clarity"],
                        "comment": "",
                        "edited_attributes": {},
                        "guideline_version": task["guideline_version"],
                        "active_seconds": 3.0,
                        "revision": task["revision"],
                    }
                    self._ask("answer", lambda body=body: client.post("/api/answers", json=body))
                    self.acknowledged[task["key"]] = verdict
        except Exception as error:  # a thread's error would be lost: it is raised where the work is looked at
            self.error = error

    def _sign_in(self, client: httpx.Client) -> None:
        self._ask("sign_in", lambda: client.get("/sign-in"))
        form = {"handle": self.name, "password": self.password, "csrf_token": client.cookies["synpref_form"]}
        self._ask("sign_in", lambda: client.post("/sign-in", data=form))
        session = self._ask("sign_in", lambda: client.get("/api/session")).json()
        client.headers["X-CSRF-Token"] = session["csrf_token"]

    def _ask(self, kind: str, request) -> httpx.Response:
        while True:
            started = time.perf_counter()
            try:
                reply = request()
            except httpx.TransportError:
                self.num_sent_again += 1
                time.sleep(0.2)
                continue
            if reply.status_code >= 400:
                raise RuntimeError(f"{self.name}: {reply.status_code} {reply.text[:300]}")
            self.seconds.setdefault(kind, []).append(time.perf_counter() - started)
            return reply


def work_together(annotators: Sequence[Annotator], seconds: float) -> None:
    """Let them all work at once for a while.

    Raises:
        Exception: what one of them met.
    """
    threads = [threading.Thread(target=annotator.work) for annotator in annotators]
    for thread in threads:
        thread.start()
    time.sleep(seconds)
    annotators[0].stop.set()
    for thread in threads:
        thread.join()
    for annotator in annotators:
        if annotator.error is not None:
            raise annotator.error
