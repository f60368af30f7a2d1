"""Selection: which pairs, and which response of each is chosen, as arrays."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from assets.errors import ContractError
from training.token_cache.pair_keys import KEY, Keys, hex_of, keys_of

_ROWS_AT_ONCE = 262_144
_HEX_ID = "^[0-9a-f]{32}$"


@dataclass(frozen=True)
class PairSelection:
    """Selected pairs in order of their keys: of their ids, where those are 32 hex digits.

    Attributes:
        keys: S16[n], each once.
        chosen: int8[n]: 1, 2, or 0 where no side is chosen.
        weight: float64[n]; NaN where there is none.
        ids: the pair ids, where they are not all 32 hex digits; None otherwise.
    """

    keys: Keys
    chosen: NDArray[np.int8]
    weight: NDArray[np.float64]
    ids: pa.LargeStringArray | None

    def __len__(self) -> int:
        return len(self.keys)

    def pair_id(self, at: int) -> str:
        """Id of the pair at a position."""
        return hex_of(self.keys[at]) if self.ids is None else self.ids[at].as_py()


def read_labels(path: Path | None, *, labelled: bool = True) -> PairSelection:
    """Read a selection, 25 bytes a pair; no path, no pairs.

    Args:
        labelled: whether `chosen` and `weight` are asked for.

    Raises:
        ContractError: the file is missing, lacks a column, has a pair without an id, or names a pair twice.
    """
    columns = ["pair_id", "chosen", "weight"] if labelled else ["pair_id"]
    keys, chosen, weight, ids = [np.zeros(0, KEY)], [np.zeros(0, np.int8)], [np.zeros(0)], []
    try:
        if path is not None:
            with pq.ParquetFile(path) as file:
                missing = [column for column in columns if column not in file.schema_arrow.names]
                if missing:
                    raise ContractError(f"A selection lacks the columns {missing}.", where=str(path))
                for batch in file.iter_batches(_ROWS_AT_ONCE, columns=columns):
                    names = batch["pair_id"].cast(pa.large_string())
                    if names.null_count:
                        raise ContractError("A selection has pairs without an id.", where=str(path))
                    keys.append(keys_of(names))
                    # Ids that are their keys written out need not be kept.
                    ids.append(names if not pc.all(pc.match_substring_regex(names, _HEX_ID)).as_py() else None)
                    chosen.append(_chosen(batch["chosen"]) if labelled else np.zeros(len(batch), np.int8))
                    weight.append(_numbers(batch["weight"]) if labelled else np.zeros(len(batch)))
    except (OSError, pa.ArrowInvalid) as error:
        raise ContractError(f"A selection cannot be read: {error}.", where=str(path)) from error
    return _sorted(keys, chosen, weight, ids, path)


def _sorted(keys: list, chosen: list, weight: list, ids: list, path: Path | None) -> PairSelection:
    all_keys = np.concatenate(keys)
    order = np.argsort(all_keys, kind="stable")
    all_keys = all_keys[order]
    all_ids = None
    if any(part is not None for part in ids):
        texts = [
            part if part is not None else pa.array([hex_of(key) for key in own], pa.large_string())
            for part, own in zip(ids, keys[1:], strict=True)
        ]
        all_ids = pa.concat_arrays(texts).take(pa.array(order))
    selection = PairSelection(all_keys, np.concatenate(chosen)[order], np.concatenate(weight)[order], all_ids)
    doubled = np.flatnonzero(all_keys[1:] == all_keys[:-1])
    if len(doubled):
        raise ContractError(
            f"A selection names pair {selection.pair_id(int(doubled[0]))} twice.",
            where=str(path),
            todo="give every pair one row",
        )
    return selection


def _chosen(column: pa.Array) -> NDArray[np.int8]:
    numbers = _numbers(column)
    return np.where(np.isin(numbers, (1, 2)), numbers, 0).astype(np.int8)


def _numbers(column: pa.Array) -> NDArray[np.float64]:
    if not (pa.types.is_integer(column.type) or pa.types.is_floating(column.type)):
        return np.full(len(column), np.nan)
    return pc.fill_null(column.cast(pa.float64()), np.nan).to_numpy(zero_copy_only=False)
