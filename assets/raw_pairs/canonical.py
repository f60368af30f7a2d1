"""Canonical form: rows of the lake's tables from a parsed pair, its responses put in order of their hashes."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from assets.identity import Turn, digest, identify_pair, storable
from assets.label_events import SWAPPED_VERDICT, label_event
from assets.raw_pairs.catalogue import SourceEntry
from assets.raw_pairs.recorded import SharedVotes, Vote
from assets.raw_pairs.rows import ParsedPair, RowProblem

_BLANK = "".join(c for c in map(chr, range(0x3001)) if c.isspace()) + "\u200b\u200c\u200d\u2060\ufeff"
_CANONICAL = {"a": "1", "b": "2", "tie": "tie", "undecided": "undecided"}

_json = json.JSONEncoder(ensure_ascii=False, default=str).encode


def canonical_verdict(verdict: str, *, swapped: bool) -> str:
    """A verdict on responses a and b as one on responses 1 and 2.

    >>> canonical_verdict("a", swapped=True), canonical_verdict("tie", swapped=True)
    ('2', 'tie')
    """
    value = _CANONICAL[verdict]
    return SWAPPED_VERDICT[value] if swapped else value


def problem_of(turns: Sequence[Turn], response_a: str, response_b: str, *, equal: bool) -> str | None:
    """Why a row makes no pair, the first that applies of empty_prompt, empty_response and equal_responses.

    >>> problem_of([("user", "Hi")], " \u200b", "Hello", equal=False)
    'empty_response'
    """
    if not turns or not turns[-1][1].strip(_BLANK):
        return "empty_prompt"
    if not response_a.strip(_BLANK) or not response_b.strip(_BLANK):
        return "empty_response"
    return "equal_responses" if equal else None


def pair_row(entry: SourceEntry, source_row: int, pair: ParsedPair) -> tuple[dict[str, Any], bool]:
    """Row of `pairs`, and whether response a became response 2.

    Raises:
        RowProblem: `unknown_label_origin`, when neither the row nor the catalogue says where labels come from.
    """
    origin = pair.label_origin or entry.label_origin
    if origin is None:
        raise RowProblem("unknown_label_origin", "neither the row nor the catalogue gives a label origin")
    # Stored is the text as it came, but for lone surrogates, which no file can carry.
    turns = tuple((role, storable(content)) for role, content in pair.turns)
    texts = [storable(pair.response_a), storable(pair.response_b)]
    identity = identify_pair(turns, *texts)
    models = [pair.model_a, pair.model_b]
    problem = problem_of(turns, *texts, equal=identity.equal)
    if identity.swapped:
        texts.reverse()
        models.reverse()
    meta = {**pair.meta, "response_a_is": 2 if identity.swapped else 1}
    row = {
        "pair_id": identity.pair_id,
        "prompt_id": identity.prompt_id,
        "source": entry.name,
        "source_row": source_row,
        "prompt": [{"role": role, "content": content} for role, content in turns],
        "response_1": texts[0],
        "response_2": texts[1],
        "model_1": models[0] and storable(models[0]),
        "model_2": models[1] and storable(models[1]),
        "licence": entry.licence,
        "label_origin": origin,
        "num_chars_prompt": sum(len(content) for _, content in turns),
        "num_chars_1": len(texts[0]),
        "num_chars_2": len(texts[1]),
        "problem": problem,
        "meta": storable(_json(meta)),
    }
    return row, identity.swapped


def source_event(
    entry: SourceEntry,
    row: dict[str, Any],
    verdict: str,
    *,
    version: str,
    revision: str,
    votes: SharedVotes,
    pair: ParsedPair,
    created_at: datetime,
) -> dict[str, Any]:
    """The label event of a source's own label; `verdict` is in canonical order.

    Evidence says how the label came about. It never says whether an error was planted on this very pair.
    """
    evidence: dict[str, Any] = {}
    if pair.margin is not None:
        evidence["margin"] = pair.margin
    if votes.made_by is not None:
        evidence["made_by"] = storable(votes.made_by.labeller)
    elif votes.people:
        evidence["made_by"] = "the one vote that people replay"
    if entry.plant_errors is not None:
        evidence["planted_error_share"] = entry.plant_errors.share
    return label_event(
        pair_id=row["pair_id"],
        kind="source",
        labeller=entry.name,
        version=version,
        verdict=verdict,
        round_name="source",
        source_row=row["source_row"],
        delivery=f"{revision}:{row['source_row']}",
        created_at=created_at,
        # Where votes are shared out, the agreement of all of them would tell the label what people say.
        confidence=pair.agreement if entry.votes is None else None,
        simulated=entry.simulated or entry.plant_errors is not None,
        evidence=evidence,
    )


def recorded_row(row: dict[str, Any], vote: Vote, role: str, *, swapped: bool) -> dict[str, Any]:
    """Row of `recorded_verdicts`."""
    shown = 0
    if vote.first_shown is not None:
        shown = int(canonical_verdict(vote.first_shown, swapped=swapped))
    return {
        "pair_id": row["pair_id"],
        "source": row["source"],
        "source_row": row["source_row"],
        "role": role,
        "labeller": storable(vote.labeller),
        "first_shown": shown,
        "position": vote.position,
        "verdict": canonical_verdict(vote.verdict, swapped=swapped),
    }


def has_planted_error(entry: SourceEntry, pair_id: str, seed: int) -> bool:
    """Whether the label of a pair is inverted on purpose: by hash, so that it depends on nothing but the pair."""
    plan = entry.plant_errors
    if plan is None:
        return False
    draw = int(digest("planted_error", str(seed), str(plan.seed), entry.name, pair_id)[:12], 16)
    return draw < plan.share * 16**12
