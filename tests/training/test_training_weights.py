"""Final weights: of the precision and the names that a plain model has, however they were trained."""

from __future__ import annotations

import json

import pytest
import torch
from safetensors.torch import load_file

from training.train import train_model

pytestmark = pytest.mark.slow


@pytest.fixture
def trained(tmp_path, pairs, write, spec, tiny_recipe):
    """Trains a small Llama from nothing, then with the changes from that; gives both folders and the report."""
    rows, labels = pairs(40)
    files = write(rows, labels[:16], labels[16:])

    def make(**changes):
        train_model(spec(files, tiny_recipe(max_steps=1), output_dir=tmp_path / "base"))
        recipe = tiny_recipe(backbone="pretrained", model=str(tmp_path / "base"), max_steps=2, **changes)
        report = train_model(spec(files, recipe, output_dir=tmp_path / "model"))
        return tmp_path / "base", tmp_path / "model", report

    return make


@pytest.mark.parametrize(
    ("precision", "dtype"),
    [("float32", torch.float32), ("bfloat16", torch.bfloat16), ("bfloat16_weights", torch.bfloat16)],
)
def test_weights_are_saved_in_the_precision_that_was_computed_in_and_load_as_they_are(trained, precision, dtype):
    from transformers import AutoModelForSequenceClassification

    base, folder, report = trained(precision=precision)
    saved = load_file(folder / "model.safetensors")
    assert {tensor.dtype for tensor in saved.values()} == {dtype}
    assert saved.keys() == load_file(base / "model.safetensors").keys()
    manifest = json.loads((folder / "scorer.json").read_text())
    assert manifest["weights_dtype"] == str(dtype).removeprefix("torch.")
    module = AutoModelForSequenceClassification.from_pretrained(folder)
    assert module.dtype == dtype
    assert module.config.num_labels == 1
    loaded = module.state_dict()
    assert all(torch.equal(loaded[name], tensor) for name, tensor in saved.items())
    assert (folder / "README.md").read_text().count(report["weights_sha256"]) == 1
    assert report["num_dev_pairs"] == 24
    assert 0 <= report["dev_accuracy"] <= 1


def test_a_model_trained_with_lora_is_a_plain_model(trained):
    base, folder, report = trained(lora={"rank": 2})
    before, after = load_file(base / "model.safetensors"), load_file(folder / "model.safetensors")
    assert after.keys() == before.keys()
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    adapted = {name for name in before if name.endswith("_proj.weight")}
    assert changed == adapted | {"score.weight"}
    assert report["num_parameters"] == sum(tensor.numel() for tensor in before.values())
    assert not list(folder.glob("adapter*"))


def test_without_checkpoints_the_best_weights_are_kept_too(tmp_path, pairs, write, spec, tiny_recipe):
    rows, labels = pairs(60)
    files = write(rows, labels[:40], labels[40:])
    hashes = []
    for name, every in (("kept_in_memory", 0), ("kept_on_disk", 3)):
        recipe = tiny_recipe(
            max_steps=12, eval_every=2, learning_rate=0.1, checkpoints={"every_steps": every, "keep_last": 1}
        )
        report = train_model(spec(files, recipe, output_dir=tmp_path / name))
        assert report["best_step"] < report["steps"] == 12
        hashes.append(report["weights_sha256"])
    assert hashes[0] == hashes[1]


@pytest.mark.parametrize("changes", [{"precision": "bfloat16"}, {"lora": {}}])
def test_what_only_pretrained_models_have_is_refused_elsewhere(tiny_recipe, changes):
    with pytest.raises(ValueError, match="only the pretrained backbone"):
        tiny_recipe(**changes)
