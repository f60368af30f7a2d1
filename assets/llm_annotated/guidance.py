"""Guidance: which gold pairs each target is shown with, and the judges a configuration names."""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow.compute as pc

from assets.lake import Lake
from assets.llm_annotated.examples import retrieve_examples
from assets.llm_annotated.judges import Judge, make_judges
from assets.llm_annotated.qualification import Qualification
from assets.pair_vectors import vectors_of
from assets.pool import categories_of, clusters_of, known_truth
from assets.workspace import Workspace


def open_judges(workspace: Workspace) -> tuple[Judge, ...]:
    """The judges of the configuration.

    Raises:
        ConfigError: a simulated judge where no truth is known.
    """
    settings, lake = workspace.settings, workspace.lake
    return make_judges(
        settings.judges,
        truth=known_truth(lake),
        recorded=lake.read("recorded_verdicts"),
        seed=settings.seed,
        category_of=categories_of(lake),
    )


def published_qualification(lake: Lake, round_name: str) -> Qualification:
    """The qualification that a round published: asking the judges again would pay for it twice.

    Raises:
        MissingUpstreamError: the round has none yet.
    """
    manifest = lake.require(
        "judge_qualification", round=round_name, todo=f"materialise judge_qualification {round_name}"
    )[0]
    return Qualification.from_dict(manifest.info["qualification"])


def guide(workspace: Workspace, pair_ids: Sequence[str], as_of_round: str) -> dict[str, tuple[str, ...]]:
    """Few-shot gold train pairs for every target, gold as of the round."""
    lake = workspace.lake
    gold = lake.read("gold", filters=pc.field("split") == "train", as_of_round=as_of_round)
    pairs = sorted(set(pair_ids))
    cluster_of = clusters_of(lake)
    return retrieve_examples(
        pairs,
        vectors_of(workspace, pairs),
        [cluster_of[p] for p in pairs],
        gold,
        vectors_of(workspace, gold["pair_id"].to_pylist()),
        num_examples=workspace.settings.voting.num_examples,
    )
