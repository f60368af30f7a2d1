"""The local server with OpenAI's routes in a process of its own, for tests and benchmarks."""

from __future__ import annotations

import json
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from assets.settings import REPOSITORY


@dataclass(frozen=True)
class LocalServer:
    """A running server.

    Attributes:
        base_url: what a client is given, such as http://127.0.0.1:4000/v1.
        pid: of its process.
    """

    base_url: str
    pid: int

    def seen(self) -> dict[str, Any]:
        """What it was asked so far: num_received, num_answered, most_at_once; received and answered by key."""
        with urllib.request.urlopen(self.base_url.removesuffix("/v1") + "/seen", timeout=30) as reply:  # noqa: S310
            return json.load(reply)

    def control(self, **options: Any) -> None:
        """Change options such as delay_s, refuse, max_at_once, fail_all, prefix_cache."""
        address = self.base_url.removesuffix("/v1") + "/control"
        with urllib.request.urlopen(address, data=json.dumps(options).encode(), timeout=30) as reply:  # noqa: S310
            reply.read()


@contextmanager
def local_server(*arguments: str) -> Iterator[LocalServer]:
    """Start the server on a free port of 127.0.0.1 with these arguments; end it afterwards."""
    process = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.openai_server", *arguments],
        cwd=REPOSITORY,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        address = process.stdout.readline().strip()
        if not address:
            raise RuntimeError(f"the local server ended with {process.wait()}")
        yield LocalServer(address, process.pid)
    finally:
        process.terminate()
        process.wait(30)
