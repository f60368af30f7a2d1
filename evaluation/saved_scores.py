"""Saved scores: what a reward model gave each response of a benchmark, made, read, written and aligned to items."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from assets.errors import ConfigError, ContractError
from assets.identity import Turn
from evaluation.files import replacing

SCHEMA = pa.schema(
    [
        ("benchmark", pa.string()),
        ("item_id", pa.string()),
        ("response_index", pa.int32()),
        ("score", pa.float64()),
        # Null where a file of scores does not say.
        ("num_truncated_tokens", pa.int64()),
    ]
)
_REQUIRED = ("benchmark", "item_id", "response_index", "score")


class ScoreResult(Protocol):
    """Scores of a batch, in its order."""

    @property
    def scores(self) -> NDArray[np.float64]:
        """float64[n]."""
        ...

    @property
    def num_truncated_tokens(self) -> NDArray[np.integer]:
        """int[n], tokens of each that the model did not see."""
        ...


class Scorer(Protocol):
    """A reward model: conversations and responses in, one score each out (training.scoring)."""

    def score(self, items: Sequence[tuple[Sequence[Turn], str]]) -> ScoreResult:
        """Score each (conversation, response)."""
        ...


@dataclass(frozen=True)
class AlignedScores:
    """Scores in the order of a benchmark's items.

    Attributes:
        scores: float64[number of responses] per item; None where the item cannot be scored.
        unscored: why, per item; None for the scored ones. `missing_score` or `not_finite`.
        truncated: whether any response of the item was cut; None where the scores do not say.
        num_unmatched: score rows of this benchmark whose item or response it does not have.
    """

    scores: list[NDArray[np.float64] | None]
    unscored: list[str | None]
    truncated: list[bool | None]
    num_unmatched: int


def score_items(items: pa.Table, scorer: Scorer, *, chunk: int = 4_096, progress: bool = True) -> pa.Table:
    """Score every response of the items; a response that occurs again on the same prompt is scored once.

    Args:
        items: contract `benchmark_items`, of one or several benchmarks.
        chunk: responses handed to the scorer at a time.

    Returns:
        Saved scores, in the order of items and responses.
    """
    from tqdm import tqdm

    rows = items.select(["benchmark", "item_id", "prompt_id", "prompt", "responses"]).to_pylist()
    position: dict[tuple[str, str], int] = {}
    work: list[tuple[Sequence[Turn], str]] = []
    for row in rows:
        turns = [(turn["role"], turn["content"]) for turn in row["prompt"]]
        for response in row["responses"]:
            if position.setdefault((row["prompt_id"], response), len(work)) == len(work):
                work.append((turns, response))

    scores, truncated = np.empty(len(work)), np.empty(len(work), np.int64)
    label = "scoring " + ", ".join(sorted(set(items["benchmark"].to_pylist())))
    with tqdm(total=len(work), desc=label, unit="response", disable=None if progress else True) as bar:
        for start in range(0, len(work), chunk):
            part = work[start : start + chunk]
            result = scorer.score(part)
            scores[start : start + len(part)] = result.scores
            truncated[start : start + len(part)] = result.num_truncated_tokens
            bar.update(len(part))

    columns: dict[str, list] = {name: [] for name in SCHEMA.names}
    for row in rows:
        for index, response in enumerate(row["responses"]):
            at = position[row["prompt_id"], response]
            values = (row["benchmark"], row["item_id"], index, float(scores[at]), int(truncated[at]))
            for name, value in zip(SCHEMA.names, values, strict=True):
                columns[name].append(value)
    return pa.table(columns, schema=SCHEMA)


def read_scores(path: str | Path) -> pa.Table:
    """Read saved scores.

    Raises:
        ConfigError: the file is missing, not Parquet, or lacks a column.
        ContractError: a response has two scores.
    """
    path = Path(path)
    try:
        table = pq.read_table(path, partitioning=None)
    except FileNotFoundError:
        raise ConfigError("There is no such file of scores.", where=str(path), todo="check the path") from None
    except (pa.ArrowInvalid, OSError) as error:
        raise ConfigError(f"A file of scores cannot be read as Parquet: {error}.", where=str(path)) from error
    missing = [column for column in _REQUIRED if column not in table.schema.names]
    if missing:
        raise ConfigError(
            f"A file of scores lacks the columns {missing}.", where=str(path), todo=f"give it {list(_REQUIRED)}"
        )
    if "num_truncated_tokens" not in table.schema.names:
        table = table.append_column("num_truncated_tokens", pa.nulls(len(table), pa.int64()))
    try:
        table = table.select(SCHEMA.names).cast(SCHEMA)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise ConfigError(f"A column of a file of scores has the wrong type: {error}.", where=str(path)) from error
    _refuse_doubled(table, str(path))
    return table


def write_scores(table: pa.Table, path: Path) -> None:
    """Write saved scores; a reader sees the old file or the whole new one."""
    with replacing(path) as temporary:
        pq.write_table(table.cast(SCHEMA), temporary, compression="zstd")


def align(items: pa.Table, scores: pa.Table, benchmark: str) -> AlignedScores:
    """Bring a benchmark's saved scores into the order of its items.

    Raises:
        ContractError: not one item has a score, which means ids that do not belong together.
    """
    given: dict[str, dict[int, tuple[float | None, int | None]]] = {}
    num_rows = 0
    for row in scores.to_pylist():
        if row["benchmark"] == benchmark:
            num_rows += 1
            cell = (row["score"], row["num_truncated_tokens"])
            given.setdefault(row["item_id"], {})[row["response_index"]] = cell

    aligned: list[NDArray[np.float64] | None] = []
    unscored: list[str | None] = []
    truncated: list[bool | None] = []
    num_matched = 0
    for row in items.select(["item_id", "responses"]).to_pylist():
        found = given.get(row["item_id"], {})
        cells = [found.get(index) for index in range(len(row["responses"]))]
        present = [cell for cell in cells if cell is not None]
        num_matched += len(present)
        # A null score is a score that was never given.
        values = [np.nan if cell[0] is None else cell[0] for cell in present]
        reason = "missing_score" if len(present) < len(cells) or any(cell[0] is None for cell in present) else None
        if reason is None and not np.all(np.isfinite(values)):
            reason = "not_finite"
        unscored.append(reason)
        aligned.append(None if reason else np.array(values))
        lost = [cell[1] for cell in present if cell[1] is not None]
        truncated.append(any(tokens > 0 for tokens in lost) if len(lost) == len(cells) else None)
    if len(items) and num_matched == 0:
        raise ContractError(
            f"Not one of the {len(items)} items of {benchmark} has a saved score; {num_rows} rows name it.",
            todo="check the benchmark's name and the item ids in the file of scores",
        )
    return AlignedScores(aligned, unscored, truncated, num_rows - num_matched)


def concatenate(tables: Iterable[pa.Table]) -> pa.Table:
    """Saved scores of several benchmarks in one table."""
    parts = list(tables)
    return pa.concat_tables(parts) if parts else SCHEMA.empty_table()


def _refuse_doubled(table: pa.Table, where: str) -> None:
    keys = ["benchmark", "item_id", "response_index"]
    counted = table.group_by(keys).aggregate([([], "count_all")])
    doubled = [row for row in counted.to_pylist() if row["count_all"] > 1]
    if doubled:
        first = {key: doubled[0][key] for key in keys}
        raise ContractError(
            f"{len(doubled)} responses have more than one score, the first is {first}.",
            where=where,
            todo="keep one score per response",
        )
