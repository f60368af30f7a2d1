"""Crowd labels: what the crowd model makes of people's votes, as events of the ledger.

An estimate is appended when it says something new: a pair's first, another verdict, or a confidence that moved by half
a per cent or more. Every new vote moves every estimate a little, and without that the ledger would grow without end.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

import pyarrow as pa

from assets.contracts import from_rows
from assets.human_gold.agreement import read_answers
from assets.human_gold.agreement.crowd import fit_crowd
from assets.identity import digest
from assets.label_events import label_event
from assets.lake import Lake
from assets.partition_writer import Manifest
from assets.pool import clusters_of
from assets.staleness import current, fingerprint
from assets.workspace import Workspace

LABELLER, VERSION = "crowd model", "crowd-1"
_MOVED = 0.005


@dataclass(frozen=True)
class CrowdLabels:
    """Estimates published for a round.

    Attributes:
        manifest: of the round's estimates.
        unchanged: nothing was computed: the votes are those of the last time.
    """

    manifest: Manifest
    unchanged: bool


def estimate_labels(workspace: Workspace, round_name: str, created_at: datetime) -> CrowdLabels:
    """Fit the crowd model to all votes up to a round and append what changed."""
    settings, lake = workspace.settings, workspace.lake
    rounds = settings.round_names[: settings.round_names.index(round_name) + 1]
    votes = [m for name in rounds for m in lake.manifests("label_events", kind="person", batch=name)]
    partition = {"kind": "crowd_model", "batch": round_name}
    inputs = fingerprint(settings, [], votes, VERSION)
    if done := current(lake, "label_events", partition, inputs):
        return CrowdLabels(done, True)
    crowd = fit_crowd(read_answers(events_of_rounds(lake, "person", rounds), clusters_of(lake)).labels)
    rows = crowd.rows()
    known = last_estimates(events_of_rounds(lake, "crowd_model", rounds))
    events = [crowd_event(row, round_name, created_at) for row in rows if says_something_new(row, known)]
    info = {
        "counts": {"rows_in": len(rows), "rows_out": len(rows), "dropped": {}},
        "num_appended": len(events),
        "num_iterations": crowd.num_iterations,
        "converged": crowd.converged,
    }
    manifest = lake.append_events(
        "label_events", from_rows(events, "label_events"), partition, inputs=inputs, info=info
    )
    return CrowdLabels(manifest, False)


def crowd_event(row: Mapping, round_name: str, created_at: datetime) -> dict:
    """The event of one estimate (a row of `Crowd.rows`); where two verdicts are equally likely it is undecided."""
    posterior = {"1": round(row["p_1"], 4), "2": round(row["p_2"], 4), "tie": round(row["p_tie"], 4)}
    verdict, confidence = _said(row)
    return label_event(
        pair_id=row["pair_id"],
        kind="crowd_model",
        labeller=LABELLER,
        version=VERSION,
        verdict=verdict,
        confidence=confidence,
        round_name=round_name,
        delivery=digest("estimate", verdict, str(confidence), str(row["num_votes"])),
        created_at=created_at,
        evidence={"posterior": posterior, "num_votes": row["num_votes"], "num_undecided": row["num_undecided"]},
    )


def last_estimates(events: pa.Table) -> dict[str, tuple[str, float]]:
    """Verdict and confidence of each pair's last estimate; events in the ledger's order."""
    rows = events.select(["pair_id", "verdict", "confidence"]).to_pylist()
    return {row["pair_id"]: (row["verdict"], row["confidence"]) for row in rows}


def says_something_new(row: Mapping, known: Mapping[str, tuple[str, float]]) -> bool:
    """Whether an estimate differs from the pair's last one by enough to be kept."""
    verdict, confidence = _said(row)
    before = known.get(row["pair_id"])
    return before is None or before[0] != verdict or abs(before[1] - confidence) >= _MOVED


def events_of_rounds(lake: Lake, kind: str, rounds: tuple[str, ...]) -> pa.Table:
    """Label events of one kind, round by round."""
    return pa.concat_tables([lake.read("label_events", kind=kind, batch=name) for name in rounds])


def _said(row: Mapping) -> tuple[str, float]:
    return row["verdict"] or "undecided", round(max(row["p_1"], row["p_2"], row["p_tie"]), 4)
