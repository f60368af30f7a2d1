"""Layouts: one row of each, and what makes a file's layout unknown."""

import json

import pytest

from assets.errors import ConfigError
from assets.raw_pairs.layouts import recognise
from assets.raw_pairs.parsing import parse_row
from tests.raw_pairs.parsing_example import ENTRY, HI, MESSAGES, parse, reply

ONE_PAIR = {
    # name: (row, layout, turns, response a, response b, verdict, margin)
    "pair file": (
        {"prompt": json.dumps(MESSAGES), "response_a": "A", "response_b": "B", "preferred": "b", "meta": "{}"},
        ("pair_file", HI, "A", "B", "b", None),
    ),
    "chosen and rejected as text": (
        {"question": "Hi", "chosen": "A", "rejected": "B"},
        ("chosen_rejected_text", HI, "A", "B", "a", None),
    ),
    "with a system prompt": (
        {"system": "Be kind.", "prompt": "Hi", "chosen": "A", "rejected": "B"},
        ("chosen_rejected_text", (("system", "Be kind."), *HI), "A", "B", "a", None),
    ),
    "messages that begin with the prompt": (
        {"chosen": [*MESSAGES, reply("A")], "rejected": [*MESSAGES, reply("B")]},
        ("chosen_rejected_messages", HI, "A", "B", "a", None),
    ),
    "messages with the prompt apart": (
        {"prompt": MESSAGES, "chosen": [reply("A")], "rejected": [reply("B")]},
        ("chosen_rejected_messages", HI, "A", "B", "a", None),
    ),
    "messages by from and value": (
        {
            "chosen": [{"from": "human", "value": "Hi"}, {"from": "gpt", "value": "A"}],
            "rejected": [{"from": "human", "value": "Hi "}, {"from": "gpt", "value": "B"}],
        },
        ("chosen_rejected_messages", HI, "A", "B", "a", None),
    ),
    "transcripts": (
        {"chosen": "\n\nHuman: Hi\n\nAssistant: A", "rejected": "\n\nHuman: Hi\n\nAssistant: B"},
        ("chosen_rejected_transcript", HI, "A", "B", "a", None),
    ),
    "two responses by letter": (
        {"prompt": "Hi", "answer_a": "A", "answer_b": "B", "winner": "model_b"},
        ("two_responses", HI, "A", "B", "b", None),
    ),
    "two responses by number, from 1": (
        {"prompt": "Hi", "response_1": "A", "response_2": "B", "label": 1},
        ("two_responses", HI, "A", "B", "a", None),
    ),
    "two responses by number, from 0": (
        {"prompt": "Hi", "response_0": "A", "response_1": "B", "better_response_id": 1},
        ("two_responses", HI, "A", "B", "b", None),
    ),
    "two responses by number, from 1, named by letter": (
        {"prompt": "Hi", "output_a": "A", "output_b": "B", "preference": 2.0},
        ("two_responses", HI, "A", "B", "b", None),
    ),
    "two equally bad responses": (
        {"prompt": "Hi", "response_a": "A", "response_b": "B", "winner": "tie (bothbad)"},
        ("two_responses", HI, "A", "B", "tie", None),
    ),
    "a preference with a sign": (
        {"context": MESSAGES, "response1": "A", "response2": "B", "overall_preference": -2},
        ("two_responses", HI, "A", "B", "a", 2.0),
    ),
    "a preference with a sign, for the second": (
        {"prompt": "Hi", "response_1": "A", "response_2": "B", "preference_strength": 1, "preference_statement": "s"},
        ("two_responses", HI, "A", "B", "b", 1.0),
    ),
    "a preference with a sign, neither": (
        {"prompt": "Hi", "response_1": "A", "response_2": "B", "preference_strength": 0},
        ("two_responses", HI, "A", "B", "tie", 0.0),
    ),
    "a preference beside scores": (
        {"prompt": "Hi", "response_a": "A", "response_b": "B", "winner": "a", "score_a": 5, "score_b": 1},
        ("two_responses", HI, "A", "B", "a", 4.0),
    ),
    "a battle": (
        {
            **{"question_id": "q", "model_a": "x", "model_b": "y", "winner": "model_b", "judge": "j", "turn": 1},
            **{"conversation_a": [*MESSAGES, reply("A")], "conversation_b": [*MESSAGES, reply("B")], "language": "en"},
        },
        ("two_conversations", HI, "A", "B", "b", None),
    ),
    "a battle as JSON text, its content in parts": (
        {
            "conversation_a": json.dumps([*MESSAGES, reply([{"type": "text", "text": "A"}])]),
            "conversation_b": json.dumps([*MESSAGES, reply("B")]),
            "winner": "both_bad",
        },
        ("two_conversations", HI, "A", "B", "tie", None),
    ),
    "chosen and rejected with scores": (
        {
            **{"prompt": "Hi", "prompt_id": "p", "messages": [*MESSAGES, reply("A")]},
            **{"chosen": [*MESSAGES, reply("A")], "rejected": [*MESSAGES, reply("B")]},
            **{"score_chosen": 8.5, "score_rejected": 5.0},
        },
        ("chosen_rejected_messages", HI, "A", "B", "a", 3.5),
    ),
    "scores that contradict the choice": (
        {"prompt": "Hi", "chosen": "A", "rejected": "B", "chosen_rating": "2", "rejected_rating": "3"},
        ("chosen_rejected_text", HI, "A", "B", "a", -1.0),
    ),
    "a margin": (
        {"prompt": "Hi", "chosen": "A", "rejected": "B", "margin": 2},
        ("chosen_rejected_text", HI, "A", "B", "a", 2.0),
    ),
    "a prompt that is a transcript": (
        {"prompt": "\n\nHuman: Hi\n\nAssistant:", "chosen": " A", "rejected": " B"},
        ("chosen_rejected_text", HI, " A", " B", "a", None),
    ),
    "two responses with scores": (
        {"prompt": MESSAGES, "response_a": "A", "response_b": "B", "score_a": 2, "score_b": "4.5"},
        ("two_responses", HI, "A", "B", "b", 2.5),
    ),
    "no label": (
        {"prompt": "Hi", "response_a": "A", "response_b": "B", "preferred": None},
        ("two_responses", HI, "A", "B", None, None),
    ),
    "a label that pandas made a float": (
        {"prompt": "Hi", "response_a": "A", "response_b": "B", "label": float("nan")},
        ("two_responses", HI, "A", "B", None, None),
    ),
    "a ranking of two": ({"prompt": "Hi", "ranking": ["A", "B"]}, ("ranking", HI, "A", "B", "a", 1.0)),
    "completions with ranks": (
        {"prompt": "Hi", "completions": ["A", "B"], "ranks": [3, 1]},
        ("ranking", HI, "A", "B", "b", 2.0),
    ),
    "completions with scores beside": (
        {"prompt": "Hi", "responses": ["A", "B"], "scores": [1, 1]},
        ("ratings", HI, "A", "B", "tie", 0.0),
    ),
    "completions that hold their score": (
        {"instruction": "Hi", "completions": [{"text": "A", "score": 1}, {"text": "B", "score": 3}]},
        ("ratings", HI, "A", "B", "b", 2.0),
    ),
}


@pytest.mark.parametrize("name", ONE_PAIR)
def test_a_row_of_every_layout(name):
    row, (layout, *expected) = ONE_PAIR[name]
    assert recognise(list(row), [row]).name == layout
    (pair,) = parse(row)
    assert [pair.turns, pair.response_a, pair.response_b, pair.verdict, pair.margin] == expected


@pytest.mark.parametrize(
    ("names", "labels", "verdicts"),
    [
        ("a b", [2, 1, 0], ["b", "a", "tie"]),
        ("1 2", ["1", "2", "0"], ["a", "b", "tie"]),
        ("0 1", [0, 1], ["a", "b"]),
        ("a b", ["a", "tie", "undecided", "Model_B"], ["a", "tie", "undecided", "b"]),
    ],
)
def test_labels_that_are_numbers_are_told_by_the_first_rows(names, labels, verdicts):
    one, two = (f"response_{name}" for name in names.split())
    rows = [{"prompt": "Hi", one: "A", two: "B", "label": label} for label in labels]
    layout = recognise(list(rows[0]), rows)
    assert [parse_row(layout, row, ENTRY).pairs[0].verdict for row in rows] == verdicts


def test_labels_of_0_and_1_can_be_stated():
    entry = ENTRY.model_copy(update={"label_values": {"0": "b", "1": "a"}})
    assert [parse(BOTH | {"label": label}, entry)[0].verdict for label in (0, "1")] == ["b", "a"]


def test_a_number_that_comes_late_is_no_label():
    first, late = BOTH | {"label": "a"}, BOTH | {"label": 1}
    assert parse_row(recognise(list(first), [first]), late, ENTRY).reason == "unknown_label"


def test_the_chosen_text_is_not_repeated_in_meta():
    row, _ = ONE_PAIR["chosen and rejected with scores"]
    (pair,) = parse(row)
    assert pair.meta == {"prompt_id": "p", "score_chosen": 8.5, "score_rejected": 5.0}


def test_columns_of_a_battle_that_hold_no_text_go_to_meta():
    row, _ = ONE_PAIR["a battle"]
    (pair,) = parse(row)
    assert (pair.model_a, pair.model_b) == ("x", "y")
    assert {"question_id", "turn", "judge", "language", "winner"} <= set(pair.meta)
    assert not {"conversation_a", "conversation_b"} & set(pair.meta)


def test_what_a_layout_was_told_by_is_said():
    layout = recognise(list(RATED | {"extra": 1}), [RATED])
    assert layout.why() == "columns prompt, response; score of a completion: helpfulness"
    assert set(layout.unused) == {"extra", "helpfulness", "coherence"}


def test_what_holds_no_text_of_the_pair_goes_to_meta():
    row = {"prompt": "Hi", "chosen": "A", "rejected": "B", "source": "elsewhere", "uid": 7, "none": None}
    (pair,) = parse(row)
    assert pair.meta == {"source": "elsewhere", "uid": 7}


def test_a_layout_and_columns_can_be_set():
    row = {"q": "Hi", "left": "A", "right": "B", "verdict": "links"}
    overrides = {"prompt": "q", "response_a": "left", "response_b": "right", "preference": "verdict"}
    entry = ENTRY.model_copy(update={"label_values": {"links": "a"}})
    (pair,) = parse(row, entry, wanted="two_responses", overrides=overrides)
    assert (pair.response_a, pair.verdict) == ("A", "a")
    assert recognise(list(row), [row], overrides=overrides).name == "two_responses"


BOTH = {"prompt": "Hi", "response_a": "A", "response_b": "B"}
RATED = {"prompt": "Hi", "response": "A", "helpfulness": 4, "coherence": 3}


@pytest.mark.parametrize(
    ("row", "options", "says"),
    [
        (BOTH | {"label": 0}, {}, "Labels are 0"),
        (BOTH | {"label": 1}, {}, "Labels are 1"),
        ({"prompt": "Hi", "response_1": "A", "response_2": "B", "label": "0"}, {}, "Labels are 0"),
        (BOTH | {"label": "a"}, {"score_weights": {"helpfulness": 1}}, "takes no score"),
    ],
)
def test_a_file_that_can_be_read_in_two_ways_is_refused(row, options, says):
    with pytest.raises(ConfigError, match=says):
        recognise(list(row), [row], where="source s", **options)


@pytest.mark.parametrize(
    ("row", "options", "says"),
    [
        ({"text": "Hi", "label": 1}, {}, "no layout fits"),
        ({"prompt": "Hi", "response_a": "A", "response_b": "B"}, {}, "no layout fits"),
        ({"prompt": "Hi", "completions": ["A", "B"]}, {}, "no layout fits"),
        ({"chosen": "A", "rejected": "B"}, {}, "no layout fits"),
        ({"prompt": "Hi", "chosen": "A"}, {"wanted": "chosen_rejected_text"}, "chosen_rejected_text needs"),
        ({"prompt": "Hi"}, {"overrides": {"chosen": "good"}}, "'good' is not a column"),
        ({"conversation_a": [], "conversation_b": []}, {}, "no layout fits"),
        ({"prompt": "Hi", "response": "A"}, {}, "no layout fits"),
        ({"prompt": "Hi", "response": "A", "verbosity": 1, "coherence": 3}, {}, "no layout fits"),
        (RATED, {"overrides": {"score": "warmth"}}, "'warmth' rates no completion"),
        (RATED, {"score_weights": {"helpfulness": 1, "warmth": 1}}, "'warmth' rates no completion"),
        ({"prompt": "Hi"}, {"overrides": {"best": "prompt"}}, "'best' is not a field"),
    ],
)
def test_an_unknown_layout_is_an_error_that_names_the_columns(row, options, says):
    with pytest.raises(ConfigError) as caught:
        recognise(list(row), [row], where="source s", **options)
    assert says in str(caught.value)
    assert "source s" in str(caught.value)
    assert all(column in str(caught.value) for column in row)
