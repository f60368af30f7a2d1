"""Attributes by keyword rules: every category reachable, every text assembled, every pair accounted for."""

import time
from dataclasses import replace

import pyarrow as pa
import pytest
import yaml

from assets.contracts import TASK_CATEGORIES
from assets.guidelines import Guidelines, load_guidelines
from assets.lake import Lake
from assets.llm_annotated import attributes
from assets.llm_annotated.attributes import KeywordAttributes, describe_prompt, describe_text, write_attributes
from assets.tables.contract import TURNS


def user(*contents):
    return [{"role": "user", "content": c} for c in contents]


@pytest.mark.parametrize(
    ("prompt", "category"),
    [
        ("What is the capital of Mongolia?", "information seeking"),
        ("Why is it called the birds and the bees???", "information seeking"),
        ("Fix this bug:\n```python\nfor i in range(3) print(i)\n```", "coding & debugging"),
        ("Write a C++ program that reads a file line by line.", "coding & debugging"),
        ("SELECT name FROM users gives me duplicates, why?", "coding & debugging"),
        ("My landlord keeps my deposit. What should I do?", "advice seeking"),
        ("Josey had 15 gallons in 5 cans. How many pints are in a can?", "math"),
        ("Solve for x: 3x + 4 = 19", "math"),
        ("Work out 41 times 7.", "math"),
        ("Write a haiku about the first snow.", "creative writing"),
        ("Write a convincing argument for the position: Good", "creative writing"),
        ("All cats sleep. Tom is a cat. Does it follow that Tom sleeps?", "reasoning"),
        ("Make a plan for three days in Lisbon with a budget of 200 euros.", "planning"),
        ("From the following table of survey results, compute the correlation.", "data analysis"),
        ("Rewrite the following sentence so that it is easier to understand.", "editing"),
        ("Proofread my letter.", "editing"),
        ("Pretend you are a pirate and greet your crew.", "role playing"),
        ("Brainstorm ten names for a bakery.", "brainstorming"),
        ("Hello there.", "other"),
        ("月は地球からどれくらい離れていますか？", "information seeking"),
        ("", "other"),
    ],
)
def test_categories(prompt, category):
    assert describe_text(prompt).task_category == category


def test_the_table_above_reaches_every_category():
    reached = {args[1] for args in test_categories.pytestmark[0].args[1]}
    assert reached == set(TASK_CATEGORIES)


@pytest.mark.parametrize(
    ("prompt", "objectivity"),
    [
        ("What is the boiling point of water?", "objective"),
        ("What is your opinion on modern art?", "subjective"),
        ("Write a poem about rain.", "subjective"),
        ("Write a poem about rain with exactly four lines.", "objective"),
        ("Should I move to Berlin?", "subjective"),
        ("Hello.", "subjective"),
    ],
)
def test_objectivity(prompt, objectivity):
    assert describe_text(prompt).objectivity == objectivity


@pytest.mark.parametrize(
    ("prompt", "level"),
    [
        ("What is the boiling point of water?", "low"),
        ("Which party should win the election?", "medium"),
        ("Is abortion wrong?", "high"),
        ("Would more police on the streets, fewer guns, cheaper drugs or higher taxes help?", "high"),
        # What a program is about is no dispute.
        ("Write a Python function that counts the votes of an election.", "low"),
        ("Write a Python function that prints racist slurs.", "medium"),
    ],
)
def test_controversiality(prompt, level):
    assert describe_text(prompt).controversiality == level


@pytest.mark.parametrize(
    ("prompt", "constraints"),
    [
        ("Describe a fox.", ()),
        ("Describe a fox in one sentence.", ("length",)),
        ("Describe a fox for children, as a list, and avoid the word red.", ("audience", "format", "wording")),
        ("Describe a fox in French.", ("language",)),
    ],
)
def test_what_a_request_fixes_is_desired(prompt, constraints):
    found = describe_text(prompt)
    assert found.constraints == constraints
    text = load_guidelines().desired("other", "subjective", "low", found.constraints)
    assert (f"Keeps what the request fixes: {', '.join(constraints)}." in text) == bool(constraints)


def test_whole_words_are_matched_and_case_is_not():
    assert describe_text("PYTHON!").task_category == "coding & debugging"
    assert describe_text("A pythoness spoke.").task_category == "other"
    assert describe_text("Should\n I?").objectivity == "subjective"


def test_a_short_last_turn_is_read_with_the_turns_before_it():
    conversation = [*user("Write a Python function that sorts a list."), {"role": "assistant", "content": "Sure."}]
    assert describe_prompt([*conversation, *user("And faster?")]).task_category == "coding & debugging"
    long_turn = "Now something else entirely: " + "please tell me a story about a fox and a hen. " * 2
    assert describe_prompt([*conversation, *user(long_turn)]).task_category == "creative writing"


def test_what_the_assistant_said_is_not_read():
    turns = [{"role": "assistant", "content": "Here is the python code: def f(): pass"}, *user("Thanks, bye.")]
    assert describe_prompt(turns).task_category == "other"
    # Only where there is no user turn at all.
    assert describe_prompt(turns[:1]).task_category == "coding & debugging"
    assert describe_prompt([]).task_category == "other"
    assert describe_prompt([{"role": "user", "content": None}]).task_category == "other"


def test_the_cues_name_only_what_the_contracts_know():
    cues = yaml.safe_load(attributes._CUES.read_text("utf-8"))
    assert set(cues["categories"]) == set(TASK_CATEGORIES) - {"other"}
    assert set(cues["marks"]) <= set(TASK_CATEGORIES)
    assert set(cues["controversiality"]) == {"medium", "high"}
    phrases = [p for strengths in cues["categories"].values() for ps in strengths.values() for p in ps]
    phrases += cues["subjective"] + cues["objective"]
    phrases += [p for level in ("controversiality", "constraints") for ps in cues[level].values() for p in ps]
    # A phrase that the tokeniser cannot produce could never match.
    unreachable = [p for p in phrases if " ".join(attributes._WORD.findall(p)) != p]
    assert unreachable == []


def pairs(*rows):
    """(pair_id, prompt_id, prompt text)"""
    return pa.table(
        {
            "pair_id": [r[0] for r in rows],
            "prompt_id": [r[1] for r in rows],
            "prompt": pa.array([user(r[2]) for r in rows], TURNS),
        },
        schema=pa.schema([("pair_id", pa.string()), ("prompt_id", pa.string()), ("prompt", TURNS)]),
    )


def test_rows_fit_the_contract_one_per_pair_in_order(tmp_path):
    table = KeywordAttributes().write(
        pairs(("b", "p1", "Solve for x: x = 1"), ("a", "p2", "Hi"), ("b", "p1", "Solve for x: x = 1"))
    )
    assert table["pair_id"].to_pylist() == ["a", "b"]
    assert table["task_category"].to_pylist() == ["other", "math"]
    row = table.to_pylist()[1]
    assert row["annotation_guideline"] == load_guidelines().short("math", "objective", "low")
    assert row["desired_attributes"] == load_guidelines().desired("math", "objective", "low")
    assert (row["writer"], row["edited_by"]) == ("keyword_rules", None)
    manifest = Lake(tmp_path).publish("attributes", table, {"source": "s"})
    assert manifest.num_rows == 2


def test_no_pairs_no_attributes():
    table, counts = write_attributes(pairs(), max_pairs=5)
    assert (len(table), counts.rows_in) == (0, 0)


def test_the_budget_is_counted_and_does_not_depend_on_the_order():
    rows = [(f"p{i:02d}", f"q{i}", "Hi") for i in range(20)]
    table, counts = write_attributes(pairs(*rows, rows[0], rows[1]), max_pairs=8)
    assert counts.as_dict() == {"rows_in": 22, "rows_out": 8, "dropped": {"over_budget": 12, "repeated_pair": 2}}
    again, _ = write_attributes(pairs(*rows[::-1]), max_pairs=8)
    assert again.equals(table)
    assert write_attributes(pairs(*rows), max_pairs=20)[1].dropped == {}


@pytest.mark.parametrize(("section", "changes"), [("In short", True), ("Common mistakes", False)])
def test_the_version_changes_with_any_text_that_is_written(monkeypatch, section, changes):
    before = KeywordAttributes().version
    files = dict(load_guidelines().files)
    math = files["math"]
    files["math"] = replace(
        math,
        sections={**math.sections, section: "Other words."},
        short={**math.short, "Decide": "Other words."} if section == "In short" else math.short,
    )
    monkeypatch.setattr(attributes, "load_guidelines", lambda: Guidelines(files))
    assert (KeywordAttributes().version != before) == changes


def test_a_hundred_thousand_prompts_take_less_than_a_minute():
    text = "My neighbour asks how the committee should divide the budget of {} among the clubs. " * 12
    rows = pairs(*((f"p{i}", f"q{i}", text.format(*[i] * 12)) for i in range(1000)))
    KeywordAttributes().write(rows.slice(0, 1))
    started = time.process_time()
    KeywordAttributes().write(rows)
    assert time.process_time() - started < 0.6
