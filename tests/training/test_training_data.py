"""Data: every reason for which a selected row makes no pair, and inputs that cannot be used."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from assets.errors import ContractError, SynprefError
from training.data import PairText, label_pairs, read_selection, read_texts, refuse_leakage

GOOD = PairText((("user", "Hi"),), "one", "two")


@pytest.mark.parametrize(
    ("row", "text", "reason"),
    [
        ({"chosen": 1, "weight": 1.0}, GOOD, None),
        ({"chosen": 0, "weight": 1.0}, GOOD, "no_chosen_side"),
        ({"chosen": None, "weight": 1.0}, GOOD, "no_chosen_side"),
        ({"chosen": 1, "weight": 0.0}, GOOD, "no_weight"),
        ({"chosen": 1, "weight": float("nan")}, GOOD, "no_weight"),
        ({"chosen": 1, "weight": float("inf")}, GOOD, "no_weight"),
        ({"chosen": 1, "weight": None}, GOOD, "no_weight"),
        ({"chosen": 1, "weight": 1.0}, None, "text_not_found"),
        ({"chosen": 1, "weight": 1.0}, PairText((("user", " \n"),), "one", "two"), "empty_prompt"),
        ({"chosen": 1, "weight": 1.0}, PairText((), "one", "two"), "empty_prompt"),
        ({"chosen": 1, "weight": 1.0}, PairText((("user", "Hi"),), "one", " "), "empty_response"),
        ({"chosen": 1, "weight": 1.0}, PairText((("user", "Hi"),), "one", "one"), "equal_responses"),
    ],
)
def test_a_row_makes_a_pair_or_is_dropped_under_its_reason(row, text, reason):
    rows = [{"pair_id": "p", **row}, {"pair_id": "q", "chosen": 2, "weight": 1.0}]
    pairs, counts = label_pairs(rows, {"q": GOOD} | ({"p": text} if text else {}))
    assert counts.as_dict()["dropped"] == ({reason: 1} if reason else {})
    assert [pair.pair_id for pair in pairs] == (["q"] if reason else ["p", "q"])
    assert (pairs[-1].chosen, pairs[-1].rejected) == ("two", "one")


def test_the_cap_draws_with_the_seed_and_counts_the_rest():
    rows = [{"pair_id": f"{n:02}", "chosen": 1, "weight": 1.0} for n in range(40)]
    texts = {row["pair_id"]: GOOD for row in rows}
    first, counts = label_pairs(rows, texts, max_pairs=10, seed=1)
    again, _ = label_pairs(list(reversed(rows)), texts, max_pairs=10, seed=1)
    other, _ = label_pairs(rows, texts, max_pairs=10, seed=2)
    assert counts.as_dict() == {"rows_in": 40, "rows_out": 10, "dropped": {"over_max_train_pairs": 30}}
    assert [p.pair_id for p in first] == sorted(p.pair_id for p in first) == [p.pair_id for p in again]
    assert [p.pair_id for p in first] != [p.pair_id for p in other]


def test_the_first_file_that_has_a_pair_gives_its_text(tmp_path, pairs, write):
    rows, labels = pairs(3)
    files = write(rows, labels, [])
    other = tmp_path / "other.parquet"
    pq.write_table(pq.read_table(files.text).set_column(2, "response_1", pa.array(["changed"] * 3)), other)
    wanted = [row["pair_id"] for row in rows[:2]]
    assert [text.response_1 for text in read_texts([files.text, other], wanted).values()] == [
        row["response_1"] for row in rows[:2]
    ]
    assert {text.response_1 for text in read_texts([other, files.text], wanted).values()} == {"changed"}


def test_a_pair_selected_twice_is_refused_by_name(tmp_path):
    path = tmp_path / "selection.parquet"
    pq.write_table(pa.table({"pair_id": ["b", "a", "b"]}), path)
    with pytest.raises(ContractError, match="pair b twice"):
        read_selection(path, ("pair_id",))


@pytest.mark.parametrize("content", [None, b"", b"PAR1 not a parquet file"])
def test_a_file_that_cannot_be_read_is_named(tmp_path, content):
    path = tmp_path / "broken.parquet"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ContractError, match=r"broken\.parquet"):
        read_selection(path, ("pair_id",))
    with pytest.raises(ContractError, match=r"broken\.parquet"):
        read_texts([path], ["a"])


def test_a_text_file_without_its_columns_is_named(tmp_path):
    path = tmp_path / "text.parquet"
    pq.write_table(pa.table({"pair_id": ["a"], "prompt": ["a string"]}), path)
    with pytest.raises(ContractError, match="response_1"):
        read_texts([path], ["a"])


def test_a_dev_prompt_that_is_trained_on_stops_the_run_even_in_other_case():
    texts = {"p": GOOD, "q": PairText((("user", "HI!"),), "three", "four")}
    train, _ = label_pairs([{"pair_id": "p", "chosen": 1, "weight": 1.0}], texts)
    dev, _ = label_pairs([{"pair_id": "q", "chosen": 1, "weight": 1.0}], texts)
    with pytest.raises(SynprefError, match="1 prompts are in the training and in the dev selection"):
        refuse_leakage(train, dev)
