"""Resume: a killed training ends as the calm one does, and no checkpoint is believed that is not what was written."""

from __future__ import annotations

import json
import random
import resource
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from training.checkpoint_files import CheckpointError, steps_in
from training.interruption import TrainingInterruptedError
from training.specs import TrainSpec
from training.train import train_model

# An epoch is 4 batches of 16 and one of 6 pairs; a step is computed in several parts; dropout is on.
NUM_PAIRS, NUM_STEPS = 70, 60
RECIPE = {
    "max_steps": NUM_STEPS,
    "max_epochs": 100,
    "micro_batch_tokens": 200,
    "dropout": 0.1,
    "eval_every": 10,
    "checkpoints": {"every_steps": 4, "keep_last": 2, "keep_best": 1},
}
NEVER_THE_SAME = ("speed/",)


@pytest.fixture
def killable(tmp_path, pairs, write, spec, tiny_recipe):
    """Makes specs of the same training that leave their models in folders of their own."""
    rows, labels = pairs(NUM_PAIRS + 30)
    files = write(rows, labels[:NUM_PAIRS], labels[NUM_PAIRS:])

    def make(name: str, **changes) -> TrainSpec:
        return spec(files, tiny_recipe(**{**RECIPE, **changes}), output_dir=tmp_path / name)

    return make


def start(made: TrainSpec, **options) -> subprocess.Popen:
    path = made.output_dir.with_suffix(".spec.json")
    path.write_text(made.model_dump_json())
    log = made.output_dir.with_suffix(".log").open("a")
    command = [sys.executable, "-m", "training.train", path]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=log, **options)


def said(made: TrainSpec) -> str:
    return made.output_dir.with_suffix(".log").read_text()


def checkpoints_of(made: TrainSpec) -> Path:
    return made.output_dir.with_name(made.output_dir.name + ".checkpoints")


def wait_for_step(run: subprocess.Popen, made: TrainSpec, step: int) -> None:
    """Until a checkpoint of this step or a later one is there, or the run has ended."""
    while run.poll() is None and max(steps_in(checkpoints_of(made)), default=0) < step:
        time.sleep(0.002)


def losses(made: TrainSpec) -> dict[tuple[str, int], float]:
    rows = pq.read_table(made.output_dir / "curves.parquet").to_pylist()
    values = {(row["name"], row["step"]): row["value"] for row in rows if not row["name"].startswith(NEVER_THE_SAME)}
    # No point is doubled.
    assert len(values) == sum(not row["name"].startswith(NEVER_THE_SAME) for row in rows)
    return values


def report(made: TrainSpec) -> dict:
    return json.loads((made.output_dir / "training_report.json").read_text())


def kill_until_done(made: TrainSpec, num_kills: int, seed: int) -> int:
    """Start again and again, killed after a random checkpoint and a random while; returns the number of kills."""
    rng = random.Random(seed)
    kills = 0
    for number in range(num_kills):
        run = start(made)
        wait_for_step(run, made, (number + 1) * NUM_STEPS // (num_kills + 2))
        time.sleep(rng.uniform(0, 0.15))
        run.send_signal(signal.SIGKILL)
        kills += run.wait() == -signal.SIGKILL
    assert start(made).wait() == 0, said(made)
    return kills


def assert_same(calm: TrainSpec, killed: TrainSpec) -> None:
    assert losses(killed) == losses(calm)
    one, two = report(calm), report(killed)
    for name in ("weights_sha256", "steps", "best_step", "dev_accuracy", "temperature", "train_loss"):
        assert one[name] == two[name], name
    assert (killed.output_dir / "model.safetensors").read_bytes() == (
        calm.output_dir / "model.safetensors"
    ).read_bytes()


@pytest.mark.slow
def test_a_run_killed_twice_ends_with_the_weights_of_the_calm_run(killable):
    calm, killed = killable("calm"), killable("killed")
    train_model(calm)
    assert kill_until_done(killed, 2, seed=1) == 2
    assert_same(calm, killed)
    assert len(report(killed)["resumed_at"]) == 2
    assert not checkpoints_of(killed).exists()
    assert len(losses(calm)) > NUM_STEPS * 10


@pytest.mark.faults
def test_a_run_killed_ten_times_ends_with_the_weights_of_the_calm_run(killable):
    """Eleven starts of some seconds each."""
    calm, killed = killable("calm"), killable("killed")
    train_model(calm)
    assert kill_until_done(killed, 10, seed=2) == 10
    assert_same(calm, killed)


def small_files() -> None:
    """A disk that is full after 100 kB of any file; a checkpoint has more than a megabyte."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))


@pytest.mark.faults
def test_told_to_stop_then_a_full_disk_then_done_gives_the_calm_runs_weights(killable):
    """Three starts of a process."""
    calm, stopped = killable("calm"), killable("stopped")
    train_model(calm)
    run = start(stopped)
    wait_for_step(run, stopped, 4)
    run.send_signal(signal.SIGTERM)
    assert run.wait() == 1
    assert "Training was told to stop (SIGTERM)" in said(stopped)
    assert "training goes on from there" in said(stopped)
    assert "Traceback" not in said(stopped)
    there = steps_in(checkpoints_of(stopped))
    # The step it was in is done, and kept whether or not a checkpoint was due.
    assert f"after step {there[0]} of {NUM_STEPS}" in said(stopped)
    assert not stopped.output_dir.exists()

    assert start(stopped, preexec_fn=small_files).wait() == 1
    assert "A checkpoint could not be written" in said(stopped)
    assert "Traceback" not in said(stopped)
    assert steps_in(checkpoints_of(stopped)) == there
    assert not list(checkpoints_of(stopped).glob(".step*"))

    assert start(stopped).wait() == 0, said(stopped)
    assert report(stopped)["resumed_at"] == [there[0]]
    assert_same(calm, stopped)


@pytest.mark.slow
def test_a_model_that_does_not_fit_on_the_disk_is_an_error_and_leaves_nothing(killable):
    """Starts a process, whose file sizes alone can be limited."""
    made = killable("model", max_steps=1, checkpoints={"every_steps": 0})
    assert start(made, preexec_fn=small_files).wait() == 1
    assert "The model could not be written" in said(made)
    assert "Traceback" not in said(made)
    names = sorted(path.name for path in made.output_dir.parent.iterdir())
    assert names == ["dev.parquet", "model.log", "model.spec.json", "text.parquet", "train.parquet"]


def test_a_finished_run_does_nothing_again_unless_it_is_another(killable):
    made = killable("model", max_steps=4)
    first = train_model(made)
    weights = made.output_dir / "model.safetensors"
    written = weights.stat().st_mtime_ns
    # Killed between writing the model and removing the checkpoints.
    checkpoints_of(made).mkdir()
    lines = []
    assert train_model(made, lines.append) == first
    assert (weights.stat().st_mtime_ns, checkpoints_of(made).exists()) == (written, False)
    assert any("is trained already" in line for line in lines)
    assert train_model(killable("model", max_steps=5))["steps"] == 5
    # Damaged weights are no finished run.
    weights.write_bytes(weights.read_bytes()[:-1])
    again = train_model(killable("model", max_steps=5))
    assert again["weights_sha256"] == report(made)["weights_sha256"]
    assert weights.stat().st_mtime_ns > written


def test_checkpoints_of_other_data_are_refused(killable, tmp_path, pairs, write, spec):
    made = killable("model", max_steps=4, checkpoints={"every_steps": 2, "keep_when_done": True})
    train_model(made)
    shutil.rmtree(made.output_dir)
    kept = steps_in(checkpoints_of(made))
    rows, labels = pairs(NUM_PAIRS + 30)
    other = spec(write(rows, labels[1:NUM_PAIRS], labels[NUM_PAIRS:]), made.recipe, output_dir=made.output_dir)
    with pytest.raises(CheckpointError, match=r"of another run: .*data.pairs is .* here and "):
        train_model(other)
    assert steps_in(checkpoints_of(made)) == kept
    # The run they are of goes on from its last step, and is done.
    rows, labels = pairs(NUM_PAIRS + 30)
    write(rows, labels[:NUM_PAIRS], labels[NUM_PAIRS:])
    assert train_model(made)["resumed_at"] == [4]


@pytest.mark.parametrize(
    "changes",
    [
        {"lora": {"rank": 2, "dropout": 0.1}, "backbone": "pretrained"},
        {"precision": "bfloat16_weights", "backbone": "pretrained"},
    ],
)
@pytest.mark.slow
def test_other_ways_to_train_are_resumed_exactly_too(killable, changes):
    """Trains a model to start from first; bfloat16 is slow on a CPU."""
    base = killable("base", max_steps=2)
    train_model(base)
    recipe = {"model": str(base.output_dir), "max_steps": 6, "eval_every": 2, "batch_pairs": 8, **changes}
    calm = killable("calm", **recipe)
    train_model(calm)
    stopped = killable("stopped", **recipe, checkpoints={"every_steps": 3})
    with pytest.raises(TrainingInterruptedError, match="after step 2 of 6"):
        train_model(stopped, told_to_stop_at_first_dev)
    train_model(stopped)
    assert report(stopped)["resumed_at"] == [2]
    assert_same(calm, stopped)


def told_to_stop_at_first_dev(line: str) -> None:
    if "dev accuracy" in line:
        signal.raise_signal(signal.SIGTERM)
