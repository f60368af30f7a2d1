"""Training data: the labels each reward model learns from, as selections."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

from assets.accounting import StageCounts
from assets.errors import MissingUpstreamError
from assets.pool import pool_with_splits
from assets.reward_models.runs import SELECTION, Selection, select_labels
from assets.workspace import Workspace
from training.recipe import TrainingRecipe


def silver_of(workspace: Workspace, round_name: str) -> Selection:
    """Silver as of a round that is still in the pool: what loop models learn from."""
    silver = workspace.lake.read("silver", ["pair_id", "verdict"], as_of_round=round_name)
    return select_labels(silver, in_pool=_in_pool(workspace))


def gold_of(workspace: Workspace, round_name: str, split: str) -> Selection:
    """Gold of one split as of a round; ties neither train nor choose a checkpoint."""
    gold = workspace.lake.read("gold", ["pair_id", "verdict"], pc.field("split") == split, as_of_round=round_name)
    return select_labels(gold, in_pool=_in_pool(workspace))


def _in_pool(workspace: Workspace) -> set[str]:
    """Pairs that deduplication and decontamination leave in the pool by now."""
    return set(workspace.lake.read("candidate_pool", ["pair_id"])["pair_id"].to_pylist())


def raw_labels(workspace: Workspace, recipe: TrainingRecipe) -> Selection:
    """The raw pool's train split with its sources' own labels, contradicting ones left out, as many as fit."""
    pool = pool_with_splits(workspace.lake)
    train = pool.filter(pc.and_(pc.equal(pool["split"], "train"), pool["usable"]))
    return select_labels(
        train.select(["pair_id", "source_verdict"]),
        verdict="source_verdict",
        limit=recipe.max_train_pairs,
        seed=workspace.settings.seed,
    )


def mixture_of(workspace: Workspace, recipe: TrainingRecipe, part: str) -> tuple[Selection, str]:
    """The mixture that a final model learns from, and its id.

    Args:
        part: `kept` or `kept_and_flipped`.

    Raises:
        MissingUpstreamError: no mixture is published, or it is empty.
    """
    rows = workspace.lake.read("mixtures", mixture=part).sort_by("pair_id")
    if not len(rows):
        raise MissingUpstreamError(
            f"The mixture {part} holds no pair.",
            where=str(workspace.lake.root),
            kept="all labels and decisions",
            todo="materialise filtered_mixture, and look at its decisions by reason",
        )
    labels = pa.table({"pair_id": rows["pair_id"], "verdict": pc.cast(rows["chosen"], pa.string())})
    selection = select_labels(labels, limit=recipe.max_train_pairs, seed=workspace.settings.seed)
    weights = rows.filter(pc.is_in(rows["pair_id"], selection.table["pair_id"].combine_chunks()))["weight"]
    table = selection.table.set_column(2, "weight", weights).cast(SELECTION)
    counts: StageCounts = selection.counts
    return Selection(table, counts), rows["mixture_id"][0].as_py()
