"""One process of test_training_zero.py: trains a tiny model by every ZeRO stage in one process group, and writes
what it saw.

It is a program and no fixture because torchrun starts it, once per process.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file, save_file

import training  # noqa: F401 (sets how threads wait, before torch is loaded)
from training.backbones.pretrained import PretrainedBackbone
from training.deepspeed_engine import DeepSpeedEngine
from training.distribution import gather_all, own_packs, process_group
from training.loss import bradley_terry
from training.recipe import TrainingRecipe

NUM_STEPS, RESUME_AT, PAIRS = 3, 2, 7
LEARNING_RATE = 1e-3
# Seven pairs a step: no number of processes divides them.


def sorted_deal(lengths, max_tokens, world_size):
    """A plan of a step: pairs by length dealt to the ranks in turn, two a pack, an empty one on the last rank."""
    order = sorted(range(len(lengths)), key=lambda i: (-lengths[i], i))
    packs = [[order[rank::world_size][at : at + 2] for at in range(0, len(order), 2)] for rank in range(world_size)]
    longest = 1 + max(sum(map(bool, part)) for part in packs)
    return [[pack for pack in part if pack] + [[]] * (longest - sum(map(bool, part))) for part in packs]


def pairs_of(backbone, num: int = NUM_STEPS * PAIRS):
    rng = np.random.default_rng(3)
    words = ["river", "stone", "lamp", "garden", "winter"]
    items = []
    for n in range(num):
        turns = (("user", f"describe number {n} " + " ".join(rng.choice(words, 1 + n % 5))),)
        items += [(turns, " ".join(rng.choice(words, 1 + n % 4))), (turns, " ".join(rng.choice(words, 2 + n % 3)))]
    rows = backbone.encode(items)
    return list(zip(rows[0::2], rows[1::2], strict=True))


def one_step(engine, backbone, pairs, step: int, poisoned: bool = False) -> tuple[float, float]:
    """Loss and norm of a step."""
    batch = pairs[PAIRS * step : PAIRS * (step + 1)]
    lengths = [backbone.num_tokens(pair) for pair in batch]
    backbone.module.train()
    packs = own_packs(lengths, 10_000, engine.rank, engine.world_size, sorted_deal)
    total = torch.zeros(1, dtype=torch.float64)
    run = getattr(engine, "forward", lambda function, rows: function(rows))
    for at, (pack, counts) in enumerate(packs):
        scores = run(backbone.scores, [row for i in pack for row in batch[i]])
        loss = bradley_terry(scores[0::2], scores[1::2]).sum() / len(batch) * counts
        if poisoned and engine.rank == engine.world_size - 1:
            loss = loss * float("nan")
        engine.backward(loss, last=at == len(packs) - 1)
        total += loss.detach().double()
    return engine.total(total).item(), engine.step(LEARNING_RATE)


def run_stage(recipe: TrainingRecipe, out: Path, name: str) -> dict:
    backbone = PretrainedBackbone.create(recipe, 5)
    held = sum(p.numel() for p in backbone.module.parameters())
    engine = DeepSpeedEngine(backbone.module, recipe)
    pairs = pairs_of(backbone)
    seen: dict = {"losses": [], "norms": [], "rank": engine.rank, "weights_held_after_loading": held}
    for step in range(NUM_STEPS):
        if step == RESUME_AT:
            state = dict(engine.state())
            if engine.rank == 0:
                save_file(state, out / f"{name}.state.safetensors")
            # What was added and thrown away leaves no trace.
            scores = engine.forward(backbone.scores, list(pairs[0]))
            engine.backward(scores.sum(), last=False)
            engine.discard_gradients()
        loss, norm = one_step(engine, backbone, pairs, step)
        seen["losses"].append(loss)
        seen["norms"].append(norm)
    weights = engine.weights()
    assert bool(weights) == (engine.rank == 0)
    if weights:
        save_file(weights, out / f"{name}.weights.safetensors")
    seen["poisoned_norm"] = one_step(engine, backbone, pairs, 0, poisoned=True)[1]
    after = engine.weights()
    seen["unchanged_by_poison"] = all(torch.equal(after[key], weights[key]) for key in weights)
    seen["norm_after_poison"] = one_step(engine, backbone, pairs, 1)[1]
    return seen


def resume(recipe: TrainingRecipe, state: Path) -> list[float]:
    backbone = PretrainedBackbone.create(recipe, 99)
    engine = DeepSpeedEngine(backbone.module, recipe)
    engine.load_state(load_file(state))
    return [one_step(engine, backbone, pairs_of(backbone), step)[0] for step in range(RESUME_AT, NUM_STEPS)]


def recipe_for(model: Path, stage: int, **changes) -> TrainingRecipe:
    values = {"backbone": "pretrained", "model": str(model), "max_tokens": 64, "zero": {"stage": stage}}
    return TrainingRecipe(**{**values, "max_grad_norm": 0.5, **changes})


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("model", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--stages", default="0123")
    parser.add_argument("--precision", default="float32")
    parser.add_argument("--offload", action="store_true")
    given = parser.parse_args()
    torch.set_num_threads(1)
    report: dict = {"stages": {}, "resumed": {}}
    recipes = {}
    for stage in map(int, given.stages):
        zero = {"stage": stage, "offload_optimizer": given.offload}
        recipes[stage] = recipe_for(given.model, stage, precision=given.precision, zero=zero)
    with process_group(next(iter(recipes.values()))) as place:
        for stage, recipe in recipes.items():
            report["stages"][stage] = run_stage(recipe, given.out, f"stage{stage}-of{place.world_size}")
            other = given.out / f"stage{stage}-of{3 - place.world_size}.state.safetensors"
            if other.exists():
                into = recipes.get((stage + 1) % 4, recipe)
                report["resumed"][stage] = resume(into, other)
        report["gathered"] = gather_all([f"from {place.rank}"])
    (given.out / f"report-{place.rank}-of{place.world_size}.json").write_text(json.dumps(report))


if __name__ == "__main__":
    main()
