"""Offline batches with the real vLLM: the answers of a server's kind, and a run that goes on where it was killed."""

import json
import math
import signal
import subprocess
import sys
import time

import psutil
import pytest

from assets.errors import ConfigError, SynprefError
from assets.llm_annotated.chat import ChatReply
from assets.llm_annotated.settings import LanguageModelSettings
from assets.llm_annotated.vllm.offline import OfflineModel, request_key
from assets.settings import REPOSITORY
from assets.vllm.environment import PYTHON_VARIABLE
from tests.llm_annotated.vllm.asking_vllm import ATTRIBUTES_SCHEMA, CHOICES, ask, verdict_requests
from tests.llm_annotated.vllm.small_environment import SmallEnvironment, small_model


class FileLedger:
    """Replies as lines of a file, so that they outlive a killed process."""

    def __init__(self, path):
        self.path = path

    @property
    def rows(self):
        return [json.loads(line) for line in self.path.read_text().splitlines()] if self.path.exists() else []

    def lookup(self, keys):
        return {row["reply"]["key"]: ChatReply(**row["reply"]) for row in self.rows if row["reply"]["key"] in set(keys)}

    def store(self, replies, *, fingerprint, subjects, batch):
        known = {row["reply"]["key"] for row in self.rows}
        with self.path.open("a") as file:
            for reply in replies:
                if reply.key not in known:
                    row = {"reply": reply.__dict__, "subject": subjects[reply.key], "batch": batch}
                    file.write(json.dumps(row | {"fingerprint": fingerprint}) + "\n")


def test_a_key_depends_on_the_model_and_all_of_the_request_but_its_subject():
    base = ask("x", subject="a")
    others = [ask("y"), ask("x", seed=8), ask("x", choices=("1",)), ask("x", json_schema={}), ask("x", system="s")]
    others.append(ask("x\ud800"))
    keys = [request_key("f", one) for one in (base, *others)] + [request_key("g", base)]
    assert len(set(keys)) == 8
    assert all(len(key) == 32 for key in keys)
    assert request_key("f", ask("x", subject="b")) == keys[0]


def test_a_price_is_refused(tmp_path):
    settings = LanguageModelSettings(server="vllm_offline", model="m", usd_per_million_completion_tokens=1)
    with pytest.raises(ConfigError, match="price"):
        OfflineModel(settings, FileLedger(tmp_path / "ledger"), tmp_path)


def test_a_runner_that_dies_is_an_error_that_says_what_is_missing(tmp_path, monkeypatch):
    monkeypatch.setenv(PYTHON_VARIABLE, str(SmallEnvironment(tmp_path, "dies").python))
    settings = LanguageModelSettings(server="vllm_offline", model=str(small_model(tmp_path / "model")))
    model = OfflineModel(settings, FileLedger(tmp_path / "ledger"), tmp_path / "home")
    assert model.complete([], batch="b") == []
    with pytest.raises(SynprefError, match="2 of 2 requests unanswered") as caught:
        model.complete([ask("x"), ask("y"), ask("x")], batch="b")
    assert "CUDA out of memory" in str(caught.value)


@pytest.mark.integration
def test_a_batch_of_every_kind(real_settings, tmp_path):
    settings = real_settings(server="vllm_offline")
    ledger, said = FileLedger(tmp_path / "ledger"), []
    model = OfflineModel(settings, ledger, tmp_path / "home", say=said.append)
    verdicts = verdict_requests(4)
    others = [
        ask("Describe this task: write a poem.", json_schema=ATTRIBUTES_SCHEMA, subject="attributes"),
        ask("word " * 1010, subject="long"),
        ask("x", json_schema={"type": "nonsense"}, subject="bad schema"),
        ask("lone surrogate \ud800", subject="surrogate"),
        ask("What is the capital of France? Answer with one word.", subject="plain"),
    ]
    replies = model.complete([*verdicts, *others, others[-1]], batch="round_0")
    for reply in replies[:8]:
        assert (reply.status, reply.text in CHOICES) == ("ok", True)
        assert sum(map(math.exp, reply.first_token_log_probabilities.values())) == pytest.approx(1, abs=0.02)
    attributes, long, schema, surrogate, plain, again = replies[8:]
    assert list(json.loads(attributes.text)) == ATTRIBUTES_SCHEMA["required"]
    assert [r.status for r in (long, schema, surrogate)] == ["prompt_too_long", "http_400", "http_400"]
    assert (plain.status, "Paris" in plain.text) == ("ok", True)
    assert again == plain
    assert max(reply.num_cached_tokens for reply in replies[:8]) > 0
    rows = ledger.rows
    assert len(rows) == 13
    assert {(row["batch"], row["fingerprint"]) for row in rows} == {("round_0", model.fingerprint)}
    assert {row["subject"] for row in rows} == {r.subject for r in (*verdicts, *others)}

    # All of it is in the ledger: nothing is started, not even a process.
    settled = OfflineModel(settings, ledger, tmp_path / "home", say=said.append)
    num_logs = len(list((tmp_path / "home/logs").iterdir()))
    assert settled.complete(verdicts, batch="round_1") == replies[:8]
    assert len(list((tmp_path / "home/logs").iterdir())) == num_logs
    assert [p for p in (tmp_path / "home/vllm/offline").rglob("*") if p.is_file()] == []


def stories():
    """Forty requests of some length, five blocks where one request is sent at once."""
    return [ask(f"Tell me a story about {number} ships.", subject=str(number)) for number in range(40)]


# A run that is to be killed.
_RUN = """
import sys
from pathlib import Path
from assets.llm_annotated.settings import LanguageModelSettings
from assets.llm_annotated.vllm.offline import OfflineModel
from tests.llm_annotated.vllm.test_vllm_offline import FileLedger, stories
settings = LanguageModelSettings.model_validate_json(sys.argv[1])
OfflineModel(settings, FileLedger(Path(sys.argv[2])), Path(sys.argv[3])).complete(stories(), batch="killed")
"""


@pytest.mark.integration
def test_a_killed_run_goes_on_without_computing_anything_twice(real_settings, tmp_path):
    settings = real_settings(server="vllm_offline", concurrency=1, max_completion_tokens=64)
    home, ledger = tmp_path / "home", FileLedger(tmp_path / "ledger")
    command = [sys.executable, "-c", _RUN, settings.model_dump_json(), str(ledger.path), str(home)]
    run = subprocess.Popen(command, cwd=REPOSITORY)
    while not ledger.rows:
        assert run.poll() is None
        time.sleep(0.1)
    # The runner goes on while nobody reads: what it finishes now is known to its file alone.
    run.send_signal(signal.SIGSTOP)
    replies = next((home / "vllm/offline").rglob("replies.jsonl"))
    stored, runner = {row["reply"]["key"] for row in ledger.rows}, psutil.Process(run.pid).children(recursive=True)
    while len(replies.read_text().splitlines()) <= len(stored):
        assert any(process.is_running() for process in runner)
        time.sleep(0.1)
    run.kill()
    run.wait()
    _, left = psutil.wait_procs(runner, timeout=60)
    assert left == []
    written = replies.read_text().splitlines(keepends=True)
    done = {json.loads(line)["key"] for line in written if line.endswith("\n")}
    assert stored < done
    assert len(done) < 40
    # A line that the kill cut off.
    with replies.open("a") as file:
        file.write('{"key": "half')

    said = []
    answers = OfflineModel(settings, ledger, home, say=said.append).complete(stories(), batch="second")
    assert {answer.status for answer in answers} <= {"ok", "cut_off"}
    assert f"{len(done)} replies of a run that was killed are kept" in said[0]
    rows = ledger.rows
    assert {row["reply"]["key"] for row in rows if row["batch"] == "killed"} == done
    assert len([row for row in rows if row["batch"] == "second"]) == 40 - len(done)
    assert {row["subject"] for row in rows} == {str(number) for number in range(40)}
