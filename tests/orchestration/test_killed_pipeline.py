"""The whole pipeline under SIGKILL: a run that dies again and again ends with the bytes of a calm one.

A run of what is finished does nothing.
"""

import contextlib
import os
import random
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from assets.contracts import TABLES
from assets.settings import REPOSITORY
from assets.workspace import Workspace
from tests.orchestration.running import environment_of, small_config, synpref

NUM_KILLS = 8
# These look at files or at the registry, outside the lake, every time.
ALWAYS_AT_WORK = ("built_in_sample", "benchmark_items", "candidate", "champion", "run_report")
SHORTEST_LIFE_S, LONGEST_LIFE_S = 4.0, 80.0
"""From the middle of the start to well beyond the slowest step, so that some lives get somewhere."""


def alive_in_session(pid: int) -> list[int]:
    """Processes of the session that a run started; a killed parent does not take them along."""
    found = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                # After the command's name come the state (Z: dead already) and, as the fourth field, the session.
                fields = (folder / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            if int(fields[3]) == pid and fields[0] != "Z":
                found.append(int(folder.name))
    return found


def run_for(life_s: float, config: Path, environment: dict[str, str]) -> int | None:
    """Start the pipeline; kill it with all its processes when its time is over. Its exit code, None if killed."""
    process = subprocess.Popen(
        [sys.executable, "-m", "orchestration.cli", "run", "--config", str(config)],
        env=environment,
        cwd=REPOSITORY,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    try:
        _, errors = process.communicate(timeout=life_s)
    except subprocess.TimeoutExpired:
        # Again until none is left: one may end by itself, or start another, while they are being killed.
        while pids := alive_in_session(process.pid):
            for pid in pids:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
        process.communicate()
        return None
    assert process.returncode == 0, errors.decode()[-3000:]
    return process.returncode


def hashes(workspace: Workspace) -> dict[tuple[str, str], str]:
    lake = workspace.lake
    return {(m.table, str(m.partition)): m.content_hash for table in TABLES for m in lake.manifests(table)}


@pytest.mark.faults
def test_random_kills_change_no_hash(tmp_path):
    calm_home, killed_home = tmp_path / "calm", tmp_path / "killed"
    for home in (calm_home, killed_home):
        home.mkdir()
    config = small_config(tmp_path)
    synpref("run", "--config", str(config), environment=environment_of(calm_home))
    expected = hashes(Workspace(config, calm_home))

    # What a kill hits differs from run to run, the outcome must not.
    chance, kills = random.Random(23), 0
    lives = [chance.uniform(SHORTEST_LIFE_S, LONGEST_LIFE_S) for _ in range(NUM_KILLS)]
    for life_s in (*lives, 3600.0):
        if run_for(life_s, config, environment_of(killed_home)) == 0:
            break
        kills += 1
    # How many it takes to get through depends on the machine; that it was killed at all does not.
    assert kills
    assert hashes(Workspace(config, killed_home)) == expected
    left_over = [p for p in killed_home.rglob("*.tmp")]
    assert left_over == []
    again = synpref("run", "--config", str(config), environment=environment_of(killed_home))
    assert hashes(Workspace(config, killed_home)) == expected
    steps = [line for line in again.stdout.splitlines() if line[:4].strip().isdigit()]
    assert steps
    assert [s for s in steps if "unchanged" not in s and s.split()[1].split("[")[0] not in ALWAYS_AT_WORK] == []
