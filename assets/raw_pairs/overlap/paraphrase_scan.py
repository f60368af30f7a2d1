"""Paraphrases of benchmark prompts in a source, and how alike the prompts of its n-gram hits are as a whole."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from assets.identity import digest
from assets.raw_pairs.overlap.benchmark_index import PROMPT, BenchmarkIndex
from assets.raw_pairs.overlap.hit_similarity import around_span, similarities
from assets.raw_pairs.overlap.pair_texts import conversations, last_user_turns
from assets.raw_pairs.overlap.paraphrases import find_paraphrases, hit_rows, vectors_of
from assets.settings import ParaphraseSettings

EmbedPart = Callable[[Sequence[str], str], np.ndarray]
"""From texts, and a name for the part of the pool they are of, to unit vectors float32 [texts, dimensions]."""

# About what an encoder of 256 tokens reads.
_CONTEXT_CHARS = 1_000


def prompts_with_rows(pairs: pa.Table) -> pa.Table:
    """What the scan needs of rows of `pairs`: ids, source, row, text (the last user turn) and whole (all turns)."""
    ids = pairs.select(["pair_id", "prompt_id", "source", "source_row"])
    ids = ids.append_column("text", last_user_turns(pairs["prompt"]))
    return ids.append_column("whole", conversations(pairs["prompt"]))


class ParaphraseScan:
    """Compares prompts with the benchmarks' by meaning."""

    def __init__(self, index: BenchmarkIndex, settings: ParaphraseSettings, embed: EmbedPart) -> None:
        """Embed the benchmarks' prompts."""
        self.settings, self._embed = settings, embed
        prompts = index.texts.filter(pc.equal(index.texts["benchmark_text"], PROMPT))
        texts = prompts["prompt"].to_pylist()
        ids = [digest("text", text) for text in texts]
        self._vectors = vectors_of(ids, texts, lambda some: embed(some, "benchmarks"))
        self._texts = pa.table({"benchmark": prompts["benchmark"], "item_id": prompts["item_id"], "id": ids})
        names = zip(prompts["benchmark"].to_pylist(), prompts["item_id"].to_pylist(), strict=True)
        self._text_of = dict(zip(names, prompts["text"].to_pylist(), strict=True))

    def hits(self, prompts: pa.Table, ngram_hits: pa.Table, part: str) -> pa.Table:
        """The hits of some rows with those that only meaning tells.

        Args:
            prompts: as `prompts_with_rows` gives them.
            ngram_hits: their exact and n-gram hits, of contract `contamination_hits`.
            part: name of the part of the pool, under which its vectors are kept.

        Returns:
            Of contract `contamination_hits`: what was given, with `similarity` where two prompts meet, then the
            paraphrases of items that no words of the same prompt had met.
        """
        distinct = prompts.group_by("prompt_id").aggregate([("text", "min"), ("whole", "min")])
        distinct = distinct.rename_columns(["prompt_id", "text", "whole"]).sort_by("prompt_id")
        ids, texts = distinct["prompt_id"].to_pylist(), distinct["text"].to_pylist()
        vectors = vectors_of(ids, texts, lambda some: self._embed(some, part))
        found = find_paraphrases(vectors, self._vectors, self._texts, self.settings.threshold).hits
        met = ngram_hits.filter(_between_prompts(ngram_hits)).select(["prompt_id", "benchmark", "item_id"])
        found = found.join(met, ["prompt_id", "benchmark", "item_id"], join_type="left anti")
        paraphrases = hit_rows(found, prompts.drop_columns(["text", "whole"]), distinct)
        return pa.concat_tables(
            [self._with_similarity(ngram_hits, dict(zip(ids, texts, strict=True)), part), paraphrases]
        )

    def _with_similarity(self, hits: pa.Table, text_of: dict[str, str], part: str) -> pa.Table:
        between = np.asarray(_between_prompts(hits))
        rows = hits.filter(pa.array(between)).select(["prompt_id", "benchmark", "item_id", "span"]).to_pylist()
        ours = [around_span(text_of[row["prompt_id"]], row["span"], _CONTEXT_CHARS) for row in rows]
        theirs = [self._around(row) for row in rows]
        values: list[Any] = [None] * len(hits)
        cosines = similarities(ours, theirs, lambda some: self._embed(some, f"{part}.spans"))
        for at, cosine in zip(np.flatnonzero(between).tolist(), cosines.tolist(), strict=True):
            values[at] = cosine
        place = hits.schema.get_field_index("similarity")
        return hits.set_column(place, "similarity", pa.array(values, pa.float64()))

    def _around(self, row: dict) -> str:
        return around_span(self._text_of[row["benchmark"], row["item_id"]], row["span"], _CONTEXT_CHARS)


def _between_prompts(hits: pa.Table) -> pa.ChunkedArray:
    return pc.and_(pc.equal(hits["text"], "prompt"), pc.equal(hits["benchmark_text"], PROMPT))
