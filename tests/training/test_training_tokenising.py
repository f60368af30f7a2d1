"""Tokenising: one truncation rule, prompts that all responses share, templates that open replies their own way."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.byte_level import CLOSE, ByteLevelTokeniser
from training.tokenising import encode_items, truncate


@given(st.integers(0, 60), st.integers(1, 60), st.integers(4, 80))
def test_truncation_keeps_the_prompts_end_and_the_responses_beginning_and_last_token(p, r, max_tokens):
    prompt, response = np.arange(p), np.arange(1000, 1000 + r)
    row = truncate(prompt, response, max_tokens)
    kept = len(row.prompt) + len(row.response)
    assert kept == min(p + r, max_tokens)
    assert row.num_truncated == p + r - kept
    assert row.prompt.tolist() == prompt[p - len(row.prompt) :].tolist()
    assert row.response[-1] == response[-1]
    assert row.response[:-1].tolist() == response[: len(row.response) - 1].tolist()
    if r <= max_tokens * 3 // 4:
        assert len(row.response) == r  # The prompt gives way first.


@pytest.fixture(scope="module")
def tokeniser() -> ByteLevelTokeniser:
    return ByteLevelTokeniser.train(["the river is long", "the stone is grey", "12 rivers"] * 3, 300)


def test_responses_to_one_prompt_have_the_same_prompt_ids(tokeniser):
    turns = (("system", "Be brief."), ("user", "Ünïcode \U0001f600?"))
    one, two, other = encode_items([(turns, "yes"), (turns, "no"), ((("user", "why"),), "no")], tokeniser, 500)
    assert one.shares_prompt(two)
    assert not one.shares_prompt(other)
    assert not one.same_as(two)
    end = tokeniser.token_ids([CLOSE])[0]
    assert one.response.tolist()[-1:] == two.response.tolist()[-1:] == end


def test_the_ids_are_those_of_the_whole_conversation(tokeniser):
    turns = (("user", "12 rivers"), ("assistant", "the stone"), ("user", "is long"))
    (row,) = encode_items([(turns, "grey")], tokeniser, 500)
    whole = tokeniser.render((*turns, ("assistant", "grey")), open_reply=False)
    assert np.concatenate([row.prompt, row.response]).tolist() == tokeniser.token_ids([whole])[0]


class ThinkingTemplate:
    """Opens a reply with a mark that a finished reply does not have, as some chat models do."""

    added_tokens = ()

    def render(self, turns, *, open_reply):
        return "".join(f"<{role}>{content}" for role, content in turns) + ("<assistant><think>" if open_reply else "")

    def token_ids(self, texts):
        return [[ord(letter) for letter in text] for text in texts]


def test_a_template_that_opens_replies_otherwise_still_gives_the_finished_conversation():
    (row,) = encode_items([((("user", "Hi"),), "Hello")], ThinkingTemplate(), 500)
    assert "".join(map(chr, [*row.prompt, *row.response])) == "<user>Hi<assistant>Hello"


def test_training_the_tokenizer_twice_gives_the_same_ids(tokeniser):
    again = ByteLevelTokeniser.train(["the river is long", "the stone is grey", "12 rivers"] * 3, 300)
    text = "the grey river 2112"
    assert again.token_ids([text]) == tokeniser.token_ids([text])
