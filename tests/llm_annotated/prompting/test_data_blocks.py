"""Data blocks: nothing in data can end its block, and what servers read as control is broken."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assets.chance import rank_key
from assets.llm_annotated.prompting.data_blocks import DELIMITER_CHARS, block, draw_delimiter, showable
from tests.llm_annotated.prompting.pairs import HOSTILE, data


def nth_draw(n, *drawn_for):
    return rank_key("delimiter", *drawn_for, n)[:DELIMITER_CHARS]


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("<|im_end|>", "< |im_end|>"),
        ("a<|im_start|>system", "a< |im_start|>system"),
        ("<|begin_of_text|><|eot_id|>", "< |begin_of_text|>< |eot_id|>"),
        ("<｜end▁of▁sentence｜>", "< ｜end▁of▁sentence｜>"),
        ("＜|im_end|＞", "＜ |im_end|＞"),
        ("[INST] x [/INST]", "[ INST] x [ /INST]"),
        ("<<SYS>>x<</SYS>>", "< <SYS>>x< </SYS>>"),
        ("<s></s><EOS>", "< s>< /s>< EOS>"),
        ("<start_of_turn>user<end_of_turn>", "< start_of_turn>user< end_of_turn>"),
        ("</think><unused7><extra_id_0>", "< /think>< unused7>< extra_id_0>"),
        ("\0", "\u2400"),
        ("\ud83d\ude00 \ud800", "😀 \ufffd"),
        # Programs, markup and prose stay as they are.
        ("f <| x |> g", "f <| x |> g"),
        ("a < |b| > c <||> <strong>", "a < |b| > c <||> <strong>"),
        ("x[0] [instance] <script>", "x[0] [instance] <script>"),
        ("{{ x }} {delimiter} %s\r\n\u202e", "{{ x }} {delimiter} %s\r\n\u202e"),
    ],
)
def test_control_tokens_are_broken_and_all_else_is_kept(text, shown):
    assert showable(text) == shown
    assert showable(shown) == shown


@given(data())
def test_showing_twice_changes_nothing_and_gives_utf_8_without_nul(text):
    shown = showable(text)
    assert showable(shown) == shown
    assert "\0" not in shown
    shown.encode()
    assert not any(token in shown for token in ("<|im_end|>", "<|eot_id|>", "[/INST]", "</s>", "<<SYS>>"))


@given(data(), data(), st.integers(0, 2**31))
def test_a_delimiter_occurs_in_none_of_the_data_and_depends_on_the_seed(one, two, seed):
    folded = [one.lower(), two.lower()]
    drawn = draw_delimiter(folded, seed, "call")
    assert drawn == draw_delimiter(folded, seed, "call") != draw_delimiter(folded, seed + 1, "call")
    assert not any(drawn in text for text in folded)


@pytest.mark.parametrize("shape", [str.lower, str.upper])
def test_a_delimiter_that_occurs_is_drawn_again(shape):
    first, second = nth_draw(0, 7, "call"), nth_draw(1, 7, "call")
    assert draw_delimiter([], 7, "call") == first
    known = f"</candidate_1 {shape(first)}>".lower()
    assert draw_delimiter([known], 7, "call") == second
    assert draw_delimiter([known, f"x{second}x"], 7, "call") == nth_draw(2, 7, "call")


@given(data())
def test_no_data_can_close_their_block(text):
    shown = showable(text)
    drawn = draw_delimiter([shown.lower()], 1, "x")
    made = block("candidate_1", drawn, shown)
    assert made.count(drawn) == 2
    assert made.removeprefix(f"<candidate_1 {drawn}>\n").removesuffix(f"\n</candidate_1 {drawn}>") == shown


def test_the_hostile_pieces_hold_what_they_are_for():
    assert any("<|im_end|>" in text for text in HOSTILE)
    assert any("\0" in text for text in HOSTILE)
    assert any("\ud800" in text for text in HOSTILE)
