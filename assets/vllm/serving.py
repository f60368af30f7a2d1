"""Serving: a vLLM server on loopback for as long as it is needed, shared by all who need the same one."""

from __future__ import annotations

import os
import re
import secrets
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from assets.errors import SynprefError
from assets.vllm.arguments import server_arguments
from assets.vllm.environment import installed_vllm, is_cpu_build, process_environment, vllm_python
from assets.vllm.processes import KeptProcess, end_orphans
from assets.vllm.served_model import ServedModel
from assets.vllm.weights import find_weights, fingerprint_of

Say = Callable[[str], None]

_PROGRESS_S = 15.0
_MAX_STARTS = 3
_CAUSE = re.compile(r"\b\w*(?:Error|Exception): (?!Engine core initialization failed).+|error: .+")
_PORT_TAKEN = "address already in use"
# What the log of a failed start says, and what to do about it.
_REMEDIES = (
    (_PORT_TAKEN, "start again: another process took the port in the same moment"),
    ("out of memory", "lower gpu-memory-utilization or max_context_tokens, or serve a smaller or quantised model"),
    ("kv cache", "lower max_context_tokens, or give the cache more room (gpu-memory-utilization, on the CPU "
     "VLLM_CPU_KVCACHE_SPACE in GiB)"),
    ("unrecognized arguments", "check vllm_arguments"),
    ("error: argument", "check vllm_arguments"),
    ("not supported", "use a model whose architecture this vLLM knows"),
)  # fmt: skip


@dataclass(frozen=True)
class RunningServer:
    """A server that answers.

    Attributes:
        base_url: with OpenAI's routes below it, such as http://127.0.0.1:40123/v1.
        api_key: without which it answers nobody; drawn at random for this start.
        fingerprint: changes whenever the same request could be answered otherwise.
        log: what the server wrote.
    """

    base_url: str
    api_key: str = field(repr=False)
    fingerprint: str
    log: Path
    process: KeptProcess = field(repr=False)

    def check(self) -> None:
        """Raise a SynprefError when the server has ended, which an exchange only sees as a failed connection."""
        if not self.process.alive:
            raise failure("The vLLM server ended while it was in use.", self.process)


@contextmanager
def running_server(settings: ServedModel, home: Path, *, say: Say | None = None) -> Iterator[RunningServer]:
    """A server for the model of `settings`, started if none runs for it in this process, and ended with its last user.

    Settings that differ only in what a request carries (temperature, prices, concurrency, ...) share one server.

    Args:
        settings: of the model; `server` is vllm_server.
        home: the home folder; logs go to `logs`, records of running processes to `vllm`.
        say: takes a line of progress; by default they go to standard error.

    Raises:
        SynprefError: no environment, unfit weights or arguments; the server died or was not ready in time; it died
            while in use, and nothing else was raised.
    """
    # A child made by fork inherits the table and owns none of what is in it.
    key = (os.getpid(), settings.model, settings.revision, settings.max_context_tokens,
           tuple(sorted(settings.vllm_arguments.items())), home.resolve())  # fmt: skip
    with _LOCK:
        shared = _SERVERS.get(key)
        if shared is None:
            shared = _SERVERS[key] = _Shared(start_server(settings, home, say or to_stderr))
        shared.num_users += 1
    try:
        shared.server.check()
        yield shared.server
        shared.server.check()
    finally:
        with _LOCK:
            shared.num_users -= 1
            if not shared.num_users:
                del _SERVERS[key]
                shared.server.process.end()


@dataclass
class _Shared:
    server: RunningServer
    num_users: int = 0


_SERVERS: dict[tuple, _Shared] = {}
_LOCK = threading.Lock()


def start_server(settings: ServedModel, home: Path, say: Say) -> RunningServer:
    """Start a server and wait until it answers; the caller ends its `process`. Raises as `running_server` does."""
    python = vllm_python()
    version = installed_vllm(python)
    end_orphans(home / "vllm", say)
    folder = find_weights(settings)
    # Refuses bad arguments before minutes go into hashing.
    server_arguments(settings, str(folder), cpu=True, port=0)
    say(f"vLLM: reading the weights of {settings.model}")
    fingerprint = fingerprint_of(folder, settings, version)
    for attempt in range(1, _MAX_STARTS + 1):
        port, api_key = _free_port(), secrets.token_urlsafe(24)
        arguments = server_arguments(settings, str(folder), cpu=is_cpu_build(version), port=port)
        process = KeptProcess(
            [str(python), "-P", "-m", "vllm.entrypoints.openai.api_server", *arguments],
            process_environment(os.environ, version=version, api_key=api_key),
            home / "logs" / f"vllm-{slug(settings.model)}-{secrets.token_hex(4)}.log",
            home / "vllm",
        )
        server = RunningServer(f"http://127.0.0.1:{port}/v1", api_key, fingerprint, process.log, process)
        try:
            _wait_until_ready(server, settings, say)
            return server
        except BaseException:
            tail = " ".join(process.log_tail(40)).casefold()
            process.end()
            if attempt == _MAX_STARTS or _PORT_TAKEN not in tail:
                raise
    raise AssertionError("the last start either returns or raises")


def _wait_until_ready(server: RunningServer, settings: ServedModel, say: Say) -> None:
    started = said = time.monotonic()
    headers = {"Authorization": f"Bearer {server.api_key}"}
    with httpx.Client(trust_env=False, timeout=5, headers=headers) as client:
        while True:
            if not server.process.alive:
                raise failure(f"The vLLM server for {settings.model!r} ended before it was ready.", server.process)
            if _answers(client, server.base_url, settings.model):
                say(f"vLLM: {settings.model} is ready after {time.monotonic() - started:.0f} s")
                return
            now = time.monotonic()
            if now - started > settings.vllm_ready_s:
                raise failure(
                    f"The vLLM server for {settings.model!r} was not ready within {settings.vllm_ready_s:.0f} s.",
                    server.process,
                    "raise vllm_ready_s if the log shows that it was still at work",
                )
            if now - said > _PROGRESS_S:
                said = now
                last = (server.process.log_tail(1) or ["nothing said yet"])[-1]
                say(f"vLLM: {now - started:.0f} s of at most {settings.vllm_ready_s:.0f} s; {last[:160]}")
            server.process.wait(0.3)


def _answers(client: httpx.Client, base_url: str, model: str) -> bool:
    # Asked with the key for the model's name: whoever else might have taken the port does not pass for ours.
    try:
        reply = client.get(f"{base_url}/models")
        return reply.is_success and model in [entry["id"] for entry in reply.json()["data"]]
    except (httpx.HTTPError, ValueError, KeyError, TypeError):
        return False


def failure(what: str, process: KeptProcess, todo: str = "") -> SynprefError:
    """The error for a vLLM process that did not do what it should: what its log says, and what to do."""
    log = process.log_tail(400)
    # vLLM repeats a cause in every process that it takes down, and ends with lines that say nothing about it.
    causes = list(dict.fromkeys(match[0] for line in log if (match := _CAUSE.search(line))))[:3]
    text = " ".join([*causes, *log[-3:]]).casefold()
    remedy = next((r for sign, r in _REMEDIES if sign in text), "read the log, then run the same command again")
    return SynprefError(
        "\n".join([what + " Its log:", *causes, "...", *log[-8:], ""]),
        where=str(process.log),
        kept="every reply that came in before",
        todo=todo or remedy,
    )


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        return free.getsockname()[1]


def slug(model: str) -> str:
    """A model's name as part of a file name."""
    return re.sub(r"[^a-z0-9]+", "-", Path(model).name.casefold()).strip("-")[:40] or "model"


def to_stderr(line: str) -> None:
    """Where lines of progress go by default."""
    print(line, file=sys.stderr, flush=True)
