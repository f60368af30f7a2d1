import re

import numpy as np
import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from assets.raw_pairs.overlap.words import TextColumn, ascii_keys_of, hash_words, ngrams_of

TEXTS = st.lists(st.text(alphabet=st.sampled_from("aB1 zZ9.,\n\t éÉñ中文ß\u00a0\U0001f600'-"), max_size=60), min_size=1)


def words(text):
    """The definition, in Python."""
    return re.findall(r"[a-z0-9]+|[^\x00-\x7f]", text.lower())


@given(TEXTS)
def test_words_are_counted_as_the_definition_says(texts):
    column = TextColumn(pa.array(texts))
    room = np.empty(max(1, column.max_words), np.uint64)
    counted = [hash_words(column.data, s, e, room) for s, e in zip(column.starts, column.ends, strict=True)]
    assert counted == [len(words(text)) for text in texts]


@given(TEXTS)
def test_equal_ngrams_have_equal_hashes_and_others_do_not(texts):
    hashes, owners = ngrams_of(TextColumn(pa.array(texts)), 2)
    expected = [
        (number, tuple(words(t)[i : i + 2])) for number, t in enumerate(texts) for i in range(len(words(t)) - 1)
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
