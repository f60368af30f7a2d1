"""Dead letters of parsing: one row for every reason."""

import pytest

from assets.raw_pairs.rows import DEAD_LETTER_REASONS, DeadLetter
from tests.raw_pairs.parsing_example import MESSAGES, parse, reply

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
    "a part that is no text": (
        PAIR | {"prompt": [{"role": "user", "content": [{"type": "image", "image": "x"}]}]},
        "bad_conversation",
        "a part that is not text",
    ),
    "a battle of several turns": (
        {
            "conversation_a": [*MESSAGES, reply("A"), *MESSAGES, reply("C")],
            "conversation_b": [*MESSAGES, reply("B"), *MESSAGES, reply("D")],
            "winner": "model_a",
        },
        "prompts_differ",
        "before the last turn",
    ),
    "a battle of no JSON": (
        {"conversation_a": "[", "conversation_b": "[", "winner": "model_a"},
        "wrong_type",
        "not JSON",
    ),
    "a preference beyond 3": (
        {"prompt": "Hi", "response_1": "A", "response_2": "B", "overall_preference": -100},
        "unknown_label",
        "-3..3",
    ),
    "too many completions": (
        {"prompt": "Hi", "ranking": [str(n) for n in range(101)]},
        "too_many_completions",
        "101 completions",
    ),
    "different conversations": (
        {"chosen": [*MESSAGES, reply("A")], "rejected": [{"role": "user", "content": "Ho"}, reply("B")]},
        "prompts_differ",
        "different conversations",
    ),
    "a label outside the set": (PAIR | {"preferred": "c"}, "unknown_label", "'c'"),
    "a label of 3": (PAIR | {"preferred": "3"}, "unknown_label", "3"),
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
