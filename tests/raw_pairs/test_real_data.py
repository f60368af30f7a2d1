"""The real files: what is recorded with them is shared out so that the facts known about them come out again."""

import json
from collections import Counter, defaultdict
from datetime import UTC, datetime

import pytest

from assets.lake import Lake
from assets.raw_pairs.catalogue import load_catalogue
from assets.raw_pairs.checking import check_source
from assets.raw_pairs.ingest import ingest_source
from assets.settings import REPOSITORY
from assets.workspace import Workspace, data_folder

pytestmark = [
    pytest.mark.real_data,
    pytest.mark.skipif(not (data_folder() / "pool").is_dir(), reason="the shared data folder is not here"),
]
CREATED_AT = datetime(2025, 1, 1, tzinfo=UTC)


def entries():
    workspace = Workspace(REPOSITORY / "configs" / "sample.yaml")
    return {e.name: e for e in load_catalogue(REPOSITORY / "configs/sources/real.yaml", workspace)}


@pytest.fixture(scope="module")
def ingested(tmp_path_factory):
    """Ingests a source once and gives its report and, by row, file label, source label and recorded verdicts."""
    lake, known = Lake(tmp_path_factory.mktemp("lake")), {}

    def get(name):
        if name not in known:
            report = ingest_source(entries()[name], lake, seed=1, created_at=CREATED_AT)
            file_label, label, recorded = {}, {}, defaultdict(list)
            for row in lake.read("pairs", ["source_row", "meta"], source=name).to_pylist():
                meta = json.loads(row["meta"])
                sides = {"a": str(meta["response_a_is"]), "b": str(3 - meta["response_a_is"])}
                file_label[row["source_row"]] = sides.get(meta.get("preferred"), meta.get("preferred"))
            for event in lake.read("label_events", kind="source", batch=name).to_pylist():
                label[event["source_row"]] = event["verdict"]
            for row in lake.read("recorded_verdicts", source=name).to_pylist():
                recorded[row["source_row"]].append(row)
            known[name] = report, file_label, label, recorded
        return known[name]

    return get


@pytest.mark.parametrize("name", sorted(entries()))
def test_every_file_is_recognised_and_its_first_rows_make_pairs(name):
    (report,) = check_source(entries()[name], num_rows=50)
    assert (report.layout.name, report.num_pairs, report.dead_letters) == ("pair_file", 50, ())


def majority(votes):
    (first, most), *rest = Counter(votes).most_common()
    return first if not rest or most > rest[0][1] else None


def test_all_votes_of_simpeval_are_shared_out(ingested):
    report, file_label, label, recorded = ingested("simpeval")
    # 4,000 pairs of five raters, 900 of three; the first is the source's label.
    assert report.recorded == {"person": 2 * 4000 + 900, "judge": 2 * 4000 + 900}
    assert report.counts.rows_out == 4900
    hits = sum(majority([label[n], *(r["verdict"] for r in recorded[n])]) == file_label[n] for n in label)
    # The file's label is the majority but where two answers have equally many votes (178 rows).
    assert hits == 4722
    with_source = sum(label[n] == file_label[n] for n in label if file_label[n] in "12")
    assert 0.80 < with_source / sum(v in "12" for v in file_label.values()) < 0.90


def test_both_orders_of_cherry_give_its_file_label_back(ingested):
    report, file_label, label, recorded = ingested("cherry_llm_reviews")
    assert report.recorded == {"judge": 3 * 1030}
    reversed_order = {n: next(r for r in rows if r["labeller"] == "gpt-4") for n, rows in recorded.items()}
    contradictions = 0
    for n, shown in label.items():
        other = reversed_order[n]["verdict"]
        contradictions += {shown, other} == {"1", "2"}
        expected = shown if other in (shown, "tie") else other if shown == "tie" else "tie"
        assert expected == file_label[n], "both agree: that; one tie: the other; opposite: tie"
    assert contradictions == 145
    assert {r["first_shown"] for rows in recorded.values() for r in rows} == {1, 2}


def test_only_peoples_labels_of_llmeval2_are_votes(ingested):
    report, file_label, label, recorded = ingested("llmeval2")
    assert report.recorded == {"person": 1743}
    assert report.verdicts["tie"] == 284
    assert label == file_label
    assert all(row["verdict"] == label[n] for n, rows in recorded.items() for row in rows)


def test_a_quarter_of_the_checked_answers_is_inverted(ingested):
    report, file_label, label, _ = ingested("gsm8k_solutions")
    wrong = sum(label[n] != file_label[n] for n in label)
    assert wrong == report.num_planted_errors
    assert 0.23 < wrong / 5697 < 0.27
