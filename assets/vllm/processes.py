"""Processes of vLLM: started under a keeper, ended with all their children, and found again after a killed run.

A run holds a lock on a record file for as long as it lives; the kernel lets go of it however the run ends. Processes
carry the record's random mark in their environment, so that none but ours can ever be taken for ours.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import secrets
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import IO

import psutil

from assets.vllm import keeper
from assets.vllm.environment import MARK_VARIABLE

_MAX_LOGS = 20
_SUFFIX = ".running.json"


class KeptProcess:
    """A command under its keeper.

    Args:
        command: what to run.
        environment: of the command, to which the mark is added.
        log: file that takes both outputs.
        records: folder of the record files.
    """

    def __init__(self, command: Sequence[str], environment: Mapping[str, str], log: Path, records: Path) -> None:
        self.mark, self.log = secrets.token_hex(16), log
        records.mkdir(parents=True, exist_ok=True)
        self._record = records / f"{self.mark[:12]}{_SUFFIX}"
        said = {"mark": self.mark, "host": socket.gethostname(), "owner_pid": os.getpid(), "log": str(log)}
        # It gets the name of a record only when it is locked and whole.
        unnamed = self._record.with_suffix(".new")
        self._lock = locked(unnamed, new=True)
        self._lock.write(json.dumps(said))
        self._lock.flush()
        unnamed.rename(self._record)
        log.parent.mkdir(parents=True, exist_ok=True)
        _drop_old_logs(log.parent)
        try:
            with log.open("ab") as output:
                self._keeper = subprocess.Popen(
                    [sys.executable, "-I", "-S", keeper.__file__, str(os.getpid()), *command],
                    env=dict(environment) | {MARK_VARIABLE: self.mark},
                    cwd=log.parent,
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=output,
                    start_new_session=True,
                )
        except BaseException:
            self._forget()
            raise

    @property
    def alive(self) -> bool:
        """Whether the command still runs."""
        return self._keeper.poll() is None

    def wait(self, timeout_s: float) -> bool:
        """Wait for the command to end by itself; whether it did."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._keeper.wait(timeout_s)
        return not self.alive

    def log_tail(self, num_lines: int = 15) -> list[str]:
        """The last lines of the log that say something."""
        with self.log.open("rb") as file:
            file.seek(max(0, self.log.stat().st_size - 64_000))
            text = file.read().decode("utf-8", "replace")
        return [line for line in text.splitlines() if line.strip()][-num_lines:]

    def end(self) -> None:
        """End the command and all its processes; may be called again."""
        try:
            if self.alive:
                self._keeper.terminate()
                if not self.wait(keeper.GRACE_S + 10):
                    self._keeper.kill()
                    self._keeper.wait()
            # A keeper that was itself killed has ended nobody.
            _end_marked(self.mark)
        finally:
            self._forget()

    def _forget(self) -> None:
        self._record.unlink(missing_ok=True)
        self._lock.close()


def end_orphans(records: Path, say: Callable[[str], None]) -> int:
    """End what killed runs left behind, and only that; how many processes there were.

    Args:
        records: folder of the record files.
        say: takes a line about each record whose processes were still there.
    """
    num_ended = 0
    for path in sorted(records.glob(f"*{_SUFFIX}")):
        with contextlib.suppress(BlockingIOError, FileNotFoundError), locked(path) as lock:
            said = _said(lock.read())
            if said.get("host", socket.gethostname()) != socket.gethostname():
                continue
            # The keeper sees its parent die and ends the rest; only where it was killed too is there work to do.
            ended = _end_marked(said["mark"], patience_s=keeper.GRACE_S + 5) if said.get("mark") else 0
            if ended:
                say(f"ended {ended} vLLM processes that a killed run had left behind (log: {said.get('log')})")
            num_ended += ended
            path.unlink(missing_ok=True)
    return num_ended


def _said(text: str) -> dict[str, str]:
    # A run killed while it wrote its record had started nothing yet.
    try:
        said = json.loads(text)
    except ValueError:
        return {}
    return said if isinstance(said, dict) else {}


def locked(path: Path, *, new: bool = False) -> IO[str]:
    """Open a file and hold its lock until it is closed, or until this process ends in whatever way.

    Raises:
        BlockingIOError: somebody else holds it.
        FileNotFoundError, FileExistsError: as `new` asks that there be none or one.
    """
    file = path.open("x+" if new else "r+", encoding="utf-8")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BaseException:
        file.close()
        raise
    return file


def _end_marked(mark: str, *, patience_s: float = 0.0) -> int:
    deadline = time.monotonic() + patience_s
    there = _marked(mark)
    num = len(there)
    while there and time.monotonic() < deadline and any("keeper.py" in " ".join(_command(p)) for p in there):
        time.sleep(0.2)
        there = _marked(mark)
    for process in there:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.terminate()
    _, left = psutil.wait_procs(there, timeout=keeper.GRACE_S / 2)
    # Children may have been born meanwhile.
    for process in {*left, *_marked(mark)}:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
    psutil.wait_procs(left, timeout=5)
    return num


def _marked(mark: str) -> list[psutil.Process]:
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            if process.environ().get(MARK_VARIABLE) == mark and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
    return found


def _command(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.Error:
        return []


def _drop_old_logs(folder: Path) -> None:
    logs = sorted(folder.glob("vllm-*.log"), key=lambda p: p.stat().st_mtime)
    for path in logs[:-_MAX_LOGS]:
        path.unlink(missing_ok=True)
