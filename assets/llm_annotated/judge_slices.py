"""Judge slices: how right a judge is on parts of gold dev, and whether it prefers the longer response."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from assets.llm_annotated.judge_measures import wilson_interval
from evaluation.intervals import Estimate, estimate_accuracy

DIMENSIONS = ("task_category", "objectivity", "controversiality", "source", "length_ratio")
_RATIOS = ((1.1, "under 1.1"), (1.5, "1.1 to 1.5"), (2.0, "1.5 to 2"), (float("inf"), "2 and more"))


@dataclass(frozen=True)
class PairFacts:
    """What is known of a pair beside its verdicts.

    Attributes:
        slices: the part of each of `DIMENSIONS` that the pair is in, where it is known.
        longer: "1" or "2", the response with more characters; None where they are equal or not known.
    """

    slices: Mapping[str, str] = field(default_factory=dict)
    longer: str | None = None


@dataclass(frozen=True)
class Slice:
    """One part of gold dev.

    Attributes:
        dimension: of `DIMENSIONS`; part: its value.
        num_labels, num_clusters: pairs with a side in it, and their prompt clusters.
        accuracy, interval: share right, 95 %; no interval over too few clusters.
    """

    dimension: str
    part: str
    num_labels: int
    num_clusters: int
    accuracy: float
    interval: tuple[float, float] | None


def length_ratio(num_chars_1: int, num_chars_2: int) -> str:
    """Which step the longer response's length over the shorter one's is in.

    >>> length_ratio(100, 100), length_ratio(30, 40), length_ratio(0, 5)
    ('under 1.1', '1.1 to 1.5', '2 and more')
    """
    low, high = sorted((num_chars_1, num_chars_2))
    ratio = high / low if low else float("inf") if high else 1.0
    return next((name for bound, name in _RATIOS if ratio < bound), _RATIOS[-1][1])


def measure_slices(
    sides: Mapping[str, str],
    gold: Mapping[str, str],
    cluster_of: Mapping[str, str],
    facts: Mapping[str, PairFacts],
) -> tuple[Slice, ...]:
    """Accuracy by part of every dimension, in order of dimension and of size.

    Args:
        sides: the judge's side by gold pair.
    """
    parts: dict[tuple[str, str], list[str]] = defaultdict(list)
    for pair in sorted(sides):
        for dimension, part in facts.get(pair, PairFacts()).slices.items():
            parts[dimension, part].append(pair)
    found = []
    for (dimension, part), pairs in parts.items():
        right = [sides[pair] == gold[pair] for pair in pairs]
        clusters = [cluster_of[pair] for pair in pairs]
        interval = wilson_interval(right, clusters)
        found.append(Slice(dimension, part, len(pairs), len(set(clusters)), sum(right) / len(right), interval))
    return tuple(sorted(found, key=lambda one: (DIMENSIONS.index(one.dimension), -one.num_labels, one.part)))


def length_bias(
    sides: Mapping[str, str],
    gold: Mapping[str, str],
    cluster_of: Mapping[str, str],
    facts: Mapping[str, PairFacts],
) -> Estimate:
    """How much oftener a judge sides with the longer response than gold does on the same pairs, -1 to 1.

    A judge that is merely right where the longer response is better shows none.
    """
    pairs = [pair for pair in sorted(sides) if facts.get(pair, PairFacts()).longer]
    differences = [float(sides[pair] == facts[pair].longer) - float(gold[pair] == facts[pair].longer) for pair in pairs]
    return estimate_accuracy(differences, [cluster_of[pair] for pair in pairs], seed=0)


def facts_of(rows: Iterable[Mapping]) -> dict[str, PairFacts]:
    """Facts by pair, from rows of the pool with attributes (`assets.pool.pool_with_splits`)."""
    found = {}
    for row in rows:
        slices = {name: row[name] for name in DIMENSIONS[:4] if row.get(name)}
        num_1, num_2 = row.get("num_chars_1"), row.get("num_chars_2")
        longer = None
        if num_1 is not None and num_2 is not None:
            slices["length_ratio"] = length_ratio(num_1, num_2)
            longer = None if num_1 == num_2 else "1" if num_1 > num_2 else "2"
        found[row["pair_id"]] = PairFacts(slices, longer)
    return found
