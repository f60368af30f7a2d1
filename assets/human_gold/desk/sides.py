"""Sides: which response a person saw on the left, and verdicts in both terms. Pure functions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from assets.chance import uniform


def draw_left(seed: int, pair_id: str, handle: str, kind: str = "left") -> int:
    """The response, 1 or 2, that the person sees on the left: half and half, whatever the pair's canonical order.

    Args:
        seed: of the batch.
        pair_id: the pair.
        handle: the person.
        kind: "left", "left again" for a repeat, "left of case" for an adjudicator: draws of their own.
    """
    return 1 if uniform(seed, kind, pair_id, handle) < 0.5 else 2


def canonical(shown_verdict: str, left_response: int) -> str:
    """A verdict in canonical order.

    >>> [canonical(verdict, 2) for verdict in ("left", "right", "tie", "undecided")]
    ['2', '1', 'tie', 'undecided']
    """
    if shown_verdict == "left":
        return str(left_response)
    return str(3 - left_response) if shown_verdict == "right" else shown_verdict


def as_shown(verdict: str, left_response: int) -> str:
    """A canonical verdict as the person saw it.

    >>> [as_shown(verdict, 2) for verdict in ("1", "2", "tie")]
    ['right', 'left', 'tie']
    """
    if verdict not in ("1", "2"):
        return verdict
    return "left" if verdict == str(left_response) else "right"


def reveal(hidden: Mapping[str, Any], left_response: int) -> dict[str, Any]:
    """An item's hidden labels in terms of what was shown."""
    source = hidden.get("source_verdict")
    return {
        "source_verdict": None if source is None else as_shown(source, left_response),
        "judges": [
            {**judge, "verdict": as_shown(judge["verdict"], left_response)} for judge in hidden.get("judges") or []
        ],
    }
