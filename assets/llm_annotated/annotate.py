"""Annotation: pairs in, label events of every judge and of the panel out."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime

import pyarrow as pa

from assets.accounting import StageCounts
from assets.contracts import from_rows
from assets.errors import ContractError
from assets.identity import digest
from assets.label_events import label_event
from assets.llm_annotated.asking import Asked, ask, requests_table
from assets.llm_annotated.cascade import JudgePlan, Saving, total_saving
from assets.llm_annotated.judging import Judge
from assets.llm_annotated.qualification import JudgeQualification, Qualification
from assets.llm_annotated.settings import VotingSettings
from assets.llm_annotated.votes import SIDES, JudgeVerdict, PanelVerdict

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
        counts_by_judge: the same for each judge alone, over the pairs it was asked about.
        usd: cost of all calls, by judge.
        weighting: see `Qualification.weighting`.
        saving: by judge of a later tier, what it was not asked for.
        num_over_budget: pairs about which some judge could not be asked within the budget.
        num_put_off: pairs, these included, about which a judge is to be asked again by the next run; they have no
            events yet, so that each pair has one of each judge and of the panel.
    """

    events: pa.Table
    requests: pa.Table
    panel: Mapping[str, PanelVerdict]
    counts: StageCounts
    counts_by_judge: Mapping[str, StageCounts]
    usd: Mapping[str, float]
    weighting: str
    saving: Mapping[str, Saving]
    num_over_budget: int
    num_put_off: int

    def info(self) -> dict:
        """For the manifest of the published partition."""
        return {
            "counts": self.counts.as_dict(),
            "counts_by_judge": {name: counts.as_dict() for name, counts in self.counts_by_judge.items()},
            "usd": dict(self.usd),
            "weighting": self.weighting,
            "saving": {name: asdict(one) for name, one in self.saving.items()} | {"all": total_saving(self.saving)},
            "num_over_budget": self.num_over_budget,
            "num_put_off": self.num_put_off,
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
    plans: Mapping[str, JudgePlan] | None = None,
) -> AnnotationResult:
    """Ask the used judges about every pair, tier by tier, and merge what they say.

    Judges of the first tier are asked about every pair, those of a later one about the pairs on which the panel so
    far is undecided or has heard nothing; a tier is finished before the next is paid for.

    Args:
        pair_ids: a repeated id is one pair.
        judges: providers; those that the qualification does not use are not asked.
        qualification: of these judges, on gold dev; says which tier each is in and how they are merged.
        voting: votes per order.
        batch: the round, or stage_2; the events' round.
        created_at: with time zone.
        examples: few-shot gold pairs by pair.
        plans: votes by judge's name; those of `voting` where it is absent.

    Raises:
        ContractError: a judge that was not qualified, or in another version.
    """
    pairs = sorted(set(pair_ids))
    model = qualification.panel
    used = [judge for judge in _qualified(judges, qualification) if judge.name in model.accuracies]
    plan = {judge.name: (plans or {}).get(judge.name, JudgePlan()) for judge in used}
    asked: list[Asked] = []
    given: dict[str, dict[str, JudgeVerdict]] = {pair: {} for pair in pairs}
    panel: dict[str, PanelVerdict] = {}
    reached: dict[str, list[int]] = {pair: [] for pair in pairs}
    open_pairs = pairs
    put_off: frozenset[str] = frozenset()
    for step in model.steps:
        for judge in (judge for judge in used if model.tier_of(judge.name) == step):
            votes = plan[judge.name].votes(voting)
            one = ask(judge, open_pairs, votes_per_order=votes, batch=batch, examples=examples)
            asked.append(one)
            for pair, verdict in one.verdicts.items():
                given[pair][judge.name] = verdict
        put_off = frozenset().union(*(one.put_off for one in asked))
        open_pairs = [pair for pair in open_pairs if pair not in put_off]
        for pair in open_pairs:
            reached[pair].append(step)
            if given[pair]:
                panel[pair] = model.merge(given[pair], step)
        open_pairs = [pair for pair in open_pairs if pair not in panel or panel[pair].verdict == "undecided"]

    # Events in the order that the judges are configured in, whichever tier they are in.
    asked.sort(key=lambda one: [judge.name for judge in used].index(one.judge.name))
    panel_version = digest(
        "panel-2",
        voting.model_dump_json(),
        json.dumps(model.as_dict(), sort_keys=True),
        *(f"{judge.name}|{judge.version}" for judge in used),
    )
    events: list[dict] = []
    outcomes: Counter[str] = Counter()
    for pair in pairs:
        if pair in put_off:
            panel.pop(pair, None)
            outcomes["+".join(sorted({one.status_of[pair] for one in asked if pair in one.put_off}))] += 1
            continue
        of_judges = [
            _judge_event(one, pair, given[pair][one.judge.name], batch, created_at, examples)
            for one in asked
            if one.judge.name in given[pair]
        ]
        events += of_judges
        unanswered = {one.judge.name: one.status_of[pair] for one in asked if pair in one.status_of}
        if pair not in panel:
            outcomes["+".join(sorted(set(unanswered.values()))) or "no_judge"] += 1
            continue
        outcomes[panel[pair].verdict] += 1
        weighed = {
            "weighting": qualification.weighting,
            "weights": model.weights_of(given[pair]),
            "temperature": model.temperatures.get(reached[pair][-1], 1.0),
            "tiers_asked": reached[pair],
            "unanswered": unanswered,
        }
        events.append(_panel_event(pair, panel[pair], of_judges, weighed, panel_version, batch, created_at))
    of_judge = {q.judge: q for q in qualification.judges}
    return AnnotationResult(
        events=from_rows(events, "label_events"),
        requests=requests_table(asked),
        panel=panel,
        counts=_count(outcomes),
        counts_by_judge={one.judge.name: _count_judge(one) for one in asked},
        usd={one.judge.name: one.usd for one in asked},
        weighting=qualification.weighting,
        saving={
            one.judge.name: _saving(one, pairs, plan[one.judge.name].votes(voting), of_judge[one.judge.name])
            for one in asked
            if model.tier_of(one.judge.name) > model.steps[0]
        },
        num_over_budget=sum(any(one.status_of.get(pair) == "over_budget" for one in asked) for pair in pairs),
        num_put_off=len(put_off),
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
    weighed: Mapping,
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
        evidence={name: value for name, value in weighed.items() if name != "weights"}
        | {
            "num_judges": merged.num_judges,
            "agreement": merged.agreement,
            "judges": [
                {
                    "judge": event["labeller"],
                    "verdict": event["verdict"],
                    "confidence": event["confidence"],
                    "weight": weighed["weights"][event["labeller"]],
                    "event_id": event["event_id"],
                }
                for event in of_judges
            ],
            "examples": sorted({e for event in of_judges for e in json.loads(event["evidence"])["examples"]}),
        },
    )


def _saving(asked: Asked, pairs: Sequence[str], votes_per_order: int, qualified: JudgeQualification) -> Saving:
    spared = [pair for pair in pairs if pair not in asked.request_hashes]
    num_calls = sum(len(asked.judge.plan(pair, votes_per_order)) for pair in spared)
    # A judge that was not needed at all has no cost here; what it cost on gold dev stands in.
    usd, calls = (asked.usd, len(asked.requests)) if asked.requests else (qualified.usd, qualified.num_calls)
    return Saving(len(asked.request_hashes), len(spared), num_calls, num_calls * usd / calls if calls else 0.0)


def _count(outcomes: Mapping[str, int]) -> StageCounts:
    num_sides = sum(n for outcome, n in outcomes.items() if outcome in SIDES)
    dropped = {outcome: n for outcome, n in sorted(outcomes.items()) if outcome not in SIDES}
    return StageCounts(sum(outcomes.values()), num_sides, dropped)


def _count_judge(asked: Asked) -> StageCounts:
    """Over the pairs that this judge was asked about."""
    return _count(
        Counter(
            asked.verdicts[pair].verdict if pair in asked.verdicts else asked.status_of[pair]
            for pair in asked.request_hashes
        )
    )
