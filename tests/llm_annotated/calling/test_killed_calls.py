"""Callers under SIGKILL, and two callers at once: no reply that was recorded is asked for again, none is lost."""

import random
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

from assets.llm_annotated.calling.request_ledger import RequestLedger
from assets.llm_annotated.judging import OK
from assets.settings import REPOSITORY
from benchmarks.openai_process import LocalServer, local_server

MODULE = "tests.llm_annotated.calling.calling_process"


def start(server: LocalServer, path: Path, number: int, *more: str) -> subprocess.Popen:
    command = [sys.executable, "-m", MODULE, server.base_url, str(path), str(number), *more]
    return subprocess.Popen(command, cwd=REPOSITORY, stdout=subprocess.PIPE, text=True)


def lines_of(process: subprocess.Popen) -> list[tuple[str, str]]:
    out, _ = process.communicate(timeout=120)
    whole = out.splitlines() if out.endswith("\n") or not out else out.splitlines()[:-1]
    return [(key, status) for key, status in (line.split() for line in whole)]


def recorded(path: Path) -> dict[str, str]:
    """Statuses by key, read as the next process would find them."""
    with RequestLedger(path) as ledger:
        return dict(ledger._database.execute("SELECT request_key, status FROM requests"))


def run_under_kills(path: Path, number: int, num_kills: int, seed: int) -> None:
    chance = random.Random(seed)
    with local_server("--delay-ms", "30") as server:
        for _ in range(num_kills):
            before = recorded(path)
            asked_before = Counter(server.seen()["received"])
            process = start(server, path, number)
            # Killed after so many replies: where in its life that is does not depend on the machine's speed.
            assert process.stdout is not None
            for _ in range(chance.randrange(1, number // num_kills)):
                if not process.stdout.readline():
                    break
            process.kill()
            process.communicate()
            asked_since = Counter(server.seen()["received"]) - asked_before
            # What an earlier life had recorded is not asked for again.
            assert not {key for key, status in before.items() if status == OK} & asked_since.keys()
        seen_before = server.seen()
        done = {key for key, status in recorded(path).items() if status == OK}
        replies = lines_of(start(server, path, number))
        seen = server.seen()

    assert [status for _, status in replies] == [OK] * number
    # Asked more than once: only what was on its way at a kill, at most 16 each time.
    repeated = {key: times for key, times in seen["received"].items() if times > 1}
    assert sum(repeated.values()) - len(repeated) <= 16 * num_kills
    assert not done & (Counter(seen["received"]) - Counter(seen_before["received"])).keys()
    with RequestLedger(path) as ledger:
        assert ledger.count_statuses() == {OK: number}
        assert ledger.reserved_usd() == 0
        in_doubt = ledger._database.execute("SELECT COUNT(*) FROM requests WHERE in_doubt_nano > 0").fetchone()[0]
    # Whatever the server answered twice was booked as in doubt.
    assert in_doubt >= sum(times > 1 for times in seen["answered"].values())


def test_a_killed_caller_repeats_nothing_that_was_recorded(tmp_path):
    run_under_kills(tmp_path / "l.sqlite", number=100, num_kills=2, seed=1)


@pytest.mark.faults
@pytest.mark.parametrize("seed", range(5))
def test_many_kills(tmp_path, seed):
    run_under_kills(tmp_path / "l.sqlite", number=600, num_kills=12, seed=seed)


def test_two_callers_on_one_ledger_ask_each_request_once(tmp_path):
    path = tmp_path / "l.sqlite"
    with local_server("--delay-ms", "30") as server:
        processes = [start(server, path, 120) for _ in range(2)]
        first, second = map(lines_of, processes)
        seen = server.seen()
    assert first == second
    assert [status for _, status in first] == [OK] * 120
    assert set(seen["received"].values()) == {1}
    with RequestLedger(path) as ledger:
        assert ledger.count_statuses() == {OK: 120}


def test_two_callers_share_one_budget(tmp_path):
    path = tmp_path / "l.sqlite"
    with local_server() as server:
        for process in [start(server, path, 120, "0.005") for _ in range(2)]:
            statuses = {status for _, status in lines_of(process)}
            assert statuses == {OK, "over_budget"}
    with RequestLedger(path) as ledger:
        assert 0 < ledger.spent_usd() <= 0.005


def test_a_caller_takes_over_from_one_that_dies(tmp_path):
    path = tmp_path / "l.sqlite"
    with local_server("--delay-ms", "1500") as server:
        dying = start(server, path, 16)
        while server.seen()["num_received"] < 16:
            assert dying.poll() is None
            time.sleep(0.05)
        waiting = start(server, path, 16)
        dying.kill()
        dying.communicate()
        assert [status for _, status in lines_of(waiting)] == [OK] * 16
    with RequestLedger(path) as ledger:
        assert ledger.count_statuses() == {OK: 16}
        # All of the first one's calls may have been paid.
        assert ledger.in_doubt_usd() > 0
