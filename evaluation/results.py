"""Results: items and saved scores become a benchmark's score, parts, baselines and counts of the unscored."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from assets.identity import prompt_cluster_key
from evaluation import metrics
from evaluation.intervals import NUM_RESAMPLES, Estimate, estimate_accuracy
from evaluation.saved_scores import AlignedScores, align


@dataclass(frozen=True)
class ItemValues:
    """Per-item values of one model on one benchmark; every list is over the scored items, in the items' order.

    Attributes:
        rule: how items were scored, one of `metrics.RULES`.
        values: float64[n], 0 to 1.
        scores: the responses' scores of each item.
        rows: positions of the scored items in the items' table.
        clusters: prompt cluster of each item.
        unscored: number of items without a value, by reason.
        num_truncated: scored items of which a response was cut; None where the scores do not say.
        num_unmatched: score rows that fit no item.
    """

    rule: str
    item_ids: list[str]
    subsets: list[str]
    clusters: list[str]
    values: NDArray[np.float64]
    scores: list[NDArray[np.float64]]
    rows: list[int]
    unscored: dict[str, int]
    num_truncated: int | None
    num_unmatched: int


@dataclass(frozen=True)
class BenchmarkResult:
    """One benchmark's score with everything that must stand beside it.

    Attributes:
        parts: estimates of the parts (subsets, categories, difficulties).
        baselines: `length` (the longer response wins) and `random` (expected value), on the same items.
        num_ties: scored items in which the best wrong response scores exactly as the best right one.
    """

    benchmark: str
    rule: str
    score: Estimate
    parts: dict[str, Estimate]
    baselines: dict[str, Estimate]
    unscored: dict[str, int]
    num_ties: int
    num_truncated: int | None
    num_unmatched: int

    def as_dict(self) -> dict:
        """Plain form, the keys of `results.json`."""
        return {
            "benchmark": self.benchmark,
            "rule": self.rule,
            **_estimate_dict(self.score),
            "unscored": dict(sorted(self.unscored.items())),
            "num_ties": self.num_ties,
            "num_truncated_items": self.num_truncated,
            "num_unmatched_scores": self.num_unmatched,
            "parts": {name: _estimate_dict(part) for name, part in self.parts.items()},
            "baselines": {name: _estimate_dict(part) for name, part in self.baselines.items()},
        }


def item_values(items: pa.Table, scores: pa.Table, benchmark: str, rule: str | None = None) -> ItemValues:
    """Value of every item that can be scored; the others are counted by reason.

    Args:
        items: contract `benchmark_items`, of this benchmark alone.
        scores: saved scores; rows of other benchmarks are passed over.
        rule: one of `metrics.RULES`; by default what the items' shape asks for.
    """
    rule = rule or metrics.infer_rule(items)
    return _values(items, rule, align(items, scores, benchmark))


def evaluate_benchmark(
    items: pa.Table,
    scores: pa.Table,
    benchmark: str,
    *,
    seed: int,
    rule: str | None = None,
    num_resamples: int = NUM_RESAMPLES,
) -> BenchmarkResult:
    """Score one benchmark.

    The baselines are taken over the items that the model was scored on. Where a benchmark has JudgeBench's
    GPT-4o split, that split is the score, as it is in the papers; other splits are parts.
    """
    found = item_values(items, scores, benchmark, rule)
    headline = _headline_items(benchmark, found.subsets)
    groups = [metrics.averaged_part(benchmark, subset) for subset in found.subsets]
    responses = items["responses"].to_pylist()

    def estimate(values: NDArray[np.float64], mask: NDArray[np.bool_], by: list[str] | None = None) -> Estimate:
        return estimate_accuracy(
            values[mask],
            [c for c, m in zip(found.clusters, mask, strict=True) if m],
            groups=[g for g, m in zip(by, mask, strict=True) if m] if by else None,
            seed=seed,
            num_resamples=num_resamples,
        )

    lengths = [metrics.length_scores(responses[row]) for row in found.rows]
    correct = items["correct"].to_pylist()
    by_length = _item_values(found.rule, lengths, [correct[row] for row in found.rows])
    expected = np.array([metrics.random_value(found.rule, len(responses[row])) for row in found.rows])
    at_random = estimate(expected, headline, groups)
    return BenchmarkResult(
        benchmark=benchmark,
        rule=found.rule,
        score=estimate(found.values, headline, groups),
        parts=_parts(benchmark, found, groups, estimate),
        baselines={
            "length": estimate(by_length, headline, groups),
            "random": Estimate(at_random.value, at_random.n, at_random.num_clusters),
        },
        unscored=found.unscored,
        num_ties=sum(
            _is_tie(found.scores[i], correct[row]) for i, row in enumerate(found.rows) if found.rule != "style_matrix"
        ),
        num_truncated=found.num_truncated,
        num_unmatched=found.num_unmatched,
    )


def prompt_clusters(items: pa.Table) -> list[str]:
    """Prompt cluster of each item: prompts that differ in case, punctuation or white space alone are one."""
    return [prompt_cluster_key([(t["role"], t["content"]) for t in turns]) for turns in items["prompt"].to_pylist()]


def _values(items: pa.Table, rule: str, aligned: AlignedScores) -> ItemValues:
    unscored: Counter[str] = Counter()
    rows: list[int] = []
    kept: list[NDArray[np.float64]] = []
    correct = items["correct"].to_pylist()
    sizes = [len(responses) for responses in items["responses"].to_pylist()]
    for row, given in enumerate(aligned.scores):
        reason = metrics.why_unscorable(rule, sizes[row], correct[row]) or aligned.unscored[row]
        if reason is None:
            assert given is not None
            rows.append(row)
            kept.append(given)
        else:
            unscored[reason] += 1
    truncated = [aligned.truncated[row] for row in rows]
    ids, subsets, clusters = items["item_id"].to_pylist(), items["subset"].to_pylist(), prompt_clusters(items)
    return ItemValues(
        rule=rule,
        item_ids=[ids[row] for row in rows],
        subsets=[subsets[row] for row in rows],
        clusters=[clusters[row] for row in rows],
        values=_item_values(rule, kept, [correct[row] for row in rows]),
        scores=kept,
        rows=rows,
        unscored=dict(unscored),
        num_truncated=None if None in truncated else sum(map(bool, truncated)),
        num_unmatched=aligned.num_unmatched,
    )


def _item_values(rule: str, scores: list[NDArray[np.float64]], correct: list[list[int]]) -> NDArray[np.float64]:
    return np.array([metrics.item_value(rule, s, c) for s, c in zip(scores, correct, strict=True)], dtype=np.float64)


def _headline_items(benchmark: str, subsets: list[str]) -> NDArray[np.bool_]:
    if benchmark != "judgebench":
        return np.ones(len(subsets), bool)
    splits = [metrics.judgebench_split(subset)[0] for subset in subsets]
    return np.array([split == "gpt" or "gpt" not in splits for split in splits], bool)


def _parts(
    benchmark: str, found: ItemValues, groups: list[str], estimate: Callable[..., Estimate]
) -> dict[str, Estimate]:
    parts: dict[str, Estimate] = {}
    everything = np.ones(len(found.values), bool)
    if benchmark == "judgebench":
        splits = [metrics.judgebench_split(subset)[0] for subset in found.subsets]
        for split in sorted(set(splits)):
            mask = np.array([s == split for s in splits])
            parts[f"{split} (official, all pairs)"] = estimate(found.values, mask)
            parts[f"{split} (mean of categories)"] = estimate(found.values, mask, found.subsets)
    if found.rule == "style_matrix" and len(found.values):
        for name, values in metrics.style_difficulties(found.scores).items():
            parts[name] = estimate(values, everything, groups)
    for labels in (groups, found.subsets):
        names = sorted(set(labels) - parts.keys())
        if len(names) > 1:
            for name in names:
                parts[name] = estimate(found.values, np.array([label == name for label in labels]))
    return parts


def _is_tie(scores: NDArray[np.float64], correct: list[int]) -> bool:
    wrong = np.delete(scores, correct)
    return bool(scores[correct].max() == wrong.max())


def _estimate_dict(estimate: Estimate) -> Mapping:
    return {
        "score": estimate.value,
        "interval": list(estimate.ci95) if estimate.ci95 else None,
        "n": estimate.n,
        "num_clusters": estimate.num_clusters,
    }
