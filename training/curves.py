"""Curves: points of a training by step, and the Parquet file that holds them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq


@dataclass(frozen=True)
class Point:
    """One value of one curve."""

    step: int
    name: str
    value: float


def write_curves(points: Sequence[Point], path: Path) -> None:
    """Write points as Parquet: `step` int64, `name` string, `value` double."""
    columns = {
        "step": pa.array([point.step for point in points], pa.int64()),
        "name": pa.array([point.name for point in points], pa.string()),
        "value": pa.array([point.value for point in points], pa.float64()),
    }
    pq.write_table(pa.table(columns), path)


def read_curves(path: Path) -> list[Point]:
    """Points as `write_curves` wrote them."""
    return [Point(row["step"], row["name"], row["value"]) for row in pq.read_table(path).to_pylist()]
