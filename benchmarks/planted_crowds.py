"""Made-up crowds whose truth is known: for measuring and testing what is said of people's labels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow as pa

from assets.contracts import VERDICTS, from_rows
from assets.human_gold.agreement.votes import Answers
from assets.label_events import label_event

START = datetime(2025, 3, 3, 9, tzinfo=UTC)


@dataclass(frozen=True)
class Plan:
    """A crowd to make up.

    Attributes:
        num_people, num_pairs, num_votes: so many people, pairs, and different people a pair.
        tie_rate: share of true ties.
        sided: Dirichlet parameters of a person's right, wrong side and missed; their sum says how alike people are.
        tie: beta parameters of a person's seeing a tie.
        special: people, from the last one on, who do not follow: "always_1", "random", "adversary".
        pairs_per_prompt: pairs in a prompt cluster.
        popularity: 0 gives all people equally many labels; 1.5 gives most labels to a few.
    """

    num_people: int
    num_pairs: int
    num_votes: int
    tie_rate: float = 0.1
    sided: tuple[float, float, float] = (14.0, 4.0, 2.0)
    tie: tuple[float, float] = (7.0, 3.0)
    special: tuple[str, ...] = ()
    pairs_per_prompt: int = 1
    popularity: float = 0.0


@dataclass(frozen=True)
class PlantedCrowd:
    """Votes with what lies behind them: `sided` [people, 3], `tie` [people], `truth` [pairs] as verdict codes."""

    votes: Answers
    sided: np.ndarray
    tie: np.ndarray
    truth: np.ndarray


def plant(plan: Plan, seed: int) -> PlantedCrowd:
    """Make up a crowd; the same seed gives the same one."""
    random = np.random.default_rng(seed)
    sided, tie = random.dirichlet(plan.sided, plan.num_people), random.beta(*plan.tie, plan.num_people)
    for n, kind in enumerate(reversed(plan.special), start=1):
        if kind == "adversary":
            sided[-n] = (0.1, 0.85, 0.05)
        elif kind == "random":
            sided[-n] = (0.45, 0.45, 0.1)
        else:
            # Saying 1 whatever the truth is right on half of the pairs.
            sided[-n] = (0.5, 0.5, 0.0)
    truth = np.where(random.random(plan.num_pairs) < plan.tie_rate, 2, random.integers(0, 2, plan.num_pairs))
    # Keys drawn by Gumbel's trick: people without replacement, the popular ones more often.
    appeal = -plan.popularity * np.log(np.arange(1, plan.num_people + 1))
    keys = appeal + random.gumbel(size=(plan.num_pairs, plan.num_people))
    person = np.argsort(-keys, axis=1)[:, : plan.num_votes].ravel()
    pair = np.repeat(np.arange(plan.num_pairs), plan.num_votes)
    verdict = _verdicts(random, truth[pair], sided[person], tie[person])
    for n, kind in enumerate(reversed(plan.special), start=1):
        if kind == "always_1":
            verdict[person == plan.num_people - n] = 0
    return PlantedCrowd(
        answers(
            pair, person, verdict, plan.num_pairs, plan.num_people, np.arange(plan.num_pairs) // plan.pairs_per_prompt
        ),
        sided,
        tie,
        truth,
    )


def answers(
    pair: np.ndarray,
    person: np.ndarray,
    verdict: np.ndarray,
    num_pairs: int,
    num_people: int,
    clusters: np.ndarray | None = None,
) -> Answers:
    """Votes from codes, with names made of them."""
    return Answers(
        pair_ids=tuple(f"pair{n:07d}" for n in range(num_pairs)),
        people=tuple(f"simulated {n:04d}" for n in range(num_people)),
        cluster_of_pair=np.arange(num_pairs) if clusters is None else clusters,
        simulated=np.ones(num_people, dtype=bool),
        pair=pair,
        person=person,
        verdict=verdict.astype(np.int64),
        left=np.zeros(len(pair), dtype=np.int64),
        seconds=np.full(len(pair), np.nan),
        known=np.full(len(pair), -1),
        day_us=np.zeros(len(pair), dtype=np.int64),
    )


def events_of(
    crowd: PlantedCrowd,
    seed: int,
    *,
    repeat_share: float = 0.0,
    known_share: float = 0.0,
    left_lean: Sequence[float] = (),
) -> pa.Table:
    """The crowd's votes as label events, with repeats, known-answer items, sides and times.

    Args:
        repeat_share: share of votes that come back as blind repeats.
        known_share: share of votes that go with one more answer, to a known-answer item.
        left_lean: by person, share of their verdicts for a side that are the left response whatever is there.
    """
    random = np.random.default_rng([seed, 1])
    votes, rows = crowd.votes, list[dict]()
    order = random.permutation(len(votes))
    for number, n in enumerate(order):
        pair, person, verdict = int(votes.pair[n]), int(votes.person[n]), int(votes.verdict[n])
        left = int(random.integers(1, 3))
        if verdict < 2 and person < len(left_lean) and random.random() < left_lean[person]:
            verdict = left - 1
        asked = [("label", verdict)]
        if random.random() < repeat_share:
            asked.append(("repeat", _again(random, crowd, pair, person)))
        if random.random() < known_share:
            asked.append(("known_answer", _again(random, crowd, pair, person)))
        for purpose, answer in asked:
            evidence: dict = {"left_response": left, "active_seconds": round(float(random.lognormal(3.7, 0.7)), 1)}
            if purpose == "known_answer":
                evidence["known_verdict"] = VERDICTS[crowd.truth[pair]]
            event = label_event(
                pair_id=votes.pair_ids[pair],
                kind="person",
                labeller=votes.people[person],
                version="made up",
                verdict=VERDICTS[answer],
                round_name="round_0",
                delivery=f"{purpose} {number}",
                created_at=START + timedelta(minutes=3 * number * 20 / max(1, len(votes.people))),
                simulated=True,
                purpose=purpose,
                evidence=evidence,
            )
            rows.append(event | {"seq": len(rows)})
    return from_rows(rows, "label_events")


def _again(random: np.random.Generator, crowd: PlantedCrowd, pair: int, person: int) -> int:
    truth, sided, tie = crowd.truth[[pair]], crowd.sided[[person]], crowd.tie[[person]]
    return int(_verdicts(random, truth, sided, tie)[0])


def _verdicts(random: np.random.Generator, truth: np.ndarray, sided: np.ndarray, tie: np.ndarray) -> np.ndarray:
    drawn, side = random.random(len(truth)), random.integers(0, 2, len(truth))
    of_sided = np.where(drawn < sided[:, 0], truth, np.where(drawn < sided[:, 0] + sided[:, 1], 1 - truth, 2))
    return np.where(truth == 2, np.where(drawn < tie, 2, side), of_sided)
