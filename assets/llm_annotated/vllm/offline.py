"""Offline: a language model that answers in batches with vLLM, without a server, and goes on where it was killed."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import json
import os
import secrets
import shutil
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Protocol

from assets.durable_files import sync
from assets.errors import ConfigError
from assets.llm_annotated.chat import ChatReply, ChatRequest
from assets.llm_annotated.settings import LanguageModelSettings
from assets.llm_annotated.vllm import offline_runner
from assets.vllm.arguments import engine_arguments
from assets.vllm.environment import installed_vllm, is_cpu_build, process_environment, vllm_python
from assets.vllm.processes import KeptProcess, end_orphans, locked
from assets.vllm.serving import Say, failure, slug, to_stderr
from assets.vllm.weights import find_weights, fingerprint_of

_PROGRESS_S = 15.0
# Requests that are computed together and lost together: enough that the end of a block, when few are left to
# compute, weighs little.
_BLOCKS_OF = 8
_LOCK, _JOB, _REQUESTS, _REPLIES = "lock", "job.json", "requests.jsonl", "replies.jsonl"


class ReplyLedger(Protocol):
    """What is needed of a request ledger."""

    def lookup(self, keys: Sequence[str]) -> Mapping[str, ChatReply]:
        """The final replies among the keys."""
        ...

    def store(self, replies: Sequence[ChatReply], *, fingerprint: str, subjects: Mapping[str, str], batch: str) -> None:
        """Commit the replies of one model; storing one again changes nothing. `subjects`: by key."""
        ...


class OfflineModel:
    """Implements `ChatModel` with batches in vLLM's environment. On hardware of one's own, calls cost nothing.

    Args:
        settings: of the model; `server` is vllm_offline.
        ledger: holds what was answered before, and takes what is answered now.
        home: the home folder; work files go to `vllm`, logs to `logs`.
        say: takes a line of progress; by default they go to standard error.

    Raises:
        ConfigError: the settings name a price, which nothing here would hold to.
    """

    def __init__(
        self, settings: LanguageModelSettings, ledger: ReplyLedger, home: Path, *, say: Say = to_stderr
    ) -> None:
        if settings.usd_per_million_prompt_tokens or settings.usd_per_million_completion_tokens:
            raise ConfigError(
                f"Model {settings.model!r} has a price per token, and offline batches run on hardware of one's own.",
                where="usd_per_million_prompt_tokens, usd_per_million_completion_tokens",
                todo="remove the prices, or use server: vllm_server, which holds to the budget",
            )
        self._settings, self._ledger, self._say = settings, ledger, say
        self._records, self._logs = home / "vllm", home / "logs"

    @functools.cached_property
    def _environment(self) -> tuple[Path, str, Path]:
        python = vllm_python()
        return python, installed_vllm(python), find_weights(self._settings)

    @functools.cached_property
    def fingerprint(self) -> str:
        """See `ChatModel`."""
        _, version, folder = self._environment
        settings = self._settings
        engine_arguments(settings, str(folder), cpu=is_cpu_build(version))
        weights = fingerprint_of(folder, settings, version)
        parameters = (settings.temperature, settings.top_p, settings.max_completion_tokens)
        return _digest(["vllm_offline", weights, *parameters])

    def estimate_usd(self, requests: Sequence[ChatRequest]) -> float:
        """See `ChatModel`."""
        return 0.0

    def complete(self, requests: Sequence[ChatRequest], *, batch: str) -> list[ChatReply]:
        """See `ChatModel`.

        Raises:
            SynprefError: vLLM ended before all was answered; what it answered is in the ledger.
        """
        keys = [request_key(self.fingerprint, request) for request in requests]
        self._take_over()
        known = dict(self._ledger.lookup(keys))
        open_requests = {key: r for key, r in zip(keys, requests, strict=True) if key not in known}
        if open_requests:
            known |= self._run(open_requests, batch)
        return [known[key] for key in keys]

    def _run(self, requests: Mapping[str, ChatRequest], batch: str) -> dict[str, ChatReply]:
        python, version, weights = self._environment
        end_orphans(self._records, self._say)
        folder, lock = _write_job(self._folders(), requests, self._settings, batch)
        process = KeptProcess(
            [str(python), "-P", offline_runner.__file__, str(folder),
             *engine_arguments(self._settings, str(weights), cpu=is_cpu_build(version))],
            process_environment(os.environ, version=version),
            self._logs / f"vllm-offline-{slug(self._settings.model)}-{folder.name}.log",
            self._records,
        )  # fmt: skip
        replies: dict[str, ChatReply] = {}
        offset = 0
        started = said = time.monotonic()
        try:
            ended = False
            while not ended:
                ended = process.wait(0.5)
                fresh, offset = _read_replies(folder, offset)
                self._store(fresh, requests, batch)
                replies |= {reply.key: reply for reply in fresh}
                if time.monotonic() - said > _PROGRESS_S:
                    said = time.monotonic()
                    self._say(_progress(len(replies), len(requests), said - started, process))
            if len(replies) < len(requests):
                missing = len(requests) - len(replies)
                raise failure(f"vLLM ended with {missing} of {len(requests)} requests unanswered.", process)
        finally:
            process.end()
            lock.close()
        # Everything is in the ledger; after an error the folder stays until the next call has looked into it.
        shutil.rmtree(folder)
        return replies

    def _take_over(self) -> None:
        """Store what killed runs left in their folders, which are then removed."""
        for folder in sorted(self._folders().glob("*")):
            with contextlib.suppress(BlockingIOError, FileNotFoundError), locked(folder / _LOCK):
                replies, _ = _read_replies(folder, 0)
                job = json.loads((folder / _JOB).read_text("utf-8"))
                self._ledger.store(replies, fingerprint=self.fingerprint, subjects=job["subjects"], batch=job["batch"])
                if replies:
                    self._say(f"vLLM: {len(replies)} replies of a run that was killed are kept")
                shutil.rmtree(folder)

    def _store(self, replies: list[ChatReply], requests: Mapping[str, ChatRequest], batch: str) -> None:
        if replies:
            subjects = {reply.key: requests[reply.key].subject for reply in replies}
            self._ledger.store(replies, fingerprint=self.fingerprint, subjects=subjects, batch=batch)

    def _folders(self) -> Path:
        return self._records / "offline" / self.fingerprint


def request_key(fingerprint: str, request: ChatRequest) -> str:
    """The key of `ChatReply`: 32 hex digits over the model's fingerprint and the request without its subject."""
    messages = [dict(message) for message in request.messages]
    return _digest([fingerprint, messages, request.seed, request.json_schema, list(request.choices)])


def _digest(said: object) -> str:
    # Escapes keep lone surrogates apart, which UTF-8 does not have.
    return hashlib.blake2b(json.dumps(said, sort_keys=True).encode(), digest_size=16).hexdigest()


def _write_job(
    folders: Path, requests: Mapping[str, ChatRequest], settings: LanguageModelSettings, batch: str
) -> tuple[Path, IO[str]]:
    """The work folder with its files, and the lock that says that its run lives."""
    folder = folders / secrets.token_hex(6)
    # Named only when it is locked and whole.
    unnamed = folders.parent / f"{folder.name}.new"
    folders.mkdir(parents=True, exist_ok=True)
    unnamed.mkdir()
    lock = locked(unnamed / _LOCK, new=True)
    job = {
        "batch": batch,
        "subjects": {key: request.subject for key, request in requests.items()},
        "temperature": settings.temperature,
        "top_p": settings.top_p,
        "max_completion_tokens": settings.max_completion_tokens,
        "block": _BLOCKS_OF * settings.concurrency,
    }
    (unnamed / _JOB).write_text(json.dumps(job), "utf-8")
    with (unnamed / _REQUESTS).open("w", encoding="utf-8") as file:
        for key, request in requests.items():
            said = {
                "key": key,
                "messages": [dict(message) for message in request.messages],
                "seed": request.seed,
                "json_schema": request.json_schema,
                "choices": list(request.choices),
            }
            file.write(json.dumps(said) + "\n")
    for path in (*unnamed.iterdir(), unnamed):
        sync(path)
    unnamed.rename(folder)
    return folder, lock


def _read_replies(folder: Path, offset: int) -> tuple[list[ChatReply], int]:
    """Replies from `offset` bytes on, and the offset after them; a line that is not yet whole waits."""
    path = folder / _REPLIES
    if not path.exists():
        return [], offset
    with path.open("rb") as file:
        file.seek(offset)
        lines = file.read().splitlines(keepends=True)
    whole = [line for line in lines if line.endswith(b"\n")]
    return [ChatReply(**json.loads(line)) for line in whole], offset + sum(map(len, whole))


def _progress(num_done: int, num: int, seconds: float, process: KeptProcess) -> str:
    if not num_done:
        return f"vLLM: {seconds:.0f} s; {(process.log_tail(1) or ['nothing said yet'])[-1][:160]}"
    return (
        f"vLLM: {num_done} of {num} requests, {seconds:.0f} s, about {seconds / num_done * (num - num_done):.0f} s left"
    )
