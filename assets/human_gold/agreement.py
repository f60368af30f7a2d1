"""Agreement among people: Krippendorff's alpha, raw agreement and each person's distance from the others."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import asdict, dataclass

import numpy as np
import pyarrow as pa

from assets.plots import bar_chart

MIN_CLUSTERS = 20
"""An interval over fewer prompt clusters is not given (design, the tables, Splits)."""

_VALUES = ("1", "2", "tie")


@dataclass(frozen=True)
class PersonAgreement:
    """One person against the majority of the others on the same pairs.

    Attributes:
        person: as in the label events.
        num_labels: pairs the person gave a verdict on, undecided ones included.
        num_undecided: of these, how many "undecided".
        num_compared: pairs on which the others have one majority verdict.
        agreement_rate: share of the compared pairs with the same verdict; None when there are none.
    """

    person: str
    num_labels: int
    num_undecided: int
    num_compared: int
    agreement_rate: float | None


@dataclass(frozen=True)
class Agreement:
    """Agreement over a set of pairs.

    Attributes:
        num_pairs: pairs with any verdict; num_overlapping of them have two or more decided ones.
        num_labels: verdicts, one per person and pair (the last).
        num_undecided: verdicts "undecided", which count as no value.
        num_clusters: prompt clusters of the overlapping pairs.
        raw_rate: share of pairs of verdicts on the same pair that are equal; None without overlap.
        alpha: Krippendorff's, nominal; None without overlap or when all verdicts are equal.
        interval: 95 %, bootstrap over prompt clusters; None under `MIN_CLUSTERS` clusters.
        people: each person against the others, by name.
    """

    num_pairs: int
    num_overlapping: int
    num_labels: int
    num_undecided: int
    num_clusters: int
    raw_rate: float | None
    alpha: float | None
    interval: tuple[float, float] | None
    people: tuple[PersonAgreement, ...]

    def as_dict(self) -> dict:
        """Plain form for manifests and reports."""
        return asdict(self)

    def rows(self) -> list[dict]:
        """One row per person, then one for all together, as a table shows them."""
        rows = [asdict(person) | {"alpha": None, "low": None, "high": None} for person in self.people]
        low, high = self.interval or (None, None)
        everyone = {
            "person": "all together",
            "num_labels": self.num_labels,
            "num_undecided": self.num_undecided,
            "num_compared": self.num_overlapping,
            "agreement_rate": self.raw_rate,
            "alpha": self.alpha,
            "low": low,
            "high": high,
        }
        return [*rows, everyone]

    def per_person_plot(self) -> str:
        """Markdown image: each person's agreement with the majority of the others, where it could be measured."""
        rates = {p.person: p.agreement_rate for p in self.people if p.agreement_rate is not None}
        return bar_chart(rates, title="Agreement with the majority of the others", unit="share of compared pairs")


def last_verdicts(events: pa.Table) -> dict[str, dict[str, str]]:
    """Each person's last verdict on each pair: pair id to person to verdict.

    Only events of people count. Within a ledger partition `seq` orders them; rounds follow in order of name
    length, then name, so that round_10 comes after round_9.
    """
    columns = ["pair_id", "labeller_kind", "labeller", "verdict", "round", "seq"]
    rows = [r for r in events.select(columns).to_pylist() if r["labeller_kind"] == "person"]
    rows.sort(key=lambda r: (len(r["round"]), r["round"], -1 if r["seq"] is None else r["seq"]))
    found: dict[str, dict[str, str]] = defaultdict(dict)
    for row in rows:
        found[row["pair_id"]][row["labeller"]] = row["verdict"]
    return dict(found)


def measure_agreement(
    events: pa.Table, cluster_of: Mapping[str, str], *, seed: int, num_bootstrap: int = 1_000
) -> Agreement:
    """Measure how far people agree.

    Args:
        events: contract `label_events`, any kinds; only people's count, each one's last verdict on a pair.
        cluster_of: prompt cluster by pair id; a pair without one is a cluster of its own.
        seed: of the bootstrap.
        num_bootstrap: resamples of prompt clusters.
    """
    verdicts = last_verdicts(events)
    pairs = sorted(verdicts)
    counts = np.array(
        [[sum(v == value for v in verdicts[pair].values()) for value in _VALUES] for pair in pairs], dtype=np.int64
    ).reshape(len(pairs), len(_VALUES))
    overlapping = counts.sum(axis=1) >= 2
    units = counts[overlapping]
    clusters = [cluster_of.get(pair, f"pair {pair}") for pair, kept in zip(pairs, overlapping, strict=True) if kept]
    num_labels = sum(map(len, verdicts.values()))
    num_clusters = len(set(clusters))
    return Agreement(
        num_pairs=len(pairs),
        num_overlapping=len(units),
        num_labels=num_labels,
        num_undecided=num_labels - int(counts.sum()),
        num_clusters=num_clusters,
        raw_rate=_raw_rate(units),
        alpha=krippendorff_alpha(units),
        interval=(_bootstrap_alpha(units, clusters, seed, num_bootstrap) if num_clusters >= MIN_CLUSTERS else None),
        people=_people(verdicts),
    )


def agreement_by_slice(
    events: pa.Table,
    cluster_of: Mapping[str, str],
    slice_of: Mapping[str, str],
    *,
    seed: int,
    num_bootstrap: int = 1_000,
) -> dict[str, Agreement]:
    """The same per slice (task category, source, ...); pairs that have no slice stand under "(none)"."""
    slices = [slice_of.get(pair, "(none)") for pair in events["pair_id"].to_pylist()]
    return {
        name: measure_agreement(
            events.filter(pa.array([s == name for s in slices])), cluster_of, seed=seed, num_bootstrap=num_bootstrap
        )
        for name in sorted(set(slices))
    }


def krippendorff_alpha(counts: np.ndarray) -> float | None:
    """Nominal alpha from verdict counts, int [pairs, values]; None where it is undefined."""
    units = counts[counts.sum(axis=1) >= 2]
    if np.count_nonzero(units.sum(axis=0)) < 2:
        return None
    import krippendorff

    return float(krippendorff.alpha(value_counts=units, level_of_measurement="nominal"))


def _bootstrap_alpha(
    units: np.ndarray, clusters: list[str], seed: int, num_bootstrap: int
) -> tuple[float, float] | None:
    """Percentile interval. Alpha needs only sums over pairs, so a resample of clusters is one matrix product."""
    _, index = np.unique(clusters, return_inverse=True)
    votes = units.sum(axis=1, keepdims=True)
    same = (units * (units - 1) / (votes - 1)).sum(axis=1, keepdims=True)
    sums = np.zeros((index.max() + 1, 1 + units.shape[1]))
    np.add.at(sums, index, np.hstack([same, units]))
    generator = np.random.default_rng(seed)
    times = generator.multinomial(len(sums), np.full(len(sums), 1 / len(sums)), size=num_bootstrap)
    drawn = times @ sums
    observed_same, by_value = drawn[:, 0], drawn[:, 1:]
    total = by_value.sum(axis=1)
    expected = (total**2 - (by_value**2).sum(axis=1)) / (total - 1)
    # A resample in which all verdicts are equal has no alpha.
    defined = expected > 0
    if not defined.any():
        return None
    alphas = 1 - (total - observed_same)[defined] / expected[defined]
    low, high = np.quantile(alphas, [0.025, 0.975])
    return float(low), float(high)


def _raw_rate(units: np.ndarray) -> float | None:
    if not len(units):
        return None
    votes = units.sum(axis=1)
    return float((units * (units - 1)).sum() / (votes * (votes - 1)).sum())


def _people(verdicts: Mapping[str, Mapping[str, str]]) -> tuple[PersonAgreement, ...]:
    labels, undecided, compared, equal = Counter[str](), Counter[str](), Counter[str](), Counter[str]()
    for by_person in verdicts.values():
        for person, verdict in by_person.items():
            labels[person] += 1
            if verdict not in _VALUES:
                undecided[person] += 1
                continue
            others = Counter(v for p, v in by_person.items() if p != person and v in _VALUES).most_common(2)
            if not others or (len(others) == 2 and others[0][1] == others[1][1]):
                continue
            compared[person] += 1
            equal[person] += verdict == others[0][0]
    return tuple(
        PersonAgreement(p, labels[p], undecided[p], compared[p], equal[p] / compared[p] if compared[p] else None)
        for p in sorted(labels)
    )
