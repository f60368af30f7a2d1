"""Answers of people as arrays: which of their label events count, and for what."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import orjson
import pyarrow as pa

from assets.contracts import LABEL_PURPOSES, VERDICTS
from assets.errors import ContractError

UNDECIDED = VERDICTS.index("undecided")
"""Code of "undecided"; the verdicts before it, 1, 2 and tie, are values."""

_COLUMNS = [
    "event_id",
    "pair_id",
    "labeller_kind",
    "labeller",
    "verdict",
    "round",
    "seq",
    "purpose",
    "simulated",
    "supersedes",
    "created_at",
    "evidence",
]


@dataclass(frozen=True)
class Answers:
    """Answers of one purpose: parallel arrays, in order of giving (round, then `seq`).

    Attributes:
        pair_ids, people: names behind the codes, sorted; the same for every purpose of one reading.
        cluster_of_pair: prompt cluster by pair code.
        simulated: by person code; True for people who are none.
        pair, person: codes.
        verdict: code into `assets.contracts.VERDICTS`, canonical order.
        left: which response stood on the left, 1 or 2; 0 where nobody recorded it.
        seconds: active seconds; NaN where nobody recorded them.
        known: code of the verdict that is known to be right; -1 for none.
        day_us: `created_at` in microseconds since 1970. For rates over time, never for ordering.
    """

    pair_ids: tuple[str, ...]
    people: tuple[str, ...]
    cluster_of_pair: np.ndarray
    simulated: np.ndarray
    pair: np.ndarray
    person: np.ndarray
    verdict: np.ndarray
    left: np.ndarray
    seconds: np.ndarray
    known: np.ndarray
    day_us: np.ndarray

    def __len__(self) -> int:
        return len(self.pair)

    @property
    def cluster(self) -> np.ndarray:
        """Prompt cluster of each answer."""
        return self.cluster_of_pair[self.pair]

    @property
    def decided(self) -> np.ndarray:
        """Which answers are a value: 1, 2 or tie."""
        return self.verdict != UNDECIDED

    def where(self, kept: np.ndarray) -> Answers:
        """The answers that a mask or an index names; the codes stay."""
        names = ("pair", "person", "verdict", "left", "seconds", "known", "day_us")
        return replace(self, **{name: getattr(self, name)[kept] for name in names})

    def counts(self) -> np.ndarray:
        """Answers by pair code and verdict code, int [pairs, 4]."""
        size = len(self.pair_ids) * len(VERDICTS)
        flat = np.bincount(self.pair * len(VERDICTS) + self.verdict, minlength=size)
        return flat.reshape(len(self.pair_ids), len(VERDICTS))


@dataclass(frozen=True)
class AnswersByPurpose:
    """What people answered: votes, blind repeats and known-answer items, each pair and person's last of a kind."""

    labels: Answers
    repeats: Answers
    known_answers: Answers


def read_answers(events: pa.Table, cluster_of: Mapping[str, str]) -> AnswersByPurpose:
    """Sort people's label events by what they were asked for.

    Only kind `person` counts. Of labels each person's last on a pair counts, whatever the round; of repeats and
    known-answer items the last within a round, so that one asked in two rounds counts twice. Rounds follow in order
    of name length, then name, so that round_10 comes after round_9; within a round `seq` orders.

    Args:
        events: contract `label_events`.
        cluster_of: prompt cluster by pair id; a pair without one is a cluster of its own.

    Raises:
        ContractError: a purpose that the ledger does not know, or a known-answer item without its `known_verdict`.
    """
    table = events.select(_COLUMNS).filter(pa.compute.equal(events["labeller_kind"], "person"))
    superseded = table["supersedes"].drop_null()
    table = table.filter(pa.compute.invert(pa.compute.is_in(table["event_id"], value_set=superseded)))
    purposes = np.array([p or "label" for p in table["purpose"].to_pylist()], dtype=object)
    for purpose in set(purposes) - set(LABEL_PURPOSES):
        raise ContractError(f"{purpose!r} is not a purpose of a label.", todo=f"use one of {LABEL_PURPOSES}")
    pair_ids, pair = _codes(table["pair_id"])
    people, person = _codes(table["labeller"])
    evidence = [orjson.loads(text) if text else {} for text in table["evidence"].to_pylist()]
    answers = Answers(
        pair_ids=pair_ids,
        people=people,
        cluster_of_pair=_clusters(pair_ids, cluster_of),
        simulated=_any_by(person, table["simulated"].to_pylist(), len(people)),
        pair=pair,
        person=person,
        verdict=np.array([VERDICTS.index(v) for v in table["verdict"].to_pylist()], dtype=np.int64),
        left=np.array([e.get("left_response") or 0 for e in evidence], dtype=np.int64),
        seconds=np.array([_seconds(e.get("active_seconds")) for e in evidence], dtype=float),
        known=np.array(
            [_known(e) if p == "known_answer" else -1 for e, p in zip(evidence, purposes, strict=True)], int
        ),
        day_us=np.asarray(table["created_at"].cast(pa.int64()).to_numpy(zero_copy_only=False), dtype=np.int64),
    )
    rounds = table["round"].to_pylist()
    place = {name: n for n, name in enumerate(sorted(set(rounds), key=lambda name: (len(name), name)))}
    round_code = np.array([place[name] for name in rounds], dtype=np.int64)
    seq = np.array([-1 if s is None else s for s in table["seq"].to_pylist()], dtype=np.int64)
    # Pair and person last: the same order of rows whatever order they came in.
    order = np.lexsort((person, pair, seq, round_code))

    def last(purpose: str, *keys: np.ndarray) -> Answers:
        rows = order[(purposes == purpose)[order]]
        return answers.where(_last_of_each(rows, *keys))

    return AnswersByPurpose(
        labels=last("label", pair, person),
        repeats=last("repeat", pair, person, round_code),
        known_answers=last("known_answer", pair, person, round_code),
    )


def last_verdicts(events: pa.Table) -> dict[str, dict[str, str]]:
    """Each person's last vote on each pair: pair id to person to verdict (see `read_answers`)."""
    labels = read_answers(events, {}).labels
    found: dict[str, dict[str, str]] = {}
    for pair, person, verdict in zip(labels.pair, labels.person, labels.verdict, strict=True):
        found.setdefault(labels.pair_ids[pair], {})[labels.people[person]] = VERDICTS[verdict]
    return found


def _codes(column: pa.ChunkedArray) -> tuple[tuple[str, ...], np.ndarray]:
    names, codes = np.unique(np.array(column.to_pylist(), dtype=object).astype(str), return_inverse=True)
    return tuple(names.tolist()), codes.astype(np.int64)


def _clusters(pair_ids: Sequence[str], cluster_of: Mapping[str, str]) -> np.ndarray:
    names = [cluster_of.get(pair, f"pair {pair}") for pair in pair_ids]
    return np.unique(np.array(names, dtype=str), return_inverse=True)[1].astype(np.int64)


def _any_by(codes: np.ndarray, flags: Sequence[bool], size: int) -> np.ndarray:
    found = np.zeros(size, dtype=bool)
    np.logical_or.at(found, codes, np.array(flags, dtype=bool))
    return found


def _seconds(value: object) -> float:
    # A clock that ran backwards says nothing about the time somebody took.
    usable = isinstance(value, (int, float)) and math.isfinite(value) and value >= 0
    return float(value) if usable else math.nan  # type: ignore[arg-type]


def _known(evidence: Mapping) -> int:
    verdict = evidence.get("known_verdict")
    if verdict not in VERDICTS[:UNDECIDED]:
        raise ContractError(
            f"A known-answer item says {verdict!r} is right.",
            where=f"task {evidence.get('task_id', '(none)')}",
            todo="put its known_verdict, 1, 2 or tie, into the event's evidence",
        )
    return VERDICTS.index(verdict)


def _last_of_each(rows: np.ndarray, *keys: np.ndarray) -> np.ndarray:
    """Of the rows, in their order, the last one of each combination of keys; in the order of these last ones."""
    if not len(rows):
        return rows
    group = np.zeros(len(rows), dtype=np.int64)
    for key in keys:
        group = np.unique(group * (key.max() + 1) + key[rows], return_inverse=True)[1]
    _, from_the_end = np.unique(group[::-1], return_index=True)
    return rows[np.sort(len(rows) - 1 - from_the_end)]
