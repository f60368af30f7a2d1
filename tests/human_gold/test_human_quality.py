"""One person's work, change over time, and the whole report."""

import base64
import json
import re
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from assets.contracts import from_rows
from assets.errors import ContractError
from assets.human_gold.agreement import measure_quality, read_answers
from assets.human_gold.agreement.by_person import measure_people
from assets.human_gold.agreement.charts import charts_of, confusion_chart
from assets.human_gold.agreement.drift import change, measure_weeks
from assets.label_events import label_event
from assets.plots import heatmap, interval_chart, line_chart
from benchmarks.planted_crowds import Plan, events_of, plant

MONDAY = datetime(2025, 3, 3, tzinfo=UTC)


def events(*rows):
    """Each a dictionary: pair, person, verdict, and purpose, round, at (days), supersedes or evidence."""
    built = []
    for seq, row in enumerate(rows):
        evidence = {k: row[k] for k in ("left_response", "active_seconds", "known_verdict") if k in row}
        event = label_event(
            pair_id=row.get("pair", "p"),
            kind=row.get("kind", "person"),
            labeller=row.get("person", "a"),
            version="1",
            verdict=row.get("verdict", "1"),
            round_name=row.get("round", "round_0"),
            delivery=str(seq),
            created_at=MONDAY + timedelta(days=row.get("at", 0)),
            purpose=row.get("purpose"),
            evidence=evidence,
        )
        if "corrects" in row:
            event["supersedes"] = built[row["corrects"]]["event_id"]
        built.append(event | {"seq": seq})
    return from_rows(built, "label_events")


def people(table, clusters=None):
    return {p.person: p for p in measure_people(read_answers(table, clusters or {}))}


def test_only_labels_are_votes():
    table = events(
        {"verdict": "1"},
        {"verdict": "2", "purpose": "repeat"},
        {"verdict": "tie", "purpose": "known_answer", "known_verdict": "tie"},
        {"verdict": "2", "person": "b", "purpose": "label"},
        {"verdict": "2", "person": "judge", "kind": "judge"},
    )
    found = measure_quality(table, {}, {}, seed=1, num_bootstrap=50)
    assert (found.overall.num_labels, found.num_repeats, found.num_known_answers) == (2, 1, 1)
    assert found.overall.raw_rate == 0.0


def test_a_correction_replaces_what_it_corrects_of_every_purpose():
    table = events(
        {"verdict": "1"},
        {"verdict": "2", "purpose": "repeat"},
        {"verdict": "1", "purpose": "repeat", "corrects": 1},
        {"verdict": "2", "purpose": "known_answer", "known_verdict": "1"},
        {"verdict": "1", "purpose": "known_answer", "known_verdict": "1", "corrects": 3},
    )
    found = people(table)["a"]
    assert (found.self_agreement.hits, found.self_agreement.num) == (1, 1)
    assert (found.known_accuracy.hits, found.known_accuracy.num) == (1, 1)


def test_an_item_asked_in_two_rounds_counts_twice():
    rows = [{"purpose": "known_answer", "known_verdict": "1", "round": f"round_{n}"} for n in (9, 10, 10)]
    assert people(events(*rows))["a"].known_accuracy.num == 2


@pytest.mark.parametrize("evidence", [{}, {"known_verdict": "undecided"}, {"known_verdict": "left"}])
def test_a_known_answer_item_says_what_is_right(evidence):
    with pytest.raises(ContractError, match="known-answer item"):
        people(events({"purpose": "known_answer", **evidence}))


def test_an_unknown_purpose_is_refused():
    with pytest.raises(ContractError, match="not a purpose"):
        events({"purpose": "practice"})
    table = from_rows([{**row, "purpose": "practice"} for row in events({}).to_pylist()], "label_events")
    with pytest.raises(ContractError, match="'practice' is not a purpose"):
        read_answers(table, {})


def test_repeats_are_compared_with_the_persons_own_vote():
    verdicts = [("1", "1"), ("1", "2"), ("tie", "tie"), ("undecided", "1"), ("1", "undecided")]
    rows = []
    for n, (first, again) in enumerate(verdicts):
        rows += [{"pair": f"p{n}", "verdict": first}, {"pair": f"p{n}", "verdict": again, "purpose": "repeat"}]
    # Another person's vote on the pair is no vote of one's own.
    rows += [{"pair": "q", "person": "b"}, {"pair": "q", "purpose": "repeat"}]
    found = people(events(*rows))["a"]
    assert (found.self_agreement.hits, found.self_agreement.num) == (2, 3)
    assert (found.repeats_undecided, found.repeats_unmatched) == (2, 1)
    assert found.self_agreement.interval is None


def test_rates_and_pace():
    # Of the last three nobody knows the time; a clock that ran backwards is one of them.
    seconds = [2.0, 10.0, 20.0, 40.0, None, -3.0, "40"]
    verdicts = ["1", "2", "tie", "undecided", "1", "2", "1"]
    rows = [
        {"pair": f"p{n}", "verdict": v, "active_seconds": s}
        for n, (v, s) in enumerate(zip(verdicts, seconds, strict=True))
    ]
    found = people(events(*rows))["a"]
    assert found.num_labels == 7
    assert found.undecided_rate == pytest.approx(1 / 7)
    assert found.tie_rate == pytest.approx(1 / 6)
    # Four have a time: 72 s together.
    assert found.median_seconds == 15.0
    assert found.labels_per_hour == pytest.approx(4 * 3600 / 72)
    assert (found.quick.hits, found.quick.num) == (1, 4)


def sided(person, num_left, num, first=0):
    return [
        {"pair": f"p{first + n}", "person": person, "left_response": 1, "verdict": "1" if n < num_left else "2"}
        for n in range(num)
    ]


def test_a_side_bias_is_flagged_against_a_fair_coin_and_for_all_people_together():
    rows = sided("even", 52, 100) + sided("left", 70, 100) + sided("once in twenty", 61, 100) + sided("few", 6, 6)
    rows += [{"pair": "x", "person": "even", "verdict": "1"}, {"pair": "y", "person": "even", "verdict": "tie"}]
    found = people(events(*rows))
    assert (found["even"].left.hits, found["even"].left.num) == (52, 100)
    assert found["even"].left_p_value == pytest.approx(0.764, abs=0.001)
    assert found["even"].left_interval == pytest.approx((0.423, 0.615), abs=0.001)
    # 61 of 100 is p = 0.035 alone; of four people, somebody has that easily.
    flags = {name: p.side_biased for name, p in found.items()}
    assert flags == {"even": False, "left": True, "once in twenty": False, "few": False}
    assert found["once in twenty"].left_p_value < 0.05
    assert found["few"].left_interval is None


def test_an_even_hand_is_seldom_flagged_whatever_the_pairs_are():
    rng, flagged = np.random.default_rng(0), 0
    for _ in range(60):
        rows = []
        for n in range(60):
            # Response 1 is better on nine pairs of ten; the coin makes that fair.
            rows.append({"pair": f"p{n}", "left_response": int(rng.integers(1, 3)), "verdict": "1" if n % 10 else "2"})
        flagged += people(events(*rows))["a"].side_biased
    assert flagged <= 8


def test_a_change_is_found_where_it_is():
    rng = np.random.default_rng(0)
    right = rng.random(300) < np.where(np.arange(300) < 200, 0.9, 0.6)
    found = change("a", "agreement", right, np.full(300, 0.8), np.arange(300) * 3_600_000_000, 50)
    assert found.changed
    assert found.direction == "worse"
    assert 180 <= found.changed_after <= 220
    assert found.early_rate > found.late_rate
    assert [b.num for b in found.blocks] == [50] * 6
    assert found.blocks[1].first_day == "1970-01-03"
    better = change("a", "agreement", right[::-1], np.full(300, 0.8), np.zeros(300), 50)
    assert (better.changed, better.direction) == (True, "better")


def test_harder_pairs_are_no_drift():
    rng, expected = np.random.default_rng(1), np.linspace(0.95, 0.6, 400)
    found = [change("a", "agreement", rng.random(400) < expected, expected, np.zeros(400), 50) for _ in range(100)]
    assert sum(f.changed for f in found) <= 4
    blind = [
        change("a", "agreement", rng.random(400) < expected, np.full(400, 0.775), np.zeros(400), 50) for _ in range(20)
    ]
    assert sum(f.changed for f in blind) >= 15


def test_a_short_series_is_not_tested():
    found = change("a", "known answers", np.ones(39, bool), np.full(39, 0.9), np.zeros(39), 50)
    assert (found.p_value, found.changed, found.changed_after) == (None, False, None)
    assert len(found.blocks) == 1


def test_weeks_begin_on_monday():
    rows = [
        {"pair": "p1", "at": 0, "active_seconds": 36.0},
        {"pair": "p2", "at": 6.9, "active_seconds": 36.0},
        {"pair": "p3", "at": 7, "active_seconds": 72.0},
        {"pair": "p4", "at": 7, "purpose": "known_answer", "known_verdict": "2"},
        {"pair": "p5", "at": -0.1},
    ]
    found = measure_weeks(read_answers(events(*rows), {}))
    assert [(w.monday, w.num_labels, w.labels_per_hour) for w in found] == [
        ("2025-02-24", 1, None),
        ("2025-03-03", 2, 100.0),
        ("2025-03-10", 1, 50.0),
    ]
    assert (found[2].known_accuracy.num, found[2].known_accuracy.hits) == (1, 0)


@pytest.fixture(scope="module")
def report():
    crowd = plant(Plan(8, 600, 3, special=("adversary",)), 3)
    table = events_of(crowd, 3, repeat_share=0.15, known_share=0.15, left_lean=[0.0, 0.6])
    category = {pair: ("math", "planning")[n % 2] for n, pair in enumerate(crowd.votes.pair_ids[:500])}
    found = measure_quality(table, {}, {"category": category}, seed=1, num_bootstrap=200, min_person_labels=40)
    return crowd, table, found


def test_the_report_finds_what_was_planted(report):
    crowd, _, found = report
    by_name = {p.person: p for p in found.people}
    assert [name for name, p in by_name.items() if p.side_biased] == ["simulated 0001"]
    assert all(p.simulated for p in found.people)
    for n, person in enumerate(found.people[2:7], start=2):
        low, high = person.known_accuracy.interval
        truth = 0.9 * crowd.sided[n, 0] + 0.1 * crowd.tie[n]
        assert low - 0.05 <= truth <= high + 0.05
    text = " ".join(found.warnings())
    assert "simulated 0001 prefers the left response" in text
    assert "simulated 0007 is wrong more often than right" in text
    assert text.count("wrong more often") == 1
    assert found.crowd_summary.num_pairs == sum(found.crowd_summary.by_verdict.values()) == 600


def test_slices_are_sets_of_pairs(report):
    _, _, found = report
    sizes = {name: a.num_pairs for name, a in found.slices["category"].items()}
    assert sizes == {"(none)": 100, "math": 250, "planning": 250}
    person = found.slices["person"]["simulated 0002"]
    own = next(p.num_labels for p in found.people if p.person == "simulated 0002")
    # Every pair this person labelled has three votes.
    assert (person.num_pairs, person.num_labels) == (own, 3 * own)


def test_the_report_does_not_depend_on_the_order_of_rows(report):
    _, table, found = report
    shuffled = table.take(np.random.default_rng(0).permutation(len(table)))
    other = measure_quality(shuffled, {}, {}, seed=1, num_bootstrap=200, min_person_labels=40)
    assert other.overall == found.overall
    assert other.people == found.people
    assert other.drift == found.drift
    assert other.crowd.people == found.crowd.people


def test_everything_is_plain_and_every_plot_an_image(report):
    _, _, found = report
    text = json.dumps(found.as_dict())
    assert "NaN" not in text
    tables = found.tables()
    assert set(tables) == {"people", "slices", "pairs_of_people", "confusions", "drift", "weeks"}
    for rows in tables.values():
        assert rows
        assert len({tuple(row) for row in rows}) == 1
        json.dumps(rows)
    charts = charts_of(found)
    assert {"alpha_by_slice", "kappa", "crowd_accuracy", "crowd_confusion", "sides", "known_answers", "drift"} <= set(
        charts
    )
    for image in [*charts.values(), confusion_chart(found.crowd.people[0])]:
        data = re.fullmatch(r"!\[[^\]]+\]\(data:image/png;base64,([A-Za-z0-9+/=]+)\)", image).group(1)
        assert base64.b64decode(data).startswith(b"\x89PNG")


def test_nothing_answered_is_a_report_of_nothing():
    found = measure_quality(events(), {}, {"category": {}}, seed=1, num_bootstrap=50)
    assert (found.overall.num_labels, found.people, found.drift, found.weeks) == (0, (), (), ())
    assert found.warnings() == []
    assert charts_of(found) == {}
    json.dumps(found.as_dict())


def test_plots_take_what_is_missing():
    assert heatmap([[None, 0.2], [-0.3, None]], rows="ab", columns="ab", title="t", limits=(-1, 1)).startswith(
        "![t](data:"
    )
    rows = {"a": (0.2, None, None), "b": (0.4, 0.3, 0.5)}
    assert interval_chart(rows, title="t", unit="u", reference=None, flagged={"b"}).startswith("![t](data:")
    assert line_chart({"a": ([1], [2]), "b": ([1], [3])}, title="t", x="x", y="y").startswith("![t](data:")
