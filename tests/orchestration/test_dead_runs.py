"""Runs whose process was killed: they are ended, and their places in pools are free for others."""

import subprocess
import sys

import dagster as dg
import pytest

from assets.workspace import Workspace
from orchestration.instance import PROCESS_TAG, end_dead_runs, open_instance, process_tag
from tests.orchestration.running import small_config


@pytest.fixture
def instance(tmp_path, monkeypatch):
    for name in ("DAGSTER_HOME", "SYNPREF_CONFIG", "SYNPREF_HOME"):
        monkeypatch.setenv(name, "")
    with open_instance(Workspace(small_config(tmp_path), tmp_path / "home")) as instance:
        yield instance


def holding_a_place(instance, tag):
    run = dg.DagsterRun(job_name="job", status=dg.DagsterRunStatus.STARTED, tags={PROCESS_TAG: tag} if tag else {})
    instance.add_run(run)
    instance.event_log_storage.initialize_concurrency_limit_to_default("duckdb")
    instance.event_log_storage.claim_concurrency_slot("duckdb", run.run_id, "layer")
    return run.run_id


def held(instance):
    return len(instance.event_log_storage.get_concurrency_info("duckdb").claimed_slots)


def test_a_killed_run_gives_its_place_back(instance):
    finished = subprocess.Popen([sys.executable, "-c", ""])
    finished.wait()
    host, _, began = process_tag()[PROCESS_TAG].rsplit(":", 2)
    run_id = holding_a_place(instance, f"{host}:{finished.pid}:{began}")
    assert held(instance) == 1
    assert end_dead_runs(instance) == 1
    assert held(instance) == 0
    assert instance.get_run_by_id(run_id).status == dg.DagsterRunStatus.FAILURE
    assert end_dead_runs(instance) == 0


def test_a_pid_used_again_is_another_process(instance):
    host, pid, began = process_tag()[PROCESS_TAG].rsplit(":", 2)
    holding_a_place(instance, f"{host}:{pid}:{int(began) - 5}")
    assert end_dead_runs(instance) == 1


@pytest.mark.parametrize("tag", ["this process", "another host", None])
def test_what_lives_or_is_not_known_is_left_alone(instance, tag):
    name = {"this process": process_tag()[PROCESS_TAG], "another host": "elsewhere:1:1"}.get(tag)
    run_id = holding_a_place(instance, name)
    assert end_dead_runs(instance) == 0
    assert held(instance) == 1
    assert instance.get_run_by_id(run_id).status == dg.DagsterRunStatus.STARTED
