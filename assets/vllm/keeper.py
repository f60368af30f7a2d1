"""Keeper: runs a command as long as its parent lives, then ends all of the command's processes.

Started with `python keeper.py PARENT_PID COMMAND...` as the leader of a session of its own; it uses the standard
library alone. A parent that is killed can end nothing, and a server left behind holds a GPU.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

# Seconds between the request to end and the kill; vLLM needs a few to let go of a GPU.
GRACE_S = 20.0


def main() -> None:
    """Keep the command; see the module."""
    parent, command = int(sys.argv[1]), sys.argv[2:]
    asked: list[int] = []
    # Handlers, and not "ignore", which the command would inherit.
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda n, _: asked.append(n))
    process = subprocess.Popen(command)
    while process.poll() is None and not asked and os.getppid() == parent:
        time.sleep(0.2)
    if process.returncode is not None:
        print(f"keeper: the process ended by itself with code {process.returncode}", flush=True)
    os.killpg(0, signal.SIGTERM)
    deadline = time.monotonic() + GRACE_S
    while process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.1)
    # The group and its keeper: nothing of it stays.
    os.killpg(0, signal.SIGKILL)


if __name__ == "__main__":
    main()
