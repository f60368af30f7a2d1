"""Rounds: what each round of stage 1 selects - the seed by budget, every later one by the model's errors."""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from assets.accounting import StageCounts
from assets.contracts import from_rows
from assets.errors import MissingUpstreamError
from assets.filtered_mixture.retrieval import draw_at_random, retrieve
from assets.human_gold.roster import answerable_pairs
from assets.human_gold.selection import select_seed
from assets.lake import Lake
from assets.llm_annotated.opening import judges_can_answer
from assets.pair_vectors import vectors_of
from assets.partition_writer import Manifest
from assets.pool import pool_with_splits
from assets.workspace import Workspace

SEED_SETTINGS = {"seed_people", "seed_judged", "always_people"}
"""Settings of `rounds` that the seed round depends on."""


@dataclass(frozen=True)
class RoundSelection:
    """Pairs a round selects.

    Attributes:
        table: contract `retrieved_pairs`.
        counts: row accounting of the selection.
        num_queries, neighbours_earned: of a later round; empty in the seed round.
        queries_excluded_since: gold train pairs that left the pool after they were labelled, and so are no queries.
    """

    table: pa.Table
    counts: StageCounts
    num_queries: int = 0
    neighbours_earned: dict[int, int] | None = None
    queries_excluded_since: int = 0


def previous_round(workspace: Workspace, round_name: str) -> str | None:
    """The round before, or None for the seed."""
    names = workspace.settings.round_names
    position = names.index(round_name)
    return names[position - 1] if position else None


def require_round(lake: Lake, table: str, round_name: str) -> list[Manifest]:
    """What the round before published. A round reads it through the lake: Dagster allows no cycle of assets.

    Raises:
        MissingUpstreamError: it was not published; the message says which partition to materialise first.
    """
    level = "as_of_round" if table in ("gold", "silver") else "round"
    found = lake.manifests(table, **{level: round_name})
    if not found:
        raise MissingUpstreamError(
            f"{table} of {round_name} has not been published yet, and the next round is made from it.",
            where=str(lake.root),
            todo=f"materialise the partition {round_name} of {table} first: rounds go in order",
        )
    return found


def select_seed_round(workspace: Workspace) -> RoundSelection:
    """The seed round: pairs for people by split, and further train pairs for judges alone."""
    settings, lake = workspace.settings, workspace.lake
    pool = pool_with_splits(lake)
    always = pool.filter(pc.is_in(pool["source"], pa.array(settings.rounds.always_people, pa.string())))
    selection = select_seed(
        pool,
        people_budget={str(split): n for split, n in settings.rounds.seed_people.items()},
        judged_budget=settings.rounds.seed_judged,
        seed=settings.seed,
        people_can_answer=answerable_pairs(workspace),
        judges_can_answer=judges_can_answer(workspace),
        always_people=always["pair_id"].to_pylist(),
    )
    rows = [{"pair_id": r["pair_id"], "reason": f"seed_{r['asked']}"} for r in selection.table.to_pylist()]
    return RoundSelection(from_rows(rows, "retrieved_pairs"), selection.counts)


def select_later_round(workspace: Workspace, round_name: str, before: str) -> RoundSelection:
    """A later round: neighbours of the gold train pairs that the round's loop model gets wrong or is unsure of."""
    settings, lake = workspace.settings, workspace.lake
    gold = lake.read(
        "gold", ["pair_id", "verdict"], filters=(pc.field("split") == "train"), as_of_round=before
    ).to_pylist()
    verdict_of = {row["pair_id"]: row["verdict"] for row in gold if row["verdict"] in ("1", "2")}
    scores = lake.read("gold_scores", ["pair_id", "probability_1"], round=round_name).sort_by("pair_id").to_pylist()
    queries = [
        (s["pair_id"], s["probability_1"] if verdict_of[s["pair_id"]] == "1" else 1 - s["probability_1"])
        for s in scores
        if s["pair_id"] in verdict_of
    ]
    edited = settings.round_names[: settings.round_names.index(round_name)]
    pool = pool_with_splits(lake, edited)
    # What left the pool since the round before asks for nothing any more.
    in_pool = set(pool["pair_id"].to_pylist())
    excluded_since = [pair for pair, _ in queries if pair not in in_pool]
    queries = [(pair, p) for pair, p in queries if pair in in_pool]
    pool = pool.filter(pc.and_(pc.equal(pool["stage"], 1), pc.and_(pc.equal(pool["split"], "train"), pool["usable"])))
    seen = {
        pair
        for name in settings.round_names[: settings.round_names.index(round_name)]
        for pair in lake.read("retrieved_pairs", ["pair_id"], round=name)["pair_id"].to_pylist()
    }
    # A pair without attributes cannot be retrieved (design, the flow).
    open_pairs = pool.filter(pc.is_valid(pool["task_category"]))
    pool_ids = [p for p in open_pairs["pair_id"].to_pylist() if p not in seen]
    query_ids = [pair for pair, _ in queries]
    found = retrieve(
        query_ids,
        vectors_of(workspace, query_ids, before),
        [p for _, p in queries],
        pool_ids,
        vectors_of(workspace, pool_ids, before),
        k_max=settings.rounds.k_max,
        max_retrieved=settings.rounds.max_retrieved,
    )
    if settings.rounds.retrieval == "random":
        num = found.counts.rows_out
        drawn = draw_at_random(pool_ids, num, seed=settings.seed, round_name=round_name)
        counts = StageCounts(len(pool_ids), num, {"not_drawn": len(pool_ids) - num} if len(pool_ids) > num else {})
        return RoundSelection(drawn, counts, len(query_ids), found.neighbours_earned, len(excluded_since))
    return RoundSelection(found.table, found.counts, len(query_ids), found.neighbours_earned, len(excluded_since))
