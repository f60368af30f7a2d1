"""Guidance: which gold pairs each target is shown with."""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow.compute as pc

from assets.contracts import TABLES
from assets.lake import Lake
from assets.llm_annotated.examples import retrieve_examples
from assets.llm_annotated.qualification import JudgeQualification, Qualification
from assets.pair_vectors import vectors_of
from assets.pool import clusters_of
from assets.workspace import Workspace


def published_qualification(lake: Lake, round_name: str) -> Qualification:
    """The qualification that a round published: asking the judges again would pay for it twice.

    Raises:
        MissingUpstreamError: the round has none yet.
    """
    manifest = lake.require(
        "judge_qualification", round=round_name, todo=f"materialise judge_qualification {round_name}"
    )[0]
    judges = [JudgeQualification(**judge) for judge in manifest.info["qualification"]["judges"]]
    return Qualification(tuple(judges), (), TABLES["judge_requests"].schema.empty_table())


def guide(workspace: Workspace, pair_ids: Sequence[str], as_of_round: str) -> dict[str, tuple[str, ...]]:
    """Few-shot gold train pairs for every target, gold as of the round."""
    lake = workspace.lake
    gold = lake.read("gold", filters=pc.field("split") == "train", as_of_round=as_of_round)
    pairs = sorted(set(pair_ids))
    cluster_of = clusters_of(lake)
    return retrieve_examples(
        pairs,
        vectors_of(workspace, pairs, as_of_round),
        [cluster_of[p] for p in pairs],
        gold,
        vectors_of(workspace, gold["pair_id"].to_pylist(), as_of_round),
        num_examples=workspace.settings.voting.num_examples,
    )
