"""Pool split: which real pairs train, and which ones that people labelled are held out, straight from pair files.

Prompts decide: all pairs of a held-out prompt cluster, whoever labelled them, stay out of training. Training pairs that
touch a benchmark are dropped by the product's own scan and its rule for responses.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import pyarrow as pa

from assets.accounting import StageCounts
from assets.chance import rank_key
from assets.contracts import contract_of
from assets.identity import identify_pair
from assets.raw_pairs.overlap.benchmark_index import build_index
from assets.raw_pairs.overlap.contamination import COLUMNS, ContaminationScan
from assets.settings import DecontaminationSettings
from training.benchmarking.pair_files import FilePair

HUMAN = "human"


@dataclass(frozen=True)
class Split:
    """Pairs to train on, in an order drawn by the seed, and pairs held out; the account is of the training pairs."""

    train: list[FilePair]
    holdout: list[FilePair]
    counts: StageCounts


def split_pool(
    pairs: Sequence[FilePair],
    items: pa.Table,
    *,
    holdout_share: float,
    max_holdout: int,
    max_candidates: int,
    seed: int,
) -> Split:
    """Split a pool.

    Args:
        items: benchmarks to decontaminate against, contract `benchmark_items`.
        holdout_share: of the prompt clusters with a human label, of each source.
        max_holdout: pairs held out that are scored; all others of their prompts stay out of training too.
        max_candidates: pairs looked at for training; the rest is counted.
    """
    clusters: dict[str, set[str]] = defaultdict(set)
    for one in pairs:
        if one.origin == HUMAN:
            clusters[one.source].add(one.pair.cluster)
    held: set[str] = set()
    for names in clusters.values():
        drawn = sorted(names, key=lambda name: rank_key(seed, name))
        held.update(drawn[: max(1, round(holdout_share * len(drawn)))])
    holdout = [one for one in pairs if one.origin == HUMAN and one.pair.cluster in held]
    order = sorted(
        (one for one in pairs if one.pair.cluster not in held), key=lambda one: rank_key(seed, one.pair.pair_id)
    )
    candidates = order[:max_candidates]
    touched = _touched(candidates, items)
    train = [one for one in candidates if one.pair.pair_id not in touched]
    dropped = Counter(
        {
            "held_out_prompt": len(pairs) - len(order),
            "not_drawn": len(order) - len(candidates),
            "touches_a_benchmark": len(candidates) - len(train),
        }
    )
    some = sorted(holdout, key=lambda one: rank_key(seed + 1, one.pair.pair_id))[:max_holdout]
    return Split(train, some, StageCounts(len(pairs), len(train), dict(+dropped)))


def pairs_table(pairs: Sequence[FilePair]) -> pa.Table:
    """The columns of contract `pairs` that training and the scan read, responses in canonical order."""
    rows = []
    for number, one in enumerate(pairs):
        pair = one.pair
        sides = (pair.chosen, pair.rejected) if chosen_side(one) == 1 else (pair.rejected, pair.chosen)
        rows.append(
            {
                "pair_id": pair.pair_id,
                "prompt_id": identify_pair(pair.prompt, *sides).prompt_id,
                "source": one.source,
                "source_row": number,
                "prompt": [{"role": role, "content": content} for role, content in pair.prompt],
                "response_1": sides[0],
                "response_2": sides[1],
            }
        )
    schema = contract_of("pairs").schema
    return pa.Table.from_pylist(rows, schema=pa.schema([schema.field(name) for name in COLUMNS]))


def chosen_side(one: FilePair) -> int:
    """1 or 2, in canonical order."""
    return 2 if identify_pair(one.pair.prompt, one.pair.chosen, one.pair.rejected).swapped else 1


def _touched(pairs: Sequence[FilePair], items: pa.Table) -> set[str]:
    """Pair ids that a benchmark excludes: one shared n-gram of prompts, more where a response is of the two."""
    settings = DecontaminationSettings()
    hits = ContaminationScan(build_index(items, settings), settings).hits(pairs_table(pairs)).to_pylist()
    return {
        hit["pair_id"]
        for hit in hits
        if hit["kind"] == "exact"
        or (hit["text"] == "prompt" and hit["benchmark_text"] == "prompt")
        or hit["num_shared_ngrams"] >= settings.min_shared_ngrams_of_responses
    }
