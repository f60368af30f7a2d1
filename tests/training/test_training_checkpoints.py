"""Checkpoints: whole or not at all, believed only where sound, few kept, and never another run's."""

from __future__ import annotations

import json
import shutil
import threading

import pytest
import torch

from assets.errors import PartitionBusyError, SynprefError
from training.checkpoint_files import steps_in, write_checkpoint
from training.curves import Point
from training.engine import LocalEngine
from training.progress import Progress, run_identity
from training.recipe import CheckpointSettings, TrainingRecipe
from training.resuming import CheckpointError, Checkpoints, to_keep

RECIPE = TrainingRecipe(backbone="scratch")
IDENTITY = run_identity(RECIPE.model_dump(mode="json"), 7, {"pairs": "abc"})


def engine_at(value: float) -> LocalEngine:
    module = torch.nn.Linear(3, 1, bias=False)
    torch.nn.init.constant_(module.weight, value)
    return LocalEngine(module, RECIPE)


def value_of(engine: LocalEngine) -> float:
    return dict(engine.state())["weights/weight"].unique().item()


@pytest.fixture
def said():
    return []


@pytest.fixture
def opened(tmp_path, said):
    made = []

    def open_checkpoints(identity=IDENTITY, **settings) -> Checkpoints:
        chosen = CheckpointSettings(**{"every_steps": 10, **settings})
        made.append(Checkpoints(tmp_path / "c", chosen, identity, log=said.append))
        return made[-1]

    yield open_checkpoints
    for checkpoints in made:
        checkpoints._writer.close()


@pytest.fixture
def three(opened, tmp_path):
    """Checkpoints of the steps 10, 20 and 30, whose weights are their step; 10 is the best one of them all."""
    checkpoints = opened(keep_last=3)
    progress = Progress()
    for step, accuracy in ((10, 0.9), (20, 0.5), (30, 0.6)):
        progress.step = step
        key = (accuracy, -1.0)
        progress.take_dev(key, torch.tensor([1.0, -1.0]).numpy())
        progress.curves.append(Point(step, "loss", 1 / step))
        checkpoints.save(progress, key, engine_at(float(step)))
    checkpoints.close(done=False)
    return tmp_path / "c"


def resumed(checkpoints: Checkpoints) -> tuple[Progress | None, float]:
    engine = engine_at(0.0)
    try:
        return checkpoints.resume(engine), value_of(engine)
    finally:
        checkpoints.close(done=False)


def test_nothing_there_begins_anew(opened):
    assert resumed(opened()) == (None, 0.0)


def test_the_newest_checkpoint_is_gone_on_from_with_all_it_knew(opened, three):
    progress, value = resumed(opened())
    assert (progress.step, value, progress.best_step, progress.best_key) == (30, 30.0, 10, (0.9, -1.0))
    assert (progress.num_evals_since_best, progress.best_margins, progress.resumed_at) == (2, [1.0, -1.0], [30])
    assert progress.curves == [Point(step, "loss", 1 / step) for step in (10, 20, 30)]


def remove_manifest(folder):
    (folder / "manifest.json").unlink()


def cut_manifest(folder):
    (folder / "manifest.json").write_text((folder / "manifest.json").read_text()[:100])


def strange_manifest(folder):
    (folder / "manifest.json").write_text("[]")


def flip_a_bit(folder):
    path = folder / "state-00001.safetensors"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)


def cut_state(folder):
    path = folder / "state-00001.safetensors"
    path.write_bytes(path.read_bytes()[:-4])


def empty_state(folder):
    (folder / "state-00001.safetensors").write_bytes(b"")


def remove_state(folder):
    (folder / "state-00001.safetensors").unlink()


def change_progress(folder):
    path = folder / "progress.json"
    path.write_text(path.read_text().replace('"step": 30', '"step": 31'))


def rename_older(folder):
    shutil.rmtree(folder)
    shutil.copytree(folder.with_name("step-00000020"), folder)


@pytest.mark.parametrize(
    ("damage", "why"),
    [
        (remove_manifest, "incomplete: it has no manifest"),
        (cut_manifest, "damaged: its manifest cannot be read"),
        (strange_manifest, "damaged: its manifest cannot be read"),
        (flip_a_bit, "damaged: state-00001.safetensors is not the file that was written"),
        (cut_state, "damaged: state-00001.safetensors is not the file that was written"),
        (empty_state, "damaged: state-00001.safetensors is not the file that was written"),
        (remove_state, "incomplete: state-00001.safetensors is missing"),
        (change_progress, "damaged: progress.json is not the file that was written"),
        (rename_older, "stale: its manifest is of step 20"),
    ],
)
def test_an_unsound_checkpoint_is_refused_by_name_and_the_one_before_is_used(opened, three, said, damage, why):
    damage(three / "step-00000030")
    progress, value = resumed(opened())
    assert (progress.step, value) == (20, 20.0)
    assert f"checkpoint refused: step-00000030 is {why}" in said[0]
    assert len(said) == 2


def test_a_checkpoint_whose_best_is_unsound_is_of_no_use(opened, three, said):
    flip_a_bit(three / "step-00000010")
    with pytest.raises(CheckpointError, match="No checkpoint can be gone on from") as caught:
        resumed(opened())
    assert all(f"step-000000{step}0 is" in str(caught.value) for step in (1, 2, 3))
    assert steps_in(three) == [30, 20, 10]


def test_a_refused_checkpoint_is_written_anew_when_training_comes_to_its_step(opened, three):
    flip_a_bit(three / "step-00000030")
    checkpoints = opened(keep_last=3)
    progress = checkpoints.resume(engine_at(0.0))
    progress.step = 30
    checkpoints.save(progress, None, engine_at(31.0))
    checkpoints.close(done=False)
    assert resumed(opened())[1] == 31.0


@pytest.mark.parametrize(
    ("changes", "seed", "data", "said_of"),
    [
        ({"learning_rate": 1.0}, 7, "abc", "recipe.learning_rate is 1.0 here and 0.001 there"),
        ({"loss": {"margin": 1.0}}, 7, "abc", "recipe.loss.margin is 1.0 here and 0.0 there"),
        ({}, 8, "abc", "seed is 8 here and 7 there"),
        ({}, 7, "abd", "data.pairs is 'abd' here and 'abc' there"),
    ],
)
def test_checkpoints_of_another_run_are_refused_with_what_differs(opened, three, changes, seed, data, said_of):
    recipe = TrainingRecipe(**{"backbone": "scratch", **changes})
    other = run_identity(recipe.model_dump(mode="json"), seed, {"pairs": data})
    with pytest.raises(CheckpointError, match="of another run") as caught:
        resumed(opened(other))
    assert said_of in str(caught.value)
    assert str(caught.value).count(" here and ") == 1
    assert steps_in(three) == [30, 20, 10]


@pytest.mark.parametrize(
    "changes",
    [{"micro_batch_tokens": 5}, {"compile": "never"}, {"checkpoints": {"every_steps": 3}}, {"zero": {"stage": 3}}],
)
def test_what_changes_no_result_may_differ(opened, three, changes):
    recipe = TrainingRecipe(**{"backbone": "scratch", **changes})
    assert resumed(opened(run_identity(recipe.model_dump(mode="json"), 7, {"pairs": "abc"})))[0].step == 30


def test_a_state_that_is_not_finite_is_neither_written_nor_read(opened, three):
    checkpoints = opened(keep_last=3)
    with pytest.raises(CheckpointError, match="weights/weight has values that are not finite"):
        checkpoints.save(Progress(step=40), None, engine_at(float("nan")))
    checkpoints.close(done=False)
    assert steps_in(three) == [30, 20, 10]


def test_a_sound_checkpoint_with_a_nan_in_it_is_refused(opened, tmp_path):
    checkpoints = opened()
    # Written by somebody who did not look.
    facts = {"run": IDENTITY, "dev_key": None, "best_step": 0}
    state = dict(engine_at(float("nan")).state())
    write_checkpoint(tmp_path / "c", Progress(step=10).as_dict(), [], facts, iter([state]))
    with pytest.raises(CheckpointError, match="holds values that are not finite"):
        resumed(checkpoints)


@pytest.mark.parametrize(
    ("keys", "keep_last", "keep_best", "kept"),
    [
        # No dev: the newest alone.
        ([None] * 5, 2, 3, [40, 50]),
        ([0.5, 0.6, 0.7, 0.8, 0.9], 2, 1, [40, 50]),
        ([0.9, 0.8, 0.7, 0.6, 0.5], 2, 1, [10, 40, 50]),
        ([0.9, 0.8, 0.7, 0.6, 0.5], 1, 3, [10, 20, 30, 50]),
        # Of equal ones the earliest.
        ([0.5, 0.5, 0.5, 0.4, 0.4], 1, 1, [10, 50]),
        ([None, 0.5, None, 0.4, None], 1, 1, [20, 50]),
    ],
)
def test_the_newest_and_the_best_are_kept(opened, tmp_path, keys, keep_last, keep_best, kept):
    checkpoints = opened(keep_last=keep_last, keep_best=keep_best)
    progress = Progress()
    for number, accuracy in enumerate(keys, start=1):
        progress.step = 10 * number
        key = None if accuracy is None else (accuracy, 0.0)
        if key is not None:
            progress.take_dev(key, torch.zeros(1).numpy())
        checkpoints.save(progress, key, engine_at(progress.step))
    checkpoints.close(done=False)
    assert sorted(steps_in(tmp_path / "c")) == kept
    assert resumed(opened())[0].step == 50


def test_what_the_newest_call_their_best_stays_with_them():
    # 30 is the best now; 20 can be gone on from only with 10.
    held = {10: ((0.7, 0.0), 10), 20: ((0.6, 0.0), 10), 30: ((0.8, 0.0), 30)}
    assert to_keep(held, 2, 1) == {10, 20, 30}


def test_two_processes_do_not_train_one_run(opened):
    checkpoints = opened()
    with pytest.raises(PartitionBusyError, match="Another process"):
        opened()
    checkpoints.close(done=False)
    opened().close(done=False)


@pytest.mark.parametrize(("keep_when_done", "left"), [(False, False), (True, True)])
def test_checkpoints_go_when_the_model_is_written_unless_kept(opened, three, keep_when_done, left):
    checkpoints = opened(keep_when_done=keep_when_done)
    checkpoints.resume(engine_at(0.0))
    checkpoints.close(done=True)
    assert three.exists() is left


def test_what_a_killed_writer_left_is_removed_and_never_gone_on_from(opened, three):
    leftover = three / ".step-00000040.0123.tmp"
    shutil.copytree(three / "step-00000030", leftover)
    assert resumed(opened())[0].step == 30
    assert not leftover.exists()


def test_a_disk_that_cannot_be_written_stops_training_and_leaves_the_old_ones(opened, three):
    checkpoints = opened(keep_last=3)
    checkpoints.resume(engine_at(0.0))
    # A file where the checkpoint's folder belongs cannot be replaced by it, whoever asks.
    (three / "step-00000040").write_text("")
    checkpoints.save(Progress(step=40), None, engine_at(40.0))
    with pytest.raises(CheckpointError, match="could not be written") as caught:
        checkpoints.wait()
    assert "step-00000030, step-00000020, step-00000010" in str(caught.value)
    checkpoints.close(done=False)
    assert [path.name for path in three.glob(".*")] == []
    (three / "step-00000040").unlink()
    assert resumed(opened())[0].step == 30


def test_a_state_of_many_shards_is_written_while_training_goes_on(opened, monkeypatch, tmp_path):
    monkeypatch.setattr("training.checkpoint_writer.SHARD_BYTES", 1)
    checkpoints = opened()
    before = threading.active_count()
    checkpoints.save(Progress(step=10), None, engine_at(10.0))
    assert threading.active_count() == before + 1
    checkpoints.wait()
    assert len(list((tmp_path / "c" / "step-00000010").glob("state-*.safetensors"))) == 4
    checkpoints.close(done=False)
    assert resumed(opened())[1] == 10.0


def test_notes_are_of_one_run_alone(opened):
    checkpoints = opened()
    assert checkpoints.recorded() == {}
    checkpoints.record({"mlflow_run_id": "r1"})
    checkpoints.close(done=False)
    again = opened()
    assert again.recorded() == {"mlflow_run_id": "r1"}
    again.close(done=False)
    assert opened({**IDENTITY, "seed": 8}).recorded() == {}


def test_progress_survives_json():
    progress = Progress(step=3, best_step=2, best_key=(0.5, -0.1), best_margins=[0.1], resumed_at=[1])
    values = json.loads(json.dumps(progress.as_dict()))
    assert Progress.from_dict(values, []) == progress
    with pytest.raises(TypeError):
        Progress.from_dict({**values, "unknown": 1}, [])


def test_the_state_of_another_network_is_refused(opened, three):
    other = LocalEngine(torch.nn.Linear(4, 1, bias=False), RECIPE)
    with pytest.raises(SynprefError, match="another shape"):
        opened().resume(other)
