"""Gold dev as a qualification reads it: the labels, facts of the pairs, and what judges said of them before."""

from __future__ import annotations

from collections.abc import Collection, Mapping

import pyarrow as pa
import pyarrow.compute as pc

from assets.lake import Lake
from assets.llm_annotated.judge_slices import PairFacts, facts_of
from assets.llm_annotated.votes import JudgeVerdict, Vote, merge_votes
from assets.pool import pool_with_splits


def read_gold_dev(lake: Lake, round_name: str) -> pa.Table:
    """Gold dev as of a round."""
    return lake.read("gold", filters=pc.field("split") == "dev", as_of_round=round_name)


def facts_of_pairs(lake: Lake, pair_ids: Collection[str]) -> dict[str, PairFacts]:
    """What slices and length bias are measured by, of pairs in the pool."""
    pool = pool_with_splits(lake)
    return facts_of(pool.filter(pc.is_in(pool["pair_id"], pa.array(sorted(set(pair_ids)), pa.string()))).to_pylist())


def verdicts_in_requests(requests: pa.Table) -> dict[str, dict[str, JudgeVerdict]]:
    """Verdicts by judge and pair, merged again from the calls that are kept.

    Args:
        requests: contract `judge_requests`.
    """
    columns = ("judge", "pair_id", "first_shown", "vote", "verdict", "probability_first")
    votes: dict[str, dict[str, list[Vote]]] = {}
    for judge, pair, first, vote, verdict, p in zip(*(requests[c].to_pylist() for c in columns), strict=True):
        if verdict is not None:
            p_1 = None if p is None or first == 0 else p if first == 1 else 1 - p
            votes.setdefault(judge, {}).setdefault(pair, []).append(Vote(first, vote, verdict, p_1))
    return {
        judge: {
            pair: merge_votes(sorted(given, key=lambda v: (v.first_shown, v.vote))) for pair, given in pairs.items()
        }
        for judge, pairs in votes.items()
    }


def qualified_before(
    lake: Lake, round_name: str, round_names: Collection[str]
) -> dict[str, Mapping[str, JudgeVerdict]]:
    """Verdicts on gold dev by judge, of the last round before this one that has any; empty for the first."""
    names = list(round_names)
    for earlier in reversed(names[: names.index(round_name)] if round_name in names else names):
        requests = lake.read("judge_requests", batch=qualification_batch(earlier))
        if len(requests):
            return dict(verdicts_in_requests(requests))
    return {}


def qualification_batch(round_name: str) -> str:
    """What a round's qualification is asked and paid under."""
    return f"qualification-{round_name}"
