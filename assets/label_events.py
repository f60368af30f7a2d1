"""Label events: rows of the ledger, made one way by everyone who labels."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime

from assets.contracts import LABELLER_KINDS, VERDICTS
from assets.errors import ContractError
from assets.identity import event_id

_json = json.JSONEncoder(sort_keys=True, ensure_ascii=False).encode
SWAPPED_VERDICT = {"1": "2", "2": "1", "tie": "tie", "undecided": "undecided"}
"""The same verdict when the two responses change places."""


def label_event(
    *,
    pair_id: str,
    kind: str,
    labeller: str,
    version: str,
    verdict: str,
    round_name: str,
    delivery: str,
    created_at: datetime,
    simulated: bool = False,
    strength: str | None = None,
    confidence: float | None = None,
    source_row: int | None = None,
    supersedes: str | None = None,
    evidence: Mapping | None = None,
) -> dict:
    """One row of `label_events`; `seq` is assigned by the ledger partition it is appended to.

    Args:
        verdict: "1", "2", "tie" or "undecided", in the pair's canonical order.
        confidence: agreement behind the verdict, 0 to 1, where it is known.
        source_row: of a source's label, the row it stands on; the row may hold several pairs.
        delivery: what makes a repeated delivery recognisable (see `identity.event_id`).
        created_at: with time zone; volatile, never used for ordering.

    Raises:
        ContractError: the verdict or the kind is not one the ledger knows.
    """
    if verdict not in VERDICTS:
        raise ContractError(f"{verdict!r} is not a verdict.", where=f"pair {pair_id}", todo=f"use one of {VERDICTS}")
    if kind not in LABELLER_KINDS:
        raise ContractError(f"{kind!r} is not a kind of labeller.", todo=f"use one of {LABELLER_KINDS}")
    return {
        "event_id": event_id(pair_id, labeller, version, round_name, delivery),
        "pair_id": pair_id,
        "labeller_kind": kind,
        "labeller": labeller,
        "labeller_version": version,
        "source_row": source_row,
        "simulated": simulated,
        "verdict": verdict,
        "strength": strength,
        "confidence": confidence,
        "round": round_name,
        "seq": None,
        "supersedes": supersedes,
        "created_at": created_at,
        "evidence": _json(evidence or {}),
    }
