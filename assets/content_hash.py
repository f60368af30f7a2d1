"""Content hash: what a table says, whatever batches it came in and however they lie in memory."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc

if TYPE_CHECKING:
    from hashlib import _Hash as Hash

_NULL, _VALUE = 0, 1


class ContentHash:
    """SHA-256, cut to 128 bits, over a table's columns, fed batch by batch; the same rows in order give the same hash.

    Each column has streams of its own (which values are there, how long they are, their bytes), so that no batch
    has to be copied or cut to a common size.

    Args:
        schema: of every batch. Supported are strings, numbers, booleans, timestamps, and lists and structs of them.
    """

    def __init__(self, schema: pa.Schema) -> None:
        self._schema = schema
        self._columns = [_stream_of(field.type) for field in schema]

    def update(self, table: pa.Table) -> None:
        """Add rows; the table must have the schema's columns."""
        for name, stream in zip(self._schema.names, self._columns, strict=True):
            for chunk in table[name].chunks:
                stream.update(chunk)

    def hexdigest(self) -> str:
        """32 hex digits."""
        state = hashlib.sha256(str(self._schema).encode())
        for stream in self._columns:
            for part in stream.digests():
                state.update(part)
        return state.hexdigest()[:32]


class _Fixed:
    """Values of a fixed width: which are there, and their bytes."""

    def __init__(self, kind: pa.DataType) -> None:
        self._kind = kind
        self._valid, self._data = _new(), _new()

    def update(self, array: pa.Array) -> None:
        array = _without_nulls(array, self._valid)
        if pa.types.is_boolean(self._kind):
            array = array.cast(pa.int8())
        width = array.type.bit_width // 8
        data = array.buffers()[1]
        if data is not None and len(array):
            start = array.offset * width
            self._data.update(memoryview(data)[start : start + len(array) * width])

    def digests(self) -> Iterable[bytes]:
        return self._valid.digest(), self._data.digest()


class _Text:
    """Strings: which are there, their lengths in bytes, and their bytes."""

    def __init__(self) -> None:
        self._valid, self._lengths, self._data = _new(), _new(), _new()

    def update(self, array: pa.Array) -> None:
        array = _without_nulls(array, self._valid)
        if not len(array):
            return
        lengths = pc.cast(pc.binary_length(array), pa.int64())
        self._lengths.update(_bytes_of(lengths))
        _, offsets, data = array.buffers()
        starts = memoryview(offsets).cast("B").cast("i")
        first, last = starts[array.offset], starts[array.offset + len(array)]
        if data is not None:
            self._data.update(memoryview(data)[first:last])

    def digests(self) -> Iterable[bytes]:
        return self._valid.digest(), self._lengths.digest(), self._data.digest()


class _List:
    """Lists: which are there, their lengths, and their items as one stream."""

    def __init__(self, kind: pa.ListType) -> None:
        self._valid, self._lengths = _new(), _new()
        self._items = _stream_of(kind.value_type)

    def update(self, array: pa.Array) -> None:
        array = _without_nulls(array, self._valid)
        if len(array):
            self._lengths.update(_bytes_of(pc.cast(pc.list_value_length(array), pa.int64())))
            self._items.update(array.flatten())

    def digests(self) -> Iterable[bytes]:
        return self._valid.digest(), self._lengths.digest(), *self._items.digests()


class _Struct:
    """Structs: which are there, and each field as one stream."""

    def __init__(self, kind: pa.StructType) -> None:
        self._valid = _new()
        self._fields = [_stream_of(kind.field(n).type) for n in range(kind.num_fields)]

    def update(self, array: pa.Array) -> None:
        array = _without_nulls(array, self._valid)
        for field, stream in zip(array.flatten(), self._fields, strict=True):
            stream.update(field)

    def digests(self) -> Iterable[bytes]:
        return self._valid.digest(), *(d for stream in self._fields for d in stream.digests())


_Stream = _Fixed | _Text | _List | _Struct


def _stream_of(kind: pa.DataType) -> _Stream:
    if pa.types.is_string(kind):
        return _Text()
    if pa.types.is_list(kind):
        return _List(kind)
    if pa.types.is_struct(kind):
        return _Struct(kind)
    if pa.types.is_boolean(kind) or pa.types.is_primitive(kind):
        return _Fixed(kind)
    raise TypeError(f"columns of type {kind} have no content hash")


def _new() -> Hash:
    # Processors have instructions for SHA-256: a third of BLAKE2b's time.
    return hashlib.sha256()


def _without_nulls(array: pa.Array, valid: Hash) -> pa.Array:
    """The values that are there; the stream `valid` is told which are not. What lies under a null is never hashed."""
    if not array.null_count:
        valid.update(bytes([_VALUE]) * len(array))
        return array
    valid.update(_bytes_of(array.is_valid().cast(pa.int8())))
    return array.drop_null()


def _bytes_of(array: pa.Array) -> memoryview:
    width = array.type.bit_width // 8
    return memoryview(array.buffers()[1])[array.offset * width : (array.offset + len(array)) * width]
