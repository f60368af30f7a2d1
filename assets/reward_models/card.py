"""Card: what a model's card says of its data, from the lake."""

from __future__ import annotations

import subprocess

import pyarrow as pa
import pyarrow.compute as pc

from assets.settings import REPOSITORY
from assets.workspace import Workspace
from training.specs import CardFacts

_INTENDED_USE = (
    "Ranking responses to one prompt: best-of-N, filtering preference pairs, and as the reward of reinforcement "
    "learning. Scores of different prompts are not comparable."
)
_LIMITS = (
    "It repeats what its labellers preferred, their errors and their liking for length or style included, and says "
    "nothing of whether an answer is true or safe. Prompts unlike its sources have not been measured."
)


def card_facts(workspace: Workspace, model: str, train: pa.Table, mixture_id: str | None) -> CardFacts:
    """What is known of a training before it starts.

    Args:
        train: selection of its pairs; see `runs.SELECTION`.
        mixture_id: of the mixture they are from; None where they are from none.
    """
    lake, ids = workspace.lake, train["pair_id"].combine_chunks()
    pairs = lake.read("pairs", ["pair_id", "licence"], pc.field("pair_id").isin(ids))
    # A pair that several sources gave is there under the licence of each.
    licences = pairs.group_by(["licence", "pair_id"]).aggregate([])
    provenance: dict[str, int] = {}
    if mixture_id is not None:
        rows = lake.read("mixtures", ["pair_id", "provenance"], pc.field("mixture_id") == mixture_id)
        provenance = _counts(rows.filter(pc.is_in(rows["pair_id"], ids))["provenance"])
    providers = (workspace.settings.people.provider, *(judge.provider for judge in workspace.settings.judges))
    simulated = " People or judges of this run are simulated." if "simulated" in providers else ""
    return CardFacts(
        summary=f"Reward model {model} of the run {workspace.settings.name}.{simulated}",
        intended_use=_INTENDED_USE,
        limits=_LIMITS,
        mixture=mixture_id or "",
        rows_by_provenance=provenance,
        data_licences=dict(_counts(licences["licence"])),
        git_commit=git_commit(),
    )


def git_commit() -> str:
    """The code's commit, with a plus where files differ from it; empty outside a checkout."""

    def git(*arguments: str) -> str:
        found = subprocess.run(["git", "-C", str(REPOSITORY), *arguments], capture_output=True, text=True, check=False)
        return found.stdout.strip() if found.returncode == 0 else ""

    commit = git("rev-parse", "--short=12", "HEAD")
    return commit + "+" * bool(commit and git("status", "--porcelain"))


def _counts(values: pa.ChunkedArray) -> dict[str, int]:
    return dict(sorted((row["values"] or "not stated", row["counts"]) for row in pc.value_counts(values).to_pylist()))
