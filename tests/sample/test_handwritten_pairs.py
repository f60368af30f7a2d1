"""The pairs written by hand: complete, varied, balanced in side and length, none twice."""

from __future__ import annotations

import json
from collections import Counter
from importlib.resources import files

import pytest

from assets.contracts import TASK_CATEGORIES
from assets.identity import identify_pair

PAIRS = [
    json.loads(line)
    for line in files("assets.raw_pairs.sample").joinpath("handwritten.jsonl").read_text("utf-8").splitlines()
]


@pytest.mark.parametrize("pair", PAIRS, ids=lambda pair: pair["prompt"][-1]["content"][:30])
def test_each_pair_is_complete(pair: dict) -> None:
    assert set(pair) == {"prompt", "response_a", "response_b", "preferred", "category", "language"}
    roles = [message["role"] for message in pair["prompt"]]
    assert roles == ["user", "assistant", "user"][-len(roles) :]
    assert pair["preferred"] in ("a", "b")
    assert pair["category"] in TASK_CATEGORIES
    texts = [pair["response_a"], pair["response_b"], *(message["content"] for message in pair["prompt"])]
    assert all(text == text.strip() and text for text in texts)


def test_about_a_hundred_different_pairs_of_every_kind() -> None:
    ids = {
        identify_pair([(m["role"], m["content"]) for m in p["prompt"]], p["response_a"], p["response_b"]).pair_id
        for p in PAIRS
    }
    assert 95 <= len(ids) == len(PAIRS) <= 120
    assert len(Counter(p["category"] for p in PAIRS)) >= 11
    assert len({p["language"] for p in PAIRS}) >= 6
    assert sum(len(p["prompt"]) > 1 for p in PAIRS) >= 5


def test_neither_side_nor_length_tells_the_better_response() -> None:
    sides = Counter(p["preferred"] for p in PAIRS)
    assert abs(sides["a"] - sides["b"]) <= 2
    longer = [len(p["response_a"]) > len(p["response_b"]) for p in PAIRS]
    wins = sum(a_longer == (p["preferred"] == "a") for a_longer, p in zip(longer, PAIRS, strict=True))
    assert 0.45 <= wins / len(PAIRS) <= 0.58
