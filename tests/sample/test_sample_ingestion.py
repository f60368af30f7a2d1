"""The sample read by the project's own readers: every layout recognised, every planted row where it belongs."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

import pytest

from assets.lake import Lake
from assets.raw_pairs.catalogue import SourceEntry
from assets.raw_pairs.ingest import ingest_source
from assets.raw_pairs.ingest_report import IngestReport
from assets.raw_pairs.sample.generate import SampleSummary, generate_sample
from assets.raw_pairs.sample.sources import HANDWRITTEN, SOURCES

NAMES = (*(plan.name for plan in SOURCES), HANDWRITTEN)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="module")
def summary(home: Path) -> SampleSummary:
    return generate_sample(11, home / "sample")


@pytest.fixture(scope="module")
def reports(summary: SampleSummary, home: Path) -> dict[str, IngestReport]:
    def ingest(name: str) -> IngestReport:
        entry = SourceEntry(
            name=name,
            paths=(str(home / "sample" / f"{name}.jsonl"),),
            licence="Apache-2.0",
            label_origin="llm",
            simulated=True,
        )
        now = datetime(2025, 1, 1, tzinfo=UTC)
        return ingest_source(
            entry, Lake(home / "lake"), seed=1, created_at=now, truth_path=home / "sample" / "truth.parquet"
        )

    return {name: ingest(name) for name in NAMES}


@pytest.mark.parametrize("name", NAMES)
def test_rows_become_pairs_and_only_the_unreadable_dead_letters(summary, reports, name: str) -> None:
    planted, report = summary.planted[name], reports[name]
    assert report.counts.rows_in == summary.lines[name]
    assert report.counts.num_dropped == planted.get("unreadable", 0)
    assert report.num_pairs == report.counts.rows_out
    assert report.num_contradicting_truths == 0
    empty = sum(report.problems.get(reason, 0) for reason in ("empty_prompt", "empty_response"))
    assert empty == planted.get("empty_text", 0)
    assert report.problems.get("equal_responses", 0) == planted.get("equal_responses", 0)
    assert report.verdicts.get("tie", 0) == planted.get("tie", 0)


def test_the_truth_in_the_lake_tells_right_labels_from_planted_errors(reports, home: Path) -> None:
    lake = Lake(home / "lake")
    disagree: Counter[str] = Counter()
    for name in NAMES:
        labels = lake.read("label_events", ["pair_id", "verdict"], kind="source", batch=name).to_pylist()
        given = {row["pair_id"]: row["verdict"] for row in labels}
        repeated = {pair for pair, n in Counter(row["pair_id"] for row in labels).items() if n > 1}
        for row in lake.read("sample_truth", source=name).to_pylist():
            if row["pair_id"] in given and row["pair_id"] not in repeated and row["verdict"] is not None:
                disagree[row["planted"]] += given[row["pair_id"]] != row["verdict"]
    errors = {"crowd_error", "uniform_error", "systematic_error", "contradiction"}
    assert {kind for kind, n in disagree.items() if n} == errors
    assert disagree["uniform_error"] > 200
