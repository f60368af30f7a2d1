"""Tracking: one MLflow run however often a training starts, and a training that outlives MLflow."""

from __future__ import annotations

import contextlib
import json
import sqlite3

import pytest
from mlflow.tracking import MlflowClient

from assets.errors import SynprefError
from training.curves import Point
from training.interruption import TrainingInterruptedError
from training.specs import MLflowSpec
from training.tracking import tracked

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """One database for the file: creating its tables takes seconds."""
    folder = tmp_path_factory.mktemp("mlflow")
    spec = MLflowSpec(
        tracking_uri=f"sqlite:///{folder / 'mlflow.db'}",
        artifact_location=(folder / "artifacts").as_uri(),
        experiment="tests",
        run_name="run",
    )
    return spec, folder / "mlflow.db", MlflowClient(tracking_uri=spec.tracking_uri)


def points(*steps: int) -> list[Point]:
    return [Point(step, "loss", 1 / (1 + step)) for step in steps]


def history(client, run_id: str) -> list[tuple[int, float]]:
    return sorted((m.step, m.value) for m in client.get_metric_history(run_id, "loss"))


@pytest.fixture
def model(tmp_path):
    folder = tmp_path / "model"
    folder.mkdir()
    for name in ("training_report.json", "curves.parquet"):
        (folder / name).write_text("{}")
    return folder


def test_a_resumed_run_goes_on_in_the_same_run_and_doubles_no_point(store, model):
    spec, _, client = store
    with contextlib.suppress(TrainingInterruptedError), tracked(spec, {"seed": 1}) as tracker:
        tracker.points(points(1, 2, 3))
        raise TrainingInterruptedError("told to stop")
    run = client.get_run(tracker.run_id)
    assert (run.info.status, "told to stop" in run.data.tags["error"]) == ("KILLED", True)

    # Resumed from step 1, with a parameter that may differ: 2 and 3 are recorded already.
    with tracked(spec, {"seed": 2}, run_id=tracker.run_id) as again:
        assert client.get_run(tracker.run_id).info.status == "RUNNING"
        again.points(points(1))
        again.points(points(2, 3, 4))
        again.finish({"dev_accuracy": 0.5, "temperature": None}, model)
    assert again.run_id == tracker.run_id
    run = client.get_run(tracker.run_id)
    assert history(client, tracker.run_id) == [(p.step, p.value) for p in points(1, 2, 3, 4)]
    assert (run.info.status, run.data.params["seed"], "error" in run.data.tags) == ("FINISHED", "1", False)
    assert run.data.metrics["final/dev_accuracy"] == 0.5
    assert "final/temperature" not in run.data.metrics


def test_points_that_mlflow_never_got_before_a_kill_are_sent_by_the_resumed_run(store):
    spec, _, client = store
    with tracked(spec, {}) as tracker:
        tracker.points(points(1))
    # 2 and 3 waited in memory when the process was killed; the loop gives all points so far when it goes on.
    with tracked(spec, {}, run_id=tracker.run_id) as again:
        again.points(points(1, 2, 3))
    assert [step for step, _ in history(client, tracker.run_id)] == [1, 2, 3]


def test_a_run_that_is_gone_is_replaced_by_a_new_one(store):
    spec, _, client = store
    with tracked(spec, {}, run_id="0" * 32) as tracker:
        pass
    assert tracker.run_id != "0" * 32
    client.delete_run(tracker.run_id)
    with tracked(spec, {}, run_id=tracker.run_id) as other:
        pass
    assert other.run_id != tracker.run_id


def test_a_locked_database_costs_no_training_and_gets_its_points_when_it_is_free(store, model, tmp_path):
    """SQLite waits five seconds for a lock."""
    spec, database, client = store
    spill, said = tmp_path / "points.jsonl", []
    with tracked(spec, {}, spill=spill, waits=(), log=said.append) as tracker:
        lock = sqlite3.connect(database, isolation_level=None)
        lock.execute("BEGIN EXCLUSIVE")
        tracker.points([Point(step, "loss", 1 / (1 + step)) for step in range(900)])
        assert [line.split(":")[0] for line in said] == [f"MLflow takes no points, they are written to {spill}"]
        lines = [json.loads(line) for line in spill.read_text().splitlines()]
        assert [(line["step"], line["name"], line["run_id"]) for line in lines] == [
            (step, "loss", tracker.run_id) for step in range(900)
        ]
        lock.execute("ROLLBACK")
        lock.close()
        tracker.points(points(900))
        tracker.finish({}, model)
    assert "has taken the 901 points it missed" in said[1]
    assert not spill.exists()
    assert history(client, tracker.run_id) == [(step, 1 / (1 + step)) for step in range(901)]


def test_a_lost_database_leaves_the_points_beside_and_says_so(tmp_path, model):
    """Creates a database of its own, to break it."""
    spec = MLflowSpec(
        tracking_uri=f"sqlite:///{tmp_path / 'mlflow.db'}",
        artifact_location=(tmp_path / "artifacts").as_uri(),
        experiment="tests",
        run_name="run",
    )
    spill, said = tmp_path / "points.jsonl", []
    with tracked(spec, {}, spill=spill, waits=(0.01,), log=said.append) as tracker:
        with sqlite3.connect(tmp_path / "mlflow.db") as database:
            database.execute("DROP TABLE metrics")
        tracker.points(points(*range(10)))
        tracker.finish({"dev_accuracy": 0.5}, model)
    assert len(spill.read_text().splitlines()) == 11
    assert f"11 points of MLflow's curves are only in {spill}" in said[1]


def test_an_address_that_is_wrong_from_the_start_is_an_error(tmp_path):
    (tmp_path / "file").write_text("no folder")
    spec = MLflowSpec(tracking_uri=f"sqlite:///{tmp_path / 'file' / 'mlflow.db'}", experiment="e", run_name="r")
    with pytest.raises(SynprefError, match="cannot be recorded"), tracked(spec, {}, waits=()):
        pytest.fail("nothing is trained")
