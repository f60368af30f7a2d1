"""Tracking: a training run as MLflow sees it. Without a spec, a tracker that does nothing takes its place.

The record is not worth the training: where MLflow is lost on the way, points go to a file beside the model's folder.
"""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from assets.errors import SynprefError
from training.curves import Point
from training.interruption import TrainingInterruptedError
from training.specs import MLflowSpec

# Points are sent together: a SQLite commit costs as much as a training step of the sample.
_POINTS_PER_BATCH = 900
_MAX_PARAM_CHARS = 6_000
# Seconds before another try; another process may hold the database's lock for some seconds.
WAITS = (1.0, 3.0, 10.0)
Log = Callable[[str], None]


class Tracker(Protocol):
    """Where a run's record goes."""

    run_id: str | None

    def points(self, points: Sequence[Point]) -> None:
        """Add to the curves; points of a step that is recorded already are left out."""

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
    """One MLflow run; made by `tracked`.

    Args:
        recorded: the last step of each curve that the run has already.
        spill: takes points, a JSON line each, while MLflow cannot.
    """

    def __init__(
        self,
        client: Any,
        run_id: str,
        log_model: bool,
        *,
        recorded: Mapping[str, int],
        spill: Path,
        waits: Sequence[float],
        log: Log,
    ) -> None:
        self.run_id: str | None = run_id
        self._client, self._run_id, self._log_model = client, run_id, log_model
        self._recorded, self._spill, self._waits, self._log = recorded, spill, waits, log
        self._waiting: list[tuple[Point, int]] = []
        self._num_spilled = 0

    def points(self, points: Sequence[Point]) -> None:
        """Add to the curves; sent in batches."""
        now = int(time.time() * 1000)
        self._waiting += [(point, now) for point in points if point.step > self._recorded.get(point.name, -1)]
        if len(self._waiting) >= _POINTS_PER_BATCH:
            self.flush()

    def flush(self) -> None:
        """Send the points that wait, or write them to the file."""
        waiting, self._waiting = self._waiting, []
        for start in range(0, len(waiting), _POINTS_PER_BATCH):
            batch = waiting[start : start + _POINTS_PER_BATCH]
            if self._num_spilled:
                # Asking at every step whether it is back would cost its time-out every time: asked at the end.
                self._write_beside(batch)
                continue
            try:
                _tried(lambda some=batch: self._send(some), self._waits)  # type: ignore[misc]
            except Exception as error:
                self._log(f"MLflow takes no points, they are written to {self._spill}: {_said(error)}")
                self._write_beside(batch)

    def finish(self, metrics: Mapping[str, float | None], folder: Path) -> None:
        """Record final figures (absent ones are left out, not 0), report and curves, and the model's files.

        A registered version points to the artifact folder `model`.
        """
        self.points([Point(0, f"final/{name}", value) for name, value in metrics.items() if value is not None])
        self.flush()
        self._send_spilled()
        try:
            _tried(lambda: self._log_files(folder), self._waits)
        except Exception as error:
            self._log(f"MLflow did not take the model's files, which stay in the model's folder: {_said(error)}")

    def close(self, status: str, error: BaseException | None) -> None:
        """End the run; MLflow's own errors are said, not raised."""
        from mlflow.entities import RunTag

        self.flush()
        try:
            if error is not None:
                tag = RunTag("error", f"{type(error).__name__}: {error}"[:_MAX_PARAM_CHARS])
                self._client.log_batch(self._run_id, tags=[tag])
            _tried(lambda: self._client.set_terminated(self._run_id, status), self._waits)
        except Exception as problem:
            self._log(f"MLflow was not told that the run has ended ({status}): {_said(problem)}")

    def _send(self, batch: Sequence[tuple[Point, int]]) -> None:
        from mlflow.entities import Metric

        metrics = [Metric(point.name, point.value, at, point.step) for point, at in batch]
        self._client.log_batch(self._run_id, metrics=metrics)

    def _write_beside(self, batch: Sequence[tuple[Point, int]]) -> None:
        with contextlib.suppress(OSError), self._spill.open("a", encoding="utf-8") as file:
            for point, at in batch:
                line = {"name": point.name, "step": point.step, "value": point.value, "timestamp": at}
                file.write(json.dumps({"run_id": self._run_id, **line}) + "\n")
        self._num_spilled += len(batch)

    def _send_spilled(self) -> None:
        if not self._num_spilled:
            return
        try:
            lines = [json.loads(line) for line in self._spill.read_text("utf-8").splitlines()]
            own = [line for line in lines if line["run_id"] == self._run_id]
            batch = [(Point(line["step"], line["name"], line["value"]), line["timestamp"]) for line in own]
            for start in range(0, len(batch), _POINTS_PER_BATCH):
                self._send(batch[start : start + _POINTS_PER_BATCH])
        except Exception as error:
            self._log(f"{self._num_spilled} points of MLflow's curves are only in {self._spill}: {_said(error)}")
            return
        self._spill.unlink()
        self._log(f"MLflow is back and has taken the {self._num_spilled} points it missed")
        self._num_spilled = 0

    def _log_files(self, folder: Path) -> None:
        for name in ("training_report.json", "curves.parquet"):
            self._client.log_artifact(self._run_id, str(folder / name))
        if self._log_model:
            self._client.log_artifacts(self._run_id, str(folder), "model")


@contextlib.contextmanager
def tracked(
    spec: MLflowSpec | None,
    params: Mapping[str, object],
    *,
    run_id: str | None = None,
    spill: Path = Path("mlflow-points.jsonl"),
    waits: Sequence[float] = WAITS,
    log: Log = lambda line: None,
) -> Iterator[Tracker]:
    """A tracker for the block; the run is FINISHED when it ends, FAILED when it raises, KILLED when told to stop.

    Args:
        run_id: a run to go on with; a new one is made where it is not there any more.
        spill: file for points while MLflow is lost.
        waits: seconds between tries.

    Raises:
        SynprefError: MLflow cannot be reached at the start, when nothing is lost yet.
    """
    if spec is None:
        yield NoTracker()
        return
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    os.environ.setdefault("MLFLOW_ALLOW_PICKLE_DESERIALIZATION", "false")
    # A training waits this long for a server that is gone, once.
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "20")
    from mlflow.tracking import MlflowClient

    try:
        _make_sqlite_folder(spec.tracking_uri)
        client = MlflowClient(tracking_uri=spec.tracking_uri)
        found = _tried(lambda: _going_on(client, run_id or ""), waits) if run_id else None
        recorded: dict[str, int] = found or {}
        if run_id is None or found is None:
            run_id = str(_tried(lambda: _started(client, spec, params), waits))
    except Exception as error:
        raise SynprefError(
            f"The training cannot be recorded: {_said(error)}.",
            where=spec.tracking_uri,
            kept="everything; nothing was trained yet",
            todo="correct mlflow.tracking_uri, or leave mlflow out of the spec",
        ) from error
    tracker = MLflowTracker(client, run_id, spec.log_model, recorded=recorded, spill=spill, waits=waits, log=log)
    try:
        yield tracker
    except BaseException as error:
        tracker.close("KILLED" if isinstance(error, TrainingInterruptedError) else "FAILED", error)
        raise
    tracker.close("FINISHED", None)


def _started(client: Any, spec: MLflowSpec, params: Mapping[str, object]) -> str:
    from mlflow.entities import Param

    run = client.create_run(_experiment_id(client, spec), run_name=spec.run_name, tags=dict(spec.tags))
    logged = [Param(name, str(value)[:_MAX_PARAM_CHARS]) for name, value in {**params, **spec.params}.items()]
    client.log_batch(run.info.run_id, params=logged)
    return run.info.run_id


def _going_on(client: Any, run_id: str) -> dict[str, int] | None:
    """The last step of each curve of a run that is RUNNING again from here on; None where there is no such run."""
    from mlflow.exceptions import MlflowException

    try:
        run = client.get_run(run_id)
    except MlflowException as error:
        if error.error_code == "RESOURCE_DOES_NOT_EXIST":
            return None
        raise
    if run.info.lifecycle_stage != "active":
        return None
    client.update_run(run_id, status="RUNNING")
    if "error" in run.data.tags:
        client.delete_tag(run_id, "error")
    return {name: max(m.step for m in client.get_metric_history(run_id, name)) for name in run.data.metrics}


def _tried(work: Callable[[], Any], waits: Sequence[float]) -> Any:
    """What `work` returns; it is tried again after each wait, and the last error is raised."""
    # MLflow wraps what the database or the network raises in many ways: any error may pass.
    for wait in waits:
        try:
            return work()
        except Exception:
            time.sleep(wait)
    return work()


def _said(error: Exception) -> str:
    return (str(error).splitlines() or [""])[0][:300] or type(error).__name__


def _experiment_id(client: Any, spec: MLflowSpec) -> str:
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
