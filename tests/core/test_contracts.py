"""Contracts: a table is taken as its contract says, or refused with what is wrong."""

import pyarrow as pa
import pytest

from assets.contracts import TABLES, conform, contract_of, from_rows
from assets.errors import ContractError


def table(**columns):
    good = {"source": ["s"], "file": ["f"], "source_row": [0], "reason": ["r"], "detail": [""], "row_hash": ["h"]}
    return pa.table({k: v for k, v in (good | columns).items() if v is not None})


@pytest.mark.parametrize("name", sorted(TABLES))
def test_a_contract_is_consistent(name):
    contract = TABLES[name]
    columns = contract.schema.names
    assert len(set(columns)) == len(columns)
    assert set(contract.key) | set(contract.volatile) <= set(columns) | set(contract.partition_by)
    assert contract.schema.empty_table().equals(conform(contract.schema.empty_table(), name))


@pytest.mark.parametrize(
    ("columns", "says"),
    [
        ({"reason": None}, "missing columns ['reason']"),
        ({"colour": ["red"]}, "unknown columns ['colour']"),
        ({"source_row": ["0"]}, "source_row is string, expected int64"),
        ({"source_row": pa.array([0], pa.int32())}, "source_row is int32, expected int64"),
    ],
)
def test_a_table_that_breaks_its_contract_is_refused(columns, says):
    with pytest.raises(ContractError) as caught:
        conform(table(**columns), "dead_letters", where="here")
    assert says in str(caught.value)
    assert "here" in str(caught.value)


def test_columns_are_put_in_order_and_null_columns_get_their_type():
    given = table(detail=pa.nulls(1)).select(["row_hash", "detail", "reason", "source_row", "file", "source"])
    assert conform(given, "dead_letters").schema == contract_of("dead_letters").schema


def test_rows_with_unknown_columns_or_wrong_values_are_refused():
    with pytest.raises(ContractError, match=r"row 1.*|unknown columns \['colour'\]"):
        from_rows([{"source": "s"}, {"colour": "red"}], "dead_letters")
    with pytest.raises(ContractError, match="wrong type"):
        from_rows([{"source_row": "zero"}], "dead_letters")


def test_absent_keys_become_null():
    assert from_rows([{"source": "s"}], "dead_letters")["detail"].to_pylist() == [None]


def test_an_unknown_table_is_an_error_that_lists_the_known_ones():
    with pytest.raises(ContractError, match="label_events"):
        contract_of("label_event")
