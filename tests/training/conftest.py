"""Fixtures: pairs whose better response names the prompt's word, written as the files a run reads."""

from __future__ import annotations

import random
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import training  # noqa: F401 (sets how threads wait, before torch is loaded)
from assets.identity import identify_pair
from training.recipe import TrainingRecipe
from training.specs import TrainSpec

WORDS = ("river", "stone", "lamp", "garden", "winter", "copper")
VERBS = ("describe", "explain", "praise", "paint")
SELECTION = pa.schema([("pair_id", pa.string()), ("chosen", pa.int8()), ("weight", pa.float64())])
TEXT = pa.schema(
    [
        ("pair_id", pa.string()),
        ("prompt", pa.list_(pa.struct([("role", pa.string()), ("content", pa.string())]))),
        ("response_1", pa.string()),
        ("response_2", pa.string()),
    ]
)


@dataclass(frozen=True)
class Files:
    """Where `write` put its files."""

    text: Path
    train: Path
    dev: Path


def make_pairs(num: int, seed: int = 0, *, random_labels: bool = False) -> tuple[list[dict], list[dict]]:
    rng = random.Random(seed)
    rows, labels = [], []
    for number in range(num):
        word, other = rng.sample(WORDS, 2)
        prompt = f"{rng.choice(VERBS)} the {word} number {number}"
        tail = " ".join(rng.choice(WORDS) for _ in range(4))
        right, wrong = f"the {word}: {tail}", f"the {other}: {tail}"
        found = identify_pair([("user", prompt)], right, wrong)
        one, two = (wrong, right) if found.swapped else (right, wrong)
        rows.append(
            {
                "pair_id": found.pair_id,
                "prompt": [{"role": "user", "content": prompt}],
                "response_1": one,
                "response_2": two,
            }
        )
        chosen = rng.choice((1, 2)) if random_labels else 1 + found.swapped
        labels.append({"pair_id": found.pair_id, "chosen": chosen, "weight": 1.0})
    return rows, labels


@pytest.fixture
def write(tmp_path):
    def write_files(rows: list[dict], train: list[dict], dev: list[dict]) -> Files:
        files = Files(*(tmp_path / f"{name}.parquet" for name in ("text", "train", "dev")))
        pq.write_table(pa.Table.from_pylist(rows, schema=TEXT), files.text)
        pq.write_table(pa.Table.from_pylist(train, schema=SELECTION), files.train)
        pq.write_table(pa.Table.from_pylist(dev, schema=SELECTION), files.dev)
        return files

    return write_files


@pytest.fixture
def pairs():
    return make_pairs


@pytest.fixture
def tiny_recipe():
    def recipe(**changes) -> TrainingRecipe:
        values = {
            "backbone": "scratch",
            "hidden_size": 64,
            "num_layers": 2,
            "num_heads": 2,
            "vocabulary_size": 320,
            "max_tokens": 64,
            "batch_pairs": 16,
            "max_steps": 4,
            "learning_rate": 3e-3,
            "eval_every": 2,
        }
        return TrainingRecipe(**{**values, **changes})

    return recipe


@pytest.fixture
def spec(tmp_path):
    def make(files: Files, recipe: TrainingRecipe, **changes) -> TrainSpec:
        values = {
            "name": "tiny",
            "seed": 7,
            "output_dir": tmp_path / "model",
            "text_files": (files.text,),
            "train_selection": files.train,
            "dev_selection": files.dev,
            "recipe": recipe,
        }
        return TrainSpec(**{**values, **changes})

    return make


@pytest.fixture(scope="session")
def model(tmp_path_factory):
    """A folder with a small model, whose scores differ by much more than rounding."""
    from training.train import train_model

    folder = tmp_path_factory.mktemp("model")
    rows, labels = make_pairs(60)
    pq.write_table(pa.Table.from_pylist(rows, schema=TEXT), folder / "text.parquet")
    pq.write_table(pa.Table.from_pylist(labels), folder / "train.parquet")
    recipe = TrainingRecipe(
        backbone="scratch", hidden_size=32, num_layers=2, num_heads=2, vocabulary_size=320, max_tokens=64,
        batch_pairs=16, max_steps=4, learning_rate=3e-3,
    )  # fmt: skip
    train_model(
        TrainSpec(
            name="tiny", seed=7, output_dir=folder / "model", text_files=(folder / "text.parquet",),
            train_selection=folder / "train.parquet", recipe=recipe,
        )
    )  # fmt: skip
    return folder / "model"
