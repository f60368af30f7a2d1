"""Benchmarks: reading the published layouts into one table of items (contract `benchmark_items`).

An item is a prompt, its responses in the published order and the indices of the right ones. An item without
a right answer, or with nothing but right ones (a tie), stays in the table, because decontamination must see
its prompt; scoring counts it as unscored.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from assets.accounting import StageCounts
from assets.contracts import from_rows
from assets.errors import ConfigError, ContractError, SynprefError
from assets.identity import prompt_id, storable
from assets.lake import check_slug

# Files whose saved scores name items by the benchmark's own id and not by the pair's (design, section 7).
_NAMED_BY_UID = ("judgebench", "rmb_pairs")
_RM_BENCH_RESPONSES = tuple(f"{side}_{style}" for side in ("chosen", "rejected") for style in range(3))
_MAX_EXAMPLES = 5


class _BadRow(Exception):
    """A row that makes no item; the message is the reason it is counted under."""


@dataclass(frozen=True)
class LoadedBenchmark:
    """One benchmark, read.

    Attributes:
        name: the benchmark's name in saved scores and reports.
        layout: which of `LAYOUTS` its columns were recognised as.
        items: table of contract `benchmark_items`, in the file's order.
        counts: rows of the file, items made of them, rows dropped by reason.
        examples: the first dropped rows, as "row 7: unreadable_prompt".
    """

    name: str
    layout: str
    items: pa.Table
    counts: StageCounts
    examples: tuple[str, ...]


def load_benchmark(name: str, path: str | Path, layout: str | None = None) -> LoadedBenchmark:
    """Read a benchmark's Parquet file.

    Args:
        name: decides how items are named (`judgebench`, `rmb_pairs` by the benchmark's own id).
        layout: one of `LAYOUTS`; by default recognised from the columns.

    Raises:
        ConfigError: the file is missing or not Parquet, or its columns fit no layout.
        SynprefError: not one row of it makes an item.
    """
    check_slug(name, "benchmark")
    path = Path(path)
    try:
        table = pq.read_table(path, partitioning=None)
    except FileNotFoundError:
        raise ConfigError(
            f"Benchmark {name} points at a file that does not exist.", where=str(path), todo="correct its path"
        ) from None
    except (pa.ArrowInvalid, OSError) as error:
        raise ConfigError(
            f"Benchmark {name} cannot be read as Parquet: {error}.", where=str(path), todo="give a Parquet file"
        ) from error
    layout = layout or recognise_layout(table.schema.names, where=str(path))
    loaded = items_of_rows(name, layout, table.to_pylist())
    if len(loaded.items) == 0:
        raise SynprefError(
            f"Not one of the {len(table)} rows of benchmark {name} makes an item: {dict(loaded.counts.dropped)}.",
            where=str(path),
            todo="check that the file holds what its columns promise",
        )
    return loaded


def recognise_layout(columns: Iterable[str], where: str = "") -> str:
    """Name of the first layout whose columns are all there.

    >>> recognise_layout(["item_id", "prompt", "response_a", "response_b", "preferred"])
    'pairs'

    Raises:
        ConfigError: none fits; the message names what each would need.
    """
    given = set(columns)
    for name, layout in LAYOUTS.items():
        if given >= set(layout.columns):
            return name
    needs = "; ".join(f"{name}: {', '.join(layout.columns)}" for name, layout in LAYOUTS.items())
    raise ConfigError(
        f"The columns {sorted(given)} fit no benchmark layout.", where=where, todo=f"rename them to one of: {needs}"
    )


def items_of_rows(name: str, layout: str, rows: Iterable[Mapping]) -> LoadedBenchmark:
    """Turn a layout's rows into items; a row that makes none is counted under its reason.

    Reasons: `unreadable_prompt`, `missing_response`, `unknown_preference`, `no_item_id`, `duplicate_item_id`.
    """
    if layout not in LAYOUTS:
        raise ConfigError(f"There is no benchmark layout {layout!r}.", todo=f"use one of {', '.join(LAYOUTS)}")
    parse = LAYOUTS[layout].parse
    items: list[dict] = []
    seen: set[str] = set()
    dropped: Counter[str] = Counter()
    examples: list[str] = []
    num_rows = 0
    for number, row in enumerate(rows):
        num_rows += 1
        try:
            item = parse(name, row)
            if item["item_id"] in seen:
                raise _BadRow("duplicate_item_id")
        except _BadRow as bad:
            dropped[str(bad)] += 1
            if len(examples) < _MAX_EXAMPLES:
                examples.append(f"row {number}: {bad}")
            continue
        seen.add(item["item_id"])
        items.append(item)
    counts = StageCounts(num_rows, len(items), dict(dropped))
    return LoadedBenchmark(name, layout, from_rows(items, "benchmark_items"), counts, tuple(examples))


def pairs_as_items(
    pairs: pa.Table, verdicts: Mapping[str, str], *, name: str = "holdout", subsets: Mapping[str, str] | None = None
) -> pa.Table:
    """Pairs of the pool with a verdict as items, so that the holdout is scored like any benchmark.

    Args:
        pairs: columns of contract `pairs`; rows without a verdict, and repeated pairs, make no item.
        verdicts: pair id to "1", "2", "tie" or "undecided".
        subsets: pair id to the part it is reported under; by default the pair's source.

    Raises:
        ContractError: a verdict's pair has no text in `pairs`, or a verdict is outside the set.
    """
    correct = {"1": [0], "2": [1], "tie": [0, 1], "undecided": []}
    items: dict[str, dict] = {}
    columns = ["pair_id", "prompt_id", "source", "prompt", "response_1", "response_2"]
    for row in pairs.select(columns).to_pylist():
        pair = row["pair_id"]
        if pair not in verdicts or pair in items:
            continue
        if verdicts[pair] not in correct:
            raise ContractError(f"{verdicts[pair]!r} is not a verdict.", where=f"pair {pair}")
        items[pair] = {
            "benchmark": name,
            "item_id": pair,
            "prompt_id": row["prompt_id"],
            "subset": subsets[pair] if subsets is not None else row["source"],
            "prompt": row["prompt"],
            "responses": [row["response_1"], row["response_2"]],
            "correct": correct[verdicts[pair]],
        }
    missing = sorted(verdicts.keys() - items.keys())
    if missing:
        raise ContractError(
            f"{len(missing)} verdicts of {name} have no pair.", where=f"pair {missing[0]}", todo="read all sources"
        )
    return from_rows([items[pair] for pair in sorted(items)], "benchmark_items")


def _parse_pair(name: str, row: Mapping) -> dict:
    meta = _json(row.get("meta") or "{}", dict, "no_item_id")
    item_id = row.get("item_id") or (meta.get("uid") if name in _NAMED_BY_UID else row.get("pair_id"))
    order = "ba" if meta.get("orig_first") == "b" else "ab"
    preferred = row["preferred"]
    if preferred not in ("a", "b", "tie", None):
        raise _BadRow("unknown_preference")
    correct = {"tie": [0, 1], None: []}.get(preferred)
    responses = [row[f"response_{letter}"] for letter in order]
    return _item(
        name,
        item_id,
        row.get("subset"),
        row["prompt"],
        responses,
        [order.index(preferred)] if correct is None else correct,
    )


def _parse_rm_bench(name: str, row: Mapping) -> dict:
    # An id alone occurs in several domains.
    item_id = f"{row['domain']}/{row['id']}" if row["domain"] and row["id"] else None
    return _item(name, item_id, row["domain"], row["prompt"], [row[c] for c in _RM_BENCH_RESPONSES], [0, 1, 2])


def _parse_rmb_bon(name: str, row: Mapping) -> dict:
    losers = _json(row["losers"], list, "missing_response")
    subset = (row["category_path"] or "").removeprefix("BoN_set/")
    return _item(name, row["bon_uid"], subset, row["prompt"], [row["best"], *losers], [0])


def _item(name: str, item_id: object, subset: str | None, prompt: object, responses: list, correct: list[int]) -> dict:
    if item_id in (None, ""):
        raise _BadRow("no_item_id")
    turns = _turns(prompt)
    if len(responses) < 2 or not all(isinstance(text, str) for text in responses):
        raise _BadRow("missing_response")
    return {
        "benchmark": name,
        "item_id": str(item_id),
        "prompt_id": prompt_id([(turn["role"], turn["content"]) for turn in turns]),
        "subset": subset or "all",
        "prompt": turns,
        "responses": [storable(text) for text in responses],
        "correct": correct,
    }


def _turns(prompt: object) -> list[dict[str, str]]:
    turns = _json(prompt, list, "unreadable_prompt") if isinstance(prompt, str) else prompt
    if not isinstance(turns, list) or not turns:
        raise _BadRow("unreadable_prompt")
    for turn in turns:
        if not isinstance(turn, dict) or not all(isinstance(turn.get(key), str) for key in ("role", "content")):
            raise _BadRow("unreadable_prompt")
    return [{"role": storable(turn["role"]), "content": storable(turn["content"])} for turn in turns]


def _json(text: object, kind: type, reason: str):
    try:
        value = json.loads(text) if isinstance(text, str) else text
    except (ValueError, RecursionError):
        raise _BadRow(reason) from None
    if not isinstance(value, kind):
        raise _BadRow(reason)
    return value


@dataclass(frozen=True)
class Layout:
    """Columns that a published layout must have, and how one of its rows becomes an item."""

    columns: tuple[str, ...]
    parse: Callable[[str, Mapping], dict]


LAYOUTS: dict[str, Layout] = {
    "rm_bench": Layout(("id", "domain", "prompt", *_RM_BENCH_RESPONSES), _parse_rm_bench),
    "rmb_bon": Layout(("bon_uid", "category_path", "prompt", "best", "losers"), _parse_rmb_bon),
    # `item_id` or `pair_id`, `subset` and `meta` (JSON; `uid`, `orig_first`) are used where they are given.
    "pairs": Layout(("prompt", "response_a", "response_b", "preferred"), _parse_pair),
}
