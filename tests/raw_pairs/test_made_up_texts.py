"""The made-up documents of the benchmarks hold what they say, so that a recall measured on them means something."""

import json

import numpy as np
import pytest

from assets.raw_pairs.sample.overlap import ngrams
from benchmarks.texts import COPIED_WORDS, JACCARD_LEVELS, benchmark_path, jaccard, write_contaminated, write_texts


def texts_of(path):
    return {row["id"]: row["text"] for row in map(json.loads, path.read_text("utf-8").splitlines())}


def test_planted_copies_have_the_jaccard_that_is_stated(tmp_path):
    planted = write_texts(tmp_path / "a.jsonl", 200, seed=5, planted_share=0.1).to_pylist()
    texts = texts_of(tmp_path / "a.jsonl")
    assert len(texts) == 200
    assert len(planted) == 20
    for number, row in enumerate(planted):
        a, b = ngrams(texts[row["id_a"]], 5), ngrams(texts[row["id_b"]], 5)
        assert row["jaccard"] == pytest.approx(len(a & b) / len(a | b))
        assert row["jaccard"] == pytest.approx(JACCARD_LEVELS[number % len(JACCARD_LEVELS)], abs=0.03)
    assert len({row[side] for row in planted for side in ("id_a", "id_b")}) == 40


def test_what_is_not_planted_is_not_alike(tmp_path):
    planted = write_texts(tmp_path / "a.jsonl", 60, seed=5, planted_share=0.1).to_pylist()
    shingles = [(key, ngrams(text, 5)) for key, text in texts_of(tmp_path / "a.jsonl").items()]
    pairs = {(row["id_a"], row["id_b"]) for row in planted}
    for number, (a, first) in enumerate(shingles):
        for b, second in shingles[number + 1 :]:
            assert (a, b) in pairs or len(first & second) / len(first | second) < 0.05


def test_copied_spans_are_as_long_as_stated_and_decoys_share_no_13_gram(tmp_path):
    path = tmp_path / "a.jsonl"
    planted = {row["id"]: row for row in write_contaminated(path, 300, 50, seed=2, planted_share=0.2).to_pylist()}
    prompts = texts_of(benchmark_path(path))
    assert (len(planted), len(prompts)) == (60, 50)
    assert {row["num_words"] for row in planted.values()} >= set(COPIED_WORDS)
    known = {size: set().union(*(ngrams(text, size) for text in prompts.values())) for size in (12, 13)}
    for key, text in texts_of(path).items():
        row = planted.get(key)
        assert bool(ngrams(text, 13) & known[13]) == bool(row and row["num_words"] >= 13)
        if row:
            assert ngrams(text, row["num_words"]) & ngrams(prompts[row["item_id"]], row["num_words"])
            assert not ngrams(text, row["num_words"] + 1) & ngrams(prompts[row["item_id"]], row["num_words"] + 1)


def test_the_seed_alone_decides(tmp_path):
    first = write_texts(tmp_path / "a.jsonl", 50, seed=1)
    again = write_texts(tmp_path / "b.jsonl", 50, seed=1)
    write_texts(tmp_path / "c.jsonl", 50, seed=2)
    a, b, c = ((tmp_path / f"{name}.jsonl").read_bytes() for name in "abc")
    assert a == b != c
    assert first == again


def test_documents_are_about_4_kilobytes(tmp_path):
    write_texts(tmp_path / "a.jsonl", 300)
    sizes = [len(text) for text in texts_of(tmp_path / "a.jsonl").values()]
    assert 3_500 < np.mean(sizes) < 5_000


def test_texts_without_a_shingle_are_not_alike():
    short = np.arange(4, dtype=np.int32)
    assert jaccard(short, short) == 0.0
