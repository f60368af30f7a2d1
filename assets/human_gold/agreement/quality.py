"""The whole report on people's labels: `measure_quality` and what it finds."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field

import numpy as np
import pyarrow as pa

from assets.human_gold.agreement.between import Agreement, agreement_of, sliced
from assets.human_gold.agreement.by_person import QUICK_SECONDS, PersonQuality, measure_people
from assets.human_gold.agreement.crowd import Crowd, fit_crowd, leaders
from assets.human_gold.agreement.drift import Drift, Week, measure_drift, measure_weeks
from assets.human_gold.agreement.pairs_of_people import PairsOfPeople, measure_pairs_of_people
from assets.human_gold.agreement.votes import UNDECIDED, Answers, read_answers


@dataclass(frozen=True)
class CrowdSummary:
    """What the crowd model says of all pairs together.

    Attributes:
        num_pairs: with any vote; by_verdict: number of each aggregate verdict, "people_undecided" and
            "people_disagree" for those without.
        mean_confidence: of the pairs with a verdict: the share of them that the model expects to be right.
        tie_rate: share of pairs that are true ties.
        majority_compared: pairs with an aggregate verdict and one verdict that most people gave; majority_equal of
            them are the same.
        prior_strength: labels that the belief "this person is like all people" is worth, for pairs with a better side.
        converged: whether the inference came to rest.
    """

    num_pairs: int
    by_verdict: Mapping[str, int]
    mean_confidence: float | None
    tie_rate: float
    majority_compared: int
    majority_equal: int
    prior_strength: float
    converged: bool


@dataclass(frozen=True)
class HumanQuality:
    """How far people's labels can be believed.

    Attributes:
        overall: agreement of all votes.
        slices: kind of slice ("category", "objectivity", "controversiality", "source", "person", ...) to name to
            agreement. A slice is a set of pairs; that of a person holds all votes on the pairs this person labelled.
        pairs_of_people: Cohen's kappa.
        people: each person's work, by name.
        crowd: the model itself, with the posterior of each pair and the confusion of each person.
        drift, weeks: change over time.
        num_repeats, num_known_answers: answers that were no votes.
        quick_seconds: what `PersonQuality.quick` calls quick.
    """

    overall: Agreement
    slices: Mapping[str, Mapping[str, Agreement]]
    pairs_of_people: PairsOfPeople
    people: tuple[PersonQuality, ...]
    crowd: Crowd
    crowd_summary: CrowdSummary
    drift: tuple[Drift, ...]
    weeks: tuple[Week, ...]
    num_repeats: int
    num_known_answers: int
    quick_seconds: float = field(default=QUICK_SECONDS)

    def as_dict(self) -> dict:
        """Plain form for manifests and reports. Verdicts of single pairs are left out: `crowd.rows()` gives them."""
        return {
            "overall": self.overall.as_dict(),
            "slices": {kind: {n: a.as_dict() for n, a in by.items()} for kind, by in self.slices.items()},
            "pairs_of_people": [pair.as_dict() for pair in self.pairs_of_people.pairs],
            "pairs_of_people_left_out": self.pairs_of_people.num_left_out,
            "people": [person.as_dict() for person in self.people],
            "crowd": asdict(self.crowd_summary),
            "confusions": [person.as_dict() for person in self.crowd.people],
            "drift": [one.as_dict() for one in self.drift],
            "weeks": [week.row() for week in self.weeks],
            "num_repeats": self.num_repeats,
            "num_known_answers": self.num_known_answers,
            "quick_seconds": self.quick_seconds,
        }

    def rows(self) -> list[dict]:
        """One row per person: agreement with the others, the crowd model's accuracy, and their own work."""
        others = {person.person: person for person in self.overall.people}
        confusions = {person.person: person for person in self.crowd.people}
        drifting = {one.person: one.direction for one in self.drift if one.changed and one.what == "agreement"}
        rows = []
        for person in self.people:
            agreement, confusion = others.get(person.person), confusions.get(person.person)
            low, high = (agreement.interval if agreement else None) or (None, None)
            row = person.row() | {
                "simulated": person.simulated,
                "agrees_with_others": agreement.agreement_rate if agreement else None,
                "agrees_low": low,
                "agrees_high": high,
                "crowd_accuracy": confusion.accuracy.value if confusion else None,
                "crowd_accuracy_low": confusion.accuracy.low if confusion else None,
                "crowd_accuracy_high": confusion.accuracy.high if confusion else None,
                "weight": confusion.weight if confusion else None,
                "worse_than_chance": confusion.worse_than_chance if confusion else False,
                "drift": drifting.get(person.person, ""),
            }
            rows.append(row)
        return rows

    def slice_rows(self) -> list[dict]:
        """One row for all pairs, then one per slice."""
        rows = [_slice_row("all", "all", self.overall)]
        return rows + [_slice_row(kind, name, a) for kind, by in self.slices.items() for name, a in by.items()]

    def tables(self) -> dict[str, list[dict]]:
        """The report's tables by name, rows as plain dictionaries."""
        return {
            "people": self.rows(),
            "slices": self.slice_rows(),
            "pairs_of_people": [pair.row() for pair in self.pairs_of_people.pairs],
            "confusions": [person.row() for person in self.crowd.people],
            "drift": [one.row() for one in self.drift],
            "weeks": [week.row() for week in self.weeks],
        }

    def warnings(self) -> list[str]:
        """Sentences on what a manager should look at."""
        found = []
        for person in self.people:
            if person.side_biased and person.left.rate is not None:
                side = "left" if person.left.rate > 0.5 else "right"
                share = max(person.left.rate, 1 - person.left.rate)
                found.append(
                    f"{person.person} prefers the {side} response ({share:.0%} of {person.left.num} verdicts)."
                )
            if person.quick.rate and person.quick.rate > 0.1:
                found.append(
                    f"{person.person} gave {person.quick.rate:.0%} of votes in under {self.quick_seconds:g} s."
                )
        found += [
            f"{person.person} is wrong more often than right; the crowd model inverts these votes."
            for person in self.crowd.people
            if person.worse_than_chance
        ]
        found += [
            f"{one.person} got {one.direction} ({one.what}) after {one.changed_after} compared answers."
            for one in self.drift
            if one.changed
        ]
        if not self.crowd_summary.converged:
            found.append("The crowd model did not come to rest; its verdicts are rough.")
        return found


def measure_quality(
    events: pa.Table,
    cluster_of: Mapping[str, str],
    slices: Mapping[str, Mapping[str, str]],
    *,
    seed: int,
    num_bootstrap: int = 1_000,
    quick_seconds: float = QUICK_SECONDS,
    min_person_labels: int = 20,
) -> HumanQuality:
    """Measure everything that is known of people's labels.

    Args:
        events: contract `label_events`, any kinds; only people's count.
        cluster_of: prompt cluster by pair id; a pair without one is a cluster of its own.
        slices: kind of slice to (pair id to slice), such as {"category": {...}, "source": {...}}.
        seed: of the bootstraps.
        num_bootstrap: resamples of prompt clusters.
        quick_seconds: an answer in less is suspicious.
        min_person_labels: people with fewer votes have no slice of their own; everything else counts them.
    """
    answers = read_answers(events, cluster_of)
    labels = answers.labels
    found: dict[str, Mapping[str, Agreement]] = {
        kind: sliced(labels, of, seed=seed, num_bootstrap=num_bootstrap, with_people=False)
        for kind, of in slices.items()
    }
    found["person"] = _by_person(labels, seed, num_bootstrap, min_person_labels)
    crowd = fit_crowd(labels)
    return HumanQuality(
        overall=agreement_of(labels, seed=seed, num_bootstrap=num_bootstrap),
        slices=found,
        pairs_of_people=measure_pairs_of_people(labels, seed=seed, num_bootstrap=num_bootstrap),
        people=measure_people(answers, quick_seconds=quick_seconds),
        crowd=crowd,
        crowd_summary=summarise(crowd, labels),
        drift=measure_drift(answers, crowd),
        weeks=measure_weeks(answers),
        num_repeats=len(answers.repeats),
        num_known_answers=len(answers.known_answers),
        quick_seconds=quick_seconds,
    )


def summarise(crowd: Crowd, labels: Answers) -> CrowdSummary:
    """Numbers of the crowd model over all pairs, and how often it says what the majority says."""
    rows = crowd.rows()
    confidences = [row["confidence"] for row in rows if row["confidence"] is not None]
    verdicts = [-1 if row["verdict"] is None else ("1", "2", "tie").index(row["verdict"]) for row in rows]
    majority = majorities(labels)
    both = (np.array(verdicts, dtype=int) >= 0) & (majority >= 0)
    return CrowdSummary(
        num_pairs=len(rows),
        by_verdict=dict(sorted(Counter(row["verdict"] or row["why_not"] for row in rows).items())),
        mean_confidence=float(np.mean(confidences)) if confidences else None,
        tie_rate=crowd.rates.tie_rate,
        majority_compared=int(both.sum()),
        majority_equal=int((np.array(verdicts, dtype=int) == majority)[both].sum()),
        prior_strength=crowd.rates.sided_strength,
        converged=crowd.converged,
    )


def majorities(labels: Answers) -> np.ndarray:
    """Code of the one decided verdict that most people gave, by answered pair in order of pair id; -1 for none."""
    answered = np.unique(labels.pair)
    counts = labels.counts()[answered, :UNDECIDED].astype(float)
    return np.where(counts.sum(axis=1) > 0, leaders(counts), -1) if len(answered) else np.zeros(0, dtype=int)


def _by_person(labels: Answers, seed: int, num_bootstrap: int, min_labels: int) -> dict[str, Agreement]:
    num_labels = np.bincount(labels.person, minlength=len(labels.people))
    found = {}
    for code in np.flatnonzero(num_labels >= min_labels):
        own = np.zeros(len(labels.pair_ids), dtype=bool)
        own[labels.pair[labels.person == code]] = True
        found[labels.people[code]] = agreement_of(
            labels.where(own[labels.pair]), seed=seed, num_bootstrap=num_bootstrap, with_people=False
        )
    return found


def _slice_row(kind: str, name: str, a: Agreement) -> dict:
    row: dict = {"kind": kind, "slice": name}
    row |= {n: getattr(a, n) for n in ("num_pairs", "num_overlapping", "num_clusters", "num_labels", "undecided_rate")}
    for name_, value, interval in (
        ("raw", a.raw_rate, a.raw_interval),
        ("alpha", a.alpha, a.interval),
        ("fleiss", a.fleiss, a.fleiss_interval),
    ):
        low, high = interval or (None, None)
        row |= {name_: value, f"{name_}_low": low, f"{name_}_high": high}
    return row | {"fleiss_num_raters": a.fleiss_num_raters, "fleiss_num_pairs": a.fleiss_num_pairs}
