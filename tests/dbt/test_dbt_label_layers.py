"""Gold and silver as of a round: who decides, who is left out and under which reason."""

import json

import duckdb
import pyarrow.parquet as pq
import pytest
from dbt.cli.main import dbtRunner

from assets.contracts import conform
from orchestration.dbt_layers import PROJECT, ensure_manifest
from tests.dbt.small_lakes import event, panel_event, pool_row, split_row

ROUNDS = ["round_0", "round_1", "round_10", "round_2"]

# What people said by pair: (labeller, round, verdict), and what comes of it as of round_10:
# verdict, confidence, num_votes, agreement; or the reason for none.
PEOPLE = {
    "agreed": ([("ann", 0, "1"), ("bob", 0, "1"), ("cem", 0, "2")], ("1", 2 / 3, 3, 1 / 3)),
    "alone": ([("ann", 0, "2")], ("2", 1.0, 1, None)),
    "tied": ([("ann", 0, "tie"), ("bob", 0, "tie")], ("tie", 1.0, 2, 1.0)),
    "mind_changed": ([("ann", 0, "1"), ("ann", 10, "2")], ("2", 1.0, 1, None)),
    "too_late": ([("ann", 0, "1"), ("ann", 2, "2")], ("1", 1.0, 1, None)),
    "later_alone": ([("ann", 2, "1")], None),
    "adjudicated": ([("ann", 0, "1"), ("bob", 0, "2"), ("ADJ", 1, "2")], ("2", 2 / 3, 3, 0.0)),
    "split": ([("ann", 0, "1"), ("bob", 0, "2")], "people_disagree"),
    "no_majority": ([("ann", 0, "1"), ("bob", 0, "1"), ("cem", 0, "2"), ("dee", 0, "tie")], "people_disagree"),
    "undecided": ([("ann", 0, "undecided"), ("bob", 0, "undecided"), ("cem", 0, "1")], "people_undecided"),
    "given_up": ([("ann", 0, "1"), ("bob", 0, "1"), ("ADJ", 1, "undecided")], "people_undecided"),
    "excluded": ([("ann", 0, "1")], "excluded_since"),
    "gone": ([("ann", 0, "1")], "not_in_pool"),
    "contaminated": ([("ann", 0, "1")], "contaminated"),
    "splitless": ([("ann", 0, "1")], "no_split"),
    "unusable": ([("ann", 0, "1")], "split_conflict"),
    "held_out": ([("ann", 0, "1")], ("1", 1.0, 1, None)),
}
# What the panel said: (round, verdict) in order; and what comes of it as of round_10.
PANEL = {
    "s_one": ([(0, "1")], "1"),
    "s_last": ([(0, "1"), (1, "2")], "2"),
    "s_again": ([(1, "1"), (1, "2")], "2"),
    "s_late": ([(2, "1")], None),
    "s_tie": ([(0, "tie")], "judges_tie"),
    "s_undecided": ([(0, "undecided")], "judges_undecided"),
    "s_dev": ([(0, "1")], "other_split"),
    "s_excluded": ([(0, "1")], "excluded_since"),
    "s_gone": ([(0, "1")], "not_in_pool"),
    "s_contaminated": ([(0, "1")], "contaminated"),
    "unusable": ([(0, "1")], "split_conflict"),
    "splitless": ([(0, "1")], "no_split"),
    "agreed": ([(0, "2")], "verified_by_people"),
    "split": ([(0, "2")], "people_disagree"),
    "undecided": ([(0, "2")], "people_undecided"),
    "held_out": ([(0, "1")], "other_split"),
}


@pytest.fixture
def labelled(lake):
    """The lake with all of PEOPLE and PANEL in it."""
    for number in (0, 1, 10, 2):
        said = [(p, who, v) for p, (votes, _) in PEOPLE.items() for who, r, v in votes if r == number]
        lake.add_events(
            "person",
            f"round_{number}",
            [
                event(
                    pair,
                    verdict,
                    kind="adjudicator" if who == "ADJ" else "person",
                    labeller=who,
                    round_name=f"round_{number}",
                )
                for pair, who, verdict in said
            ],
        )
        judged = [
            panel_event(pair, verdict, f"round_{number}", delivery=str(place))
            for pair, (verdicts, _) in PANEL.items()
            for place, (r, verdict) in enumerate(verdicts)
            if r == number
        ]
        # A judge's own verdict is no silver, whatever it says.
        judged.append(event("s_judge", "1", kind="judge", labeller="solo", round_name=f"round_{number}"))
        lake.add_events("judge", f"round_{number}", judged)
    names = sorted({*PEOPLE, *PANEL, "s_judge"})
    left = {"excluded": True, "s_excluded": True, "gone": False, "s_gone": False}
    lake.publish_rows("candidate_pool", [pool_row(n, stage=1) for n in names if n not in left])
    # A pair may be excluded for several reasons.
    excluded = [
        (n, reason) for n, is_excluded in left.items() if is_excluded for reason in ("duplicate", "contaminated")
    ]
    rows = [{"pair_id": n, "source": "s", "source_row": 0, "reason": reason} for n, reason in excluded]
    lake.publish_rows("exclusions", rows)
    # The benchmark came after the pool: the pairs are still in it.
    hits = [{"pair_id": n, "source_row": place} for place, n in enumerate(("contaminated", "s_contaminated"))]
    lake.add_hits("s", "bench", hits)
    splits = {"held_out": "holdout", "s_dev": "dev"}
    lake.publish_rows(
        "prompt_splits",
        [split_row(n, splits.get(n, "train"), usable=n != "unusable") for n in names if n != "splitless"],
    )
    return lake


def dropped_by(expected: dict) -> dict[str, int]:
    reasons = [e for _, e in expected.values() if isinstance(e, str) and ("_" in e or e == "contaminated")]
    return {r: reasons.count(r) for r in sorted(set(reasons))}


def test_gold_is_what_people_decided_and_silver_what_only_judges_did(labelled, run_layer):
    result = run_layer("tag:gold", round="round_10", rounds=ROUNDS)

    gold = pq.read_table(result.models["gold"].path)
    rows = {r["pair_id"]: r for r in conform(gold, "gold").to_pylist()}
    expected = {p: e for p, (_, e) in PEOPLE.items() if isinstance(e, tuple)}
    assert set(rows) == set(expected)
    for pair, (verdict, confidence, num_votes, agreement) in expected.items():
        row = rows[pair]
        assert (row["verdict"], row["num_votes"]) == (verdict, num_votes), pair
        assert row["confidence"] == pytest.approx(confidence), pair
        assert row["agreement"] == (pytest.approx(agreement) if agreement is not None else None), pair
    assert {r["as_of_round"] for r in rows.values()} == {"round_10"}
    assert (rows["held_out"]["split"], rows["agreed"]["split"]) == ("holdout", "train")
    assert result.counts["gold"].dropped == dropped_by(PEOPLE)
    assert result.counts["gold"].rows_in == sum(e is not None for _, e in PEOPLE.values())
    assert [t.name for t in result.tests if not t.passed] == []

    labelled.publish("gold", gold, {"as_of_round": "round_10"})
    result = run_layer("tag:silver", round="round_10", rounds=ROUNDS)

    silver = conform(pq.read_table(result.models["silver"].path), "silver").to_pylist()
    assert {r["pair_id"]: r["verdict"] for r in silver} == {p: e for p, (_, e) in PANEL.items() if e in ("1", "2")}
    assert {(r["confidence"], r["num_judges"], r["agreement"]) for r in silver} == {(0.9, 2, 0.5)}
    assert result.counts["silver"].dropped == dropped_by(PANEL)
    assert [t.name for t in result.tests if not t.passed] == []


def test_silver_that_is_gold_or_held_out_fails_its_tests(labelled, run_layer):
    """The tests can fail: gold of the round names a pair that only judges labelled, and a train prompt moved."""
    rows = [{"as_of_round": "round_0", "pair_id": "s_one", "prompt_id": "prompt-s_one", "split": "train"}]
    labelled.publish_rows("gold", rows, {"as_of_round": "round_0"})
    result = run_layer("tag:silver", round="round_0", rounds=ROUNDS)
    assert [(t.name, t.failures) for t in result.tests if not t.passed] == [("silver_is_never_gold", 1)]


def test_gold_that_touches_a_benchmark_fails_a_test_that_blocks(labelled, dbt_target, tmp_path):
    """Only gold made from other hits can have any, so the test is given a table of its own."""
    hits, held = labelled.files_for_dbt()["contamination_hits"], tmp_path / "gold.duckdb"
    nodes = json.loads(ensure_manifest(dbt_target).read_text())["nodes"]
    (node,) = (n for name, n in nodes.items() if name.startswith("test.synpref.gold_has_no_contamination."))
    assert node["config"]["severity"].lower() == "error"
    assert node["attached_node"] == "model.synpref.gold"
    with duckdb.connect(str(held)) as database:
        database.execute("create table gold as select * from (values ('contaminated'), ('agreed')) as t(pair_id)")
    variables = {"duckdb_file": str(held), "lake_files": {"contamination_hits": hits}}
    arguments = ["--quiet", "test", "--select", "gold_has_no_contamination", "--project-dir", str(PROJECT)]
    arguments += ["--profiles-dir", str(PROJECT), "--vars", json.dumps(variables)]
    arguments += ["--target-path", str(tmp_path / "target"), "--log-path", str(tmp_path / "logs")]
    said = dbtRunner().invoke(arguments)
    assert [(str(r.status), r.failures) for r in said.result.results] == [("fail", 1)]
