"""Quality summary: the signals of a source in the few figures a person looks at first."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from assets.raw_pairs.languages import UNKNOWN, detect_languages
from assets.raw_pairs.quality_flags import FLAGS
from assets.raw_pairs.quality_signals import prompt_texts
from assets.settings import QualitySettings

NUM_LANGUAGES = 12
# Quantiles are those of every k-th row beyond this many: the memory a summary takes does not grow with the source.
MAX_QUANTILE_ROWS = 200_000

_QUANTILES = (0.5, 0.95, 0.99)
_RATES = (
    ("words of a response", "num_words"),
    ("bytes in duplicate lines", "duplicate_line_rate"),
    ("bytes in the top 3-gram", "top_3gram_rate"),
    ("bytes in repeated 5-grams", "duplicate_5gram_rate"),
    ("Markdown per 1,000 characters", "markdown_density"),
)
_COUNTS = ("num_secrets", "num_emails", "num_phones", "num_ibans", "num_cards", "num_ips", "num_presidio_entities")


@dataclass(frozen=True)
class QualitySummary:
    """Signals of one source.

    Attributes:
        languages: texts (prompt and both responses) by language, most frequent first; beyond twelve, `others`.
        found: one row per thing that a pair can hold, with how many pairs do and their share.
        measured: one row per measure of responses, with its mean, quantiles and largest value.
        flagged: pairs by broken threshold; empty when no threshold is set or none is broken.
        num_mixed_languages: pairs whose two responses are in different known languages.
    """

    languages: dict[str, int]
    found: list[dict[str, Any]]
    measured: list[dict[str, Any]]
    flagged: dict[str, int]
    num_mixed_languages: int


def read_signals(path: Path) -> Iterator[pa.Table]:
    """A file of `quality_signals`, part by part."""
    with pq.ParquetFile(path) as file:
        for batch in file.iter_batches():
            yield pa.Table.from_batches([batch])


def summarise(parts: Iterable[pa.Table], num_rows: int) -> QualitySummary:
    """Summary of a partition of `quality_signals`.

    Args:
        parts: its rows, in order, as one table or many.
        num_rows: of all parts together.
    """
    spoken: Counter[str] = Counter()
    flags: Counter[str] = Counter()
    found: Counter[str] = Counter()
    sums, largest = dict.fromkeys(dict(_RATES), 0.0), dict.fromkeys(dict(_RATES), 0.0)
    sampled: dict[str, list[np.ndarray]] = {name: [] for name in dict(_RATES)}
    step = -(-num_rows // MAX_QUANTILE_ROWS) or 1
    num_mixed = seen = 0
    for part in parts:
        spoken += _spoken([part[f"language_{text}"] for text in ("prompt", "1", "2")])
        num_mixed += _num_mixed(part["language_1"], part["language_2"])
        flags.update(flag for row in part["flags"].to_pylist() for flag in row)
        for name, holds in _holds(part).items():
            found[name] += int(holds.sum())
        for name, column in _RATES:
            values = np.stack([part[f"{column}_{side}"].to_numpy() for side in ("1", "2")])
            sums[name] += float(values.sum())
            largest[name] = max(largest[name], float(values.max(initial=0)))
            sampled[name].append(values[:, -seen % step :: step].ravel())
        seen += len(part)
    return QualitySummary(
        languages=_ranked(spoken),
        found=[{"pairs with": name, "pairs": n, "share": n / max(1, num_rows)} for name, n in found.items()],
        measured=[
            {"of responses": name, "mean": sums[name] / max(1, 2 * num_rows)}
            | _quantiles(np.concatenate([np.zeros(0), *sampled[name]]))
            | {"largest": largest[name]}
            for name in sums
        ],
        flagged={name: flags[name] for name in FLAGS if flags[name]},
        num_mixed_languages=num_mixed,
    )


def num_prompts_by_language(rows: pa.Table, settings: QualitySettings) -> dict[str, int]:
    """Rows by language of their prompt's last turn, most frequent first; beyond twelve, `others`.

    Args:
        rows: of contract `pairs`, few enough to be held at once.
    """
    _, last_turns = prompt_texts(rows["prompt"].combine_chunks())
    return _ranked(_spoken([detect_languages(last_turns, settings.language_chars)[0]]))


def _spoken(columns: Iterable[pa.Array]) -> Counter[str]:
    counts: Counter[str] = Counter()
    for column in columns:
        for entry in column.value_counts().to_pylist():
            counts[entry["values"]] += entry["counts"]
    return counts


def _ranked(spoken: Counter[str]) -> dict[str, int]:
    ranked = sorted(spoken.items(), key=lambda item: (-item[1], item[0]))
    languages = dict(ranked[:NUM_LANGUAGES])
    if len(ranked) > NUM_LANGUAGES:
        languages["others"] = sum(count for _, count in ranked[NUM_LANGUAGES:])
    return languages


def _num_mixed(first: pa.ChunkedArray, second: pa.ChunkedArray) -> int:
    known = pc.and_(pc.not_equal(first, UNKNOWN), pc.not_equal(second, UNKNOWN))
    return pc.sum(pc.and_(known, pc.not_equal(first, second))).as_py() or 0


def _holds(signals: pa.Table) -> dict[str, np.ndarray]:
    """Which pairs hold what."""

    def column(name: str) -> np.ndarray:
        return np.nan_to_num(np.asarray(signals[name].to_pandas(), float))

    refused = column("refusal_1") + column("refusal_2")
    holds = {"one response refuses": refused == 1, "both responses refuse": refused == 2}
    marked = np.stack([column("markdown_density_1") > 0, column("markdown_density_2") > 0])
    holds["one response has Markdown"] = marked.sum(axis=0) == 1
    holds["both responses have Markdown"] = marked.all(axis=0)
    faults = sum(column(f"num_encoding_faults_{text}") for text in ("prompt", "1", "2"))
    holds["encoding damage"] = faults > 0
    # A signal that is not configured is null throughout, which is not the same as nothing found.
    counted = [name for name in _COUNTS if signals[name].null_count < len(signals)]
    return holds | {name.removeprefix("num_").replace("_", " "): column(name) > 0 for name in counted}


def _quantiles(values: np.ndarray) -> dict[str, float]:
    if not len(values):
        return {}
    return {f"{q:.0%}": float(v) for q, v in zip(_QUANTILES, np.quantile(values, _QUANTILES), strict=True)}
