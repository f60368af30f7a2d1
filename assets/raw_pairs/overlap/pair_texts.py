"""The texts of pairs as Arrow columns, for what compares texts: conversations, last turns, responses."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc


def conversations(prompts: pa.Array) -> pa.Array:
    """Contents of all turns, one below the other.

    >>> turns = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello"}]
    >>> conversations(pa.array([turns, []])).to_pylist()
    ['Hi\\nHello', '']
    """
    prompts = _one_array(prompts)
    contents = pa.ListArray.from_arrays(_offsets(prompts), pc.struct_field(prompts.flatten(), "content"))
    return pc.binary_join(contents, "\n")


def last_user_turns(prompts: pa.Array) -> pa.Array:
    """Content of the last user turn; of the last turn where no turn is the user's; empty for no turns.

    >>> turns = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello"}]
    >>> last_user_turns(pa.array([turns, turns[1:], []])).to_pylist()
    ['Hi', 'Hello', '']
    """
    prompts = _one_array(prompts)
    offsets, turns = _offsets(prompts).to_numpy(), prompts.flatten()
    if not len(turns):
        return pa.array([""] * len(prompts))
    starts, ends = offsets[:-1], offsets[1:]
    by_user = pc.equal(pc.struct_field(turns, "role"), "user").to_numpy(zero_copy_only=False)
    # The place of the latest user turn up to each turn of the whole column, wherever its conversation begins.
    latest = np.maximum.accumulate(np.where(by_user, np.arange(len(turns)), -1))
    last = latest[np.maximum(ends - 1, 0)]
    last = np.where(last >= starts, last, ends - 1)
    places = pa.array(last, mask=starts == ends)
    return pc.fill_null(pc.struct_field(turns, "content").take(places), "")


def _one_array(values: pa.Array | pa.ChunkedArray) -> pa.ListArray:
    return values.combine_chunks() if isinstance(values, pa.ChunkedArray) else values


def _offsets(lists: pa.ListArray) -> pa.Array:
    """Offsets into `lists.flatten()`, which is shorter than the values where the array is a slice."""
    lengths = pc.fill_null(pc.list_value_length(lists), 0).to_numpy(zero_copy_only=False)
    return pa.array(np.concatenate([[0], np.cumsum(lengths)]), pa.int32())
