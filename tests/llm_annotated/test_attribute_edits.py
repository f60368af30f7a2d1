"""Attribute edits: what people changed counts, for prompts and retrieval, and is reported."""

import json
from datetime import UTC, datetime

import pytest

from assets.contracts import from_rows
from assets.human_gold.collecting import collect_labels
from assets.human_gold.recorded_people import VERSION
from assets.label_events import label_event
from assets.llm_annotated.attribute_edits import (
    edited_fields,
    edits_fingerprint,
    edits_in,
    edits_of,
    effective_attributes,
    people_events,
    share_rows,
    unchanged_shares,
)
from assets.llm_annotated.pair_texts import LakeTexts
from assets.pair_vectors import vectors_of
from assets.pool import clusters_of, pool_with_splits
from assets.reward_models import attribute_sections
from tests.human_gold.people_run import people_run

AT = datetime(2026, 1, 1, tzinfo=UTC)


def event(
    pair, person, task, *, kind="person", revision=0, version="page-1", simulated=False, purpose="label", **edits
):
    changed = {name: {"from": before, "to": after} for name, (before, after) in edits.items()}
    made = label_event(
        pair_id=pair,
        kind=kind,
        labeller=person,
        version=version,
        verdict="1",
        round_name="round_0",
        delivery=f"{task} {revision}",
        created_at=AT,
        simulated=simulated,
        purpose=purpose,
        evidence={"task_id": task} | ({"edited_attributes": changed} if changed else {}),
    )
    if revision:
        before = event(pair, person, task, kind=kind, revision=revision - 1, version=version)
        made["supersedes"] = before["event_id"]
    return made


def table(*events):
    return from_rows([row | {"seq": n} for n, row in enumerate(events)], "label_events")


@pytest.mark.parametrize(
    ("events", "expected"),
    [
        ([event("p", "ada", "t1")], {}),
        ([event("p", "ada", "t1", objectivity=("objective", "subjective"))], {"p": {"objectivity": "subjective"}}),
        # The latest person's edit of a field counts; other fields keep theirs.
        (
            [
                event("p", "ada", "t1", controversiality=("low", "medium"), desired_attributes=("a", "b")),
                event("p", "boris", "t2", controversiality=("low", "high")),
                event("p", "chidi", "t3"),
            ],
            {"p": {"controversiality": "high", "desired_attributes": "b"}},
        ),
        # An adjudicator counts more than whoever came later.
        (
            [
                event("p", "noor", "c1", kind="adjudicator", objectivity=("objective", "subjective")),
                event("p", "ada", "t1", objectivity=("subjective", "objective")),
            ],
            {"p": {"objectivity": "subjective"}},
        ),
        # A corrected answer takes its edit back.
        ([event("p", "ada", "t1", objectivity=("objective", "subjective")), event("p", "ada", "t1", revision=1)], {}),
    ],
)
def test_which_value_counts(events, expected):
    assert edits_of(events) == expected


@pytest.mark.parametrize(
    "evidence",
    [
        None,
        "{}",
        '{"edited_attributes": 3}',
        '{"edited_attributes": {"objectivity": "subjective"}}',
        '{"edited_attributes": {"objectivity": {"from": "objective", "to": "both"}}}',
        '{"edited_attributes": {"objectivity": {"from": "objective", "to": "objective"}}}',
        '{"edited_attributes": {"desired_attributes": {"from": "a", "to": " "}}}',
        '{"edited_attributes": {"desired_attributes": {"from": "a", "to": 3}}}',
        '{"edited_attributes": {"verdict": {"from": "1", "to": "2"}}}',
    ],
)
def test_what_is_no_edit(evidence):
    assert edits_in(evidence) == {}


def test_shares_of_what_people_left_with_intervals_over_enough_prompts():
    edits = {f"p{n:02d}": {"objectivity": ("objective", "subjective")} if n % 4 == 0 else {} for n in range(40)}
    events = [event(pair, "ada", pair, **changed) for pair, changed in edits.items()]
    # None of these is a person's label at a form.
    events += [
        event("p01", "simulated eve", "s", simulated=True, version="simulated-1", task_category=("math", "other")),
        event("p02", "worker", "r", version=VERSION, task_category=("math", "other")),
        event("p03", "ada", "again", purpose="repeat", task_category=("math", "other")),
    ]
    shares = {one.field: one for one in unchanged_shares(table(*events), {})}
    assert (shares["objectivity"].num_pairs, shares["objectivity"].share) == (40, 0.75)
    low, high = shares["objectivity"].interval
    assert 0.58 < low < 0.75 < high < 0.88
    assert shares["task_category"].share == 1.0
    rows = {row["field"]: row for row in share_rows(shares.values())}
    assert rows["objectivity"] | {"low": 0, "high": 0} == {
        "field": "objectivity",
        "pairs": 40,
        "left unchanged": 0.75,
        "low": 0,
        "high": 0,
    }
    one_prompt = unchanged_shares(table(*events), {f"p{n:02d}": "the same" for n in range(40)})
    assert {one.interval for one in one_prompt} == {None}
    few = unchanged_shares(table(*events), {}, {"p00", "p01"})
    assert {(one.field, one.share) for one in few if one.share < 1} == {("objectivity", 0.5)}


def test_where_nobody_could_edit_there_is_no_share():
    events = [event("p", "simulated ada", "t", simulated=True), event("q", "worker", "t", version=VERSION)]
    assert unchanged_shares(table(*events), {}) == ()
    assert unchanged_shares(table(), {}) == ()


def test_edits_of_a_page_reach_prompts_retrieval_and_the_report(tmp_path):
    with people_run(tmp_path) as run:
        run.fill(3)
        lake, workspace = run.lake, run.workspace
        before = pool_with_splits(lake).select(["pair_id", "objectivity"]).to_pylist()
        vectors = vectors_of(workspace, run.pairs)
        assert edits_fingerprint(lake) == ()
        run.ask()
        run.answer("ada", edited_attributes={"objectivity": "subjective", "annotation_guideline": "Taste decides."})
        run.answer("ada", num=2)
        collect_labels(workspace, "round_0", "", AT)

        (edited,) = edited_fields(lake)
        assert edited_fields(lake) == {edited: {"objectivity": "subjective", "annotation_guideline": "Taste decides."}}
        after = effective_attributes(lake)
        assert after[edited]["objectivity"] == "subjective"
        assert after[edited]["task_category"] == "math"
        assert {after[p]["objectivity"] for p in run.pairs if p != edited} == {"objective"}
        assert effective_attributes(lake, [edited], rounds=())[edited]["objectivity"] == "objective"

        # Retrieval and selection.
        changed = [
            row for row in pool_with_splits(lake).select(["pair_id", "objectivity"]).to_pylist() if row not in before
        ]
        assert changed == [{"pair_id": edited, "objectivity": "subjective"}]
        assert pool_with_splits(lake, ()).select(["pair_id", "objectivity"]).to_pylist() == before
        moved = (vectors_of(workspace, run.pairs) != vectors).any(axis=1)
        assert [p for p, is_moved in zip(run.pairs, moved, strict=True) if is_moved] == [edited]
        assert len(edits_fingerprint(lake)) == 1
        assert edits_fingerprint(lake, ()) == ()

        # Prompts.
        with LakeTexts(lake).opened(run.pairs) as read:
            texts = read(run.pairs)
        assert texts[edited].guideline == ("math", "subjective", "low")
        assert texts[edited].attributes["annotation_guideline"] == "Taste decides."
        assert texts[edited].turns[0][0] == "user"

        # Report.
        gold = [{"as_of_round": "round_2", "pair_id": p, "split": "train", "verdict": "1"} for p in run.pairs]
        lake.publish("gold", from_rows(gold, "gold"), {"as_of_round": "round_2"})
        (shown,) = attribute_sections.tables(workspace)
        assert ("objectivity", 3, 0.6667, None, None) in shown.rows
        assert ("task category", 3, 1.0, None, None) in shown.rows
        assert "Intervals are 95 %" in shown.note
        assert len(people_events(lake, ["round_0", "round_1"])) == 3
        assert unchanged_shares(people_events(lake), clusters_of(lake))[0].num_pairs == 3


def test_the_report_says_when_nobody_edited(tmp_path):
    with people_run(tmp_path) as run:
        run.fill(2)
        assert attribute_sections.tables(run.workspace) == ()
        gold = [{"as_of_round": "round_2", "pair_id": p, "split": "train", "verdict": "1"} for p in run.pairs]
        run.lake.publish("gold", from_rows(gold, "gold"), {"as_of_round": "round_2"})
        (shown,) = attribute_sections.tables(run.workspace)
        assert shown.rows == ()
        assert "nobody edited" in shown.note


def test_evidence_is_what_the_desk_writes(tmp_path):
    with people_run(tmp_path) as run:
        run.fill(1)
        run.ask()
        run.answer("ada", edited_attributes={"controversiality": "high"})
        collect_labels(run.workspace, "round_0", "", AT)
        (evidence,) = run.lake.read("label_events", kind="person")["evidence"].to_pylist()
        assert json.loads(evidence)["edited_attributes"] == {"controversiality": {"from": "low", "to": "high"}}
        assert edits_in(evidence) == {"controversiality": "high"}
