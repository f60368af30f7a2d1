"""What the tests of this room share: a lake, source files and a catalogue entry."""

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from assets.lake import Lake
from assets.raw_pairs.catalogue import SourceEntry
from assets.raw_pairs.ingest import ingest_source
from assets.raw_pairs.ingest_report import IngestReport

CREATED_AT = datetime(2025, 1, 1, tzinfo=UTC)


class Bench:
    """A lake and a folder for source files; ingests rows given as values."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.lake = Lake(folder / "lake")

    def write(self, rows, name="source.jsonl") -> Path:
        path = self.folder / name
        lines = [row if isinstance(row, bytes) else json.dumps(row).encode() for row in rows]
        path.write_bytes(b"".join(line + b"\n" for line in lines))
        return path

    def entry(self, path, **settings) -> SourceEntry:
        defaults = {"name": "s", "paths": (str(path),), "licence": "MIT", "label_origin": "human"}
        return SourceEntry(**(defaults | settings))

    def ingest(self, rows, *, seed=1, created_at=CREATED_AT, truth_path=None, lake=None, **settings) -> IngestReport:
        entry = self.entry(self.write(rows, f"{settings.get('name', 's')}.jsonl"), **settings)
        return ingest_source(entry, lake or self.lake, seed=seed, created_at=created_at, truth_path=truth_path)

    def rows(self, table, **where):
        return self.lake.read(table, **where).to_pylist()


@pytest.fixture
def bench(tmp_path):
    return Bench(tmp_path)


@pytest.fixture
def two_responses():
    """Rows of the layout two_responses, the n-th of them about n."""

    def make(number, preferred="a", **columns):
        row = {"prompt": f"What is {number}?", "response_a": f"{number}.", "response_b": f"Not {number}."}
        return row | {"preferred": preferred} | columns

    return make
