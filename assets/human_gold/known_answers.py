"""Known answers: pairs whose verdict is known well enough to measure people on."""

from __future__ import annotations

from collections.abc import Collection

import pyarrow.compute as pc

from assets.workspace import Workspace

_SIDES = ("1", "2")


def known_answers(workspace: Workspace, round_name: str, asked: Collection[str]) -> dict[str, str]:
    """Pairs whose verdict is known well enough to measure people on, with that verdict, 1 or 2.

    From sources that the configuration trusts, and from gold of earlier rounds on which at least three people were of
    one mind.

    Args:
        asked: pairs that the round asks people to label; none of them is known.
    """
    settings, lake, labelled = workspace.settings, workspace.lake, set(asked)
    if not settings.people.known_answer_rate:
        return {}
    found: dict[str, str] = {}
    if settings.people.known_answer_sources:
        trusted = pc.field("source").isin(list(settings.people.known_answer_sources))
        pool = lake.read("candidate_pool", ["pair_id", "source_verdict"], trusted)
        found |= dict(zip(pool["pair_id"].to_pylist(), pool["source_verdict"].to_pylist(), strict=True))
    position = settings.round_names.index(round_name)
    if position:
        unanimous = (pc.field("num_votes") >= 3) & (pc.field("agreement") == 1.0) & (pc.field("split") == "train")
        before = settings.round_names[position - 1]
        gold = lake.read("gold", ["pair_id", "verdict"], unanimous, as_of_round=before)
        found |= dict(zip(gold["pair_id"].to_pylist(), gold["verdict"].to_pylist(), strict=True))
    return {pair: verdict for pair, verdict in sorted(found.items()) if verdict in _SIDES and pair not in labelled}
