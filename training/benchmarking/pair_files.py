"""Pair files: real labelled pairs straight from Parquet files, and as token ids, without a run of the pipeline.

Columns read: `prompt` (JSON list of role and content), `response_a`, `response_b`, `preferred` ('a', 'b', else no
label), `label_origin`. A pair that stands in several rows is taken once, and not at all where its labels contradict.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq

from assets.accounting import StageCounts
from assets.chance import rank_key
from assets.errors import ContractError
from assets.identity import identify_pair, prompt_cluster_key
from training.benchmarking.workload import Workload
from training.data import LabelledPair

if TYPE_CHECKING:
    from training.backbones import Backbone

COLUMNS = ["prompt", "response_a", "response_b", "preferred", "label_origin"]


@dataclass(frozen=True)
class FilePair:
    """A labelled pair and where it is from.

    Attributes:
        source: name of its file.
        origin: whose label it is, as the file says: human, llm, verifiable, model-strength.
    """

    pair: LabelledPair
    source: str
    origin: str


def read_pairs(files: Sequence[Path]) -> tuple[list[FilePair], StageCounts]:
    """Labelled pairs of some files, in order of pair id, and what became of every row.

    Raises:
        ContractError: a file cannot be read or lacks a column.
    """
    dropped: Counter[str] = Counter()
    found: dict[str, FilePair] = {}
    contradicted: set[str] = set()
    num_rows = 0
    for source, row in _rows(files):
        num_rows += 1
        pair, reason = _pair(row)
        if pair is None:
            dropped[reason] += 1
        elif (other := found.get(pair.pair_id)) is None:
            found[pair.pair_id] = FilePair(pair, source, row["label_origin"] or "")
        else:
            dropped["duplicate"] += 1
            if other.pair.chosen != pair.chosen:
                contradicted.add(pair.pair_id)
    if contradicted:
        dropped["contradicting_labels"] = len(contradicted)
    pairs = [found[pair_id] for pair_id in sorted(found) if pair_id not in contradicted]
    return pairs, StageCounts(num_rows, len(pairs), dict(dropped))


def draw(pairs: Sequence[LabelledPair], num: int, seed: int) -> list[LabelledPair]:
    """Some pairs, drawn by seed and pair id, in the order drawn; the same pairs whatever else is in the pool."""
    return sorted(pairs, key=lambda pair: rank_key(seed, pair.pair_id))[:num]


def encode(pairs: Sequence[LabelledPair], backbone: Backbone) -> tuple[Workload, list[LabelledPair], int]:
    """Pairs as token ids, truncated as in training.

    Returns:
        The workload, its pairs (without those that are equal once truncated), and how many pairs were truncated.
    """
    rows = backbone.encode([(pair.prompt, response) for pair in pairs for response in (pair.chosen, pair.rejected)])
    kept, prompts, chosen, rejected, truncated = [], [], [], [], 0
    for pair, one, two in zip(pairs, rows[0::2], rows[1::2], strict=True):
        if one.same_as(two):
            continue
        # Two responses of different length can leave different parts of a long prompt: the shorter part is of both.
        shared = min(one.prompt, two.prompt, key=len)
        kept.append(pair)
        prompts.append(shared)
        chosen.append(one.response)
        rejected.append(two.response)
        truncated += bool(one.num_truncated or two.num_truncated)
    return Workload([pair.pair_id for pair in kept], prompts, chosen, rejected), kept, truncated


def _rows(files: Sequence[Path]) -> Iterator[tuple[str, dict]]:
    for path in files:
        try:
            table = pq.read_table(path, columns=COLUMNS, partitioning=None)
        except (OSError, pa.ArrowInvalid) as error:
            raise ContractError(f"A file of pairs cannot be read: {error}.", where=str(path)) from error
        missing = [name for name in COLUMNS if name not in table.schema.names]
        if missing:
            raise ContractError(f"A file of pairs lacks the columns {missing}.", where=str(path))
        yield from ((path.stem, row) for row in table.to_pylist())


def _pair(row: Mapping) -> tuple[LabelledPair | None, str]:
    """The pair of a row, or why there is none."""
    if row["preferred"] not in ("a", "b"):
        return None, "no_chosen_side"
    try:
        turns = tuple((turn["role"], turn["content"] or "") for turn in json.loads(row["prompt"] or "[]"))
    except (ValueError, TypeError, KeyError):
        return None, "unreadable_prompt"
    if not any(content.strip() for _, content in turns):
        return None, "empty_prompt"
    one, two = row["response_a"] or "", row["response_b"] or ""
    if not one.strip() or not two.strip():
        return None, "empty_response"
    identity = identify_pair(turns, one, two)
    if identity.equal:
        return None, "equal_responses"
    chosen, rejected = (one, two) if row["preferred"] == "a" else (two, one)
    return LabelledPair(identity.pair_id, turns, chosen, rejected, 1.0, prompt_cluster_key(turns)), ""
