"""Sketches of one source's pairs and prompts, a row group at a time."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from assets.contracts import contract_of
from assets.lake import Lake
from assets.partition_writer import Manifest
from assets.raw_pairs.overlap.minhash import NUM_BANDS, bands_of, hashes_of_pairs, min_hashes
from assets.raw_pairs.overlap.pair_texts import conversations
from assets.raw_pairs.overlap.row_groups import Progress, map_row_groups

_COLUMNS = ("pair_id", "prompt_id", "prompt", "response_1", "response_2", "problem")
# Words of a prompt and the same words of a response are different shingles.
_PROMPT_TAG, _RESPONSE_TAG = 1, 2


def sketch_source(
    lake: Lake, pairs: Manifest, inputs: str, *, progress: Progress | None = None
) -> tuple[Manifest, Manifest]:
    """Publish a source's `pair_sketches` and `prompt_sketches`.

    Returns:
        The manifests of both; rows that make no pair are counted in the first.
    """
    partition = {"source": pairs.partition["source"]}
    problems: Counter[str] = Counter()
    with (
        lake.writer("pair_sketches", partition, inputs=inputs) as pair_writer,
        lake.writer("prompt_sketches", partition, inputs=inputs) as prompt_writer,
    ):
        for of_pairs, of_prompts, left_out in map_row_groups(_sketch_rows, lake, pairs, _COLUMNS, progress=progress):
            pair_writer.write(of_pairs)
            prompt_writer.write(of_prompts)
            problems += left_out
        counts = {
            "rows_in": pairs.num_rows,
            "rows_out": pairs.num_rows - problems.total(),
            "dropped": dict(sorted(problems.items())),
        }
        pair_writer.info["counts"] = counts
    assert pair_writer.manifest is not None
    assert prompt_writer.manifest is not None
    return pair_writer.manifest, prompt_writer.manifest


def _sketch_rows(rows: pa.Table, first: int) -> tuple[pa.Table, pa.Table, Counter[str]]:
    """Sketches of some rows of `pairs`, of their distinct prompts, and rows that make no pair by problem."""
    positions = pa.array(np.arange(first, first + len(rows)), pa.int64())
    problems = Counter(problem for problem in rows["problem"].to_pylist() if problem)
    rows = rows.append_column("position", positions).filter(pc.is_null(rows["problem"])).combine_chunks()
    # Many pairs share a prompt: its shingles are hashed once.
    _, distinct, prompt_of = np.unique(
        rows["prompt_id"].to_numpy(zero_copy_only=False).astype("U32"), return_index=True, return_inverse=True
    )
    prompts = min_hashes((conversations(rows["prompt"]).take(pa.array(distinct)), _PROMPT_TAG))
    responses = min_hashes((rows["response_1"], _RESPONSE_TAG), (rows["response_2"], _RESPONSE_TAG))
    pair_bands = bands_of(hashes_of_pairs(prompts[prompt_of], responses))
    prompt_bands = bands_of(prompts)
    return (
        _table("pair_sketches", rows["pair_id"], rows["position"], pair_bands),
        _table("prompt_sketches", rows["prompt_id"].take(distinct), rows["position"].take(distinct), prompt_bands),
        problems,
    )


def _table(name: str, ids: pa.ChunkedArray, positions: pa.ChunkedArray, bands: np.ndarray) -> pa.Table:
    columns = [ids, positions, *(pa.array(np.ascontiguousarray(bands[:, band])) for band in range(NUM_BANDS))]
    return pa.Table.from_arrays(columns, schema=contract_of(name).schema)
