"""Annotation: pairs in, label events of every judge and of the panel out."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import pyarrow as pa

from assets.accounting import StageCounts
from assets.contracts import from_rows
from assets.errors import ContractError
from assets.identity import digest
from assets.label_events import label_event
from assets.llm_annotated.asking import Asked, ask, requests_table
from assets.llm_annotated.judging import Judge
from assets.llm_annotated.qualification import Qualification
from assets.llm_annotated.settings import VotingSettings
from assets.llm_annotated.votes import SIDES, JudgeVerdict, PanelVerdict, merge_judges

PANEL = "panel"
"""Labeller of the merged verdict: what silver and the decisions of stage 2 read."""


@dataclass(frozen=True)
class AnnotationResult:
    """What the judges made of a batch of pairs.

    Attributes:
        events: contract `label_events`, kind judge: one per judge and pair that it answered, and one of the
            panel per pair that any used judge answered. In order of pair, judges before the panel.
        requests: contract `judge_requests`.
        panel: the panel's verdict by pair.
        counts: pairs in, pairs with a side out; dropped: tie, undecided, no_judge (none is used), or the
            status of the calls when no judge answered (no_record, no_truth, ...).
        counts_by_judge: the same for each judge alone.
        usd: cost of all calls, by judge.
        weighting: see `Qualification.weighting`.
    """

    events: pa.Table
    requests: pa.Table
    panel: Mapping[str, PanelVerdict]
    counts: StageCounts
    counts_by_judge: Mapping[str, StageCounts]
    usd: Mapping[str, float]
    weighting: str

    def info(self) -> dict:
        """For the manifest of the published partition."""
        return {
            "counts": self.counts.as_dict(),
            "counts_by_judge": {name: counts.as_dict() for name, counts in self.counts_by_judge.items()},
            "usd": dict(self.usd),
            "weighting": self.weighting,
        }


def annotate_pairs(
    pair_ids: Iterable[str],
    judges: Sequence[Judge],
    qualification: Qualification,
    voting: VotingSettings,
    *,
    batch: str,
    created_at: datetime,
    examples: Mapping[str, Sequence[str]] | None = None,
) -> AnnotationResult:
    """Ask every used judge about every pair and merge what they say.

    Args:
        pair_ids: a repeated id is one pair.
        judges: providers; those that the qualification does not use are not asked.
        qualification: of these judges, on gold dev.
        voting: votes per order and the confidence below which a pair is undecided.
        batch: the round, or stage_2; the events' round.
        created_at: with time zone.
        examples: few-shot gold pairs by pair.

    Raises:
        ContractError: a judge that was not qualified, or in another version.
    """
    pairs = sorted(set(pair_ids))
    weights = qualification.weights
    used = [judge for judge in _qualified(judges, qualification) if judge.name in weights]
    asked = [
        ask(judge, pairs, votes_per_order=voting.votes_per_order, batch=batch, examples=examples) for judge in used
    ]
    verdicts = {one.judge.name: one.verdicts for one in asked}
    panel_version = digest(
        "panel", voting.model_dump_json(), *(f"{j.name}|{j.version}|{weights[j.name]:.12g}" for j in used)
    )

    events: list[dict] = []
    panel: dict[str, PanelVerdict] = {}
    outcomes: Counter[str] = Counter()
    for pair in pairs:
        of_judges = []
        for one in asked:
            if pair in verdicts[one.judge.name]:
                of_judges.append(_judge_event(one, pair, verdicts[one.judge.name][pair], batch, created_at, examples))
        events += of_judges
        given = {name: by_pair[pair] for name, by_pair in verdicts.items() if pair in by_pair}
        if not given:
            outcomes[_why_unanswered(asked, pair)] += 1
            continue
        merged = merge_judges(given, weights, min_confidence=voting.min_confidence)
        panel[pair] = merged
        outcomes[merged.verdict] += 1
        events.append(
            _panel_event(pair, merged, of_judges, weights, qualification.weighting, panel_version, batch, created_at)
        )
    return AnnotationResult(
        events=from_rows(events, "label_events"),
        requests=requests_table(asked),
        panel=panel,
        counts=_count(outcomes),
        counts_by_judge={one.judge.name: _count_judge(one, pairs, verdicts[one.judge.name]) for one in asked},
        usd={one.judge.name: one.usd for one in asked},
        weighting=qualification.weighting,
    )


def _qualified(judges: Sequence[Judge], qualification: Qualification) -> Sequence[Judge]:
    versions = {q.judge: q.judge_version for q in qualification.judges}
    for judge in judges:
        if versions.get(judge.name) != judge.version:
            raise ContractError(
                f"Judge {judge.name!r} was not qualified in its present version.", todo="qualify the judges again"
            )
    return judges


def _judge_event(
    asked: Asked,
    pair: str,
    verdict: JudgeVerdict,
    batch: str,
    created_at: datetime,
    examples: Mapping[str, Sequence[str]] | None,
) -> dict:
    hashes = asked.request_hashes[pair]
    dropped = asked.num_examples_dropped.get(pair)
    return label_event(
        pair_id=pair,
        kind="judge",
        labeller=asked.judge.name,
        version=asked.judge.version,
        verdict=verdict.verdict,
        round_name=batch,
        delivery=digest("requests", *sorted(hashes)),
        created_at=created_at,
        simulated=asked.judge.simulated,
        confidence=verdict.confidence,
        evidence={
            "judge_votes": [[v.first_shown, v.vote, v.verdict] for v in asked.votes[pair]],
            "first_shown_verdicts": {str(order): v for order, v in verdict.first_shown_verdicts.items()},
            "share_1": verdict.share_1,
            "examples": list((examples or {}).get(pair, ())),
            "request_hashes": list(hashes),
            **({"num_examples_dropped": dropped} if dropped else {}),
        },
    )


def _panel_event(
    pair: str,
    merged: PanelVerdict,
    of_judges: Sequence[dict],
    weights: Mapping[str, float],
    weighting: str,
    version: str,
    batch: str,
    created_at: datetime,
) -> dict:
    return label_event(
        pair_id=pair,
        kind="judge",
        labeller=PANEL,
        version=version,
        verdict=merged.verdict,
        round_name=batch,
        delivery=digest("judge_events", *sorted(event["event_id"] for event in of_judges)),
        created_at=created_at,
        simulated=any(event["simulated"] for event in of_judges),
        confidence=merged.confidence,
        evidence={
            "num_judges": merged.num_judges,
            "agreement": merged.agreement,
            "weighting": weighting,
            "judges": [
                {
                    "judge": event["labeller"],
                    "verdict": event["verdict"],
                    "confidence": event["confidence"],
                    "weight": weights[event["labeller"]],
                    "event_id": event["event_id"],
                }
                for event in of_judges
            ],
            "examples": sorted({e for event in of_judges for e in json.loads(event["evidence"])["examples"]}),
        },
    )


def _why_unanswered(asked: Sequence[Asked], pair: str) -> str:
    statuses = sorted({one.status_of[pair] for one in asked})
    return statuses[0] if len(statuses) == 1 else "+".join(statuses) or "no_judge"


def _count(outcomes: Mapping[str, int]) -> StageCounts:
    num_sides = sum(n for outcome, n in outcomes.items() if outcome in SIDES)
    dropped = {outcome: n for outcome, n in sorted(outcomes.items()) if outcome not in SIDES}
    return StageCounts(sum(outcomes.values()), num_sides, dropped)


def _count_judge(asked: Asked, pairs: Sequence[str], verdicts: Mapping[str, JudgeVerdict]) -> StageCounts:
    return _count(Counter(verdicts[pair].verdict if pair in verdicts else asked.status_of[pair] for pair in pairs))
