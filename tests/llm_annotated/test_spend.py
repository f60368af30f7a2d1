"""Spend: a request is paid for once, however many batches its reply serves."""

import pytest

from assets.contracts import from_rows
from assets.lake import Lake
from assets.llm_annotated.spend import spent_by_batch


def test_a_request_counts_in_the_batch_that_made_it(tmp_path):
    lake = Lake(tmp_path)
    for batch, keys in (
        ("qualification-round_0", "ab"),
        ("round_0", "c"),
        ("qualification-round_1", "abd"),
        ("stage_2", "ce"),
    ):
        rows = [{"request_hash": key, "cost_usd": 0.5} for key in keys]
        lake.append_events("judge_requests", from_rows(rows, "judge_requests"), {"batch": batch})
    assert spent_by_batch(lake, ("round_0", "round_1")) == {
        "qualification-round_0": pytest.approx(1.0),
        "round_0": pytest.approx(0.5),
        "qualification-round_1": pytest.approx(0.5),
        "round_1": 0.0,
        "stage_2": pytest.approx(0.5),
    }
