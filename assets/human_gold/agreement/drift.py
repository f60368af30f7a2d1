"""Change over time: whether a person's work gets worse or better, and how much is done a week.

Easy pairs come first, so plain agreement falls although nobody changes. What is followed is therefore the difference
between what a person did and what the crowd model expects of them on that very pair.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime, timedelta

import numpy as np

from assets.human_gold.agreement.crowd import Crowd, leaders
from assets.human_gold.agreement.resampling import Share, share_of
from assets.human_gold.agreement.votes import Answers, AnswersByPurpose

BLOCK_LABELS = 50
_MIN_TESTED = 40
_FLAG_P = 0.01


@dataclass(frozen=True)
class Block:
    """Consecutive votes of one person that could be compared with the crowd.

    Attributes:
        number: from 1 on; first_day, last_day: ISO dates of its first and last vote.
        num: votes compared.
        agreement_rate: share equal to the others' aggregate verdict; expected_rate: what the crowd model expects of
            the person on these pairs.
    """

    number: int
    first_day: str
    last_day: str
    num: int
    agreement_rate: float
    expected_rate: float


@dataclass(frozen=True)
class Drift:
    """One person's agreement with the crowd's aggregate, in the order of answering.

    Attributes:
        person: as in the label events.
        what: "agreement" with the aggregate of the others' votes, or "known answers".
        blocks: `BLOCK_LABELS` compared votes each, the last one what is left.
        num: votes compared; early_rate and late_rate: agreement of their first and second half.
        statistic: largest excursion of the running sum of (agreed - expected), tied down at both ends, in units of its
            standard deviation (CUSUM). p_value: of so large an excursion where nothing changes (Kolmogorov's limit law,
            a little cautious for few votes); None under 40 votes.
        changed_after: the number of compared votes after which the excursion turns, the likeliest place of a change.
        direction: "worse" or "better" after that place.
        changed: the p-value is under 1 %.
    """

    person: str
    what: str
    blocks: tuple[Block, ...]
    num: int
    early_rate: float | None
    late_rate: float | None
    statistic: float | None
    p_value: float | None
    changed_after: int | None
    direction: str | None
    changed: bool

    def as_dict(self) -> dict:
        """Plain form for manifests and reports."""
        return asdict(self)

    def row(self) -> dict:
        """One row of a table, without the blocks."""
        return {name: value for name, value in asdict(self).items() if name != "blocks"}


@dataclass(frozen=True)
class Week:
    """One person's votes of one week.

    Attributes:
        monday: ISO date, UTC.
        labels_per_hour: of active time; None where no time was recorded.
        known_accuracy: right ones of the decided known-answer items of the week.
    """

    person: str
    monday: str
    num_labels: int
    labels_per_hour: float | None
    known_accuracy: Share

    def row(self) -> dict:
        """One row of a table."""
        return {
            "person": self.person,
            "monday": self.monday,
            "num_labels": self.num_labels,
            "labels_per_hour": self.labels_per_hour,
            "known_accuracy": self.known_accuracy.rate,
            "num_known": self.known_accuracy.num,
        }


def measure_drift(answers: AnswersByPurpose, crowd: Crowd, *, block_labels: int = BLOCK_LABELS) -> tuple[Drift, ...]:
    """Change of each person's agreement with the others' aggregate and of their known answers, by name."""
    labels = answers.labels.where(crowd.vote_rows)
    aggregate = leaders(crowd.leave_one_out)
    expected = _expected(labels, crowd, aggregate)
    # A pair that nobody else decided has no aggregate of others.
    others = np.bincount(crowd.pair_of_vote, minlength=len(crowd.pair_ids))[crowd.pair_of_vote] > 1
    comparable = others & (aggregate >= 0)
    found = []
    for code in np.unique(np.concatenate([labels.person, answers.known_answers.person])):
        mine = comparable & (labels.person == code)
        agreed = (labels.verdict == aggregate)[mine]
        name = answers.labels.people[code]
        if mine.any():
            found.append(change(name, "agreement", agreed, expected[mine], labels.day_us[mine], block_labels))
        known = answers.known_answers.where((answers.known_answers.person == code) & answers.known_answers.decided)
        if len(known):
            right = known.verdict == known.known
            constant = np.full(len(known), right.mean())
            found.append(change(name, "known answers", right, constant, known.day_us, block_labels))
    return tuple(found)


def change(
    person: str, what: str, agreed: np.ndarray, expected: np.ndarray, day_us: np.ndarray, block_labels: int
) -> Drift:
    """Whether a series of right and wrong answers changes against what is expected of each.

    Args:
        agreed: bool [n], in the order of answering.
        expected: [n], probability of each.
        day_us: [n], microseconds since 1970; only to name the blocks' days.
        block_labels: answers a block.
    """
    blocks = []
    for number, start in enumerate(range(0, len(agreed), block_labels), start=1):
        part = slice(start, start + block_labels)
        blocks.append(
            Block(
                number,
                _day(day_us[part].min()).isoformat(),
                _day(day_us[part].max()).isoformat(),
                len(agreed[part]),
                float(agreed[part].mean()),
                float(expected[part].mean()),
            )
        )
    num, half = len(agreed), len(agreed) // 2
    statistic = p_value = changed_after = direction = None
    spread = float((expected * (1 - expected)).sum())
    if num >= _MIN_TESTED and spread > 0:
        from scipy.stats import kstwobign

        sums = np.cumsum(agreed - expected)
        excursion = (sums - np.arange(1, num + 1) / num * sums[-1]) / np.sqrt(spread)
        place = int(np.abs(excursion).argmax())
        statistic = float(abs(excursion[place]))
        p_value = float(kstwobign.sf(statistic))
        changed_after = place + 1
        direction = "worse" if excursion[place] > 0 else "better"
    return Drift(
        person=person,
        what=what,
        blocks=tuple(blocks),
        num=num,
        early_rate=float(agreed[:half].mean()) if half else None,
        late_rate=float(agreed[half:].mean()) if half else None,
        statistic=statistic,
        p_value=p_value,
        changed_after=changed_after,
        direction=direction,
        changed=p_value is not None and p_value < _FLAG_P,
    )


def measure_weeks(answers: AnswersByPurpose) -> tuple[Week, ...]:
    """What each person did in each week, by name and week."""
    labels, known = answers.labels, answers.known_answers
    label_week, known_week = _monday(labels.day_us), _monday(known.day_us)
    pairs = {(int(p), int(w)) for p, w in zip(labels.person, label_week, strict=True)}
    pairs |= {(int(p), int(w)) for p, w in zip(known.person, known_week, strict=True)}
    found = []
    for code, week in sorted(pairs):
        mine = labels.where((labels.person == code) & (label_week == week))
        seconds = mine.seconds[np.isfinite(mine.seconds)]
        asked = known.where((known.person == code) & (known_week == week) & known.decided)
        found.append(
            Week(
                person=labels.people[code],
                monday=(date(1970, 1, 5) + timedelta(weeks=week)).isoformat(),
                num_labels=len(mine),
                labels_per_hour=float(3600 * len(seconds) / seconds.sum()) if seconds.sum() > 0 else None,
                known_accuracy=share_of(asked.verdict == asked.known, asked.cluster),
            )
        )
    return tuple(found)


def _expected(labels: Answers, crowd: Crowd, aggregate: np.ndarray) -> np.ndarray:
    """Probability that the person's verdict is the others' aggregate, by the crowd model."""
    row_of = {person.person: n for n, person in enumerate(crowd.people)}
    matrices = np.array([person.matrix() for person in crowd.people]).reshape(-1, 3, 3)
    rows = np.array([row_of.get(name, 0) for name in labels.people], dtype=np.int64)
    if not len(labels):
        return np.zeros(0)
    says = matrices[rows[labels.person], :, np.maximum(aggregate, 0)]
    return (crowd.leave_one_out * says).sum(axis=1)


def _monday(day_us: np.ndarray) -> np.ndarray:
    # Weeks since Monday, 5 January 1970.
    return (day_us // 86_400_000_000 - 4) // 7


def _day(us: float) -> date:
    return (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=int(us))).date()
