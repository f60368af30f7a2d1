"""Which crowd model to believe: majority, crowd-kit's models and ours, on made-up crowds whose truth is known.

    python -m benchmarks.crowd_models --worlds 10 --out crowd_models.json

Per kind of crowd and model, over several crowds: the share of right aggregate verdicts (a tie of the model's own counts
by chance), how much surer the model is than right (mean confidence - share right), log-loss of the truth, the share of
aggregate verdicts that change when the sides of a random half of the pairs are swapped (and back), and wall time.
crowd-kit is optional: without it only majority and ours are measured. Its MACE is left out: with its defaults it had
not finished twice 6,000 votes in a minute.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from assets.human_gold.agreement.crowd import fit_crowd, leaders
from assets.human_gold.agreement.votes import Answers
from benchmarks.planted_crowds import Plan, plant

CROWDS = {
    "20 people, 3 votes a pair": Plan(20, 2_000, 3),
    "20 people, 3 votes, few pairs": Plan(20, 200, 3),
    "5 people, 2 votes a pair": Plan(5, 500, 2),
    "400 people, most with 3 labels": Plan(400, 1_000, 3, popularity=1.2),
    "very different people": Plan(20, 1_000, 3, sided=(3.5, 1.0, 0.5)),
    "one in four bad": Plan(20, 1_000, 3, special=("always_1", "random", "random", "adversary", "adversary")),
    "many ties": Plan(20, 1_000, 3, tie_rate=0.35),
}
Model = Callable[[Answers], np.ndarray]
"""Votes to the probability of 1, 2 and tie of every pair, in order of pair code."""


def by_majority(votes: Answers) -> np.ndarray:
    """Shares of the votes."""
    counts = votes.counts()[:, :3].astype(float)
    return counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)


def ours(votes: Answers) -> np.ndarray:
    """The project's model."""
    return fit_crowd(votes).posterior


def crowd_kit_models() -> dict[str, Model]:
    """crowd-kit's models that give probabilities; none where it is not installed."""
    try:
        import pandas as pd
        from crowdkit.aggregation import DawidSkene, OneCoinDawidSkene
    except ImportError:
        return {}

    def model(make: Callable) -> Model:
        def probabilities(votes: Answers) -> np.ndarray:
            frame = pd.DataFrame({"task": votes.pair, "worker": votes.person, "label": votes.verdict})
            found = make().fit_predict_proba(frame)
            return found.reindex(index=np.unique(votes.pair), columns=[0, 1, 2]).fillna(0.0).to_numpy()

        return probabilities

    return {
        "crowd-kit Dawid-Skene": model(lambda: DawidSkene(n_iter=200)),
        "crowd-kit one coin": model(lambda: OneCoinDawidSkene(n_iter=200)),
    }


def swapped(votes: Answers, pairs: np.ndarray) -> Answers:
    """The same votes where the sides of some pairs have changed places."""
    verdict = np.where(pairs[votes.pair] & (votes.verdict < 2), 1 - votes.verdict, votes.verdict)
    return replace(votes, verdict=verdict)


def measure(name: str, model: Model, plan: Plan, num_worlds: int) -> dict:
    """One model on several crowds of one kind."""
    right, sure, loss, changed, wall = [], [], [], [], []
    for seed in range(num_worlds):
        crowd = plant(plan, seed)
        started = time.perf_counter()
        found = model(crowd.votes)
        wall.append(time.perf_counter() - started)
        pairs = np.random.default_rng(seed).random(plan.num_pairs) < 0.5
        again = model(swapped(crowd.votes, pairs)).copy()
        again[pairs] = again[pairs][:, [1, 0, 2]]
        changed.append(float(np.mean(leaders(found) != leaders(again))))
        best = found > found.max(axis=1, keepdims=True) - 1e-6
        truth = np.arange(plan.num_pairs), crowd.truth
        right.append(float((best[truth] / best.sum(axis=1)).mean()))
        sure.append(float(found.max(axis=1).mean()))
        # The least a probability counts as: a truth called impossible would cost everything.
        loss.append(float(-np.log(np.clip(found[truth], 1e-4, 1)).mean()))
    return {
        "model": name,
        "right": round(float(np.mean(right)), 4),
        "surer_than_right": round(float(np.mean(sure) - np.mean(right)), 4),
        "log_loss": round(float(np.mean(loss)), 4),
        "changed_by_swapping": round(float(np.mean(changed)), 4),
        "wall_s": round(float(np.mean(wall)), 3),
    }


def table(rows: Sequence[dict]) -> str:
    """The measurements as a Markdown table."""
    names = ["crowd", "model", "right", "surer_than_right", "log_loss", "changed_by_swapping", "wall_s"]
    lines = ["| " + " | ".join(names) + " |", "|" + "---|" * len(names)]
    return "\n".join(lines + ["| " + " | ".join(str(row[n]) for n in names) + " |" for row in rows])


def import_seconds(module: str) -> float | None:
    """What importing a module takes in a fresh process; None where it is not installed."""
    code = f"import time; t = time.perf_counter(); import {module}; print(time.perf_counter() - t)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    return round(float(done.stdout), 2) if done.returncode == 0 else None


def main(arguments: Sequence[str] | None = None) -> int:
    """Entry point."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.crowd_models", description=__doc__.splitlines()[0])
    parser.add_argument("--worlds", type=int, default=10)
    parser.add_argument("--out", type=Path)
    given = parser.parse_args(arguments)
    models: dict[str, Model] = {"majority": by_majority, **crowd_kit_models(), "ours": ours}
    rows = []
    for kind, plan in CROWDS.items():
        for name, model in models.items():
            rows.append({"crowd": kind} | measure(name, model, plan, given.worlds))
            print(rows[-1], flush=True)
    imports = {
        "crowdkit.aggregation": import_seconds("crowdkit.aggregation"),
        "assets.human_gold.agreement": import_seconds("assets.human_gold.agreement"),
    }
    print(table(rows))
    print("seconds to import:", imports)
    if given.out:
        load = round(os.getloadavg()[0], 2)
        given.out.write_text(json.dumps({"rows": rows, "imports": imports, "load": load}, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
