"""One person's work: agreement with themselves, right answers, sides, ties, pace."""

from __future__ import annotations

from dataclasses import asdict, dataclass

import numpy as np

from assets.human_gold.agreement.resampling import Interval, Share, share_of, wilson
from assets.human_gold.agreement.votes import UNDECIDED, Answers, AnswersByPurpose

QUICK_SECONDS = 5.0
"""An answer in less is suspicious: reading two responses takes the paper's people 10 s to 5 minutes."""

_TIE = UNDECIDED - 1
_FLAG_LEVEL = 0.05


@dataclass(frozen=True)
class PersonQuality:
    """How one person works.

    Attributes:
        person: as in the label events; `simulated` for people who are none.
        num_labels: pairs the person gave a vote on.
        self_agreement: repeats with the same verdict as the person's vote on the pair, of those decided both times.
        repeats_undecided: repeats that were undecided either time, and are not compared; repeats_unmatched: without a
            vote of the person on the pair.
        known_accuracy: right ones of the decided answers to known-answer items; known_undecided: the others.
        left: verdicts for the left response, of the verdicts for either whose sides are on record.
        left_p_value: of the exact two-sided test against one half. Sides are drawn by a fair coin for each person and
            pair, apart from the pair's text and the verdict: whatever the pairs are, a person who does not look at the
            side says left with probability one half, independently. So the null is 0.5 itself, not the share of pairs
            whose better response stood on the left, and prompts need no clusters.
        left_interval: Wilson's, 95 %.
        side_biased: the p-value is under 5 % after Holm's correction for the number of people tested.
        undecided_rate, tie_rate: of the votes; ties of the decided ones.
        median_seconds: active seconds of the votes; None where none was recorded.
        labels_per_hour: of active time.
        quick: votes given in under `QUICK_SECONDS`, of those with a time.
    """

    person: str
    simulated: bool
    num_labels: int
    self_agreement: Share
    repeats_undecided: int
    repeats_unmatched: int
    known_accuracy: Share
    known_undecided: int
    left: Share
    left_interval: Interval | None
    left_p_value: float | None
    side_biased: bool
    undecided_rate: float | None
    tie_rate: float | None
    median_seconds: float | None
    labels_per_hour: float | None
    quick: Share

    def as_dict(self) -> dict:
        """Plain form for manifests and reports."""
        return asdict(self)

    def row(self) -> dict:
        """One row of a table; shares with their number and interval."""
        row: dict = {"person": self.person, "num_labels": self.num_labels}
        for name in ("self_agreement", "known_accuracy"):
            share: Share = getattr(self, name)
            low, high = share.interval or (None, None)
            row |= {name: share.rate, f"{name}_low": low, f"{name}_high": high, f"num_{name}": share.num}
        low, high = self.left_interval or (None, None)
        return row | {
            "left_rate": self.left.rate,
            "left_low": low,
            "left_high": high,
            "side_biased": self.side_biased,
            "undecided_rate": self.undecided_rate,
            "tie_rate": self.tie_rate,
            "median_seconds": self.median_seconds,
            "labels_per_hour": self.labels_per_hour,
            "quick_rate": self.quick.rate,
        }


def measure_people(answers: AnswersByPurpose, *, quick_seconds: float = QUICK_SECONDS) -> tuple[PersonQuality, ...]:
    """Everyone who answered anything, by name."""
    labels, repeats, known = answers.labels, answers.repeats, answers.known_answers
    present = np.unique(np.concatenate([labels.person, repeats.person, known.person]))
    earlier = _votes_behind(repeats, labels)
    found = [_person(code, answers, earlier, quick_seconds) for code in present]
    flagged = _holm([person.left_p_value for person in found])
    return tuple(
        PersonQuality(**{**_fields(person), "side_biased": flag}) for person, flag in zip(found, flagged, strict=True)
    )


def _person(code: int, answers: AnswersByPurpose, earlier: np.ndarray, quick_seconds: float) -> PersonQuality:
    labels = answers.labels.where(answers.labels.person == code)
    mine = answers.repeats.person == code
    repeats, before = answers.repeats.where(mine), earlier[mine]
    known = answers.known_answers.where(answers.known_answers.person == code)
    comparable = (before >= 0) & (before != UNDECIDED) & repeats.decided
    left, interval, p_value = side_shares(labels)
    timed = labels.where(np.isfinite(labels.seconds))
    active = float(timed.seconds.sum())
    num_decided = int(labels.decided.sum())
    return PersonQuality(
        person=answers.labels.people[code],
        simulated=bool(answers.labels.simulated[code]),
        num_labels=len(labels),
        self_agreement=share_of((repeats.verdict == before)[comparable], repeats.cluster[comparable]),
        repeats_undecided=int(((before >= 0) & ~comparable).sum()),
        repeats_unmatched=int((before < 0).sum()),
        known_accuracy=share_of((known.verdict == known.known)[known.decided], known.cluster[known.decided]),
        known_undecided=int((~known.decided).sum()),
        left=left,
        left_interval=interval,
        left_p_value=p_value,
        side_biased=False,
        undecided_rate=1 - num_decided / len(labels) if len(labels) else None,
        tie_rate=float((labels.verdict == _TIE).sum() / num_decided) if num_decided else None,
        median_seconds=float(np.median(timed.seconds)) if len(timed) else None,
        labels_per_hour=3600 * len(timed) / active if active > 0 else None,
        quick=share_of(timed.seconds < quick_seconds, timed.cluster),
    )


def side_shares(labels: Answers) -> tuple[Share, Interval | None, float | None]:
    """Verdicts for the left response: their share, its interval and the exact test against one half."""
    from scipy.stats import binomtest

    sided = labels.where((labels.verdict < _TIE) & (labels.left > 0))
    left = share_of(sided.verdict + 1 == sided.left, sided.cluster)
    if not left.num:
        return left, None, None
    p_value = float(binomtest(left.hits, left.num, 0.5).pvalue)
    # The coin is thrown for every answer, so here answers are the units; few prompts still give no interval.
    interval = wilson(left.hits / left.num, left.num) if left.interval else None
    return left, interval, p_value


def _votes_behind(repeats: Answers, labels: Answers) -> np.ndarray:
    """Verdict of the same person's vote on the pair, for each repeat; -1 without one."""
    num_people = max(1, len(labels.people))
    key = labels.pair * num_people + labels.person
    order = np.argsort(key, kind="stable")
    wanted = repeats.pair * num_people + repeats.person
    place = np.searchsorted(key[order], wanted)
    found = np.full(len(repeats), -1, dtype=np.int64)
    inside = place < len(key)
    hit = np.zeros(len(repeats), dtype=bool)
    hit[inside] = key[order][place[inside]] == wanted[inside]
    found[hit] = labels.verdict[order][place[hit]]
    return found


def _holm(p_values: list[float | None]) -> list[bool]:
    """Which of the tests stand at 5 % for all of them together (Holm 1979)."""
    tested = sorted((p, n) for n, p in enumerate(p_values) if p is not None)
    flags = [False] * len(p_values)
    for rank, (p, n) in enumerate(tested):
        if p * (len(tested) - rank) >= _FLAG_LEVEL:
            break
        flags[n] = True
    return flags


def _fields(person: PersonQuality) -> dict:
    return {name: getattr(person, name) for name in person.__dataclass_fields__}
