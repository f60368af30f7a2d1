"""Data: from a selection and the text files to labelled pairs, every row that makes none under a reason."""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from assets.accounting import StageCounts
from assets.chance import rank_key
from assets.contracts import contract_of
from assets.errors import ContractError, SynprefError
from assets.identity import Turn, prompt_cluster_key

TEXT_COLUMNS = ["pair_id", "prompt", "response_1", "response_2"]
Item = tuple[Sequence[Turn], str]
"""What a reward model scores: a conversation and one response to it."""


@dataclass(frozen=True)
class PairText:
    """Text of one pair, responses in canonical order."""

    prompt: tuple[Turn, ...]
    response_1: str
    response_2: str


@dataclass(frozen=True)
class LabelledPair:
    """A pair with its chosen side.

    Attributes:
        weight: above 0; scales the pair's share of its batch's loss.
        cluster: key of the prompt, shared by prompts that differ in case and punctuation only.
    """

    pair_id: str
    prompt: tuple[Turn, ...]
    chosen: str
    rejected: str
    weight: float
    cluster: str


def read_selection(path: Path | None, columns: Sequence[str]) -> list[dict]:
    """Rows of a selection in order of pair id; no path, no rows.

    Raises:
        ContractError: the file is missing, lacks a column, or names a pair twice.
    """
    if path is None:
        return []
    try:
        table = pq.read_table(path)
    except (OSError, pa.ArrowInvalid) as error:
        raise ContractError(f"A selection cannot be read: {error}.", where=str(path)) from error
    missing = [column for column in columns if column not in table.schema.names]
    if missing:
        raise ContractError(f"A selection lacks the columns {missing}.", where=str(path))
    rows = table.select(list(columns)).sort_by("pair_id").to_pylist()
    for before, row in itertools.pairwise(rows):
        if before["pair_id"] == row["pair_id"]:
            raise ContractError(
                f"A selection names pair {row['pair_id']} twice.", where=str(path), todo="give every pair one row"
            )
    return rows


def read_texts(files: Sequence[Path], pair_ids: Collection[str]) -> dict[str, PairText]:
    """Text of the wanted pairs. A pair that several sources gave has the text of the first file that has it.

    Only the row groups' wanted rows are kept in memory, so a pool much larger than the selection can be read.

    Raises:
        ContractError: a file is missing or lacks a column.
    """
    wanted = pa.array(sorted(set(pair_ids)), pa.string())
    texts: dict[str, PairText] = {}
    for path in files:
        try:
            with pq.ParquetFile(path) as file:
                check_text_columns(file.schema_arrow, path)
                for group in range(file.num_row_groups):
                    for row in _wanted_rows(file, group, wanted):
                        texts.setdefault(row["pair_id"], _pair_text(row))
        except (OSError, pa.ArrowInvalid) as error:
            raise ContractError(f"A text file cannot be read: {error}.", where=str(path)) from error
    return texts


def check_text_columns(schema: pa.Schema, path: Path) -> None:
    """Raise ContractError where a text file lacks a column or has it of another type."""
    expected = contract_of("pairs").schema
    wrong = [
        name
        for name in TEXT_COLUMNS
        if name not in schema.names or not schema.field(name).type.equals(expected.field(name).type)
    ]
    if wrong:
        raise ContractError(
            f"A text file lacks the columns {wrong}, or has them of another type.",
            where=str(path),
            todo="give files of the pairs table (assets/contracts.py)",
        )


def _wanted_rows(file: pq.ParquetFile, group: int, wanted: pa.Array) -> Iterable[dict]:
    import pyarrow.compute as pc

    ids = file.read_row_group(group, columns=["pair_id"])["pair_id"]
    if not pc.any(mask := pc.is_in(ids, wanted)).as_py():
        return []
    return file.read_row_group(group, columns=TEXT_COLUMNS).filter(mask).to_pylist()


def _pair_text(row: Mapping) -> PairText:
    prompt = tuple((turn["role"], turn["content"] or "") for turn in row["prompt"] or ())
    return PairText(prompt, row["response_1"] or "", row["response_2"] or "")


def why_unusable(row: Mapping, text: PairText | None) -> str | None:
    """Why a selected row makes no training pair, or None.

    Ties and undecided pairs have no chosen side: they never train.
    """
    if row["chosen"] not in (1, 2):
        return "no_chosen_side"
    if row["weight"] is None or not 0 < row["weight"] < math.inf:
        return "no_weight"
    if text is None:
        return "text_not_found"
    if not any(content.strip() for _, content in text.prompt):
        return "empty_prompt"
    if not text.response_1.strip() or not text.response_2.strip():
        return "empty_response"
    if text.response_1 == text.response_2:
        return "equal_responses"
    return None


def label_pairs(
    rows: Sequence[Mapping], texts: Mapping[str, PairText], *, max_pairs: int | None = None, seed: int = 0
) -> tuple[list[LabelledPair], StageCounts]:
    """Join selected rows with their text.

    Args:
        rows: `pair_id`, `chosen`, `weight`; one row per pair.
        max_pairs: keep at most this many, drawn with the seed; the rest is counted `over_max_train_pairs`.

    Returns:
        The pairs in order of pair id, and the row accounting.
    """
    pairs: list[LabelledPair] = []
    dropped: Counter[str] = Counter()
    for row in rows:
        text = texts.get(row["pair_id"])
        reason = why_unusable(row, text)
        if reason is not None:
            dropped[reason] += 1
            continue
        assert text is not None
        sides = (text.response_1, text.response_2) if row["chosen"] == 1 else (text.response_2, text.response_1)
        pairs.append(
            LabelledPair(row["pair_id"], text.prompt, *sides, float(row["weight"]), prompt_cluster_key(text.prompt))
        )
    if max_pairs is not None and len(pairs) > max_pairs:
        dropped["over_max_train_pairs"] = len(pairs) - max_pairs
        pairs = sorted(pairs, key=lambda pair: rank_key(seed, pair.pair_id))[:max_pairs]
        pairs.sort(key=lambda pair: pair.pair_id)
    return pairs, StageCounts(len(rows), len(pairs), dict(dropped))


def refuse_leakage(train: Sequence[LabelledPair], dev: Sequence[LabelledPair]) -> None:
    """Raise when a prompt of the dev pairs is trained on: dev would choose the checkpoint that remembers best."""
    shared = {pair.cluster for pair in train} & {pair.cluster for pair in dev}
    if shared:
        raise leakage_error(len(shared), next(pair.pair_id for pair in train if pair.cluster in shared))


def leakage_error(num_prompts: int, training_pair: str) -> SynprefError:
    """What is said of prompts that are both trained on and in dev."""
    return SynprefError(
        f"{num_prompts} prompts are in the training and in the dev selection.",
        where=f"e.g. the prompt of training pair {training_pair}",
        kept="nothing was trained",
        todo="select training pairs from the train split only",
    )
