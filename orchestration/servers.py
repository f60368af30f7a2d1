"""The web servers of `synpref ui`: Dagster's with its daemon, and MLflow's, bound to this machine alone."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time

from assets.errors import ConfigError
from assets.settings import REPOSITORY
from assets.workspace import Workspace


def serve(workspace: Workspace, *, port: int, mlflow_port: int) -> int:
    """Run both servers until one ends or the person stops them; returns the exit code.

    Raises:
        ConfigError: a port is taken.
    """
    for wanted, option in ((port, "--port"), (mlflow_port, "--mlflow-port")):
        require_free(wanted, option)
    environment = os.environ | {"PYTHONPATH": str(REPOSITORY)}
    commands = (
        [sys.executable, "-m", "dagster", "dev", "-h", "127.0.0.1", "-p", str(port), "-m", "orchestration.definitions"],
        [
            *(sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(mlflow_port)),
            *("--backend-store-uri", workspace.mlflow_uri, "--workers", "1"),
            *("--artifacts-destination", str(workspace.mlflow_artifacts)),
        ],
    )
    print(f"Dagster: http://127.0.0.1:{port}\nMLflow:  http://127.0.0.1:{mlflow_port}\nCtrl-C ends both.", flush=True)
    # Sessions of their own, so that ending a server ends its children too.
    processes = [
        subprocess.Popen(c, env=environment, cwd=workspace.dagster_home, start_new_session=True) for c in commands
    ]
    # A service manager ends us with SIGTERM: the same clean end as Ctrl-C.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    try:
        while all(p.poll() is None for p in processes):
            time.sleep(0.5)
        return max(p.returncode or 0 for p in processes)
    except KeyboardInterrupt:
        return 0
    finally:
        for process in processes:
            _end(process)


def require_free(port: int, option: str, host: str = "127.0.0.1") -> None:
    """Raise a clear error when a port is taken."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise ConfigError(
                f"Port {port} is taken: {error.strerror}.", todo=f"end what uses it, or choose another with {option}"
            ) from error


def _end(process: subprocess.Popen) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGTERM)
    try:
        process.wait(timeout=20)
    except subprocess.TimeoutExpired:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
