"""Filters of the nearest search: similarities that are cheap and wrong by no more than a proven bound.

Every vector v is replaced by v' whose distance |v - v'| is computed; then by Cauchy and Schwarz
|q.r - q'.r'| <= |q - q'| |r| + |q'| |r - r'|, to which the rounding of the arithmetic itself is added.
"""

from __future__ import annotations

import contextlib
import os
import warnings
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from threadpoolctl import threadpool_limits

# Of one rounding to float32, and a share on every bound for the rounding of the bound's own computation.
_UNIT, _ROOM = 2.0**-24, 1 + 1e-6
# The smallest normal number of float32 covers terms that underflow.
_SMALLEST = 2.0**-126


@dataclass(frozen=True)
class Seen:
    """What a filter says of a block; see `nearest_kernels.take_better`."""

    values: np.ndarray
    lowest: np.ndarray
    step: np.ndarray
    error: np.ndarray
    rough: np.ndarray


class Filter(Protocol):
    """Looks at rows for a block of queries."""

    def prepare(self, queries: np.ndarray) -> Any:
        """What `look` needs of a block of queries, float32[n, d]."""
        ...

    def look(self, prepared: Any, start: int, end: int) -> Seen:
        """Values of the rows from start to end."""
        ...

    def one_thread(self) -> AbstractContextManager:
        """While it lasts, a call keeps to the thread that makes it."""
        ...


@dataclass(frozen=True)
class Float32Filter:
    """Products in single precision: a sum of d terms is off by at most d roundings of its absolute terms."""

    rows: np.ndarray

    def prepare(self, queries: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The queries and their lengths."""
        return queries, lengths(queries)

    def look(self, prepared: tuple[np.ndarray, np.ndarray], start: int, end: int) -> Seen:
        """See `Filter`."""
        queries, long = prepared
        rows = self.rows[start:end]
        longest = float(lengths(rows).max(initial=0.0))
        ones = np.ones(len(queries))
        error = float32_error(rows.shape[1]) * long * longest + rows.shape[1] * _SMALLEST
        return Seen(queries @ rows.T, 0 * ones, ones, error, error)

    def one_thread(self) -> AbstractContextManager:
        """The BLAS library is held to one thread by the search itself."""
        return contextlib.nullcontext()


@dataclass(frozen=True)
class _Bytes:
    """Rows as packed bytes, block by block, with what the bound needs: the block's largest |r| and |r - r'|."""

    packed: Any
    longest: float
    farthest: float


@dataclass(frozen=True)
class _Queries:
    """A block of queries as bytes; by query: what one byte is worth, |q|, |q'| and |q - q'|; the largest value."""

    packed: Any
    units: np.ndarray
    long: np.ndarray
    near: np.ndarray
    far: np.ndarray
    top: float


class Int8Filter:
    """Products of bytes: 7 bits for queries, 8 for rows, values in 8 bits; twice as fast as float32 without VNNI.

    Both sides are turned by one random rotation first, which changes no product and leaves no coordinate much larger
    than the others, so that one scale fits all. Seven bits, because two products of the instruction that multiplies
    bytes must fit 16 bits.
    """

    def __init__(self, rows: np.ndarray, block: int) -> None:
        self.block, self.dimensions = block, rows.shape[1]
        normal = np.random.default_rng(0).standard_normal((self.dimensions, self.dimensions))
        self.rotation = np.linalg.qr(normal)[0]
        self.longest = max(float(lengths(rows).max(initial=0.0)), 1e-30)
        parts = [rows[at : at + block] for at in range(0, len(rows), block)]
        with ThreadPoolExecutor(num_cores()) as pool, threadpool_limits(1):
            self.blocks = list(pool.map(self._pack, parts))

    @classmethod
    def of(cls, rows: np.ndarray, block: int) -> Int8Filter | None:
        """The filter, or None where torch's kernels of bytes are missing or do not compute what they should."""
        try:
            import torch

            if not {"fbgemm", "x86"} & set(torch.backends.quantized.supported_engines):
                return None
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                return cls(rows, block) if _computes_exactly() else None
        except (ImportError, AttributeError, RuntimeError):
            return None

    def prepare(self, queries: np.ndarray) -> _Queries:
        """Queries as bytes, each scaled such that its largest coordinate is 63."""
        import torch

        turned = queries @ self.rotation
        units = np.maximum(np.abs(turned).max(axis=1, initial=0.0), 1e-30) / 63
        bytes_ = np.rint(turned / units[:, None])
        near = bytes_ * units[:, None]
        packed = torch._make_per_tensor_quantized_tensor(torch.from_numpy((bytes_ + 64).astype(np.uint8)), 1.0, 64)
        long = np.linalg.norm(turned, axis=1)
        # The largest value is a product of that query which is longest in its own unit.
        top = self.longest * float((long / units).max(initial=1.0))
        return _Queries(packed, units, long, np.linalg.norm(near, axis=1), np.linalg.norm(turned - near, axis=1), top)

    def look(self, prepared: _Queries, start: int, end: int) -> Seen:
        """See `Filter`; a value of 0 is all that is not above 0."""
        import torch

        rows, step = self.blocks[start // self.block], prepared.top / 255
        values = torch.ops.quantized.linear(prepared.packed, rows.packed, step, 0).int_repr().numpy()
        # Half a step for the rounding of the value, a thousandth for the float32 in which it is scaled.
        error = prepared.far * rows.longest + prepared.near * rows.farthest + 0.501 * step * prepared.units
        rough = float32_error(self.dimensions) * prepared.long * rows.longest
        error = (error + 2 * rough) * _ROOM
        rough += self.dimensions * _SMALLEST
        return Seen(values, np.zeros(len(error)), step * prepared.units, error, rough * _ROOM)

    @contextlib.contextmanager
    def one_thread(self) -> Iterator[None]:
        """torch otherwise splits each product over the cores."""
        import torch

        before = torch.get_num_threads()
        torch.set_num_threads(1)
        try:
            yield
        finally:
            torch.set_num_threads(before)

    def _pack(self, rows: np.ndarray) -> _Bytes:
        import torch

        turned = rows.astype(np.float64) @ self.rotation
        scales = np.maximum(np.abs(turned).max(axis=1, initial=0.0), 1e-30) / 127
        bytes_ = np.clip(np.rint(turned / scales[:, None]), -127, 127)
        far = np.linalg.norm(turned - bytes_ * scales[:, None], axis=1)
        tensor = torch._make_per_channel_quantized_tensor(
            torch.from_numpy(bytes_.astype(np.int8)),
            torch.from_numpy(scales),
            torch.zeros(len(rows), dtype=torch.int64),
            0,
        )
        packed = torch.ops.quantized.linear_prepack(tensor, None)
        return _Bytes(packed, float(np.linalg.norm(turned, axis=1).max()), float(far.max()))


def num_cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def lengths(vectors: np.ndarray) -> np.ndarray:
    """Euclidean lengths, float64[n]."""
    return np.sqrt(np.einsum("nd,nd->n", vectors, vectors, dtype=np.float64))


def float32_error(dimensions: int) -> float:
    """Error of a scalar product in float32, as a share of the lengths' product, in whatever order it is summed."""
    return 2 * (dimensions + 8) * _UNIT


def _computes_exactly() -> bool:
    """Whether products of bytes come out as integers do, at the ends of their range."""
    import torch

    generator = np.random.default_rng(0)
    left = generator.choice(np.array([-63, 63]), (4, 256))
    right = generator.choice(np.array([-127, 127]), (16, 256))
    right[0], right[1] = 127 * np.sign(left[0]), -127 * np.sign(left[0])
    step = 63 * 127 * 256 / 255
    packed = torch.ops.quantized.linear_prepack(
        torch._make_per_channel_quantized_tensor(
            torch.from_numpy(right.astype(np.int8)),
            torch.ones(16, dtype=torch.float64),
            torch.zeros(16, dtype=torch.int64),
            0,
        ),
        None,
    )
    given = torch._make_per_tensor_quantized_tensor(torch.from_numpy((left + 64).astype(np.uint8)), 1.0, 64)
    values = torch.ops.quantized.linear(given, packed, step, 0).int_repr().numpy()
    return bool(np.abs(values - np.clip(left @ right.T / step, 0, 255)).max() <= 0.501)
