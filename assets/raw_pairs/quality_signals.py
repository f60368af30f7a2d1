"""Quality signals: what can be told of the texts of a source's pairs, one row a pair, nothing dropped."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from assets.accounting import StageCounts
from assets.contracts import contract_of
from assets.lake import Lake
from assets.partition_writer import Manifest
from assets.raw_pairs.languages import detect_languages
from assets.raw_pairs.parallel import map_in_order, num_workers
from assets.raw_pairs.quality_flags import flags_of
from assets.raw_pairs.secrets_and_pii import count_secrets_and_pii
from assets.raw_pairs.text_patterns import markdown_density, num_encoding_faults, refusals
from assets.settings import QualitySettings

SIGNALS_VERSION = 1
"""Raised when the same texts are to give other signals."""

_COLUMNS = ["pair_id", "source", "source_row", "prompt", "response_1", "response_2"]
# Texts held at once; memory follows from it and from the longest of them.
_BATCH_ROWS = 2_048
# Below this many rows, starting processes takes longer than the measuring.
_PARALLEL_ROWS = 50_000


def measure_source(
    lake: Lake,
    pairs: Manifest,
    settings: QualitySettings,
    *,
    inputs: str,
    signals_inputs: str,
    progress: Callable[[int, float], None] | None = None,
) -> Manifest:
    """Publish the signals of one source, row group by row group.

    Signals that were published from the same texts and settings are kept: only their flags are made anew.

    Args:
        pairs: the source's partition of `pairs`.
        inputs: fingerprint of everything, thresholds included.
        signals_inputs: fingerprint of all but the thresholds.
        progress: called after every row group with rows done and the share done, 0 to 1.

    Raises:
        ConfigError: an optional signal is configured and what it needs is missing.
    """
    partition = {"source": pairs.partition["source"]}
    counts = StageCounts(pairs.num_rows, pairs.num_rows)
    info = {"counts": counts.as_dict(), "signals_inputs": signals_inputs}
    before = lake.manifest("quality_signals", partition)
    known = before is not None and before.info.get("signals_inputs") == signals_inputs
    measured = _flagged_anew(lake.file_of(before), settings) if known and before else _measured(lake, pairs, settings)
    done = 0
    with lake.writer("quality_signals", partition, inputs=inputs, info=info) as writer:
        for table in measured:
            writer.write(table)
            done += len(table)
            if progress:
                progress(done, done / max(1, pairs.num_rows))
    assert writer.manifest is not None
    return writer.manifest


def _measured(lake: Lake, pairs: Manifest, settings: QualitySettings) -> Iterator[pa.Table]:
    path = lake.file_of(pairs)
    with pq.ParquetFile(path) as file:
        num_groups = file.num_row_groups
    jobs = ({"path": path, "group": group, "settings": settings} for group in range(num_groups))
    workers = num_workers() if pairs.num_rows >= _PARALLEL_ROWS else 1
    return map_in_order(measure_row_group, jobs, num_workers=workers)


def _flagged_anew(path: Path, settings: QualitySettings) -> Iterator[pa.Table]:
    with pq.ParquetFile(path) as file:
        for batch in file.iter_batches():
            table = pa.Table.from_batches([batch])
            at = table.schema.get_field_index("flags")
            yield table.set_column(at, "flags", flags_of(table, settings.thresholds))


def measure_row_group(path: Path, group: int, settings: QualitySettings) -> pa.Table:
    """Signals of one row group of a file of `pairs`; a function of the module, so that a process can be sent it."""
    with pq.ParquetFile(path) as file:
        batches = file.iter_batches(_BATCH_ROWS, row_groups=[group], columns=_COLUMNS)
        return pa.concat_tables([measure_signals(pa.Table.from_batches([batch]), settings) for batch in batches])


def measure_signals(rows: pa.Table, settings: QualitySettings) -> pa.Table:
    """Signals of some pairs.

    Args:
        rows: columns of `pairs`.

    Returns:
        A table of contract `quality_signals`, in the order of the rows.
    """
    from assets.raw_pairs.repetition import measure_repetition

    whole_prompt, last_turn = prompt_texts(rows["prompt"].combine_chunks())
    texts = {"prompt": whole_prompt}
    texts |= {side: pc.fill_null(rows[f"response_{side}"].combine_chunks(), "") for side in ("1", "2")}
    columns: dict[str, Any] = {name: rows[name] for name in ("pair_id", "source", "source_row")}
    for name, text in texts.items():
        seen = last_turn if name == "prompt" else text
        columns[f"language_{name}"], columns[f"language_confidence_{name}"] = detect_languages(
            seen, settings.language_chars
        )
        columns[f"num_encoding_faults_{name}"] = num_encoding_faults(text)
        repetition = measure_repetition(text)
        columns[f"num_words_{name}"] = repetition.num_words
        if name != "prompt":
            columns[f"duplicate_line_rate_{name}"] = repetition.duplicate_line_rate
            columns[f"top_3gram_rate_{name}"] = repetition.top_3gram_rate
            columns[f"duplicate_5gram_rate_{name}"] = repetition.duplicate_5gram_rate
            columns[f"refusal_{name}"] = refusals(text)
            columns[f"markdown_density_{name}"] = markdown_density(text)
        for column, found in count_secrets_and_pii(text).items():
            columns[column] = columns.get(column, 0) + found
    columns |= _optional_signals(texts, settings)
    contract = contract_of("quality_signals")
    signals = pa.table({n: columns[n] for n in contract.schema.names if n != "flags"})
    return signals.append_column("flags", flags_of(signals, settings.thresholds)).cast(contract.schema)


def prompt_texts(prompts: pa.ListArray) -> tuple[pa.Array, pa.Array]:
    """All turns of each prompt joined by line feeds, and its last turn; empty where a prompt has no turns.

    >>> turns = [[{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}], []]
    >>> [part.to_pylist() for part in prompt_texts(pa.array(turns))]
    [['a\\nb', ''], ['b', '']]
    """
    starts = prompts.offsets.to_numpy() - prompts.offsets[0].as_py()
    contents = pc.fill_null(pc.struct_field(prompts.flatten(), "content"), "")
    joined = pc.binary_join(pa.ListArray.from_arrays(pa.array(starts, pa.int32()), contents), "\n")
    last = np.where(np.diff(starts) > 0, starts[1:] - 1, -1)
    return joined, pc.fill_null(contents.take(pa.array(last, mask=last < 0)), "")


def _optional_signals(texts: dict[str, pa.Array], settings: QualitySettings) -> dict[str, Any]:
    size = len(texts["prompt"])
    found: dict[str, Any] = {"num_presidio_entities": pa.nulls(size, pa.int64())}
    found |= {f"toxicity_{side}": pa.nulls(size, pa.float64()) for side in ("1", "2")}
    if settings.presidio_model:
        counter = _presidio(settings.presidio_model)
        found["num_presidio_entities"] = sum(counter.count(text) for text in texts.values())
    if settings.toxicity_model:
        model = _toxicity(settings.toxicity_model, settings.toxicity_revision, settings.toxicity_label)
        found |= {f"toxicity_{side}": model.score(texts[side]) for side in ("1", "2")}
    return found


@lru_cache(maxsize=1)
def _presidio(model: str) -> Any:
    from assets.raw_pairs.optional_signals import PresidioCounter

    return PresidioCounter(model)


@lru_cache(maxsize=1)
def _toxicity(model: str, revision: str, label: str) -> Any:
    from assets.raw_pairs.optional_signals import ToxicityModel

    return ToxicityModel(model, revision, label)
