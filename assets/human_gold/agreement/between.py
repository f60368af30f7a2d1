"""Agreement between people: alpha, Fleiss' kappa and raw agreement, overall, per slice and of each with the others."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass

import numpy as np
import pyarrow as pa

from assets.human_gold.agreement import coefficients as c
from assets.human_gold.agreement.resampling import (
    MIN_CLUSTERS,
    Interval,
    bootstrap_interval,
    resampled_sums,
    share_of,
    sums_by_cluster,
)
from assets.human_gold.agreement.votes import UNDECIDED, Answers, read_answers
from assets.plots import bar_chart


@dataclass(frozen=True)
class PersonAgreement:
    """One person against the majority of the others on the same pairs.

    Attributes:
        person: as in the label events.
        num_labels: pairs the person gave a verdict on, undecided ones included.
        num_undecided: of these, how many "undecided".
        num_compared: pairs on which the others have one majority verdict.
        agreement_rate: share of the compared pairs with the same verdict; None when there are none.
        interval: 95 %, by `resampling.share_of`.
    """

    person: str
    num_labels: int
    num_undecided: int
    num_compared: int
    agreement_rate: float | None
    interval: Interval | None = None


@dataclass(frozen=True)
class Agreement:
    """Agreement over a set of pairs. All intervals are 95 %, bootstrap over prompt clusters; None under `MIN_CLUSTERS`.

    Attributes:
        num_pairs: pairs with any verdict; num_overlapping of them have two or more decided ones.
        num_labels: verdicts, one per person and pair (the last).
        num_undecided: verdicts "undecided", which count as no value; num_ties: verdicts "tie", which are one.
        num_clusters: prompt clusters of the overlapping pairs.
        raw_rate: share of pairs of verdicts on the same pair that are equal; None without overlap.
        alpha: Krippendorff's, nominal; None without overlap or when all verdicts are equal.
        interval: of alpha.
        fleiss: Fleiss' kappa, which is defined for pairs with one number of verdicts: those `fleiss_num_pairs` with
            exactly `fleiss_num_raters` decided ones, the commonest number. The other overlapping pairs are left out
            of it (alpha takes all).
        people: each person against the others, by name.
    """

    num_pairs: int
    num_overlapping: int
    num_labels: int
    num_undecided: int
    num_ties: int
    num_clusters: int
    raw_rate: float | None
    raw_interval: Interval | None
    alpha: float | None
    interval: Interval | None
    fleiss: float | None
    fleiss_interval: Interval | None
    fleiss_num_raters: int | None
    fleiss_num_pairs: int
    people: tuple[PersonAgreement, ...]

    @property
    def undecided_rate(self) -> float | None:
        """Share of all verdicts that are "undecided"."""
        return self.num_undecided / self.num_labels if self.num_labels else None

    def as_dict(self) -> dict:
        """Plain form for manifests and reports."""
        return asdict(self) | {"undecided_rate": self.undecided_rate}

    def rows(self) -> list[dict]:
        """One row per person, then one for all together, as a table shows them."""
        rows = []
        for person in self.people:
            row = asdict(person)
            low, high = row.pop("interval") or (None, None)
            rows.append(row | {"low": low, "high": high, "alpha": None, "alpha_low": None, "alpha_high": None})
        low, high = self.raw_interval or (None, None)
        alpha_low, alpha_high = self.interval or (None, None)
        everyone = {
            "person": "all together",
            "num_labels": self.num_labels,
            "num_undecided": self.num_undecided,
            "num_compared": self.num_overlapping,
            "agreement_rate": self.raw_rate,
            "low": low,
            "high": high,
            "alpha": self.alpha,
            "alpha_low": alpha_low,
            "alpha_high": alpha_high,
        }
        return [*rows, everyone]

    def per_person_plot(self) -> str:
        """Markdown image: each person's agreement with the majority of the others, where it could be measured."""
        rates = {p.person: p.agreement_rate for p in self.people if p.agreement_rate is not None}
        return bar_chart(rates, title="Agreement with the majority of the others", unit="share of compared pairs")


def measure_agreement(
    events: pa.Table, cluster_of: Mapping[str, str], *, seed: int, num_bootstrap: int = 1_000
) -> Agreement:
    """Measure how far people agree.

    Args:
        events: contract `label_events`, any kinds; only people's votes count, each one's last on a pair.
        cluster_of: prompt cluster by pair id; a pair without one is a cluster of its own.
        seed: of the bootstrap.
        num_bootstrap: resamples of prompt clusters.
    """
    return agreement_of(read_answers(events, cluster_of).labels, seed=seed, num_bootstrap=num_bootstrap)


def agreement_by_slice(
    events: pa.Table,
    cluster_of: Mapping[str, str],
    slice_of: Mapping[str, str],
    *,
    seed: int,
    num_bootstrap: int = 1_000,
) -> dict[str, Agreement]:
    """The same per slice (task category, source, ...); pairs that have no slice stand under "(none)"."""
    labels = read_answers(events, cluster_of).labels
    return sliced(labels, slice_of, seed=seed, num_bootstrap=num_bootstrap)


def sliced(
    labels: Answers, slice_of: Mapping[str, str], *, seed: int, num_bootstrap: int, with_people: bool = True
) -> dict[str, Agreement]:
    """Agreement per slice of the pairs, by name; "(none)" for pairs without one."""
    names = np.array([slice_of.get(pair, "(none)") for pair in labels.pair_ids], dtype=object)
    of_label = names[labels.pair] if len(labels) else np.array([], dtype=object)
    return {
        name: agreement_of(
            labels.where(of_label == name), seed=seed, num_bootstrap=num_bootstrap, with_people=with_people
        )
        for name in sorted(set(of_label))
    }


def agreement_of(labels: Answers, *, seed: int, num_bootstrap: int, with_people: bool = True) -> Agreement:
    """Agreement of votes; `people` is left empty on request, as in the slices of a report."""
    answered, counts, clusters = _counted(labels)
    values = counts[:, : c.NUM_VALUES]
    overlapping = values.sum(axis=1) >= 2
    units, unit_clusters = values[overlapping], clusters[overlapping]
    num_clusters = len(np.unique(unit_clusters))
    sums, raters = c.unit_sums(units), c.fleiss_raters(units)
    fleiss = c.fleiss_sums(units, raters) if raters else np.zeros((0, 2 + c.NUM_VALUES))
    in_fleiss = fleiss[:, 0] > 0

    def interval(rows: np.ndarray, of: np.ndarray, statistic: Callable) -> Interval | None:
        if len(np.unique(of)) < MIN_CLUSTERS:
            return None
        return bootstrap_interval(resampled_sums(sums_by_cluster(rows, of), seed, num_bootstrap), statistic)

    num_labels, num_undecided = int(counts.sum()), int(counts[:, UNDECIDED].sum())
    return Agreement(
        num_pairs=len(answered),
        num_overlapping=len(units),
        num_labels=num_labels,
        num_undecided=num_undecided,
        num_ties=int(counts[:, UNDECIDED - 1].sum()),
        num_clusters=num_clusters,
        raw_rate=_number(c.raw(sums.sum(axis=0))),
        raw_interval=interval(sums, unit_clusters, c.raw),
        alpha=c.krippendorff_alpha(units),
        interval=interval(sums, unit_clusters, c.alpha),
        fleiss=_number(c.fleiss_kappa(fleiss.sum(axis=0))),
        fleiss_interval=interval(fleiss[in_fleiss], unit_clusters[in_fleiss], c.fleiss_kappa),
        fleiss_num_raters=raters,
        fleiss_num_pairs=int(in_fleiss.sum()),
        people=against_the_others(labels) if with_people else (),
    )


def against_the_others(labels: Answers) -> tuple[PersonAgreement, ...]:
    """Each person against the one verdict that most of the others gave, by name."""
    counts = labels.counts()[:, : c.NUM_VALUES]
    decided = np.flatnonzero(labels.decided)
    others = counts[labels.pair[decided]]
    others[np.arange(len(decided)), labels.verdict[decided]] -= 1
    best = others.max(axis=1, initial=0)
    # One of the values must lead alone; nobody else's verdict, or two in the lead, is nothing to compare with.
    comparable = (best > 0) & ((others == best[:, None]).sum(axis=1) == 1)
    rows = decided[comparable]
    equal = others.argmax(axis=1)[comparable] == labels.verdict[rows]
    num_labels = np.bincount(labels.person, minlength=len(labels.people))
    num_decided = np.bincount(labels.person[decided], minlength=len(labels.people))
    found = []
    for code in np.flatnonzero(num_labels):
        own = labels.person[rows] == code
        share = share_of(equal[own], labels.cluster[rows][own])
        found.append(
            PersonAgreement(
                labels.people[code],
                int(num_labels[code]),
                int(num_labels[code] - num_decided[code]),
                share.num,
                share.rate,
                share.interval,
            )
        )
    return tuple(found)


def _counted(labels: Answers) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Codes of the answered pairs, their verdict counts and their clusters."""
    answered, pair = np.unique(labels.pair, return_inverse=True)
    flat = np.bincount(pair * 4 + labels.verdict, minlength=4 * len(answered))
    return answered, flat.reshape(len(answered), 4), labels.cluster_of_pair[answered]


def _number(value: np.ndarray) -> float | None:
    return float(value) if np.isfinite(value) else None
