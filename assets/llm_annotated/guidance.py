"""Guidance: which gold pairs each target is shown with."""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa
import pyarrow.compute as pc

from assets.lake import Lake
from assets.llm_annotated.examples import draw_examples, retrieve_examples
from assets.llm_annotated.qualification import Qualification
from assets.llm_annotated.settings import Guidance
from assets.pair_vectors import vectors_of
from assets.pool import clusters_of, near_duplicates_of
from assets.workspace import Workspace


def published_qualification(lake: Lake, round_name: str) -> Qualification:
    """The qualification that a round published: asking the judges again would pay for it twice.

    Raises:
        MissingUpstreamError: the round has none yet.
    """
    manifest = lake.require(
        "judge_qualification", round=round_name, todo=f"materialise judge_qualification {round_name}"
    )[0]
    return Qualification.from_dict(manifest.info["qualification"])


def guide(
    workspace: Workspace, pair_ids: Sequence[str], as_of_round: str, *, guidance: Guidance | None = None
) -> dict[str, tuple[str, ...]]:
    """Few-shot gold train pairs for every target, gold as of the round, the nearest first.

    Args:
        guidance: in place of `voting.guidance`: the nearest gold train pairs, as many drawn by hash, or none.
    """
    settings, lake = workspace.settings, workspace.lake
    guidance = guidance or settings.voting.guidance
    pairs = sorted(set(pair_ids))
    num = settings.voting.num_examples
    if guidance == "none" or num == 0:
        return {pair: () for pair in pairs}
    prompt_cluster = clusters_of(lake)
    gold = lake.read("gold", filters=pc.field("split") == "train", as_of_round=as_of_round)
    # What left the pool since the round shows nothing any more.
    gold = gold.filter(pc.is_in(gold["pair_id"], pa.array(list(prompt_cluster), pa.string())))
    near = near_duplicates_of(lake)
    clusters = {pair: (prompt_cluster.get(pair, pair), near.get(pair, pair)) for pair in pairs}
    gold_clusters = {p: (prompt_cluster[p], near.get(p, p)) for p in gold["pair_id"].to_pylist()}
    if guidance == "random":
        return draw_examples(clusters, gold, gold_clusters, num_examples=num, seed=settings.seed)
    return retrieve_examples(
        pairs,
        vectors_of(workspace, pairs, as_of_round),
        clusters,
        gold,
        vectors_of(workspace, gold["pair_id"].to_pylist(), as_of_round),
        gold_clusters,
        num_examples=num,
    )
