"""DeepSpeed's ZeRO 0 to 3 with one and two processes: the losses and weights of one process without it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from assets.errors import ConfigError
from assets.settings import REPOSITORY
from tests.training.zero_worker import NUM_STEPS, RESUME_AT, one_step, pairs_of, recipe_for
from training.backbones.pretrained import PretrainedBackbone
from training.backbones.scratch import ScratchBackbone
from training.deepspeed_config import deepspeed_config
from training.deepspeed_engine import parameter_groups
from training.engine import LocalEngine
from training.recipe import TrainingRecipe

STAGES = ("0", "1", "2", "3")
PROCESSES = (1, 2)
# Sums over parts and processes are taken in another order, in float32.
LOSS_TOLERANCE = 1e-5
# Of updates of about 1e-3 each. Where a gradient is near Adam's epsilon, the order of a sum moves single weights more.
MEAN_WEIGHT_TOLERANCE, WEIGHT_TOLERANCE = 1e-6, 1e-4

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """A tiny Llama whose sizes two processes do not divide."""
    folder = tmp_path_factory.mktemp("zero") / "model"
    folder.mkdir()
    recipe = TrainingRecipe(
        backbone="scratch", hidden_size=36, num_layers=2, num_heads=2, vocabulary_size=299, max_tokens=64
    )
    backbone = ScratchBackbone.create(recipe, [((("user", "describe the river"),), "stone, lamp and garden")], 1)
    with torch.no_grad():
        for parameter in backbone.module.parameters():
            if parameter.dim() > 1:
                # As they are made, queries and keys have gradients near Adam's epsilon, where rounding decides.
                parameter.mul_(8)
    backbone.save(folder)
    return folder


@pytest.fixture(scope="module")
def alone(model):
    """Losses, norms and weights of one process without DeepSpeed."""
    recipe = recipe_for(model, 0, zero=None)
    backbone = PretrainedBackbone.create(recipe, 5)
    engine, pairs = LocalEngine(backbone.module, recipe), pairs_of(backbone)
    losses, norms = zip(*(one_step(engine, backbone, pairs, step) for step in range(NUM_STEPS)), strict=True)
    return losses, norms, engine.weights()


@pytest.fixture(scope="module")
def out(model, tmp_path_factory):
    """What two processes wrote, and then one, which resumes what the two had saved."""
    folder = tmp_path_factory.mktemp("out")
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2"]
    for command in (torchrun, [sys.executable]):
        # Starting takes most of the time, so all stages share a start.
        done = subprocess.run(
            [*command, "tests/training/zero_worker.py", model, folder],
            cwd=REPOSITORY,
            env=_environment(),
            capture_output=True,
            text=True,
            timeout=300,
        )
        assert done.returncode == 0, done.stderr[-4000:]
    return folder


def _environment() -> dict[str, str]:
    import os

    return {**os.environ, "PYTHONPATH": str(REPOSITORY), "OMP_NUM_THREADS": "1", "SYNPREF_PROCESS_TIMEOUT_S": "120"}


def report(out: Path, processes: int, rank: int = 0) -> dict:
    return json.loads((out / f"report-{rank}-of{processes}.json").read_text("utf-8"))


@pytest.mark.parametrize("processes", PROCESSES)
@pytest.mark.parametrize("stage", STAGES)
def test_losses_norms_and_weights_are_those_of_one_process_without_deepspeed(out, alone, stage, processes):
    losses, norms, weights = alone
    seen = report(out, processes)["stages"][stage]
    np.testing.assert_allclose(seen["losses"], losses, rtol=LOSS_TOLERANCE)
    np.testing.assert_allclose(seen["norms"], norms, rtol=1e-4)
    # Clipping took part, and the losses moved.
    assert min(norms) > 0.5
    assert np.ptp(losses) > 0.1
    trained = load_file(out / f"stage{stage}-of{processes}.weights.safetensors")
    assert trained.keys() == weights.keys()
    for name, tensor in weights.items():
        torch.testing.assert_close(trained[name], tensor, rtol=0, atol=WEIGHT_TOLERANCE, msg=name)
        assert (trained[name] - tensor).square().mean().sqrt() < MEAN_WEIGHT_TOLERANCE, name


@pytest.mark.parametrize("stage", STAGES)
def test_a_state_of_two_processes_goes_on_at_another_stage_with_one(out, alone, stage):
    resumed = report(out, 1)["resumed"][stage]
    np.testing.assert_allclose(resumed, alone[0][RESUME_AT:], rtol=LOSS_TOLERANCE)


def test_states_hold_whole_float32_tensors_by_parameter_name(out, alone):
    first, *others = [load_file(out / f"stage{stage}-of{n}.state.safetensors") for stage in STAGES for n in PROCESSES]
    names = {f"{kind}/{name}" for kind in ("weights", "exp_avg", "exp_avg_sq") for name in alone[2]} | {"num_updates"}
    assert first.keys() == names
    assert first["num_updates"].item() == RESUME_AT
    for other in others:
        for name, tensor in first.items():
            torch.testing.assert_close(other[name], tensor, rtol=1e-3, atol=WEIGHT_TOLERANCE, msg=name)
            assert other[name].dtype == (torch.int64 if name == "num_updates" else torch.float32)


@pytest.mark.parametrize("processes", PROCESSES)
@pytest.mark.parametrize("stage", STAGES)
def test_a_loss_that_is_not_finite_on_one_process_updates_none(out, stage, processes):
    for rank in range(processes):
        seen = report(out, processes, rank)["stages"][stage]
        assert not np.isfinite(seen["poisoned_norm"])
        assert seen["unchanged_by_poison"]
        assert np.isfinite(seen["norm_after_poison"])


def test_at_stage_3_no_process_holds_the_model_while_it_loads(out, alone):
    whole = sum(tensor.numel() for tensor in alone[2].values())
    held = {stage: report(out, 2)["stages"][stage]["weights_held_after_loading"] for stage in STAGES}
    assert held == {"0": whole, "1": whole, "2": whole, "3": 0}


def test_values_of_every_process_come_in_order(out):
    assert report(out, 2, rank=1)["gathered"] == ["from 0", "from 1"]


def test_weight_decay_is_of_matrices_also_where_they_are_split():
    split = torch.nn.Parameter(torch.empty(0))
    split.ds_shape = torch.Size((4, 4))
    module = torch.nn.Module()
    module.matrix, module.norm = split, torch.nn.Parameter(torch.ones(4))
    decays = [(len(group["params"]), group["weight_decay"]) for group in parameter_groups(module, recipe_for("m", 3))]
    assert decays == [(1, 0.01), (1, 0.0)]


def test_stage_0_with_weights_in_bfloat16_is_refused():
    with pytest.raises(ConfigError, match="float32"):
        deepspeed_config(recipe_for("m", 0, precision="bfloat16_weights"))
