"""Ablation: what the arms of the loop came to, round by round, and how each differs from the full recipe. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from evaluation.intervals import Estimate, compare_paired, estimate_accuracy
from evaluation.report.sections import Count, Interval, LabelAccuracy, Section, Share
from evaluation.results import ItemValues


@dataclass(frozen=True)
class Cell:
    """Which model on which set; `round_name` is the last round whose silver the model learned from."""

    arm: str
    seed: int
    round_name: str
    set_name: str


class Spent(Section):
    """What an arm had asked and paid by the end of a round, the rounds before included."""

    pairs_to_people: Count
    labels_of_people: Count
    pairs_to_judges: Count
    judge_calls: Count
    usd: float


class ArmRound(Section):
    """One arm of one seed after one round.

    num_train_pairs: silver that the round's model learned from. silver: against the truth, null where none is known.
    """

    arm: str
    seed: int
    round_name: str
    model_version: str
    num_train_pairs: Count
    num_gold_train: Count
    dev_accuracy: Share | None
    silver: LabelAccuracy | None
    spent: Spent


class ArmScore(Section):
    """One arm after one round on one set, the seeds' items together; `by_seed` in order of the seeds."""

    arm: str
    round_name: str
    set_name: str
    accuracy: Share | None
    ci95: Interval | None
    n: Count
    num_clusters: Count
    by_seed: tuple[float | None, ...]


class ArmDifference(Section):
    """An arm minus the full recipe on the same items, paired; the interval resamples prompts, not seeds."""

    arm: str
    round_name: str
    set_name: str
    difference: float | None
    ci95: Interval | None
    n: Count
    num_clusters: Count
    by_seed: tuple[float | None, ...]


class Ablation(Section):
    """The whole comparison: what `ablation.json` holds and the page shows."""

    config: str
    seeds: tuple[int, ...]
    arms: dict[str, str]
    rounds: tuple[str, ...]
    sets: tuple[str, ...]
    simulated: tuple[str, ...]
    finished: tuple[ArmRound, ...]
    scores: tuple[ArmScore, ...]
    differences: tuple[ArmDifference, ...]
    notes: tuple[str, ...] = ()


def score_arms(
    values: Mapping[Cell, ItemValues],
    *,
    arms: Sequence[str],
    seeds: Sequence[int],
    rounds: Sequence[str],
    sets: Sequence[str],
    baseline: str,
) -> tuple[tuple[ArmScore, ...], tuple[ArmDifference, ...]]:
    """Accuracy of every arm, round and set over all seeds, and every arm's difference from the baseline's.

    Items are paired within a seed and pooled over the seeds; prompts that meet in several seeds are one cluster.

    Args:
        values: per-item values of each model; a cell that is missing leaves its estimate out.
        baseline: the arm that the others are compared with.
    """
    scores, differences = [], []
    for set_name in sets:
        for arm in arms:
            for round_name in rounds:
                cells = [Cell(arm, seed, round_name, set_name) for seed in seeds]
                found = [values[cell] for cell in cells if cell in values]
                if not found:
                    continue
                pooled = estimate_accuracy(
                    np.concatenate([v.values for v in found]), [c for v in found for c in v.clusters], seed=seeds[0]
                )
                scores.append(
                    ArmScore(
                        arm=arm,
                        round_name=round_name,
                        set_name=set_name,
                        accuracy=pooled.value,
                        ci95=pooled.ci95,
                        n=pooled.n,
                        num_clusters=pooled.num_clusters,
                        by_seed=tuple(_mean(values.get(cell)) for cell in cells),
                    )
                )
                if arm != baseline:
                    differences.append(_difference(values, cells, baseline))
    return tuple(scores), tuple(differences)


def mean_values(trainings: Sequence[ItemValues]) -> ItemValues:
    """Values of one model trained several times: the mean of each item that all of them scored.

    What else an `ItemValues` says is the first training's.
    """
    first = trainings[0]
    places = [{item: at for at, item in enumerate(one.item_ids)} for one in trainings]
    shared = [at for at, item in enumerate(first.item_ids) if all(item in place for place in places)]
    items = [first.item_ids[at] for at in shared]
    values = np.mean([one.values[[p[i] for i in items]] for one, p in zip(trainings, places, strict=True)], axis=0)
    return replace(
        first,
        item_ids=items,
        subsets=[first.subsets[at] for at in shared],
        clusters=[first.clusters[at] for at in shared],
        values=values if items else np.zeros(0),
        scores=[first.scores[at] for at in shared],
        rows=[first.rows[at] for at in shared],
    )


def _difference(values: Mapping[Cell, ItemValues], cells: Sequence[Cell], baseline: str) -> ArmDifference:
    mine: list[np.ndarray] = []
    theirs: list[np.ndarray] = []
    clusters: list[str] = []
    by_seed: list[float | None] = []
    for cell in cells:
        other = values.get(Cell(baseline, cell.seed, cell.round_name, cell.set_name))
        one = values.get(cell)
        if one is None or other is None:
            by_seed.append(None)
            continue
        a, b, of = _paired(one, other)
        mine.append(a)
        theirs.append(b)
        clusters += of
        by_seed.append(float(np.mean(a - b)) if len(a) else None)
    first = cells[0]
    found: Estimate = (
        compare_paired(np.concatenate(mine), np.concatenate(theirs), clusters, seed=first.seed).difference
        if mine
        else Estimate(None, 0, 0)
    )
    return ArmDifference(
        arm=first.arm,
        round_name=first.round_name,
        set_name=first.set_name,
        difference=found.value,
        ci95=found.ci95,
        n=found.n,
        num_clusters=found.num_clusters,
        by_seed=tuple(by_seed),
    )


def _paired(one: ItemValues, other: ItemValues) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """Values of the items that both models scored, and their clusters."""
    place = {item: at for at, item in enumerate(other.item_ids)}
    both = [(at, place[item]) for at, item in enumerate(one.item_ids) if item in place]
    mine, theirs = [a for a, _ in both], [b for _, b in both]
    return one.values[mine], other.values[theirs], [one.clusters[a] for a in mine]


def _mean(values: ItemValues | None) -> float | None:
    return None if values is None or not len(values.values) else float(np.mean(values.values))
