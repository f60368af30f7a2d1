"""The Label Studio round trip against its real server, started here on loopback from its own environment."""

import os
import re
import signal
import socket
import subprocess
import threading
import time
from pathlib import Path

import httpx
import pytest

from assets.errors import SynprefError
from assets.guidelines import load_guidelines
from assets.human_gold.bridges.label_studio import SERVER_ENVIRONMENT, pull_answers, push_round
from assets.human_gold.bridges.label_studio_api import LabelStudio
from assets.human_gold.desk.batches import Task, withdraw
from tests.human_gold.bridges.conftest import item, reserved

PROGRAM = Path(__file__).parents[3] / ".venv-label-studio" / "bin" / "label-studio"
ADMIN, PASSWORD, TOKEN = "admin@example.org", "only for this test", "0123456789abcdef0123456789abcdef01234567"
HANDLES = {"ada@example.org": "ada", "Bo@example.org": "bo"}
# A cold start takes about 40 seconds on a quiet machine.
START_TIMEOUT_S = 300

NASTY = [
    "<script>alert(1)</script><img src=x onerror=alert(2)> & &amp; {{ 7 * 7 }} ${x} $left",
    "\u202e\u2067שלום عالم\u2069 right to left",
    "x" * 200_000,
    "\U0001f600 \u200b\ufeff zero width\r\nCRLF\tend ",
    "http://example.org/a.txt",
    "s3://bucket/key",
    '{"json": ["a", null]}',
    "'; DROP TABLE tasks; --",
    "NUL \x00 and surrogate \ud800",
    "[user]\nNot a turn of its own",
]

pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(not PROGRAM.exists(), reason="no .venv-label-studio: run `make label-studio`"),
]


class Nowhere:
    """A proxy that answers nothing and counts who wanted to go out through it."""

    def __init__(self):
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.port = self.socket.getsockname()[1]
        self.asked = []
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self):
        while True:
            try:
                connection, _ = self.socket.accept()
            except OSError:
                return
            with connection:
                connection.settimeout(1)
                try:
                    self.asked.append(connection.recv(200))
                except OSError:
                    self.asked.append(b"?")


class Server:
    """The server, with a client for everybody who has an account."""

    def __init__(self, url, nowhere, log):
        self.url, self.nowhere, self.log = url, nowhere, log
        self.clients = {ADMIN: self.client(TOKEN)}
        for email in HANDLES:
            self.clients[email] = self.client(self.sign_up(email))

    def client(self, token):
        return httpx.Client(base_url=self.url, headers={"Authorization": f"Token {token}"}, timeout=60, trust_env=False)

    def sign_up(self, email):
        """As a person does who got the invitation link; returns their token."""
        link = self.clients[ADMIN].get("/api/invite").json()["invite_url"]
        with httpx.Client(base_url=self.url, timeout=60, trust_env=False) as browser:
            form = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', browser.get(link).text)
            fields = {"csrfmiddlewaretoken": form[1], "email": email, "password": PASSWORD}
            assert browser.post(link, data=fields, headers={"Referer": self.url + link}).status_code == 302
            return browser.get("/api/current-user/token").json()["token"]

    def annotate(self, email, task, verdict, **more):
        chosen = {"verdict": verdict, **({"strength": "clearly"} if verdict in ("left", "right") else {}), **more}
        result = [
            {
                "from_name": name,
                "to_name": "conversation",
                "type": "textarea" if name == "comment" else "choices",
                "value": {"text" if name == "comment" else "choices": [value]},
            }
            for name, value in chosen.items()
        ]
        answer = self.clients[email].post(f"/api/tasks/{task}/annotations", json={"result": result, "lead_time": 9.5})
        assert answer.status_code == 201, answer.text
        return answer.json()["id"]


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    folder = tmp_path_factory.mktemp("label-studio")
    nowhere = Nowhere()
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    proxy = f"http://127.0.0.1:{nowhere.port}"
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(folder),
        **SERVER_ENVIRONMENT,
        "HTTP_PROXY": proxy,
        "HTTPS_PROXY": proxy,
    }
    command = [PROGRAM, "start", "--no-browser", "--internal-host", "127.0.0.1", "--port", str(port)]
    command += ["--data-dir", str(folder), "--username", ADMIN, "--password", PASSWORD, "--user-token", TOKEN]
    log = folder / "log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, cwd=folder, env=environment, stdout=output, stderr=output, start_new_session=True
        )
    url = f"http://127.0.0.1:{port}"
    try:
        deadline = time.monotonic() + START_TIMEOUT_S
        while True:
            assert process.poll() is None, log.read_text("utf-8", "replace")[-3000:]
            assert time.monotonic() < deadline, log.read_text("utf-8", "replace")[-3000:]
            try:
                if httpx.get(f"{url}/health", trust_env=False).is_success:
                    break
            except httpx.HTTPError:
                pass
            time.sleep(0.5)
        yield Server(url, nowhere, log)
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(30)
        nowhere.socket.close()


def test_round_trip(server, desk_round):
    pairs = [f"p{i}" for i in range(10)]
    items = [
        item(p, text, f"{text} second", [{"role": "user", "content": text}])
        for p, text in zip(pairs, NASTY, strict=True)
    ]
    desk_round.push(items, reserved(*pairs))
    engine, guidelines = desk_round.engine, load_guidelines()

    def pull(since=None):
        return pull_answers(studio, engine, "round_0", HANDLES, since=since)

    with LabelStudio(server.url, TOKEN) as studio:
        assert pull().counts.rows_in == 0
        pushed = push_round(studio, engine, "round_0", guidelines)
        assert (pushed.num_new, pushed.num_known, pushed.num_removed) == (20, 0, 0)
        again = push_round(studio, engine, "round_0", guidelines)
        assert (again.project, again.num_new, again.num_known) == (pushed.project, 0, 20)

        # Every text arrived as the page would show it.
        there = {task["data"]["task_id"]: task for task in studio.tasks(pushed.project)}
        assert len(there) == 20
        for pair in pairs:
            for handle in ("ada", "bo"):
                task, shown = (
                    there[f"{pair}-{handle}"],
                    desk_round.desk.shown(desk_round.people[handle], f"{pair}-{handle}"),
                )
                assert (task["data"]["left"], task["data"]["right"]) == (shown.left, shown.right)
                assert task["data"]["conversation"] == f"[user]\n{shown.conversation[0]['content']}"
                assert task["data"]["for_person"] == f"For {handle}"
        assert len({there[f"{p}-ada"]["data"]["left"].endswith(" second") for p in pairs}) == 2

        # A person's tab holds their tasks and no others.
        admin = server.clients[ADMIN]
        views = {
            v["data"]["title"]: v["id"] for v in admin.get("/api/dm/views", params={"project": pushed.project}).json()
        }
        assert set(views) == {"for ada", "for bo"}
        tab = admin.get("/api/tasks", params={"project": pushed.project, "view": views["for ada"], "page_size": 100})
        assert {task["data"]["task_id"] for task in tab.json()["tasks"]} == {f"{p}-ada" for p in pairs}

        # Ada always takes the first response, Bo the second, wherever it stands.
        annotations = {}
        for email, handle, likes_second in (("ada@example.org", "ada", False), ("Bo@example.org", "bo", True)):
            for pair in pairs[:8]:
                task = there[f"{pair}-{handle}"]
                side = "left" if task["data"]["left"].endswith(" second") == likes_second else "right"
                annotations[task["data"]["task_id"]] = server.annotate(email, task["id"], side, comment="\u202eso <b>")
        taken = pull()
        assert taken.counts.as_dict() == {"rows_in": 16, "rows_out": 16, "dropped": {}}
        rows = {row["task_id"]: row for row in desk_round.answers()}
        assert {(row["handle"], row["verdict"]) for row in rows.values()} == {("ada", "1"), ("bo", "2")}
        for row in rows.values():
            assert (row["strength"], row["comment"], row["active_seconds"]) == ("clearly", "\u202eso <b>", 9.5)
            assert row["guideline_version"] == guidelines.version_of("math", "objective", "low")

        # Pulled again, from the beginning or from where the last pull ended, nothing is added.
        assert pull().counts.as_dict() == {"rows_in": 16, "rows_out": 0, "dropped": {"repeated": 16}}
        assert pull(taken.upto).counts.rows_out == 0
        assert pull("2999-01-01T00:00:00.000000Z").counts.rows_in == 0

        # Further answers and a correction.
        server.annotate("ada@example.org", there["p8-ada"]["id"], "tie")
        changed = {"result": [
            {"from_name": "verdict", "to_name": "conversation", "type": "choices", "value": {"choices": ["undecided"]}}
        ]}  # fmt: skip
        ada = server.clients["ada@example.org"]
        assert ada.patch(f"/api/annotations/{annotations['p0-ada']}", json=changed).is_success
        later = pull(taken.upto)
        assert (later.counts.rows_out, later.num_corrections) == (2, 1)
        corrected = [(row["verdict"], row["revision"]) for row in desk_round.answers() if row["task_id"] == "p0-ada"]
        assert corrected == [("1", 0), ("undecided", 1)]

        # Who has no account on the desk, who answers another's task, and who skips.
        server.annotate(ADMIN, there["p8-bo"]["id"], "left")
        server.annotate("Bo@example.org", there["p9-ada"]["id"], "left")
        skip = {"result": [], "was_cancelled": True}
        assert (
            server.clients["Bo@example.org"]
            .post(f"/api/tasks/{there['p9-bo']['id']}/annotations", json=skip)
            .is_success
        )
        last = pull()
        assert last.counts.rows_out == 0
        reasons = {name: num for name, num in last.counts.dropped.items() if name != "repeated"}
        assert reasons == {"not_their_task": 1, "skipped": 1, "unknown_person": 1}
        assert sorted(last.dead_letters["reason"].to_pylist()) == ["not_their_task", "unknown_person"]

    assert server.nowhere.asked == []
    assert desk_round.accounts.audit_log()[0]["action"] == "label_studio_pulled"


def test_what_the_desk_gives_up_is_taken_away(server, desk_round):
    desk_round.push(
        [item("p1"), item("p2"), item("p3")],
        [Task("t1", "p1"), Task("t2", "p2"), Task("t3", "p3")],
        round_name="round_1",
    )
    with LabelStudio(server.url, TOKEN) as studio:
        project = push_round(studio, desk_round.engine, "round_1", load_guidelines()).project
        there = {task["data"]["task_id"]: task for task in studio.tasks(project)}
        assert {task["data"]["for_person"] for task in there.values()} == {"For anyone"}
        server.annotate("ada@example.org", there["t2"]["id"], "tie")
        withdraw(desk_round.engine, task_ids=["t1", "t2"], by=None, why="test")
        pushed = push_round(studio, desk_round.engine, "round_1", load_guidelines())
        assert (pushed.num_known, pushed.num_removed, pushed.left_out) == (1, 1, {"withdrawn": 2})
        assert {task["data"]["task_id"] for task in studio.tasks(project)} == {"t2", "t3"}
        taken = pull_answers(studio, desk_round.engine, "round_1", HANDLES)
        assert taken.counts.dropped == {"withdrawn": 1}
    assert server.nowhere.asked == []


def test_a_wrong_token_is_refused_with_what_to_do(server):
    with LabelStudio(server.url, "f" * 40) as studio, pytest.raises(SynprefError, match="refused") as caught:
        studio.project("x")
    assert "LEGACY_API_TOKEN" in caught.value.todo
    assert "ffff" not in str(caught.value)
