"""Pair keys: pair ids as 16 bytes, to be sorted and searched without a Python object for each."""

from __future__ import annotations

import hashlib

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

KEY = np.dtype("S16")
Keys = NDArray[np.bytes_]
"""S16[n]. NumPy leaves trailing zero bytes out of what it returns for a single one: see `hex_of`."""

_HEX_DIGITS = 32
_VALUES = np.full(256, 255, dtype=np.uint8)
_VALUES[np.frombuffer(b"0123456789abcdef", np.uint8)] = np.arange(16)


def keys_of(ids: pa.Array | pa.ChunkedArray) -> Keys:
    """Keys of pair ids: the bytes that 32 hex digits stand for, a hash of any other text (files that are not ours).

    Null ids have the key of no text.

    >>> keys_of(pa.array(["00ff" * 8]))[0] == bytes.fromhex("00ff" * 8)
    True
    """
    if isinstance(ids, pa.ChunkedArray):
        ids = ids.combine_chunks()
        if isinstance(ids, pa.ChunkedArray):
            ids = pa.concat_arrays(ids.chunks) if ids.num_chunks else pa.array([], pa.string())
    ids = ids.cast(pa.large_string())
    keys = np.zeros(len(ids), KEY)
    hexadecimal = pc.fill_null(pc.equal(pc.binary_length(ids), _HEX_DIGITS), False)
    at = np.flatnonzero(hexadecimal.to_numpy(zero_copy_only=False))
    if len(at):
        values = _VALUES[np.frombuffer(_data(ids.take(pa.array(at))), np.uint8)].reshape(-1, _HEX_DIGITS)
        good = (values < 16).all(axis=1)
        packed = (values[:, 0::2] << 4) | (values[:, 1::2] & 15)
        keys[at[good]] = np.ascontiguousarray(packed[good]).view(KEY).reshape(-1)
        at = at[good]
    others = np.ones(len(ids), bool)
    others[at] = False
    for number in np.flatnonzero(others):
        text = ids[number].as_py()
        person = b"null" if text is None else b"pair_id"
        keys[number] = hashlib.blake2b((text or "").encode(), digest_size=16, person=person).digest()
    return keys


def _data(ids: pa.Array) -> memoryview:
    offsets, data = ids.buffers()[1:]
    first = int(np.frombuffer(offsets, np.int64)[ids.offset])
    return memoryview(data)[first : first + len(ids) * _HEX_DIGITS]


def is_hex_id(text: str) -> bool:
    """Whether a pair id is its key written out.

    >>> is_hex_id("00ff" * 8), is_hex_id("pair 7")
    (True, False)
    """
    return len(text) == _HEX_DIGITS and set(text) <= set("0123456789abcdef")


def hex_of(key: bytes) -> str:
    """32 hex digits of one key.

    >>> hex_of(np.array([bytes.fromhex("ff00" * 8)], KEY)[0]) == "ff00" * 8
    True
    """
    return bytes(key).ljust(KEY.itemsize, b"\0").hex()


def positions_in(keys: Keys, wanted: Keys) -> NDArray[np.int64]:
    """Where each wanted key stands in sorted keys; -1 where it does not."""
    if not len(keys):
        return np.full(len(wanted), -1, dtype=np.int64)
    at = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
    return np.where(keys[at] == wanted, at, -1)
