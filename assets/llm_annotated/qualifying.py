"""Qualifying: every judge asked about gold dev, measured, and used or not."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import combinations
from typing import Any

import pyarrow as pa

from assets.errors import ContractError
from assets.llm_annotated.asking import Asked, ask, requests_table
from assets.llm_annotated.bar import NOT_ITS_FAULT, Seen, flags_of, is_used, why
from assets.llm_annotated.calibration import measure_reliability
from assets.llm_annotated.cascade import JudgePlan
from assets.llm_annotated.judge_measures import (
    calls_by_place,
    compare_judges,
    order_consistency,
    position_bias,
    self_consistency,
    wilson_interval,
)
from assets.llm_annotated.judge_slices import PairFacts, length_bias, measure_slices
from assets.llm_annotated.judging import OK, Judge
from assets.llm_annotated.panel import fit_panel
from assets.llm_annotated.panel_measures import measure_panel
from assets.llm_annotated.qualification import JudgeQualification, Qualification
from assets.llm_annotated.settings import VotingSettings
from assets.llm_annotated.votes import SIDES


def qualify(
    judges: Sequence[Judge],
    gold_dev: pa.Table,
    voting: VotingSettings,
    *,
    batch: str = "qualification",
    examples: Mapping[str, Sequence[str]] | None = None,
    plans: Mapping[str, JudgePlan] | None = None,
    facts: Mapping[str, PairFacts] | None = None,
) -> Qualification:
    """Ask every judge about gold dev, exactly as it is asked when it annotates, and decide who is used.

    `bar` says which judges are not. A judge with a side on too few gold pairs to be measured is used at an assumed
    accuracy, and the result says so.

    Args:
        judges: providers with different names.
        gold_dev: contract `gold` (pair_id, prompt_cluster_id, split and verdict are read); dev split only.
        voting: votes per order, bar, shrinkage, calibration.
        batch: what the calls are made and paid under.
        examples: few-shot gold pairs by pair.
        plans: tier and votes by judge's name; tier 0 and the votes of `voting` where it is absent.
        facts: what slices and length bias are measured by; without it there are none.

    Raises:
        ContractError: gold of another split, which must never weigh a judge, or two judges of one name.
    """
    rows = gold_dev.select(["pair_id", "prompt_cluster_id", "split", "verdict"]).to_pylist()
    if wrong := sorted({row["split"] for row in rows} - {"dev"}):
        raise ContractError(
            f"Judges are qualified on gold dev alone, and the rows given include {wrong[0]}.", todo="filter by split"
        )
    if len({judge.name for judge in judges}) < len(judges):
        raise ContractError("Two judges have the same name.", where="judges", todo="name them apart")
    gold = {row["pair_id"]: row["verdict"] for row in rows if row["verdict"] in SIDES}
    cluster_of = {row["pair_id"]: row["prompt_cluster_id"] for row in rows}
    plan = {judge.name: (plans or {}).get(judge.name, JudgePlan()) for judge in judges}
    asked = [
        ask(judge, gold, votes_per_order=plan[judge.name].votes(voting), batch=batch, examples=examples)
        for judge in judges
    ]
    measured = [_measure(one, gold, cluster_of, voting, plan[one.judge.name].tier, facts or {}) for one in asked]
    pairs = tuple(
        compare_judges(a.judge.name, a.verdicts, b.judge.name, b.verdicts, gold) for a, b in combinations(asked, 2)
    )
    verdicts = {one.judge.name: one.verdicts for one in asked}
    known = [j.judge for j in measured if j.used and j.weight_from != "assumed"]
    assumed = [j.judge for j in measured if j.weight_from == "assumed"]
    tiers = {name: one.tier for name, one in plan.items()}
    panel = fit_panel(verdicts, gold, voting, measured=known, assumed=assumed, tiers=tiers)
    weights = panel.weights()
    return Qualification(
        tuple(replace(judge, weight=weights.get(judge.judge, 0.0)) for judge in measured),
        pairs,
        panel,
        measure_panel(panel, verdicts, gold, cluster_of, voting, measured=known, assumed=assumed) if weights else None,
        requests_table(asked),
    )


def _measure(
    asked: Asked,
    gold: Mapping[str, str],
    cluster_of: Mapping[str, str],
    voting: VotingSettings,
    tier: int,
    facts: Mapping[str, PairFacts],
) -> JudgeQualification:
    """Everything but the weight."""
    verdicts = asked.verdicts
    sides = {pair: v.verdict for pair, v in sorted(verdicts.items()) if v.verdict in SIDES}
    right = [side == gold[pair] for pair, side in sides.items()]
    clusters = [cluster_of[pair] for pair in sides]
    accuracy = sum(right) / len(right) if right else None
    position = position_bias(asked.votes.values())
    longer = length_bias(sides, gold, cluster_of, facts)
    num_first, num_calls = calls_by_place(asked.votes.values())
    seen = Seen(
        num_answered=len(verdicts),
        num_failed=sum(status not in NOT_ITS_FAULT for status in asked.status_of.values()),
        statuses=Counter(row["status"] for row in asked.requests if row["status"] != OK),
        sides=Counter(sides.values()),
        gold_has_both=len({gold[pair] for pair in sides}) == 2,
        num_first_shown=num_first,
        num_sided_calls=num_calls,
        accuracy=accuracy,
        position_bias=(position.value, position.interval) if position else None,
        length_bias=(longer.value, longer.ci95) if longer.value is not None else None,
    )
    flags = flags_of(seen, voting)
    used = is_used(flags)
    weight_from = "equal" if voting.weights == "equal" else "measured"
    return JudgeQualification(
        judge=asked.judge.name,
        judge_version=asked.judge.version,
        simulated=asked.judge.simulated,
        tier=tier,
        num_gold=len(gold),
        num_answered=len(verdicts),
        num_labels=len(sides),
        num_clusters=len(set(clusters)),
        accuracy=accuracy,
        interval=wilson_interval(right, clusters),
        position_bias=position.value if position else None,
        position_bias_interval=position.interval if position else None,
        length_bias=longer.value,
        length_bias_interval=longer.ci95,
        self_consistency=self_consistency(asked.votes.values()),
        order_consistency=order_consistency(verdicts.values()),
        reliability=measure_reliability([verdicts[pair].confidence for pair in sides], right),
        slices=measure_slices(sides, gold, cluster_of, facts),
        statuses=dict(sorted(seen.statuses.items())),
        num_calls=len(asked.requests),
        usd=asked.usd,
        weight=0.0,
        weight_from="not_used" if not used else "assumed" if "too_few_labels" in flags else weight_from,
        used=used,
        flags=flags,
        why=why(flags, seen, voting),
        **_cost_per_pair(asked, len(gold)),
    )


def _cost_per_pair(asked: Asked, num_pairs: int) -> dict[str, Any]:
    """Dollars and tokens by pair asked about, and the cached share of prompt tokens."""

    def total(name: str) -> int | None:
        known = [row[name] for row in asked.requests if row[name] is not None]
        return sum(known) if known else None

    prompt, cached, completion = (total(f"num_{kind}_tokens") for kind in ("prompt", "cached", "completion"))
    return {
        "usd_per_pair": asked.usd / num_pairs if num_pairs else 0.0,
        "prompt_tokens_per_pair": prompt / num_pairs if prompt is not None else None,
        "completion_tokens_per_pair": completion / num_pairs if completion is not None else None,
        "cached_rate": cached / prompt if prompt and cached is not None else None,
    }
