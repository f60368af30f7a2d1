"""Tracking: a training run as MLflow sees it. Without a spec, a tracker that does nothing takes its place."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Protocol

from training.loop import Point
from training.specs import MLflowSpec

# Points are sent together: a SQLite commit costs as much as a training step of the sample.
_POINTS_PER_BATCH = 900
_MAX_PARAM_CHARS = 6_000


class Tracker(Protocol):
    """Where a run's record goes."""

    run_id: str | None

    def points(self, points: Sequence[Point]) -> None:
        """Add to the curves."""

    def finish(self, metrics: Mapping[str, float | None], folder: Path) -> None:
        """Record the final figures and the model's folder."""


class NoTracker:
    """Records nothing."""

    run_id: str | None = None

    def points(self, points: Sequence[Point]) -> None:
        """Do nothing."""

    def finish(self, metrics: Mapping[str, float | None], folder: Path) -> None:
        """Do nothing."""


class MLflowTracker:
    """One MLflow run; made by `tracked`."""

    def __init__(self, client, run_id: str, log_model: bool) -> None:
        self.run_id: str | None = run_id
        self._client = client
        self._run_id = run_id
        self._log_model = log_model
        self._waiting: list = []

    def points(self, points: Sequence[Point]) -> None:
        """Add to the curves; sent in batches."""
        from mlflow.entities import Metric

        now = int(time.time() * 1000)
        self._waiting += [Metric(point.name, point.value, now, point.step) for point in points]
        if len(self._waiting) >= _POINTS_PER_BATCH:
            self.flush()

    def flush(self) -> None:
        """Send the points that wait."""
        for start in range(0, len(self._waiting), _POINTS_PER_BATCH):
            self._client.log_batch(self._run_id, metrics=self._waiting[start : start + _POINTS_PER_BATCH])
        self._waiting = []

    def finish(self, metrics: Mapping[str, float | None], folder: Path) -> None:
        """Record final figures (absent ones are left out, not 0), report and curves, and the model's files.

        A registered version points to the artifact folder `model`.
        """
        self.points([Point(0, f"final/{name}", value) for name, value in metrics.items() if value is not None])
        self.flush()
        for name in ("training_report.json", "curves.parquet"):
            self._client.log_artifact(self._run_id, str(folder / name))
        if self._log_model:
            self._client.log_artifacts(self._run_id, str(folder), "model")


@contextlib.contextmanager
def tracked(spec: MLflowSpec | None, params: Mapping[str, object]) -> Iterator[Tracker]:
    """A tracker for the block; the run is FINISHED when the block ends, FAILED when it raises."""
    if spec is None:
        yield NoTracker()
        return
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    os.environ.setdefault("MLFLOW_ALLOW_PICKLE_DESERIALIZATION", "false")
    from mlflow.entities import Param, RunTag
    from mlflow.tracking import MlflowClient

    _make_sqlite_folder(spec.tracking_uri)
    client = MlflowClient(tracking_uri=spec.tracking_uri)
    experiment = _experiment_id(client, spec)
    run = client.create_run(experiment, run_name=spec.run_name, tags=dict(spec.tags))
    run_id = run.info.run_id
    tracker = MLflowTracker(client, run_id, spec.log_model)
    status = "FAILED"
    try:
        logged = [Param(name, str(value)[:_MAX_PARAM_CHARS]) for name, value in {**params, **spec.params}.items()]
        client.log_batch(run_id, params=logged)
        yield tracker
        status = "FINISHED"
    except BaseException as error:
        client.log_batch(run_id, tags=[RunTag("error", f"{type(error).__name__}: {error}"[:_MAX_PARAM_CHARS])])
        raise
    finally:
        tracker.flush()
        client.set_terminated(run_id, status)


def _experiment_id(client, spec: MLflowSpec) -> str:
    from mlflow.exceptions import MlflowException

    found = client.get_experiment_by_name(spec.experiment)
    if found is None:
        try:
            return client.create_experiment(spec.experiment, artifact_location=spec.artifact_location or None)
        except MlflowException:
            # Another run may have created it since; anything else is an error.
            found = client.get_experiment_by_name(spec.experiment)
            if found is None:
                raise
    return found.experiment_id


def _make_sqlite_folder(uri: str) -> None:
    if uri.startswith("sqlite:///"):
        Path(uri.removeprefix("sqlite:///")).parent.mkdir(parents=True, exist_ok=True)
