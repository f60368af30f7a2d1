import re

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from assets.raw_pairs.overlap.words import TextColumn, ascii_keys_of, hash_words, ngrams_of, words_of

TEXTS = st.lists(st.text(alphabet=st.sampled_from("aB1 zZ9.,\n\t éÉñ中文ß\u00a0\U0001f600'-"), max_size=60), min_size=1)


def published_words(text):
    """The definition of published lists, in Python."""
    return re.findall(r"[a-z0-9]+|[^\x00-\x7f]", text.lower())


def counted(texts, **options):
    column = TextColumn(pa.array(texts), **options)
    room = np.empty(max(1, column.max_words), np.uint64)
    places = zip(column.starts, column.ends, strict=True)
    return [hash_words(column.data, start, end, column.runs, room) for start, end in places]


@given(TEXTS)
def test_published_words_are_counted_as_their_definition_says(texts):
    assert counted(texts, published=True) == [len(published_words(text)) for text in texts]
    assert [words_of(text, published=True) for text in texts] == [published_words(text) for text in texts]


@given(st.lists(st.text(max_size=40), min_size=1))
def test_words_of_any_text_are_those_that_people_are_shown(texts):
    assert counted(texts) == [len(words_of(text)) for text in texts]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Don\u2019t \u201cquote\u201d me \u2014 please", ["don", "t", "quote", "me", "please"]),
        ("no\u00a0break\u3000space", ["no", "break", "space"]),
        ("zero\u200bwidth so\u00adft \ufeffmark", ["zerowidth", "soft", "mark"]),
        ("Caf\u00e9 cafe\u0301", ["caf\u00e9", "caf\u00e9"]),
        ("В настоящее ВРЕМЯ", ["в", "настоящее", "время"]),
        ("한국어 문장", ["한국어", "문장"]),
        ("中文文本 abc", ["中", "文", "文", "本", "abc"]),
        ("na\u00efve2x", ["na\u00efve2x"]),
        ("😀 ok", ["😀", "ok"]),
        ("İstanbul", ["istanbul"]),
    ],
)
def test_words_beyond_ascii(text, expected):
    assert words_of(text) == expected
    assert counted([text]) == [len(expected)]


def test_how_a_text_is_written_does_not_change_its_ngrams():
    texts = [
        "don't say \u201cna\u00efve\u201d",
        "Don\u2019t\u00a0say nai\u0308ve\u200b",
        "DON'T, say: \u00abNA\u00cfVE\u00bb!",
    ]
    hashes, _ = ngrams_of(TextColumn(pa.array(texts)), 4)
    assert len(hashes) == 3
    assert len(set(hashes.tolist())) == 1


@given(TEXTS)
def test_equal_ngrams_have_equal_hashes_and_others_do_not(texts):
    hashes, owners = ngrams_of(TextColumn(pa.array(texts)), 2)
    expected = [
        (number, tuple(words_of(t)[i : i + 2])) for number, t in enumerate(texts) for i in range(len(words_of(t)) - 1)
    ]
    assert owners.tolist() == [number for number, _ in expected]
    seen = {}
    for value, (_, ngram) in zip(hashes.tolist(), expected, strict=True):
        assert seen.setdefault(value, ngram) == ngram
    assert len(seen) == len({ngram for _, ngram in expected})


def test_order_of_words_matters():
    hashes, _ = ngrams_of(TextColumn(pa.array(["one two three", "two one three", "one two three four"])), 3)
    assert len(hashes) == 4
    assert hashes[0] == hashes[2] != hashes[1]


def test_a_text_of_too_few_words_has_no_ngram():
    hashes, owners = ngrams_of(TextColumn(pa.array(["", None, "a b", "..."])), 3)
    assert len(hashes) == len(owners) == 0


def test_sliced_and_chunked_columns_are_read_where_they_begin():
    texts = pa.array(["left out", "one two", "three four"])
    whole, _ = ngrams_of(TextColumn(texts[1:]), 2)
    chunked, _ = ngrams_of(TextColumn(pa.chunked_array([texts[1:2], texts[2:]])), 2)
    plain, _ = ngrams_of(TextColumn(pa.array(["one two", "three four"])), 2)
    assert whole.tolist() == chunked.tolist() == plain.tolist()


def test_ascii_keys_see_neither_case_nor_white_space_of_any_kind():
    keys = ascii_keys_of(
        TextColumn(pa.array(["Skill\u00a0assessment", " skill  assessment\n", "skillassessment", "skill"]))
    )
    assert keys[0] == keys[1]
    assert len(set(keys.tolist())) == 3
