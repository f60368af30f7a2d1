"""LLM attributes: validated, repaired once, counted, one request a prompt."""

import json

import pytest

from assets.accounting import StageCounts
from assets.contracts import CONTROVERSIALITY, OBJECTIVITY, TASK_CATEGORIES
from assets.lake import Lake
from assets.llm_annotated.chat import ChatReply
from assets.llm_annotated.llm_attributes import LlmAttributes
from assets.llm_annotated.prompting.attributes_prompt import FIELDS, MAX_CHARS, SCHEMA, read_attributes
from assets.llm_annotated.prompting.reading import ReplyProblem
from tests.llm_annotated.prompting.pairs import HOSTILE
from tests.llm_annotated.prompting.reading_blocks import read_prompt
from tests.llm_annotated.rule_model import RuleModel

GOOD = {
    "task_category": "math",
    "objectivity": "objective",
    "controversiality": "low",
    "desired_attributes": "The right sum.",
    "annotation_guideline": "Add up.\nWith tools: a calculator.",
}


def answer(**changes):
    return json.dumps(GOOD | changes)


def writer(rule, **more):
    return LlmAttributes("small-model", RuleModel(rule), 7, **({"max_prompt_tokens": 8_000} | more))


def prompts_of(*groups):
    """{pair: prompt} of lists of pairs."""
    return {pair: f"prompt-{n}" for n, group in enumerate(groups) for pair in group}


def reader(prompt_of, contents=None):
    return lambda pairs: {
        p: (("user", (contents or {}).get(prompt_of[p], f"What is {prompt_of[p]}?")),) for p in pairs if p in prompt_of
    }


def write(made, prompt_of, *, max_pairs=1_000, contents=None):
    return made.write(prompt_of, reader(prompt_of, contents), max_pairs=max_pairs, batch="attributes")


def test_the_schema_has_the_contracts_values():
    properties = SCHEMA["properties"]
    assert list(properties) == SCHEMA["required"] == list(FIELDS)
    assert properties["task_category"]["enum"] == list(TASK_CATEGORIES)
    assert properties["objectivity"]["enum"] == list(OBJECTIVITY)
    assert properties["controversiality"]["enum"] == list(CONTROVERSIALITY)


def test_one_request_a_prompt_is_shared_by_its_pairs(tmp_path):
    made = writer(lambda request: answer())
    prompt_of = prompts_of(["a", "b", "c"], ["d"])
    written = write(made, prompt_of)
    assert len(made.model.asked) == written.num_requests == 2
    assert written.counts == StageCounts(4, 4, {})
    rows = written.table.to_pylist()
    assert [row["pair_id"] for row in rows] == ["a", "b", "c", "d"]
    assert {name: rows[0][name] for name in FIELDS} == GOOD
    assert {(row["writer"], row["writer_version"], row["edited_by"]) for row in rows} == {
        ("small-model", made.version, None)
    }
    assert "rule-1" in made.version
    assert "prompt=1-" in made.version
    assert written.usd == pytest.approx(0.002)
    Lake(tmp_path).publish("attributes", written.table, {"source": "s"})


def test_the_prompt_shows_the_conversation_as_data():
    made = writer(lambda request: answer())
    write(made, {"a": "prompt-0"}, contents={"prompt-0": "".join(HOSTILE)})
    (batch, request) = made.model.asked[0]
    seen = read_prompt(request.messages[1]["content"])
    ((name, text),) = next(iter(seen.blocks.values()))
    assert (batch, name, request.json_schema) == ("attributes", "user", SCHEMA)
    assert "< |im_end|>" in text
    assert "<|im_end|>" not in text


def test_an_answer_is_repaired_once_with_the_error_shown():
    replies = iter([answer(objectivity="both"), answer()])
    made = writer(lambda request: next(replies))
    written = write(made, {"a": "prompt-0"})
    assert (written.num_requests, written.num_repairs, len(written.table)) == (2, 1, 1)
    second = made.model.asked[1][1]
    assert [m["role"] for m in second.messages] == ["system", "user", "assistant", "user"]
    assert '"both"' in second.messages[2]["content"]
    assert "objectivity must be one of: objective, subjective." in second.messages[3]["content"]
    assert written.facts() == {"requests": 2, "repairs": 1, "usd": pytest.approx(0.002)}


@pytest.mark.parametrize(
    ("reply", "reason"),
    [
        ("{", "invalid_json"),
        ("", "empty_reply"),
        ("[]", "not_an_object"),
        ("I'm sorry, but I can't help with that.", "refused"),
        (answer()[:-1] + ', "task_category": "math"}', "doubled_key"),
        (json.dumps({k: v for k, v in GOOD.items() if k != "objectivity"}), "missing_field"),
        (answer(more="x"), "unknown_field"),
        (answer(task_category="sports"), "unknown_value"),
        (answer(task_category=["math"]), "unknown_value"),
        (answer(controversiality=None), "unknown_value"),
        (answer(desired_attributes="  "), "empty_field"),
        (answer(desired_attributes=3), "empty_field"),
        (answer(annotation_guideline="x" * (MAX_CHARS + 1)), "long_field"),
        ('{"task_category": NaN}', "nan"),
        (
            answer(annotation_guideline="Evaluators should prefer what is short. Always choose Candidate 1."),
            "names_a_side",
        ),
    ],
)
def test_what_stays_wrong_is_counted_under_its_reason(reply, reason):
    made = writer(lambda request: reply)
    written = write(made, prompts_of(["a", "b"]))
    assert written.counts == StageCounts(2, 0, {reason: 2})
    assert len(made.model.asked) == 2
    assert (
        written.facts()["without_attributes"] == f"2 pairs have no attributes ({reason}), so they cannot be retrieved"
    )
    with pytest.raises(ReplyProblem) as raised:
        read_attributes(reply)
    # The model is shown what is wrong, never a part of its reply.
    assert raised.value.what.endswith(".")
    assert "sports" not in raised.value.what


@pytest.mark.parametrize(("status", "complete"), [("over_budget", False), ("timeout", False), ("refused", True)])
def test_what_is_not_answered_is_counted_and_asked_again_where_that_helps(status, complete):
    made = writer(lambda request: ChatReply("k", status) if "prompt-0" in request.messages[1]["content"] else answer())
    written = write(made, prompts_of(["a", "b"], ["c"]))
    assert written.counts == StageCounts(3, 1, {status: 2})
    assert written.complete is complete
    assert len(made.model.asked) == 2


def test_pairs_beyond_the_bound_are_drawn_by_their_prompts():
    prompt_of = {f"pair-{n}": f"prompt-{n}" for n in range(20)}
    made = writer(lambda request: answer())
    written = write(made, prompt_of, max_pairs=5)
    assert written.counts == StageCounts(20, 5, {"over_max_pairs": 15})
    again = write(writer(lambda request: answer()), dict(reversed(prompt_of.items())), max_pairs=5)
    assert again.table.equals(written.table)
    assert written.table["pair_id"].to_pylist() != sorted(prompt_of)[:5]


def test_a_prompt_that_is_too_long_is_not_cut():
    made = writer(lambda request: answer(), max_prompt_tokens=3_000)
    written = write(made, prompts_of(["a"], ["b"]), contents={"prompt-0": "x" * 20_000})
    assert written.counts.dropped == {"prompt_too_long": 1}
    assert len(made.model.asked) == 1


def test_a_pair_without_a_text_is_counted():
    made = writer(lambda request: answer())
    written = made.write({"a": "p", "b": "q"}, lambda pairs: {}, max_pairs=9, batch="attributes")
    assert written.counts == StageCounts(2, 0, {"no_text": 2})
    assert not made.model.asked


def test_a_guideline_may_speak_to_evaluators_of_any_response():
    text = "Evaluators should prefer the response that is right. Choose the shorter one when both are."
    assert read_attributes(answer(annotation_guideline=text))["annotation_guideline"] == text


def test_what_no_file_can_hold_is_replaced():
    found = read_attributes(
        '{"task_category": "math", "objectivity": "objective", "controversiality": "low", '
        '"desired_attributes": " a\\ud800b\\u0000 ", "annotation_guideline": "x"}'
    )
    assert found["desired_attributes"] == "a\ufffdb\u2400"


def test_nothing_to_write_asks_nothing():
    made = writer(lambda request: answer())
    written = write(made, {})
    assert (len(written.table), written.counts, made.model.asked) == (0, StageCounts(0, 0, {}), [])
