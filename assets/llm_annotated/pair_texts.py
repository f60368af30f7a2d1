"""Pair texts: the texts that prompts need, read from the lake in one pass and held on disk, not in memory."""

from __future__ import annotations

import json
import sqlite3
import tempfile
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from assets.lake import Lake
from assets.llm_annotated.attribute_edits import edited_fields, effective_attributes
from assets.llm_annotated.attributes import rule_attributes
from assets.llm_annotated.prompting.pair_text import PairText

ReadTexts = Callable[[Collection[str]], Mapping[str, PairText]]
"""Texts of some pairs; a pair without any is left out."""

_BATCH_ROWS = 512
# SQLite takes so many parameters in one statement, whatever its version.
_MAX_PARAMETERS = 900


class PairTexts(Protocol):
    """Where texts of pairs come from."""

    def opened(self, pair_ids: Collection[str]) -> AbstractContextManager[ReadTexts]:
        """Gather these pairs' texts, to be read in blocks until the context ends."""
        ...


@dataclass(frozen=True)
class KnownTexts:
    """Texts that are at hand."""

    texts: Mapping[str, PairText]

    @contextmanager
    def opened(self, pair_ids: Collection[str]) -> Iterator[ReadTexts]:
        """See `PairTexts.opened`."""
        yield lambda wanted: {pair: self.texts[pair] for pair in wanted if pair in self.texts}


@dataclass(frozen=True)
class LakeTexts:
    """Texts of the lake, with the attributes as people left them.

    A pair without attributes (stage 2) gets those of the keyword rules, for the guideline it is judged by.

    Attributes:
        rounds: people's edits of which rounds count; None for all.
    """

    lake: Lake
    rounds: Sequence[str] | None = None

    @contextmanager
    def opened(self, pair_ids: Collection[str]) -> Iterator[ReadTexts]:
        """See `PairTexts.opened`. One pass over the text files; what is wanted of them goes to a temporary file."""
        wanted = pa.array(sorted(set(pair_ids)), pa.string())
        with (
            tempfile.TemporaryDirectory(prefix="synpref-texts-") as folder,
            closing(sqlite3.connect(Path(folder) / "texts.sqlite")) as database,
        ):
            # Nothing of it outlives the process.
            database.execute("pragma synchronous = off")
            database.execute("create table texts (pair_id text primary key, texts text) without rowid")
            if len(wanted):
                for path in self.lake.files("pairs"):
                    self._gather(path, wanted, database)
            edits = edited_fields(self.lake, self.rounds)
            yield lambda some: _read(database, some, effective_attributes(self.lake, some, edits=edits))

    def _gather(self, path: Path, wanted: pa.Array, database: sqlite3.Connection) -> None:
        columns = ["pair_id", "prompt", "response_1", "response_2"]
        with pq.ParquetFile(path) as file:
            for batch in file.iter_batches(_BATCH_ROWS, columns=columns):
                rows = batch.filter(pc.is_in(batch["pair_id"], wanted)).to_pylist()
                # Of a pair that several rows hold, the first in order of source and row counts.
                database.executemany(
                    "insert or ignore into texts values (?, ?)",
                    [
                        (
                            row["pair_id"],
                            json.dumps(
                                [
                                    [[turn["role"], turn["content"] or ""] for turn in row["prompt"] or []],
                                    row["response_1"] or "",
                                    row["response_2"] or "",
                                ]
                            ),
                        )
                        for row in rows
                    ],
                )


def _read(
    database: sqlite3.Connection, pair_ids: Collection[str], attributes: Mapping[str, Mapping[str, str]]
) -> dict[str, PairText]:
    found = {}
    wanted = sorted(set(pair_ids))
    for start in range(0, len(wanted), _MAX_PARAMETERS):
        some = wanted[start : start + _MAX_PARAMETERS]
        marks = ", ".join("?" * len(some))
        query = f"select pair_id, texts from texts where pair_id in ({marks})"  # noqa: S608
        for pair, texts in database.execute(query, some):
            turns, one, two = json.loads(texts)
            known = attributes.get(pair) or rule_attributes([{"role": r, "content": c} for r, c in turns])
            found[pair] = PairText(tuple((role, content) for role, content in turns), one, two, known)
    return found
