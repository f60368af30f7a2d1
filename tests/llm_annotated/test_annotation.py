"""Annotation: events of every judge and of the panel, requests, and an account of every pair."""

import json
from datetime import UTC, datetime

import pyarrow as pa
import pytest

from assets.errors import ContractError
from assets.lake import Lake
from assets.llm_annotated.annotate import PANEL, annotate_pairs
from assets.llm_annotated.judges import RecordedJudge, SimulatedJudge
from assets.llm_annotated.judging import JudgeReply
from assets.llm_annotated.qualifying import qualify
from assets.llm_annotated.settings import VotingSettings

NOW = datetime(2025, 1, 1, tzinfo=UTC)
VOTING = VotingSettings()


@pytest.fixture
def annotate(truth_of, gold_of):
    """Qualify on 100 gold pairs of their own, then annotate."""

    def run(pairs, judges, voting=VOTING, batch="round_1", examples=None, gold=None):
        qualification = qualify(judges, gold_of(truth_of(100) if gold is None else gold), voting)
        return annotate_pairs(pairs, judges, qualification, voting, batch=batch, created_at=NOW, examples=examples)

    return run


def simulated(truth, **more):
    return [
        SimulatedJudge("a", 0.85, truth, 1, error_correlation=0.3, call_noise=0.05),
        SimulatedJudge("b", 0.78, truth, 1, error_correlation=0.3, position_bias=0.15, call_noise=0.05),
    ]


def panel_of(result):
    return {e["pair_id"]: e for e in result.events.to_pylist() if e["labeller"] == PANEL}


def test_one_event_per_judge_and_one_of_the_panel(annotate, truth_of):
    truth = truth_of(200)
    pairs = list(truth)[100:]
    result = annotate(pairs, simulated(truth))
    events = result.events.to_pylist()
    assert len(events) == 300
    assert len({e["event_id"] for e in events}) == 300
    assert {e["labeller"] for e in events} == {"simulated a", "simulated b", PANEL}
    assert all((e["labeller_kind"], e["round"], e["simulated"]) == ("judge", "round_1", True) for e in events)
    assert len(result.requests) == 100 * 12
    assert result.counts.rows_in == 100
    assert result.counts.rows_out == sum(e["verdict"] in "12" for e in panel_of(result).values())


def test_the_evidence_says_what_every_event_rests_on(annotate, truth_of):
    truth = truth_of(130)
    pairs = list(truth)[100:]
    result = annotate(pairs, simulated(truth), examples={p: ("g2", "g1") for p in pairs})
    hashes = set(result.requests["request_hash"].to_pylist())
    of_judges = {}
    for event in result.events.to_pylist():
        evidence = json.loads(event["evidence"])
        if event["labeller"] == PANEL:
            assert {j["event_id"] for j in evidence["judges"]} == set(of_judges.pop(event["pair_id"]))
            assert evidence["num_judges"] == 2
            assert evidence["weighting"] == "measured"
            assert (evidence["agreement"] is None) == (event["verdict"] == "undecided")
            assert [j["weight"] for j in evidence["judges"]] == sorted(
                (j["weight"] for j in evidence["judges"]), reverse=True
            )
            assert evidence["examples"] == ["g1", "g2"]
        else:
            of_judges.setdefault(event["pair_id"], []).append(event["event_id"])
            assert [v[:2] for v in evidence["judge_votes"]] == [[1, 0], [1, 1], [1, 2], [2, 0], [2, 1], [2, 2]]
            assert set(evidence["request_hashes"]) <= hashes
            assert set(evidence["first_shown_verdicts"]) == {"1", "2"}
            assert evidence["examples"] == ["g2", "g1"]
    assert not of_judges


def test_the_panel_is_better_than_its_best_judge_and_undecided_where_they_differ(annotate, truth_of):
    truth = truth_of(1300)
    result = annotate(list(truth)[100:], simulated(truth), VotingSettings(min_confidence=0.7))
    sides = {p: e["verdict"] for p, e in panel_of(result).items() if e["verdict"] in "12"}
    assert sum(truth[p] == v for p, v in sides.items()) / len(sides) > 0.87
    assert 0.7 < len(sides) / 1200 < 0.95
    assert result.counts.dropped.keys() == {"undecided"}


def test_confidence_below_the_setting_is_undecided(annotate, truth_of):
    truth = truth_of(200)
    strict = annotate(list(truth)[100:], simulated(truth), VotingSettings(min_confidence=0.999))
    assert strict.counts.dropped == {"undecided": 100}
    assert all(v.confidence < 0.999 for v in strict.panel.values())


@pytest.mark.parametrize(
    ("records", "verdict", "outcome"),
    [
        ([(1, "1"), (2, "1")], "1", None),
        ([(0, "2")], "2", None),
        ([(1, "1"), (2, "2")], "undecided", "undecided"),
        ([(0, "tie")], "tie", "tie"),
        ([], None, "no_record"),
    ],
)
def test_what_becomes_of_a_recorded_pair(annotate, recorded_of, records, verdict, outcome):
    table = recorded_of(("else", "gpt", 0, 0, "1"), *(("p", "gpt", f, i, v) for i, (f, v) in enumerate(records)))
    result = annotate(["p"], [RecordedJudge("gpt", table)], gold={})
    assert {e["verdict"] for e in panel_of(result).values()} == ({verdict} if verdict else set())
    assert result.counts.as_dict() == {
        "rows_in": 1,
        "rows_out": 0 if outcome else 1,
        "dropped": {outcome: 1} if outcome else {},
    }
    assert result.weighting == "equal"
    if outcome == "no_record":
        assert len(result.events) == 0
        assert result.requests["status"].to_pylist() == ["no_record"]


def test_counts_are_kept_per_judge(annotate, recorded_of):
    one = RecordedJudge("one", recorded_of(("p", "x", 0, 0, "1"), ("q", "x", 0, 0, "tie")), ["x"], usd_per_call=2.0)
    two = RecordedJudge("two", recorded_of(("p", "y", 0, 0, "1")), ["y"])
    result = annotate(["p", "q", "r"], [one, two], gold={})
    assert result.counts.as_dict() == {"rows_in": 3, "rows_out": 1, "dropped": {"no_record": 1, "tie": 1}}
    assert result.counts_by_judge["one"].dropped == {"no_record": 1, "tie": 1}
    assert result.counts_by_judge["two"].dropped == {"no_record": 2}
    assert result.usd == {"one": 4.0, "two": 0}
    assert json.loads(json.dumps(result.info()))["counts"]["rows_in"] == 3


def test_reasons_differ_between_judges(annotate, rule_judge, recorded_of):
    silent = rule_judge("silent", lambda call: None)
    empty = RecordedJudge("empty", recorded_of(("else", "gpt", 0, 0, "1")))
    assert annotate(["p"], [silent, empty], gold={}).counts.dropped == {"no_record+refused": 1}


def test_a_judge_that_failed_its_bar_is_not_asked(annotate, rule_judge, truth_of):
    truth = truth_of(150)
    calls = []

    def always_1(call):
        calls.append(call)
        return "1"

    bad, good = rule_judge("bad", always_1), SimulatedJudge("good", 0.95, truth, 1)
    result = annotate(list(truth)[100:], [bad, good])
    assert {e["labeller"] for e in result.events.to_pylist()} == {"simulated good", PANEL}
    assert len(calls) == 600  # the qualification's own
    only_bad = annotate(list(truth)[100:], [bad])
    assert only_bad.counts.dropped == {"no_judge": 50}
    assert (len(only_bad.events), len(only_bad.requests), only_bad.weighting) == (0, 0, "none")


def test_a_judge_that_changed_since_it_was_qualified_is_refused(truth_of, gold_of):
    truth = truth_of(50)
    qualification = qualify([SimulatedJudge("a", 0.9, truth, 1)], gold_of(truth), VOTING)
    changed = SimulatedJudge("a", 0.6, truth, 1)
    with pytest.raises(ContractError, match="not qualified in its present version"):
        annotate_pairs(["p"], [changed], qualification, VOTING, batch="stage_2", created_at=NOW)


def test_nothing_depends_on_the_order_of_pairs_or_on_the_batch(annotate, truth_of):
    truth = truth_of(140)
    pairs = list(truth)[100:]
    whole = annotate(pairs, simulated(truth))
    assert annotate(pairs[::-1] + pairs[:3], simulated(truth)).events.equals(whole.events)
    parts = [annotate(pairs[i : i + 10], simulated(truth)).events for i in range(0, 40, 10)]
    assert pa.concat_tables(parts).combine_chunks().to_pylist() == whole.events.to_pylist()


def test_annotating_again_adds_nothing_to_the_ledger(annotate, truth_of, tmp_path):
    truth = truth_of(110)
    lake, partition = Lake(tmp_path), {"kind": "judge", "batch": "round_1"}
    for _ in range(2):
        result = annotate(list(truth)[100:], simulated(truth))
        events = lake.append_events("label_events", result.events, partition)
        requests = lake.append_events("judge_requests", result.requests, {"batch": "round_1"})
    assert (events.num_rows, requests.num_rows) == (30, 120)


def test_the_panel_s_version_names_settings_and_weights(annotate, truth_of, gold_of):
    truth = truth_of(101)
    pair = list(truth)[100:]

    def version(*args, **more):
        return next(iter(panel_of(annotate(pair, *args, **more)).values()))["labeller_version"]

    same = version(simulated(truth))
    assert version(simulated(truth)) == same
    assert version(simulated(truth), VotingSettings(min_confidence=0.7)) != same
    assert version(simulated(truth), gold=truth_of(80)) != same
    assert version(simulated(truth)[:1]) != same


def test_a_pair_that_a_server_or_the_budget_turned_away_is_put_off_whole(rule_judge, truth_of, gold_of):
    """It has no event yet, is asked by no later tier, and is asked again; the others do not wait for it."""
    truth = truth_of(60)
    good = rule_judge("good", lambda call: truth[call.pair_id])
    qualification = qualify([good], gold_of(truth), VOTING)

    class Down(rule_judge):
        def answer(self, calls, *, batch=""):
            replies = super().answer(calls, batch=batch)
            return [
                JudgeReply(None, "timeout") if call.pair_id == "pair-00001" and call.vote == 2 else reply
                for call, reply in zip(calls, replies, strict=True)
            ]

    down = Down("good", lambda call: truth[call.pair_id])
    found = annotate_pairs(list(truth)[:3], [down], qualification, VOTING, batch="round_1", created_at=NOW)
    assert (found.num_put_off, found.counts.dropped) == (1, {"timeout": 1})
    assert set(found.events["pair_id"].to_pylist()) == {"pair-00000", "pair-00002"}
    # Four of its six calls were answered, and are kept.
    rows = [row for row in found.requests.to_pylist() if row["pair_id"] == "pair-00001"]
    assert [row["status"] for row in rows] == ["ok"] * 4
