"""The whole pipeline on the built-in sample, small: what every artifact must hold."""

import json
from collections import Counter

import pyarrow.compute as pc
import pytest

from assets.accounting import StageCounts
from assets.contracts import TABLES, conform
from evaluation.report.summary import read_summary
from tests.orchestration.running import synpref

pytestmark = pytest.mark.slow


def test_every_stage_accounts_for_its_rows(finished_run):
    """in = out + dropped by reason, for every manifest that counts, and every stage of the summary."""
    lake = finished_run.workspace.lake
    counted = Counter()
    for table in TABLES:
        for manifest in lake.manifests(table):
            if "counts" in manifest.info:
                StageCounts.from_dict(manifest.info["counts"])
                counted[table] += 1
    for table in ("pairs", "candidate_pool", "prompt_splits", "attributes", "retrieved_pairs", "label_events"):
        assert counted[table], f"{table} does not account for its rows"
    for table in ("gold", "silver", "judge_queue", "decisions", "mixtures", "trained_models", "pair_scores"):
        assert counted[table], f"{table} does not account for its rows"
    summary = read_summary(finished_run.workspace.reports / "latest" / "summary.json")
    for stage in summary.stages:
        assert stage.rows_in == stage.rows_out + sum(stage.dropped.values()), stage.name


def test_rows_of_all_sources_are_in_the_pool_or_excluded(finished_run):
    lake = finished_run.workspace.lake
    rows = sum(m.num_rows for m in lake.manifests("pairs"))
    assert rows == len(lake.read("candidate_pool")) + len(lake.read("exclusions"))


def test_every_table_keeps_its_contract_and_its_bytes(finished_run):
    lake = finished_run.workspace.lake
    for table in TABLES:
        for manifest in lake.manifests(table):
            conform(lake.read(table, **manifest.partition), table)
            lake.verify(manifest)


def test_holdout_and_dev_prompts_never_train(finished_run):
    lake = finished_run.workspace.lake
    splits = lake.read("prompt_splits").to_pylist()
    held_out = {row["prompt_id"] for row in splits if row["split"] != "train"}
    prompt_of = {
        row["pair_id"]: row["prompt_id"] for row in lake.read("candidate_pool", ["pair_id", "prompt_id"]).to_pylist()
    }
    for table, where in (("mixtures", {}), ("silver", {})):
        for pair in lake.read(table, ["pair_id"], **where)["pair_id"].to_pylist():
            assert prompt_of[pair] not in held_out


def test_planted_faults_are_found(finished_run):
    summary = read_summary(finished_run.workspace.reports / "latest" / "summary.json")
    found = {p.kind: p for p in summary.planted}
    for kind in ("duplicate", "role_swap", "contradiction", "empty_text", "equal_responses", "contamination"):
        assert found[kind].planted > 0
        assert found[kind].found == found[kind].planted, kind
    assert found["unreadable"].found == found["unreadable"].planted
    # A judge errs on a tie now and then and names a side, which nothing downstream can tell from a preference.
    assert found["tie"].found >= 0.9 * found["tie"].planted


def test_simulated_labellers_say_so(finished_run):
    events = finished_run.workspace.lake.read("label_events", ["labeller", "labeller_kind", "simulated"]).to_pylist()
    for event in events:
        if event["labeller_kind"] in ("person", "judge"):
            assert event["simulated"], event
            assert event["labeller"] == "panel" or "simulated" in event["labeller"]
    summary = read_summary(finished_run.workspace.reports / "latest" / "summary.json")
    assert len([n for n in summary.run.simulated if "judge" in n]) == 2


def test_no_judge_counts_that_made_the_source_label(finished_run):
    """A pair that people were asked about in a round is not in that round's judged pairs."""
    lake = finished_run.workspace.lake
    for name in finished_run.workspace.settings.round_names:
        people = set(lake.read("annotation_tasks", ["pair_id"], round=name)["pair_id"].to_pylist())
        judged = set(lake.read("label_events", ["pair_id"], kind="judge", batch=name)["pair_id"].to_pylist())
        assert judged
        assert not people & judged


def test_summary_has_the_documented_keys(finished_run):
    value = json.loads((finished_run.workspace.reports / "latest" / "summary.json").read_text("utf-8"))
    assert {"stages", "planted", "label_accuracy", "models", "champion", "wall_s"} <= set(value)
    assert set(value["label_accuracy"]) == {"source_labels", "silver", "kept", "flipped"}
    assert {m["set"] for m in value["models"]} == {"gold_holdout", "sample_bench"}
    assert {m["name"] for m in value["models"] if m["kind"] == "model"} == {"final-tiny", "raw-tiny"}


def test_running_again_does_nothing_and_changes_no_hash(finished_run):
    lake = finished_run.workspace.lake
    before = {(m.table, str(m.partition)): m.content_hash for t in TABLES for m in lake.manifests(t)}
    again = synpref("run", "--config", str(finished_run.workspace.config_path), environment=finished_run.environment)
    after = {(m.table, str(m.partition)): m.content_hash for t in TABLES for m in lake.manifests(t)}
    assert after == before
    steps = [line for line in again.stdout.splitlines() if line[:4].strip().isdigit()]
    # These look at files or the registry outside the lake every time.
    always = ("built_in_sample", "benchmark_items", "candidate", "champion", "run_report")
    worked = [s for s in steps if "unchanged" not in s and s.split()[1].split("[")[0] not in always]
    assert steps
    assert not worked


@pytest.mark.parametrize("decision", ["kept", "discarded"])
def test_why_tells_the_story_of_a_decision(finished_run, decision):
    lake = finished_run.workspace.lake
    rows = lake.read("decisions", ["pair_id"], filters=pc.field("decision") == decision)
    if not len(rows):
        pytest.skip(f"this small run decided {decision} for no pair")
    told = why(finished_run, rows["pair_id"][0].as_py())
    assert f"decision: {decision}" in told
    assert "best model" in told
    assert "gold model" in told


def test_why_tells_of_conflicts_and_exclusions(finished_run):
    lake = finished_run.workspace.lake
    conflict = lake.read("conflicts", ["pair_id"])["pair_id"][0].as_py()
    assert "sources contradict each other" in why(finished_run, conflict)
    dropped = lake.read("exclusions", ["pair_id"], filters=pc.field("reason") == "contaminated")["pair_id"][0].as_py()
    told = why(finished_run, dropped)
    assert "dropped: contaminated" in told
    assert "sample_bench" in told
    assert "not in the candidate pool" in told


def why(run, pair_id: str) -> str:
    return synpref("why", pair_id, "--config", str(run.workspace.config_path), environment=run.environment).stdout
