"""Quality summary: the signals of a source in the few figures a person looks at first."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from assets.raw_pairs.languages import detect_languages
from assets.raw_pairs.quality_flags import FLAGS
from assets.raw_pairs.quality_signals import prompt_texts
from assets.settings import QualitySettings

NUM_LANGUAGES = 12

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
        measured: one row per measure of responses, with its mean and quantiles.
        flagged: pairs by broken threshold; empty when no threshold is set or none is broken.
        num_mixed_languages: pairs whose two responses are in different known languages.
    """

    languages: dict[str, int]
    found: list[dict[str, Any]]
    measured: list[dict[str, Any]]
    flagged: dict[str, int]
    num_mixed_languages: int


def summarise(signals: pa.Table) -> QualitySummary:
    """Summary of a table of contract `quality_signals`."""
    first, second = (np.array(signals[f"language_{side}"].to_pylist(), dtype=object) for side in ("1", "2"))
    mixed = int(np.sum((first != second) & (first != "unknown") & (second != "unknown")))
    flags = Counter(flag for row in signals["flags"].to_pylist() for flag in row)
    return QualitySummary(
        languages=_ranked([signals[f"language_{text}"] for text in ("prompt", "1", "2")]),
        found=[_found(name, holds, len(signals)) for name, holds in _holds(signals).items()],
        measured=[_measured(name, column, signals) for name, column in _RATES],
        flagged={name: flags[name] for name in FLAGS if flags[name]},
        num_mixed_languages=mixed,
    )


def num_prompts_by_language(rows: pa.Table, settings: QualitySettings) -> dict[str, int]:
    """Rows by language of their prompt's last turn, most frequent first; beyond twelve, `others`.

    Args:
        rows: of contract `pairs`, few enough to be held at once.
    """
    _, last_turns = prompt_texts(rows["prompt"].combine_chunks())
    return _ranked([detect_languages(last_turns, settings.language_chars)[0]])


def _ranked(columns: list[pa.Array]) -> dict[str, int]:
    spoken: Counter[str] = Counter()
    for column in columns:
        for entry in column.value_counts().to_pylist():
            spoken[entry["values"]] += entry["counts"]
    ranked = sorted(spoken.items(), key=lambda item: (-item[1], item[0]))
    languages = dict(ranked[:NUM_LANGUAGES])
    if len(ranked) > NUM_LANGUAGES:
        languages["others"] = sum(count for _, count in ranked[NUM_LANGUAGES:])
    return languages


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


def _found(name: str, holds: np.ndarray, num_rows: int) -> dict[str, Any]:
    return {"pairs with": name, "pairs": int(holds.sum()), "share": float(holds.sum()) / max(1, num_rows)}


def _measured(name: str, column: str, signals: pa.Table) -> dict[str, Any]:
    values = np.concatenate([signals[f"{column}_{side}"].to_numpy() for side in ("1", "2")])
    if not len(values):
        return {"of responses": name}
    quantiles = {f"{q:.0%}": float(v) for q, v in zip(_QUANTILES, np.quantile(values, _QUANTILES), strict=True)}
    return {"of responses": name, "mean": float(values.mean()), **quantiles, "largest": float(values.max())}
