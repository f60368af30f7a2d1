"""Ways of merging judges, on simulated panels and on a run's sample: who is outvoted by whom.

    python -m benchmarks.judge_panels [--replicates 20] [--out judge_panels.json] [--plot judge_panels.svg]
    python -m benchmarks.judge_panels --config configs/sample.yaml      # also the sample of a finished run

Each replicate draws gold dev and 3,000 further pairs from judges whose errors share a difficulty (as the simulated
judges' do), fits every rule on gold dev and measures it on the further pairs. Intervals are over replicates, normal
approximation. A pair without a side counts as half right.

Rules: the best single judge on gold dev; plain majority; this project's weights (`weighing.weigh`); the former rule,
log-odds over one plus the correlations with the others; Dawid-Skene with one accuracy a judge, which sees no gold; and
logistic stacking on gold dev, without an intercept, ridge penalty 1.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from assets.chance import normal_quantile
from assets.llm_annotated.simulated_judge import SimulatedJudge, shared_loading
from assets.llm_annotated.votes import SIDES, JudgeVerdict, merge_votes
from assets.llm_annotated.weighing import log_odds, shrunk_accuracy, weigh
from evaluation.intervals import compare_paired, estimate_accuracy

Matrix = NDArray[np.float64]
# Accuracies and, by judge, how far its errors follow the shared difficulty.
PANELS: dict[str, tuple[Sequence[float], Sequence[float]]] = {
    "0.90 alone, five 0.65 at 0.8": ([0.9] + [0.65] * 5, [0.0] + [0.8] * 5),
    "0.90 at 0.5, five 0.65 at 0.8": ([0.9] + [0.65] * 5, [0.5] + [0.8] * 5),
    "0.85 at 0.8, five 0.65 at 0.8": ([0.85] + [0.65] * 5, [0.8] * 6),
    "five 0.75, independent": ([0.75] * 5, [0.0] * 5),
    "five 0.75 at 0.4": ([0.75] * 5, [0.4] * 5),
    "0.85 and 0.78 at 0.3, three 0.65 at 0.8": ([0.85, 0.78, 0.65, 0.65, 0.65], [0.3, 0.3, 0.8, 0.8, 0.8]),
    "0.90, 0.75, 0.60 at 0.3": ([0.9, 0.75, 0.6], [0.3] * 3),
}
GOLD_SIZES = (40, 100, 220, 1000)
_SHRINKAGE, _NUM_PAIRS = 20, 3_000


def draw(
    rng: np.random.Generator, n: int, accuracies: Sequence[float], shared: Sequence[float]
) -> tuple[Matrix, Matrix]:
    """Sides of n pairs by judge, -1 and 1, and the right ones."""
    truth = rng.choice([-1.0, 1.0], n)
    difficulty = rng.normal(size=n)
    columns = []
    for accuracy, correlation in zip(accuracies, shared, strict=True):
        loading = _loading(1 - accuracy, correlation)
        latent = loading * difficulty + np.sqrt(1 - loading**2) * rng.normal(size=n)
        columns.append(np.where(latent < normal_quantile(1 - accuracy), -truth, truth))
    return np.array(columns).T, truth


_LOADINGS: dict[tuple[float, float], float] = {}


def _loading(error: float, correlation: float) -> float:
    if (error, correlation) not in _LOADINGS:
        _LOADINGS[error, correlation] = shared_loading(error, correlation)
    return _LOADINGS[error, correlation]


def _measured(sides: Matrix, truth: Matrix) -> tuple[dict[str, float], Matrix]:
    wrong = (sides * truth[:, None] < 0).astype(float)
    accuracies = {
        f"{j:02d}": shrunk_accuracy(float((1 - wrong[:, j]).sum()), len(truth), _SHRINKAGE)
        for j in range(sides.shape[1])
    }
    with np.errstate(all="ignore"):
        shared = np.nan_to_num(np.atleast_2d(np.corrcoef(wrong.T))) * len(truth) / (len(truth) + _SHRINKAGE)
    return accuracies, shared


def weights(sides: Matrix, truth: Matrix, _: Matrix) -> Matrix:
    """This project's rule."""
    accuracies, shared = _measured(sides, truth)
    names = sorted(accuracies)
    pairs = {frozenset((a, b)): float(shared[i, j]) for i, a in enumerate(names) for j, b in enumerate(names) if i < j}
    found = weigh(accuracies, pairs)
    return np.array([found[name] for name in names])


def former(sides: Matrix, truth: Matrix, _: Matrix) -> Matrix:
    """Log-odds over one plus the correlations with all others."""
    accuracies, shared = _measured(sides, truth)
    np.fill_diagonal(shared, 1.0)
    odds = np.array([max(0.0, log_odds(accuracies[name])) for name in sorted(accuracies)])
    return odds / np.maximum(shared, 0).sum(axis=1)


def dawid_skene(_: Matrix, __: Matrix, sides: Matrix) -> Matrix:
    """Accuracies by expectation-maximisation on the unlabelled pairs, started at the majority."""
    p = 0.5 + 0.25 * np.sign(sides.sum(axis=1))
    found = np.zeros(sides.shape[1])
    for _step in range(200):
        right = (sides > 0) * p[:, None] + (sides < 0) * (1 - p)[:, None]
        accuracy = np.clip((right.sum(axis=0) + 1) / (len(sides) + 2), 0.01, 0.99)
        found = np.log(accuracy / (1 - accuracy))
        after = 1 / (1 + np.exp(-(sides @ found)))
        if np.abs(after - p).max() < 1e-6:
            break
        p = after
    return found


def stacking(sides: Matrix, truth: Matrix, _: Matrix) -> Matrix:
    """Coefficients of a logistic regression on gold dev."""
    from sklearn.linear_model import LogisticRegression

    if len(set(truth)) < 2:
        return np.ones(sides.shape[1])
    return LogisticRegression(C=1.0, fit_intercept=False).fit(sides, truth).coef_[0]


def best_single(sides: Matrix, truth: Matrix, _: Matrix) -> Matrix:
    """All weight on the most accurate judge of gold dev."""
    found = np.zeros(sides.shape[1])
    found[np.argmax((sides * truth[:, None]).mean(axis=0))] = 1.0
    return found


def majority(sides: Matrix, _: Matrix, __: Matrix) -> Matrix:
    """Every judge the same."""
    return np.ones(sides.shape[1])


RULES: Mapping[str, Callable[[Matrix, Matrix, Matrix], Matrix]] = {
    "best single": best_single,
    "majority": majority,
    "weights": weights,
    "former weights": former,
    "Dawid-Skene": dawid_skene,
    "stacking": stacking,
}


def right_share(margins: Matrix) -> Matrix:
    """1 right, 0 wrong, a half for none."""
    return np.where(np.abs(margins) < 1e-9, 0.5, (margins > 0).astype(float))


def simulate(replicates: int, seed: int = 20250702) -> list[dict]:
    """Every rule on every panel and size of gold dev."""
    rng, found = np.random.default_rng(seed), []
    for name, (accuracies, shared) in PANELS.items():
        for num_gold in GOLD_SIZES:
            scores: dict[str, list[float]] = {rule: [] for rule in RULES}
            for _ in range(replicates):
                gold, gold_truth = draw(rng, num_gold, accuracies, shared)
                sides, truth = draw(rng, _NUM_PAIRS, accuracies, shared)
                for rule, fit in RULES.items():
                    margins = (sides @ fit(gold, gold_truth, sides)) * truth
                    scores[rule].append(float(right_share(margins).mean()))
            row: dict = {"panel": name, "gold": num_gold}
            for rule, values in scores.items():
                half = 1.96 * float(np.std(values, ddof=1)) / np.sqrt(replicates)
                row[rule] = (float(np.mean(values)), float(np.mean(values) - half), float(np.mean(values) + half))
            found.append(row)
            print(f"{name:42s} gold {num_gold:5d}  " + "  ".join(f"{r} {row[r][0]:.3f}" for r in RULES), flush=True)
    return found


def orders(num_pairs: int = 2_000, seed: int = 20250702) -> list[dict]:
    """A judge that prefers the first place, with six calls: all in one order, and three in each."""
    truth = {f"pair {n}": "12"[n % 2] for n in range(num_pairs)}
    found = []
    for bias in (0.0, 0.15, 0.3, 0.5, 1.0):
        judge = SimulatedJudge("biased", 0.78, truth, seed, position_bias=bias, call_noise=0.05)
        row: dict = {"position_bias": bias}
        values = {}
        for name, places in (("one order", (1,)), ("both orders", (1, 2))):
            values[name] = [_right(judge, pair, places) for pair in truth]
            estimate = estimate_accuracy(values[name], list(truth), seed=seed)
            row[name] = (estimate.value, *(estimate.ci95 or (None, None)))
        gain = compare_paired(values["both orders"], values["one order"], list(truth), seed=seed).difference
        row["gain"] = (gain.value, *(gain.ci95 or (None, None)))
        found.append(row)
        print("  ".join(f"{k} {_text(v)}" for k, v in row.items()), flush=True)
    return found


def _right(judge: SimulatedJudge, pair: str, places: Sequence[int]) -> float:
    from assets.llm_annotated.judging import JudgeCall
    from assets.llm_annotated.votes import Vote

    calls = [JudgeCall(pair, place, vote) for place in places for vote in range(6 // len(places))]
    votes = [
        Vote(call.first_shown, call.vote, reply.verdict or "tie")
        for call, reply in zip(calls, judge.answer(calls), strict=True)
    ]
    merged: JudgeVerdict = merge_votes(votes)
    return float(merged.verdict == judge.truth[pair]) if merged.verdict in SIDES else 0.5


def sample(config: Path) -> list[dict]:
    """Every rule on the pairs that the judges of a finished run's rounds labelled, fitted on its gold dev."""
    from assets.llm_annotated.gold_dev import qualification_batch, read_gold_dev, verdicts_in_requests
    from assets.pool import clusters_of, known_truth
    from assets.workspace import Workspace

    workspace = Workspace(config)
    lake, names = workspace.lake, workspace.settings.round_names
    truth, cluster_of = known_truth(lake), clusters_of(lake)
    dev = read_gold_dev(lake, names[-1]).to_pylist()
    side_of = {row["pair_id"]: row["verdict"] for row in dev if row["verdict"] in SIDES}
    on_gold = verdicts_in_requests(lake.read("judge_requests", batch=qualification_batch(names[-1])))
    used = {r["judge"] for r in lake.read("judge_qualification", round=names[-1]).to_pylist() if r["used"]}
    on_pairs: dict[str, dict[str, JudgeVerdict]] = {}
    for name in names:
        for judge, by_pair in verdicts_in_requests(lake.read("judge_requests", batch=name)).items():
            on_pairs.setdefault(judge, {}).update(by_pair)
    pairs = sorted({p for by_pair in on_pairs.values() for p in by_pair if truth.get(p) in SIDES})
    # Only judges that were asked about every pair: the rules are to see the same.
    judges = sorted(name for name in used if name in on_pairs and len(on_pairs[name]) >= len(pairs))

    def leans(verdicts: Mapping[str, Mapping[str, JudgeVerdict]], keys: Sequence[str]) -> Matrix:
        def lean(judge: str, pair: str) -> float:
            one = verdicts[judge].get(pair)
            return 0.0 if one is None or one.verdict not in SIDES else 2 * one.share_1 - 1

        return np.array([[lean(judge, pair) for judge in judges] for pair in keys])

    gold, right = leans(on_gold, list(side_of)), np.array([1.0 if s == "1" else -1.0 for s in side_of.values()])
    sides, known = leans(on_pairs, pairs), np.array([1.0 if truth[p] == "1" else -1.0 for p in pairs])
    clusters, found = [cluster_of.get(p, p) for p in pairs], []
    values = {rule: right_share((sides @ fit(gold, right, sides)) * known) for rule, fit in RULES.items()}
    for rule, hits in values.items():
        estimate = estimate_accuracy(hits, clusters, seed=0)
        against = compare_paired(values["weights"], hits, clusters, seed=0).difference
        row = {
            "rule": rule,
            "judges": judges,
            "pairs": len(pairs),
            "prompts": estimate.num_clusters,
            "accuracy": (estimate.value, *(estimate.ci95 or (None, None))),
            "weights less this": (against.value, *(against.ci95 or (None, None))),
        }
        found.append(row)
        print("  ".join(f"{k} {_text(v)}" for k, v in row.items() if k != "judges"), flush=True)
    return found


def _text(value: object) -> str:
    if isinstance(value, tuple):
        return "/".join("-" if v is None else f"{v:.3f}" for v in value)
    return f"{value:.3f}" if isinstance(value, float) else str(value)


def plot(rows: Sequence[Mapping], path: Path) -> None:
    """One panel of the plot a simulated panel: accuracy by size of gold dev."""
    from matplotlib.figure import Figure

    panels = list(dict.fromkeys(row["panel"] for row in rows))
    figure = Figure(figsize=(13, 6.5), layout="constrained")
    axes = figure.subplots(2, (len(panels) + 1) // 2, squeeze=False).ravel()
    for ax, panel in zip(axes, panels, strict=False):
        for rule in RULES:
            here = [row for row in rows if row["panel"] == panel]
            xs = range(len(here))
            ax.plot(xs, [row[rule][0] for row in here], "-o", markersize=3, linewidth=1.2, label=rule)
            ax.fill_between(xs, [row[rule][1] for row in here], [row[rule][2] for row in here], alpha=0.15)
            ax.set_xticks(list(xs), [str(row["gold"]) for row in here])
        ax.set_title(panel, fontsize=9)
        ax.set_xlabel("labels on gold dev", fontsize=8)
        ax.spines[["top", "right"]].set_visible(False)
    for ax in axes[len(panels) :]:
        ax.set_axis_off()
    axes[0].set_ylabel("share right")
    axes[-1].legend(*axes[0].get_legend_handles_labels(), loc="center", frameon=False)
    figure.savefig(path, metadata={"Date": None} if path.suffix == ".svg" else None)


def main(arguments: Sequence[str] | None = None) -> int:
    """Simulate, and measure a run's sample where one is named."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--replicates", type=int, default=20)
    parser.add_argument("--config", type=Path, default=None)
    parser.add_argument("--out", type=Path, default=None)
    parser.add_argument("--plot", type=Path, default=None)
    options = parser.parse_args(arguments)
    results: dict[str, list[dict]] = {"orders": orders(), "simulated": simulate(options.replicates)}
    if options.config:
        results["sample"] = sample(options.config)
    if options.out:
        options.out.write_text(json.dumps(results, indent=1) + "\n", "utf-8")
    if options.plot:
        plot(results["simulated"], options.plot)
    return 0


if __name__ == "__main__":
    sys.exit(main())
