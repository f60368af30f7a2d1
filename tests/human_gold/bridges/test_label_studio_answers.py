"""Label Studio without its server: the configuration, and reading annotations."""

import xml.etree.ElementTree as ET

import pytest

from assets.contracts import TASK_CATEGORIES
from assets.errors import SynprefError
from assets.human_gold.bridges.intake import Outcome
from assets.human_gold.bridges.label_studio import label_config, read_annotation, task_data
from assets.human_gold.bridges.label_studio_api import LabelStudio
from assets.human_gold.desk.views import EDITABLE_ATTRIBUTES, REASONS, SHOWN_VERDICTS, STRENGTHS

HANDLES = {"ada@example.org": "ada"}
DATA = {"task_id": "t1", "guideline_version": "1.1-abcdef01"}


def part(name, *values, kind="choices"):
    return {"from_name": name, "type": kind, "value": {"choices" if kind == "choices" else "text": list(values)}}


def annotation(*result, **more):
    return {
        "id": 5,
        "result": list(result),
        "completed_by": 2,
        "updated_at": "2025-01-02T03:04:05.678901Z",
        "lead_time": 12.5,
        **more,
    }


def test_the_configuration_offers_what_the_desk_takes():
    view = ET.fromstring(label_config())
    offered = {
        control.get("name"): [choice.get("value") for choice in control.iter("Choice")]
        for control in view.iter("Choices")
    }
    assert offered["verdict"] == list(SHOWN_VERDICTS)
    assert offered["strength"] == list(STRENGTHS)
    assert offered["reasons"] == list(REASONS)
    assert offered["task_category"] == list(TASK_CATEGORIES)
    written = {control.get("name") for control in view.iter("TextArea")}
    assert (offered.keys() | written) - {"verdict", "strength", "reasons", "comment"} == set(EDITABLE_ATTRIBUTES)
    # Texts are shown as texts: no control that interprets what it shows.
    assert {control.tag for control in view.iter()}.isdisjoint({"HyperText", "Markdown", "Paragraphs", "Chat"})
    hotkeys = [choice.get("hotkey") for choice in view.iter("Choice") if choice.get("hotkey")]
    assert len(hotkeys) == len(set(hotkeys)) == 6


def test_every_shown_value_is_in_a_tasks_data():
    task = {
        "task_id": "t1",
        "person": None,
        "conversation": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "<b>Hi</b>"}],
        "left": "l",
        "right": "r",
        "attributes": {name: f"a {name}" for name in EDITABLE_ATTRIBUTES},
        "guideline": {"text": "g", "version": "v"},
    }
    data = task_data(task)
    shown = {e.get("value")[1:] for e in ET.fromstring(label_config()).iter("Text")}
    assert shown <= data.keys()
    assert data["conversation"] == "[system]\nBe brief.\n\n[user]\n<b>Hi</b>"
    assert data["for_person"] == "For anyone"


def test_an_annotation_becomes_an_answer():
    given = annotation(
        part("verdict", "left"),
        part("strength", "clearly"),
        part("reasons", "safety", "format"),
        part("comment", "one", "two", kind="textarea"),
        part("objectivity", "subjective"),
        part("desired_attributes", "", kind="textarea"),
    )
    read = read_annotation(DATA, given, "Ada@Example.org", HANDLES)
    assert (read.verdict, read.strength, read.reasons) == ("left", "clearly", ("safety", "format"))
    assert (read.comment, read.edited_attributes) == ("one\ntwo", {"objectivity": "subjective"})
    assert (read.task_id, read.person, read.active_seconds) == ("t1", "ada", 12.5)
    assert read.answered_at.isoformat() == "2025-01-02T03:04:05.678901+00:00"
    assert read.guideline_version == "1.1-abcdef01"
    later = read_annotation(DATA, {**given, "updated_at": "2025-01-02T03:04:06Z"}, "ada@example.org", HANDLES)
    assert later.act != read.act


def test_a_strength_that_is_hidden_says_nothing():
    read = read_annotation(DATA, annotation(part("verdict", "tie"), part("strength", "clearly")), *_ada())
    assert (read.verdict, read.strength) == ("tie", None)


@pytest.mark.parametrize(
    ("data", "given", "email", "reason"),
    [
        (DATA, annotation(part("verdict", "left")), "mallory@example.org", "unknown_person"),
        (DATA, annotation(part("verdict", "left")), "", "unknown_person"),
        ({"text": "somebody's own"}, annotation(part("verdict", "left")), "ada@example.org", "unknown_task"),
        (DATA, annotation({"from_name": "verdict"}), "ada@example.org", "unreadable_row"),
        (DATA, annotation("text"), "ada@example.org", "unreadable_row"),
        (DATA, annotation(part("verdict", "left"), lead_time="long"), "ada@example.org", "unreadable_row"),
        (DATA, annotation(part("verdict", "left"), updated_at="now"), "ada@example.org", "unreadable_row"),
    ],
)
def test_what_cannot_be_read_has_a_reason(data, given, email, reason):
    read = read_annotation(data, given, email, HANDLES)
    assert isinstance(read, Outcome)
    assert read.kind == reason


@pytest.mark.parametrize("result", [[], [part("verdict", "left", "right")], [part("comment", "hm", kind="textarea")]])
def test_no_verdict_and_two_are_no_default(result):
    read = read_annotation(DATA, annotation(*result), *_ada())
    assert read.verdict not in SHOWN_VERDICTS


def _ada():
    return "ada@example.org", HANDLES


def test_a_server_that_is_not_there_is_an_error_without_the_token(monkeypatch):
    monkeypatch.setattr("assets.human_gold.bridges.label_studio_api._WAITS_S", (0.0,))
    with (
        LabelStudio("http://127.0.0.1:9", "secret-token") as studio,
        pytest.raises(SynprefError, match="cannot be reached") as caught,
    ):
        studio.project("x")
    assert "secret-token" not in str(caught.value)
    with pytest.raises(SynprefError, match="no URL"):
        LabelStudio("secret", "x")
