"""Resume: a killed training ends as the calm one does, and no checkpoint is believed that is not what was written."""

from __future__ import annotations

import json
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from training.checkpoint_files import steps_in
from training.specs import TrainSpec

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


def start(made: TrainSpec) -> subprocess.Popen:
    path = made.output_dir.with_suffix(".spec.json")
    path.write_text(made.model_dump_json())
    log = made.output_dir.with_suffix(".log").open("a")
    return subprocess.Popen([sys.executable, "-m", "training.train", path], stdout=subprocess.DEVNULL, stderr=log)


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
    assert start(calm).wait() == 0, said(calm)
    assert kill_until_done(killed, 2, seed=1) == 2
    assert_same(calm, killed)
    assert len(report(killed)["resumed_at"]) == 2
    assert not checkpoints_of(killed).exists()
    assert len(losses(calm)) > NUM_STEPS * 10


@pytest.mark.faults
def test_a_run_killed_ten_times_ends_with_the_weights_of_the_calm_run(killable):
    """Eleven starts of some seconds each."""
    calm, killed = killable("calm"), killable("killed")
    assert start(calm).wait() == 0, said(calm)
    assert kill_until_done(killed, 10, seed=2) == 10
    assert_same(calm, killed)
