"""Verdicts: what a reply says, or under which reason it says nothing; never a default."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assets.llm_annotated.prompting.reading import ReplyProblem
from assets.llm_annotated.prompting.verdicts import VERDICTS, parse_verdict, schema_of

_GERMAN = (
    "Beide Antworten sind gut, aber die erste Antwort ist etwas genauer und deshalb insgesamt die bessere von beiden."
)
_CHINESE = "第一个回答更准确，因为它正确地回答了用户的问题，并且给出了详细的解释和例子。"


def outcome(reply, kind, log_probabilities=None):
    try:
        return parse_verdict(reply, kind, log_probabilities).verdict
    except ReplyProblem as problem:
        return problem.reason


@pytest.mark.parametrize(
    ("kind", "reply", "expected"),
    [
        ("choice", "1", "1"),
        ("choice", " 2\n", "2"),
        ("choice", "tie", "tie"),
        ("choice", "Tie", "tie"),
        ("choice", "Candidate 2", "2"),
        ("choice", "3", "unknown_verdict"),
        ("choice", "A", "unknown_verdict"),
        ("choice", "undecided", "unknown_verdict"),
        ("choice", "1 or 2", "both_verdicts"),
        ("choice", "NaN", "nan"),
        ("choice", "", "empty_reply"),
        ("choice", "I'm sorry, but I can't help with that.", "refused"),
        ("choice", _GERMAN, "other_language"),
        ("json_schema", '{"verdict": "1"}', "1"),
        ("json_schema", '{"reasoning": "Candidate 2 is wrong.", "verdict": "tie"}', "tie"),
        ("json_schema", '{"verdict": "undecided"}', "undecided"),
        ("json_schema", '```json\n{"verdict": "2"}\n```', "2"),
        ("json_schema", '{"verdict": "Candidate 2"}', "2"),
        ("json_schema", '{"verdict": "3"}', "unknown_verdict"),
        ("json_schema", '{"verdict": 1}', "unknown_verdict"),
        ("json_schema", '{"verdict": true}', "unknown_verdict"),
        ("json_schema", '{"verdict": {"1": "2"}}', "unknown_verdict"),
        ("json_schema", '{"verdict": ["1", "2"]}', "both_verdicts"),
        ("json_schema", '{"verdict": "both"}', "both_verdicts"),
        ("json_schema", '{"verdict": "1", "verdict": "2"}', "both_verdicts"),
        ("json_schema", '{"verdict": NaN}', "nan"),
        ("json_schema", '{"verdict": null}', "nan"),
        ("json_schema", '{"verdict": Infinity}', "nan"),
        ("json_schema", '{"verdict": ""}', "no_verdict"),
        ("json_schema", '{"reasoning": "Candidate 1."}', "no_verdict"),
        ("json_schema", '"1"', "not_an_object"),
        ("json_schema", '[{"verdict": "1"}]', "not_an_object"),
        ("json_schema", '{"verdict": "1"', "invalid_json"),
        ("json_schema", '{"verdict": "1"} {"verdict": "2"}', "invalid_json"),
        ("json_schema", 'The verdict is {"verdict": "1"}', "invalid_json"),
        ("json_schema", "[" * 100_000, "invalid_json"),
        ("json_schema", "   ", "empty_reply"),
        ("json_schema", "I cannot assist with this request.", "refused"),
        ("json_schema", _CHINESE, "other_language"),
        ("text", "Verdict: Candidate 1", "1"),
        ("text", "The first is right.\n\n**Verdict: Candidate 2**\n", "2"),
        ("text", "verdict: tie.", "tie"),
        ("text", "Verdict: Undecided", "undecided"),
        ("text", "Verdict: Candidate 1\nSo, again:\nVerdict: Candidate 1", "1"),
        ("text", "Candidate 1 is better.", "no_verdict"),
        ("text", "1", "no_verdict"),
        ("text", "Verdict:", "no_verdict"),
        ("text", "Verdict: Candidate 3", "unknown_verdict"),
        ("text", "Verdict: Candidate A", "unknown_verdict"),
        ("text", "Verdict: Candidate 1 and Candidate 2", "both_verdicts"),
        ("text", "Verdict: both", "both_verdicts"),
        ("text", "Verdict: Candidate 1\nVerdict: Candidate 2", "both_verdicts"),
        ("text", "Verdict: Candidate 1\nBut wait, what about the dates?", "not_at_the_end"),
        ("text", "Verdict: NaN", "nan"),
        ("text", "I'm sorry, but I can't compare these.", "refused"),
        ("text", _GERMAN, "other_language"),
        ("text", _CHINESE, "other_language"),
        ("text", f"{_GERMAN}\nUrteil: Kandidat 1", "other_language"),
        ("text", "\ud800\udfff\0", "no_verdict"),
    ],
)
def test_what_a_reply_says(kind, reply, expected):
    assert outcome(reply, kind) == expected


@given(st.text(), st.sampled_from(("choice", "json_schema", "text")))
def test_any_text_is_a_verdict_or_a_reason(reply, kind):
    found = outcome(reply, kind)
    assert found in VERDICTS or found.isidentifier()
    if found in VERDICTS:
        # Nothing but a text that names the verdict gives one.
        assert any(name in reply.lower() for name in ("1", "2", "tie", "undecided"))


@pytest.mark.parametrize(
    ("log_probabilities", "first", "of_verdict"),
    [
        ({"1": math.log(0.8), "2": math.log(0.2)}, 0.8, 0.8),
        # Tokens that differ in white space are one; the tie's share is no side's.
        ({"1": math.log(0.4), " 1": math.log(0.2), "2": math.log(0.2), "tie": math.log(0.2)}, 0.75, 0.6),
        # Of a candidate that is not listed no more is known than that it is as unlikely as the unlikeliest.
        ({"1": math.log(0.9), "tie": math.log(0.04)}, 0.9 / 0.94, 0.9),
        ({"1": 0.0}, 1 / (1 + 1e-6), 1.0),
        ({"2": math.log(0.5), "The": math.log(0.3)}, 0.2 / 0.7, None),
        ({"tie": -0.1}, None, None),
        ({"1": math.nan, "2": math.inf}, None, None),
        ({}, None, None),
    ],
)
def test_probabilities_of_a_choice(log_probabilities, first, of_verdict):
    found = parse_verdict("1", "choice", log_probabilities)
    assert found.verdict == "1"
    assert found.probability_first == pytest.approx(first) if first is not None else found.probability_first is None
    if of_verdict is None:
        assert found.log_probability is None
    else:
        assert found.log_probability == pytest.approx(math.log(of_verdict), abs=1e-9)


def test_only_a_choice_has_its_verdict_in_the_first_token():
    assert parse_verdict('{"verdict": "1"}', "json_schema", {"1": -0.1, "2": -3.0}).probability_first is None


@pytest.mark.parametrize(("reasoning", "fields"), [(False, ["verdict"]), (True, ["reasoning", "verdict"])])
def test_the_reasoning_comes_first_in_the_schema(reasoning, fields):
    schema = schema_of(reasoning)
    assert list(schema["properties"]) == schema["required"] == fields
    assert schema["properties"]["verdict"]["enum"] == ["1", "2", "tie", "undecided"]
    assert schema["additionalProperties"] is False
