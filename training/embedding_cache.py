"""Embedding cache: sentence embeddings by text, shared between runs, grown in pieces that survive a kill."""

from __future__ import annotations

import sys
import time
import uuid
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from assets.identity import digest

# Texts embedded at a time: enough to find batches of like length in.
_CHUNK_TEXTS = 512
# A piece is written at least this often, so that a killed run loses no more.
_SECONDS_PER_PIECE = 30.0


@dataclass(frozen=True)
class Embedding:
    """One text's embedding, float16[d], and how many of its tokens the encoder did not see."""

    vector: NDArray[np.float16]
    num_truncated: int


Encode = Callable[[Sequence[str]], tuple[NDArray[np.float32], NDArray[np.int64]]]
"""From texts to embeddings float32[n, d] and truncated tokens int64[n]."""


def text_key(side: str, text: str) -> str:
    """Key of a text; prompts and responses are truncated at different ends, so the side belongs to it."""
    return digest("embedding", side, text)


class EmbeddingCache:
    """Embeddings of one encoder at one maximum length.

    Vectors are kept as float16: half the disk, and the last bits that depend on the batch are gone in nearly all
    values. Two processes may embed the same text at once; the piece first in order of name counts for both.

    Args:
        folder: of this encoder, or None to keep nothing beyond the process.
    """

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder
        self._memory: dict[str, Embedding] = {}

    def embed(self, texts: dict[str, str], encode: Encode) -> dict[str, Embedding]:
        """Embeddings of all texts; only those never seen are computed.

        Args:
            texts: key to text; keys from `text_key`.
            encode: called with up to 512 texts of like length at a time.
        """
        self._read(texts.keys() - self._memory.keys())
        missing = sorted((key for key in texts if key not in self._memory), key=lambda key: len(texts[key]))
        if missing:
            self._compute(missing, texts, encode)
        return {key: self._memory[key] for key in texts}

    def _read(self, wanted: Iterable[str]) -> None:
        keys = pa.array(sorted(wanted), pa.string())
        if self._folder is None or not len(keys):
            return
        for path in sorted(self._folder.glob("piece-*.parquet")):
            table = pq.read_table(path)
            table = table.filter(pc.is_in(table["key"], keys))
            if not len(table):
                continue
            vectors = np.stack([np.frombuffer(raw, np.float16) for raw in table["vector"].to_pylist()])
            for key, vector, lost in zip(
                table["key"].to_pylist(), vectors, table["num_truncated"].to_pylist(), strict=True
            ):
                self._memory.setdefault(key, Embedding(vector, lost))

    def _compute(self, missing: list[str], texts: dict[str, str], encode: Encode) -> None:
        from tqdm import tqdm

        chunks = [missing[at : at + _CHUNK_TEXTS] for at in range(0, len(missing), _CHUNK_TEXTS)]
        # Chunks of like length, but in mixed order: the rate shown then holds for the rest.
        order = np.random.default_rng(0).permutation(len(chunks))
        fresh: list[str] = []
        written = time.monotonic()
        with tqdm(
            total=len(missing), desc="embedding", unit="text", mininterval=2, disable=None, file=sys.stderr
        ) as bar:
            for at in order:
                vectors, truncated = encode([texts[key] for key in chunks[at]])
                for key, vector, lost in zip(chunks[at], vectors.astype(np.float16), truncated.tolist(), strict=True):
                    self._memory[key] = Embedding(vector, lost)
                fresh += chunks[at]
                bar.update(len(chunks[at]))
                if time.monotonic() - written > _SECONDS_PER_PIECE:
                    self._write(fresh)
                    fresh, written = [], time.monotonic()
        self._write(fresh)

    def _write(self, keys: list[str]) -> None:
        if self._folder is None or not keys:
            return
        self._folder.mkdir(parents=True, exist_ok=True)
        table = pa.table(
            {
                "key": pa.array(keys, pa.string()),
                "vector": pa.array([self._memory[key].vector.tobytes() for key in keys], pa.binary()),
                "num_truncated": pa.array([self._memory[key].num_truncated for key in keys], pa.int64()),
            }
        )
        name = uuid.uuid4().hex
        temporary = self._folder / f".{name}.tmp"
        pq.write_table(table, temporary)
        # Nanoseconds put the pieces in order of time; the rest keeps two processes apart.
        temporary.replace(self._folder / f"piece-{time.time_ns():020d}-{name[:8]}.parquet")
