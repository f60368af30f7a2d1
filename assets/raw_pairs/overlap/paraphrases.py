"""Paraphrases: pool prompts whose embedding is close to a benchmark prompt's.

A paraphrase shares no 13 words with its original, so only meaning tells. The search is exact: every prompt is
compared with every distinct benchmark text, block by block. Vectors are a table by prompt id; a prompt id is a
content hash, so a prompt that was embedded once is never embedded again.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from assets.contracts import conform, contract_of
from assets.errors import ContractError

Embed = Callable[[Sequence[str]], NDArray[np.float32]]
"""From n texts to unit vectors float32 [n, d]."""

# Similarities are rounded before they are compared: the last bits depend on the machine and on the block.
SIMILARITY_DIGITS = 4
# One block of similarities has at most this many entries: 64 MB as float32.
_BLOCK_ENTRIES = 16_000_000
_CHUNK_TEXTS = 65_536
_SPAN_WORDS = 13
_WORD = re.compile(r"[a-z0-9]+|[^\x00-\x7f]")


@dataclass(frozen=True)
class ParaphraseHits:
    """What the search found, and what it looked at.

    Attributes:
        hits: `prompt_id`, `benchmark`, `item_id` (first of the items with this text), `num_items` (of them),
            `similarity` (cosine, four digits); one row per prompt and benchmark text at or above the threshold,
            sorted by the first three.
        num_prompts: prompts given.
        num_benchmark_texts: distinct (benchmark, text) they were compared with.
        num_prompts_without_vector, num_benchmark_texts_without_vector: of those, not comparable, because the
            embedder found nothing in them (empty, or white space alone).
    """

    hits: pa.Table
    num_prompts: int
    num_benchmark_texts: int
    num_prompts_without_vector: int
    num_benchmark_texts_without_vector: int


def vectors_of(ids: Sequence[str], texts: Sequence[str], embed: Embed, known: pa.Table | None = None) -> pa.Table:
    """Vectors of all given texts, of which only those that are not known yet are computed.

    Memory: the texts and their vectors, so give a large pool source by source or in parts.

    Args:
        ids: content hashes of the texts; one that is repeated counts once.
        known: what an earlier call returned for the same model and settings, or None. Store it under a key of both.

    Returns:
        `id` (string), `vector` (d numbers as float16), sorted by id: 768 bytes a text at 384 dimensions. float16
        changes a cosine by less than 0.001.

    Raises:
        ContractError: the known vectors have another length than the new ones.
    """
    text_of = dict(zip(ids, texts, strict=True))
    kept = None
    if known is not None and len(known):
        kept = known.filter(pc.is_in(known["id"], pa.array(list(text_of), pa.string())))
    seen = set() if kept is None else set(kept["id"].to_pylist())
    missing = sorted(text_of.keys() - seen)
    if missing:
        chunks = [missing[start : start + _CHUNK_TEXTS] for start in range(0, len(missing), _CHUNK_TEXTS)]
        fresh = np.concatenate([embed([text_of[key] for key in chunk]).astype(np.float16) for chunk in chunks])
        # A sentence model gives a vector even for nothing, the same one for every empty text.
        fresh[[not text_of[key].strip() for key in missing]] = 0
        table = pa.table({"id": pa.array(missing, pa.string()), "vector": _vector_array(fresh)})
        if kept is not None and kept.schema != table.schema:
            raise ContractError(
                f"The known vectors are {kept.schema.types}, the model gives {table.schema.types}.",
                todo="keep vectors of each model and its settings apart",
            )
        kept = table if kept is None else pa.concat_tables([kept, table])
    if kept is None:
        # Nothing was asked for, so the number of dimensions is not known: one stands in.
        return pa.table({"id": pa.array([], pa.string()), "vector": _vector_array(np.zeros((0, 1), np.float16))})
    return kept.sort_by("id")


def find_paraphrases(
    prompts: pa.Table, benchmark_vectors: pa.Table, benchmark_texts: pa.Table, threshold: float
) -> ParaphraseHits:
    """Every prompt and benchmark text whose cosine is at or above the threshold, by exhaustive search.

    On a GPU where there is one, else on the CPU. Memory: the benchmark's vectors (1.5 KB a text at 384 dimensions),
    the prompts' as they came, one block of 64 MB, and the hits.

    Args:
        prompts, benchmark_vectors: tables as `vectors_of` returns them.
        benchmark_texts: `benchmark`, `item_id`, `id` (of the text, as in `benchmark_vectors`), one row per item.
        threshold: cosine in (0, 1].
    """
    if not 0 < threshold <= 1:
        raise ContractError(f"A cosine threshold of {threshold} finds everything or nothing.", todo="choose in (0, 1]")
    texts = benchmark_texts.group_by(["benchmark", "id"]).aggregate([("item_id", "min"), ("item_id", "count")])
    texts = texts.sort_by([("benchmark", "ascending"), ("item_id_min", "ascending")])
    distinct = texts["id"].unique()
    row_of = pc.index_in(distinct, benchmark_vectors["id"])
    if row_of.null_count:
        raise ContractError(f"{row_of.null_count} benchmark texts have no vector.", todo="embed all of them first")
    items = _matrix(benchmark_vectors.take(row_of))
    texts_of: dict[int, list[int]] = {}
    for row, at in enumerate(pc.index_in(texts["id"], distinct).to_pylist()):
        texts_of.setdefault(at, []).append(row)
    pairs = [
        (prompt, row, similarity)
        for prompt, at, similarity in _above(prompts, items, threshold)
        for row in texts_of[at]
    ]
    prompt_rows, text_rows, similarities = zip(*pairs, strict=True) if pairs else ((), (), ())
    found = texts.take(pa.array(text_rows, pa.int64()))
    hits = pa.table(
        {
            "prompt_id": prompts["id"].take(pa.array(prompt_rows, pa.int64())),
            "benchmark": found["benchmark"],
            "item_id": found["item_id_min"],
            "num_items": found["item_id_count"].cast(pa.int64()),
            "similarity": pa.array(similarities, pa.float64()),
        }
    )
    empty = ~items.any(axis=1)
    return ParaphraseHits(
        hits.sort_by([(name, "ascending") for name in ("prompt_id", "benchmark", "item_id")]),
        len(prompts),
        len(texts),
        sum(int((~_matrix(block).any(axis=1)).sum()) for block in _blocks(prompts, 1)),
        sum(len(texts_of[at]) for at in np.flatnonzero(empty).tolist()),
    )


def hit_rows(hits: pa.Table, occurrences: pa.Table, texts: pa.Table) -> pa.Table:
    """Rows of `contamination_hits`: each paraphrase with every pair that has the prompt.

    Args:
        hits: of `ParaphraseHits`.
        occurrences: `pair_id`, `prompt_id`, `source`, `source_row`.
        texts: `prompt_id`, `text` (as it was embedded); read for the spans.
    """
    spans = pa.table(
        {
            "prompt_id": texts["prompt_id"],
            "span": pa.array([" ".join(_words(text.as_py())) for text in texts["text"]], pa.string()),
        }
    )
    rows = hits.join(occurrences, "prompt_id", join_type="inner").join(spans, "prompt_id", join_type="inner")
    constant = {"text": "prompt", "benchmark_text": "prompt", "kind": "paraphrase", "num_shared_ngrams": 0}
    contract = contract_of("contamination_hits")
    for name, value in constant.items():
        kind = dict(contract.columns)[name]
        rows = rows.append_column(name, pa.repeat(pa.scalar(value, kind), len(rows)))
    order = [(name, "ascending") for name in contract.key]
    return conform(rows, "contamination_hits").sort_by(order).combine_chunks()


def _words(text: str) -> list[str]:
    """The first words of a text."""
    matches = _WORD.finditer(text.lower())
    return [match.group() for match, _ in zip(matches, range(_SPAN_WORDS), strict=False)]


def _above(prompts: pa.Table, items: NDArray[np.float32], threshold: float) -> list[tuple[int, int, float]]:
    """(row of the prompts, row of the items, cosine) at or above the threshold."""
    found: list[tuple[int, int, float]] = []
    if not len(items) or not len(prompts):
        return found
    multiply = _multiplier(items)
    first = 0
    for block in _blocks(prompts, len(items)):
        cosines = multiply(_matrix(block), threshold)
        found += [(first + row, item, value) for row, item, value in cosines]
        first += len(block)
    return found


def _multiplier(items: NDArray[np.float32]) -> Callable[[NDArray[np.float32], float], list[tuple[int, int, float]]]:
    """A function from prompts and threshold to what is above it; the items stay on the device."""
    import torch

    device = "cuda" if torch.cuda.is_available() else "cpu"
    held = torch.from_numpy(items).to(device).T

    def above(block: NDArray[np.float32], threshold: float) -> list[tuple[int, int, float]]:
        cosines: Any = torch.from_numpy(block).to(device) @ held
        # A little below, so that rounding decides at the threshold and not the device.
        rows, columns = torch.nonzero(cosines >= threshold - 10**-SIMILARITY_DIGITS, as_tuple=True)
        values = np.round(cosines[rows, columns].double().cpu().numpy(), SIMILARITY_DIGITS)
        kept = values >= threshold
        return list(
            zip(
                rows.cpu().numpy()[kept].tolist(),
                columns.cpu().numpy()[kept].tolist(),
                np.minimum(values[kept], 1.0).tolist(),
                strict=True,
            )
        )

    return above


def _blocks(vectors: pa.Table, num_columns: int) -> list[pa.Table]:
    size = max(1, min(65_536, _BLOCK_ENTRIES // max(1, num_columns)))
    return [vectors.slice(start, size) for start in range(0, len(vectors), size)]


def _matrix(vectors: pa.Table) -> NDArray[np.float32]:
    """float32 [n, d], each row of length one again after float16, or zero."""
    if not len(vectors):
        return np.zeros((0, 0), np.float32)
    column = vectors["vector"].combine_chunks()
    matrix = column.flatten().to_numpy().reshape(len(vectors), -1).astype(np.float32)
    lengths = np.linalg.norm(matrix, axis=1, keepdims=True)
    return matrix / np.where(lengths > 0, lengths, 1)


def _vector_array(vectors: NDArray[np.float16]) -> pa.Array:
    flat = pa.array(np.ascontiguousarray(vectors).reshape(-1), pa.float16())
    return pa.FixedSizeListArray.from_arrays(flat, vectors.shape[1])
