"""Prepare: from a spec's selections and text files to a backbone and the encoded pairs it trains on."""

from __future__ import annotations

import contextlib
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from assets.accounting import StageCounts
from assets.errors import ContractError, SynprefError
from training.backbones import Backbone, build_backbone
from training.data import Item, LabelledPair, label_pairs, read_selection, read_texts, refuse_leakage
from training.pairs import EncodedPair, ListedPairs, PairSource
from training.specs import TrainSpec

_COLUMNS = ("pair_id", "chosen", "weight")
# More selected pairs without text than this, and the selection was not made from these text files.
MAX_MISSING_SHARE, MAX_MISSING_PAIRS = 0.01, 10


@dataclass(frozen=True)
class PreparedPairs:
    """What a training needs.

    Attributes:
        counts, dev_counts: selected rows in, pairs out, dropped by reason.
        truncation, dev_truncation: `num_responses` truncated, and `num_tokens` that did not fit.
        tokens: further figures of tokenising, for the report; empty where tokens are not cached.
    """

    backbone: Backbone
    train: PairSource
    dev: PairSource
    counts: StageCounts
    dev_counts: StageCounts
    truncation: dict[str, int]
    dev_truncation: dict[str, int]
    tokens: dict[str, Any] = field(default_factory=dict)


@contextlib.contextmanager
def prepared_pairs(spec: TrainSpec, log: Callable[[str], None]) -> Iterator[PreparedPairs]:
    """Backbone and pairs, for as long as the block lasts.

    Raises:
        SynprefError: the inputs cannot be used, do not belong together, or nothing is left to train on.
    """
    with contextlib.ExitStack() as stack:
        if spec.recipe.backbone == "pretrained":
            # Without a cache of its own the run keeps its tokens on disk as long as it lasts.
            folder = spec.token_cache or Path(stack.enter_context(_folder_beside(spec.output_dir)))
            prepared = _from_cache(spec, folder, log)
        else:
            prepared = _from_texts(spec)
        if not len(prepared.train):
            raise SynprefError(
                f"No pair is left to train on: {prepared.counts.as_dict()}.",
                where=str(spec.train_selection),
                todo="look at why the pairs were dropped; raise recipe.max_tokens where they are equal once truncated",
            )
        log(f"{spec.name}: {len(prepared.train)} training and {len(prepared.dev)} dev pairs")
        yield prepared


def _folder_beside(output: Path) -> tempfile.TemporaryDirectory:
    output.parent.mkdir(parents=True, exist_ok=True)
    return tempfile.TemporaryDirectory(dir=output.parent, prefix=f".{output.name}-tokens-")


def _from_cache(spec: TrainSpec, folder: Path, log: Callable[[str], None]) -> PreparedPairs:
    """Pairs whose tokens stay on disk; the backbone needs no text."""
    from training.token_cache.building import cached_tokens
    from training.token_cache.pairs import refuse_shared_prompts, select_pairs
    from training.token_cache.selection import read_labels

    train_labels, dev_labels = read_labels(spec.train_selection), read_labels(spec.dev_selection)
    backbone = build_backbone(spec.recipe, [], spec.seed, spec.embedding_cache)
    assert backbone.cached_tokeniser is not None
    wanted = np.union1d(train_labels.keys, dev_labels.keys)
    pool = cached_tokens(folder, spec.text_files, wanted, backbone.cached_tokeniser, log)
    max_tokens = spec.recipe.max_tokens
    train, report = select_pairs(
        pool, train_labels, max_tokens=max_tokens, max_pairs=spec.recipe.max_train_pairs, seed=spec.seed
    )
    dev, dev_report = select_pairs(pool, dev_labels, max_tokens=max_tokens)
    for counts, selection in ((report.counts, spec.train_selection), (dev_report.counts, spec.dev_selection)):
        refuse_other_texts(counts, selection)
    refuse_shared_prompts(train, dev)
    return PreparedPairs(
        backbone,
        train,
        dev,
        report.counts,
        dev_report.counts,
        report.truncation,
        dev_report.truncation,
        {**backbone.cached_tokeniser.describe(), "train": report.as_dict(), "dev": dev_report.as_dict()},
    )


def _from_texts(spec: TrainSpec) -> PreparedPairs:
    """Pairs in memory, for backbones whose tokens or embeddings are made from the run's own texts."""
    train_rows, dev_rows = (read_selection(path, _COLUMNS) for path in (spec.train_selection, spec.dev_selection))
    texts = read_texts(spec.text_files, [row["pair_id"] for row in (*train_rows, *dev_rows)])
    pairs, counts = label_pairs(train_rows, texts, max_pairs=spec.recipe.max_train_pairs, seed=spec.seed)
    dev, dev_counts = label_pairs(dev_rows, texts)
    for known, selection in ((counts, spec.train_selection), (dev_counts, spec.dev_selection)):
        refuse_other_texts(known, selection)
    refuse_leakage(pairs, dev)
    items = [item for pair in pairs for item in pair_items(pair)]
    if not items:
        raise SynprefError(
            f"No pair is left to train on: {counts.as_dict()}.",
            where=str(spec.train_selection),
            todo="look at why the pairs were dropped",
        )
    backbone = build_backbone(spec.recipe, items, spec.seed, spec.embedding_cache)
    encoded, counts, truncation = encode_pairs(backbone, pairs, counts)
    dev_encoded, dev_counts, dev_truncation = encode_pairs(backbone, dev, dev_counts)
    train, dev_pairs = (ListedPairs(some, backbone.num_tokens) for some in (encoded, dev_encoded))
    return PreparedPairs(backbone, train, dev_pairs, counts, dev_counts, truncation, dev_truncation)


def refuse_other_texts(counts: StageCounts, selection: Path | None) -> None:
    """Raise when so many selected pairs have no text that the selection was made from other texts.

    A few may be gone since (a source that was published anew); they are counted `text_not_found`.
    """
    missing = counts.dropped.get("text_not_found", 0)
    if missing > MAX_MISSING_PAIRS and missing > MAX_MISSING_SHARE * counts.rows_in:
        raise ContractError(
            f"{missing} of the {counts.rows_in} selected pairs are in none of the text files.",
            where=str(selection),
            kept="nothing was trained",
            todo="give all the text files the selection was made from",
        )


def pair_items(pair: LabelledPair) -> tuple[Item, Item]:
    """The chosen and the rejected side, as a backbone takes them."""
    return (pair.prompt, pair.chosen), (pair.prompt, pair.rejected)


def encode_pairs(
    backbone: Backbone, pairs: Sequence[LabelledPair], counts: StageCounts
) -> tuple[list[EncodedPair], StageCounts, dict[str, int]]:
    """Encode; a pair whose sides are the same once truncated says nothing and is dropped, counted.

    Returns:
        The pairs, the row accounting so far with this step's drops, and how much was truncated.
    """
    rows = backbone.encode([item for pair in pairs for item in pair_items(pair)])
    encoded = [
        EncodedPair(pair.pair_id, chosen, rejected, pair.weight, pair.cluster)
        for pair, chosen, rejected in zip(pairs, rows[0::2], rows[1::2], strict=True)
        if not chosen.same_as(rejected)
    ]
    dropped = Counter(counts.dropped)
    if len(encoded) < len(pairs):
        dropped["equal_after_truncation"] = len(pairs) - len(encoded)
    truncation = {
        "num_responses": sum(row.num_truncated > 0 for row in rows),
        "num_tokens": int(sum(row.num_truncated for row in rows)),
    }
    return encoded, StageCounts(counts.rows_in, len(encoded), dict(dropped)), truncation
