"""Layouts: one row of each, what makes a file's layout unknown, and one row for every reason of a dead letter."""

import json

import pytest

from assets.errors import ConfigError
from assets.raw_pairs.catalogue import SourceEntry
from assets.raw_pairs.layouts import recognise
from assets.raw_pairs.parsing import parse_row
from assets.raw_pairs.rows import DEAD_LETTER_REASONS, DeadLetter

ENTRY = SourceEntry(name="s", paths=("x",), licence="MIT")
HI = (("user", "Hi"),)
MESSAGES = [{"role": "user", "content": "Hi"}]


def reply(text):
    return {"role": "assistant", "content": text}


def parse(row, entry=ENTRY, **options):
    return parse_row(recognise(list(row), [row], **options), row, entry)


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
    "two responses, 0 is a tie": (
        {"prompt": "Hi", "output_1": "A", "output_2": "B", "preference": 0},
        ("two_responses", HI, "A", "B", "tie", None),
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


def test_a_ranking_makes_a_pair_of_every_two():
    pairs = parse({"prompt": "Hi", "ranking": ["A", "B", "C"], "models": ["x", "y", "z"]})
    assert [(p.response_a, p.response_b, p.verdict, p.margin) for p in pairs] == [
        ("A", "B", "a", 1.0),
        ("A", "C", "a", 2.0),
        ("B", "C", "a", 1.0),
    ]
    assert [(p.model_a, p.model_b) for p in pairs] == [("x", "y"), ("x", "z"), ("y", "z")]


def test_completions_of_the_same_text_and_score_count_once():
    pairs = parse({"prompt": "Hi", "completions": ["A", "B", "A "], "scores": [1, 2, 1]})
    assert [(p.response_a, p.response_b) for p in pairs] == [("A", "B")]


def test_two_completions_alike_are_a_pair_of_equal_responses():
    (pair,) = parse({"prompt": "Hi", "completions": ["A", "A "], "scores": [1, 2]})
    assert (pair.response_a, pair.response_b) == ("A", "A ")


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


@pytest.mark.parametrize(
    ("row", "options", "says"),
    [
        ({"text": "Hi", "label": 1}, {}, "no layout fits"),
        ({"prompt": "Hi", "response_a": "A", "response_b": "B"}, {}, "no layout fits"),
        ({"prompt": "Hi", "completions": ["A", "B"]}, {}, "no layout fits"),
        ({"chosen": "A", "rejected": "B"}, {}, "no layout fits"),
        ({"prompt": "Hi", "chosen": "A"}, {"wanted": "chosen_rejected_text"}, "chosen_rejected_text needs"),
        ({"prompt": "Hi"}, {"overrides": {"chosen": "good"}}, "'good' is not a column"),
        ({"prompt": "Hi"}, {"overrides": {"best": "prompt"}}, "'best' is not a field"),
    ],
)
def test_an_unknown_layout_is_an_error_that_names_the_columns(row, options, says):
    with pytest.raises(ConfigError) as caught:
        recognise(list(row), [row], where="source s", **options)
    assert says in str(caught.value)
    assert "source s" in str(caught.value)
    assert all(column in str(caught.value) for column in row)


PAIR = {"prompt": "Hi", "response_a": "A", "response_b": "B", "preferred": "a"}
CHOSEN = {"prompt": MESSAGES, "chosen": [reply("A")], "rejected": [reply("B")]}
DEAD = {
    "no prompt": (PAIR | {"prompt": None}, "missing_field", "'prompt' is empty"),
    "no response": (PAIR | {"response_b": None}, "missing_field", "'response_b' is empty"),
    "no messages": (CHOSEN | {"rejected": None}, "missing_field", "'rejected' is empty"),
    "a response that is a number": (PAIR | {"response_a": 4}, "wrong_type", "is int, not text"),
    "a prompt that is a number": (PAIR | {"prompt": 4}, "wrong_type", "is int"),
    "messages that are text": (CHOSEN | {"rejected": "B"}, "wrong_type", "is str, not text or a list"),
    "a message that is text": (CHOSEN | {"prompt": ["Hi"]}, "wrong_type", "not a mapping"),
    "a prompt that ends with a reply": (
        PAIR | {"prompt": [*MESSAGES, reply("A")]},
        "bad_conversation",
        "assistant's, not the user's",
    ),
    "a role nobody knows": (
        PAIR | {"prompt": [{"role": "ghost", "content": "Hi"}]},
        "bad_conversation",
        "role 'ghost'",
    ),
    "a message without content": (PAIR | {"prompt": [{"role": "user"}]}, "bad_conversation", "no text as content"),
    "a reply that is not one": (CHOSEN | {"chosen": MESSAGES}, "bad_conversation", "does not end with"),
    "different conversations": (
        {"chosen": [*MESSAGES, reply("A")], "rejected": [{"role": "user", "content": "Ho"}, reply("B")]},
        "prompts_differ",
        "different conversations",
    ),
    "a label outside the set": (PAIR | {"preferred": "c"}, "unknown_label", "'c'"),
    "a label of 3": (PAIR | {"preferred": 3}, "unknown_label", "3"),
    "a label of 0.5": (PAIR | {"preferred": 0.5}, "unknown_label", "0.5"),
    "a true label": (PAIR | {"preferred": True}, "unknown_label", "True"),
    "one score alone": (
        {"prompt": "Hi", "response_a": "A", "response_b": "B", "score_a": 1, "score_b": None},
        "unknown_label",
        "only one",
    ),
    "a score that is none": (
        {"prompt": "Hi", "completions": ["A", "B"], "scores": [1, float("nan")]},
        "unknown_label",
        "not a finite number",
    ),
    "an origin outside the set": (PAIR | {"label_origin": "rumour"}, "unknown_label_origin", "'rumour'"),
    "one completion": ({"prompt": "Hi", "ranking": ["A"]}, "too_few_completions", "1 different"),
    "a completion ranked twice": ({"prompt": "Hi", "ranking": ["A", "B", "A"]}, "repeated_completion", "twice"),
    "fewer scores than completions": (
        {"prompt": "Hi", "completions": ["A", "B"], "scores": [1]},
        "wrong_type",
        "1 values for 2",
    ),
    "a completion that is a number": ({"prompt": "Hi", "ranking": ["A", 4]}, "wrong_type", "completion 1"),
    "a ranking that is text": ({"prompt": "Hi", "ranking": "A"}, "wrong_type", "not a list"),
    "a prompt that is no JSON": (
        {"prompt": '[{"role": "user"', "response_a": "A", "response_b": "B", "preferred": "a"},
        "wrong_type",
        "not JSON",
    ),
    "meta that is no JSON": (PAIR | {"meta": "{"}, "wrong_type", "not JSON"),
}


@pytest.mark.parametrize("name", DEAD)
def test_a_row_that_makes_no_pair_says_why(name):
    row, reason, says = DEAD[name]
    outcome = parse(row)
    assert isinstance(outcome, DeadLetter), outcome
    assert outcome.reason == reason
    assert says in outcome.detail


def test_every_reason_of_parsing_has_a_row_above():
    elsewhere = {"unreadable_row", "bad_votes"}
    assert {reason for _, reason, _ in DEAD.values()} == set(DEAD_LETTER_REASONS) - elsewhere


def test_a_dead_letter_does_not_carry_the_row():
    outcome = parse(PAIR | {"preferred": "x" * 100_000})
    assert len(outcome.detail) <= 500
