"""The boundary: what Great Expectations holds a source's rows to before anything is built on them."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from assets.contracts import LABEL_ORIGINS
from assets.errors import SynprefError

PROBLEMS = ("empty_prompt", "empty_response", "equal_responses")
MAX_ROWS = 5_000
_HEX = r"^[0-9a-f]{32}$"
_COLUMNS = ["pair_id", "prompt_id", "source", "source_row", "licence", "label_origin", "problem"]
_LENGTHS = ["num_chars_prompt", "num_chars_1", "num_chars_2"]


@dataclass(frozen=True)
class BoundaryResult:
    """One expectation on one partition.

    Attributes:
        name: the expectation as a sentence.
        observed: what was found, in short.
        detail: examples of what broke it; empty when it holds.
    """

    name: str
    passed: bool
    observed: str
    detail: str = ""

    def as_dict(self) -> dict[str, Any]:
        """Plain form for metadata."""
        return asdict(self)


@dataclass(frozen=True)
class BoundaryReport:
    """What the expectations found in one partition.

    Attributes:
        results: one per expectation, in the order they are stated.
        num_looked_at: rows that were looked at.
        num_rows: rows of the partition.
        validation: Great Expectations' own result of the same, for Data Docs.
    """

    results: list[BoundaryResult]
    num_looked_at: int
    num_rows: int
    validation: Any

    @property
    def passed(self) -> bool:
        """Whether every expectation holds."""
        return all(result.passed for result in self.results)


def positions_to_check(num_rows: int, *, max_rows: int = MAX_ROWS, seed: int = 0) -> list[int]:
    """Positions of the rows to look at, ascending: all of a small source, a draw from a large one.

    >>> positions_to_check(3), len(positions_to_check(1_000_000))
    ([0, 1, 2], 5000)
    """
    if num_rows <= max_rows:
        return list(range(num_rows))
    return sorted(np.random.default_rng(seed).choice(num_rows, max_rows, replace=False).tolist())


def check_raw_pairs(rows: pa.Table, num_rows: int) -> BoundaryReport:
    """Hold a partition of `pairs` to its expectations.

    Args:
        rows: of contract `pairs`, the whole partition or those at `positions_to_check`.
        num_rows: of the partition; every result says how many of how many were looked at.

    Raises:
        SynprefError: an expectation could not be evaluated, which is never the same as its having failed.
    """
    found, validation = _evaluate(_frame(rows), _expectations())
    found.insert(0, _not_empty(num_rows))
    looked = f"{len(rows):,} of {num_rows:,} rows"
    results = [BoundaryResult(r.name, r.passed, f"{r.observed}; {looked}", r.detail) for r in found]
    return BoundaryReport(results, len(rows), num_rows, validation)


def _not_empty(num_rows: int) -> BoundaryResult:
    return BoundaryResult("a source gives at least one pair", num_rows > 0, f"{num_rows:,} pairs")


def _frame(rows: pa.Table) -> pd.DataFrame:
    """Narrow columns, and what the expectations say of the wide ones; the text stays out of pandas."""
    frame = rows.select([*_COLUMNS, *_LENGTHS]).to_pandas()
    prompts = rows["prompt"].to_pylist()
    frame["last_role"] = [turns[-1]["role"] if turns else "user" for turns in prompts]
    frame["meta_is_object"] = [_is_object(text) for text in rows["meta"].to_pylist()]
    for side in ("1", "2"):
        lengths = pc.utf8_length(rows[f"response_{side}"])
        frame[f"length_fits_{side}"] = pc.equal(lengths, rows[f"num_chars_{side}"]).to_pandas()
    frame["makes_a_pair"] = frame["problem"].isna()
    return frame


def _is_object(text: str | None) -> bool:
    try:
        return isinstance(json.loads(text or ""), dict)
    except ValueError:
        return False


def _expectations() -> list[tuple[str, Any]]:
    import great_expectations.expectations as gxe

    expected: list[tuple[str, Any]] = []
    for column in ("pair_id", "prompt_id"):
        expected.append((f"{column} is there", gxe.ExpectColumnValuesToNotBeNull(column=column)))
        form = gxe.ExpectColumnValuesToMatchRegex(column=column, regex=_HEX)
        expected.append((f"{column} is 32 hex digits", form))
    key = gxe.ExpectCompoundColumnsToBeUnique(column_list=["pair_id", "source_row"])
    expected.append(("a row gives a pair once", key))
    expected.append(
        ("all rows are of one source", gxe.ExpectColumnUniqueValueCountToBeBetween(column="source", max_value=1))
    )
    expected.append(("every row has a licence", gxe.ExpectColumnValueLengthsToBeBetween(column="licence", min_value=1)))
    expected.append(("no licence is missing", gxe.ExpectColumnValuesToNotBeNull(column="licence")))
    expected.append(("label_origin is there", gxe.ExpectColumnValuesToNotBeNull(column="label_origin")))
    origins = gxe.ExpectColumnValuesToBeInSet(column="label_origin", value_set=list(LABEL_ORIGINS))
    expected.append(("label_origin is a known one", origins))
    problems = gxe.ExpectColumnValuesToBeInSet(column="problem", value_set=list(PROBLEMS))
    expected.append(("problem is a known one or none", problems))
    for column in ("source_row", *_LENGTHS):
        expected.append((f"{column} is not negative", gxe.ExpectColumnValuesToBeBetween(column=column, min_value=0)))
    for column, name in (
        ("length_fits_1", "response_1 is as long as it says"),
        ("length_fits_2", "response_2 is as long as it says"),
        ("meta_is_object", "meta is a JSON object"),
    ):
        expected.append((name, gxe.ExpectColumnValuesToBeInSet(column=column, value_set=[True])))
    role = gxe.ExpectColumnValuesToBeInSet(column="last_role", value_set=["user"])
    expected.append(("the last turn of a prompt is the user's", role))
    # A source most of whose rows are empty or equal was read by the wrong layout.
    most = gxe.ExpectColumnValuesToBeInSet(column="makes_a_pair", value_set=[True], mostly=0.5)
    expected.append(("at least half of the rows make a pair", most))
    return expected


def _evaluate(frame: pd.DataFrame, expected: Iterable[tuple[str, Any]]) -> tuple[list[BoundaryResult], Any]:
    os.environ.setdefault("GX_ANALYTICS_ENABLED", "false")
    import great_expectations as gx
    from great_expectations.data_context.types.base import ProgressBarsConfig

    context = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = ProgressBarsConfig(globally=False)
    asset = context.data_sources.add_pandas("raw_pairs").add_dataframe_asset("sample")
    batch = asset.add_batch_definition_whole_dataframe("all").get_batch({"dataframe": frame})
    named = list(expected)
    for name, expectation in named:
        expectation.meta = {"name": name}
    suite = gx.ExpectationSuite(name="raw_pairs", expectations=[e for _, e in named])
    # Which rows of the source break an expectation is what a person needs to mend it.
    where = {"result_format": "COMPLETE", "unexpected_index_column_names": ["source_row"]}
    validation = batch.validate(suite, result_format=where)
    found = {}
    for result in validation.results:
        name = (getattr(result.expectation_config, "meta", None) or {})["name"]
        # An expectation that raised comes back as a failed one; `exception_info` alone tells them apart.
        if "'raised_exception': True" in str(result.exception_info):
            raise SynprefError(
                f"The expectation {name!r} could not be evaluated.",
                where=str(result.exception_info)[:300],
                todo="report this as a defect",
            )
        found[name] = _describe(name, bool(result.success), result.result)
    # Results come grouped by column.
    return [found[name] for name, _ in named], validation


def _describe(name: str, passed: bool, result: dict[str, Any]) -> BoundaryResult:
    if "unexpected_count" not in result:
        return BoundaryResult(name, passed, f"observed {result.get('observed_value')}")
    examples = result.get("partial_unexpected_list") or []
    detail = "" if passed else f"for example {[str(e)[:80] for e in examples[:3]]}"
    return BoundaryResult(name, passed, f"{result['unexpected_count']} unexpected", detail)
