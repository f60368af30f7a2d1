"""Segments: the cache's unit on disk, tokens and index of up to 65,536 pairs, whole or not there."""

from __future__ import annotations

import contextlib
import json
import shutil
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from assets.durable_files import sha256_of, sync
from assets.errors import SynprefError
from training.token_cache.encoding import INDEX, EncodedPart, checksum
from training.token_cache.pair_keys import hex_of

_TOKENS, _INDEX, _MANIFEST = "tokens.bin", "index.npy", "manifest.json"
# Kept in a manifest for people; the number of refused pairs is in the index.
_EXAMPLES = 5


class DamagedSegmentError(SynprefError):
    """A segment's files are not the ones that were written."""


@dataclass(frozen=True)
class Segment:
    """Tokens of some pairs of one text file.

    Attributes:
        index: dtype `INDEX`, sorted by key, mapped into memory.
        manifest: see `SegmentWriter.publish`.
    """

    folder: Path
    index: NDArray[Any]
    manifest: Mapping[str, Any]

    @classmethod
    def open(cls, folder: Path) -> Segment:
        """Open a segment whose sizes and whose index's hash are those of its manifest.

        The tokens themselves are checked pair by pair as they are read: hashing them all would take minutes.

        Raises:
            DamagedSegmentError: a file is missing, has another size, or the index has another hash.
        """
        try:
            manifest = json.loads((folder / _MANIFEST).read_text("utf-8"))
            sizes = {name: (folder / name).stat().st_size for name in (_TOKENS, _INDEX)}
            if sizes != manifest["bytes"]:
                raise DamagedSegmentError(f"A token cache's files have sizes {sizes}.", where=str(folder))
            if sha256_of(folder / _INDEX) != manifest["index_sha256"]:
                raise DamagedSegmentError("A token cache's index has been changed.", where=str(folder))
            # As a plain array over the map: a row of it is then read five times faster.
            index = np.asarray(np.load(folder / _INDEX, mmap_mode="r", allow_pickle=False))
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise DamagedSegmentError(f"A token cache's segment cannot be read: {error}.", where=str(folder)) from error
        if index.dtype != INDEX:
            raise DamagedSegmentError("A token cache's index has other columns.", where=str(folder))
        return cls(folder, index, manifest)

    @cached_property
    def tokens(self) -> NDArray[Any]:
        """All tokens, mapped into memory; uint16 or int32."""
        dtype = np.dtype(self.manifest["dtype"])
        if not self.manifest["bytes"][_TOKENS]:
            return np.zeros(0, dtype)
        return np.asarray(np.memmap(self.folder / _TOKENS, dtype, mode="r"))

    def pair(self, row: int) -> tuple[NDArray[np.int32], NDArray[np.int32], NDArray[np.int32]]:
        """Tokens of prompt, response 1 and response 2 of a row of the index, int32.

        Raises:
            DamagedSegmentError: the tokens are not the ones that were written.
        """
        key, _, prompt_at, at, num_prompt, num_1, num_2, _, expected, _ = self.index[row].item()
        prompt = self.tokens[prompt_at : prompt_at + num_prompt]
        first, second = self.tokens[at : at + num_1], self.tokens[at + num_1 : at + num_1 + num_2]
        if checksum(prompt, first, second) != expected:
            raise DamagedSegmentError(
                f"The cached tokens of pair {hex_of(key)} have been changed.",
                where=str(self.folder / _TOKENS),
                kept="texts and labels",
                todo=f"remove {self.folder} and run again: its pairs are tokenised anew",
            )
        return prompt.astype(np.int32), first.astype(np.int32), second.astype(np.int32)


class SegmentWriter:
    """Writes one segment under a hidden name; `publish` gives it its own."""

    def __init__(self, parent: Path, dtype: np.dtype) -> None:
        self._parent, self._dtype = parent, dtype
        self._folder = parent / f".{uuid.uuid4().hex}.tmp"
        self._folder.mkdir()
        self._file = (self._folder / _TOKENS).open("wb")
        self._indexes: list[NDArray[Any]] = []
        self._refused: dict[bytes, str] = {}
        self._num_tokens = 0
        self.num_pairs = 0

    def add(self, part: EncodedPart) -> None:
        """Append pairs."""
        index = part.index.copy()
        index["prompt_at"] += self._num_tokens
        index["replies_at"] += self._num_tokens
        self._file.write(np.ascontiguousarray(part.tokens, self._dtype).data)
        self._indexes.append(index)
        self._refused.update(part.refused)
        self._num_tokens += len(part.tokens)
        self.num_pairs += len(index)

    def publish(self, about: Mapping[str, Any]) -> Segment:
        """Sync, write the manifest last, rename.

        Args:
            about: kept in the manifest: the text file, what decides the tokens.
        """
        self._file.close()
        index = np.concatenate(self._indexes)
        index = index[np.argsort(index["key"], kind="stable")]
        np.save(self._folder / _INDEX, index, allow_pickle=False)
        sha = sha256_of(self._folder / _INDEX)
        manifest = {
            **about,
            "num_pairs": len(index),
            "num_tokens": self._num_tokens,
            "dtype": self._dtype.name,
            "bytes": {name: (self._folder / name).stat().st_size for name in (_TOKENS, _INDEX)},
            "index_sha256": sha,
            "refused_examples": {hex_of(k): self._refused[k] for k in sorted(self._refused)[:_EXAMPLES]},
        }
        for name in (_TOKENS, _INDEX):
            sync(self._folder / name)
        (self._folder / _MANIFEST).write_text(json.dumps(manifest, indent=1, sort_keys=True), "utf-8")
        sync(self._folder / _MANIFEST)
        sync(self._folder)
        final = self._parent / f"segment-{sha[:16]}"
        self._folder.rename(final)
        sync(self._parent)
        return Segment.open(final)

    def discard(self) -> None:
        """Remove what was written."""
        # On a full disk closing fails as writing did; why is said already.
        with contextlib.suppress(OSError):
            self._file.close()
        shutil.rmtree(self._folder, ignore_errors=True)


def segments_in(parent: Path) -> tuple[list[Segment], list[DamagedSegmentError]]:
    """Whole segments in order of name, and what is wrong with the others."""
    whole: list[Segment] = []
    damaged: list[DamagedSegmentError] = []
    for folder in sorted(parent.glob("segment-*")):
        try:
            whole.append(Segment.open(folder))
        except DamagedSegmentError as error:
            damaged.append(error)
    return whole, damaged


def remove_unusable(parent: Path, damaged: Sequence[DamagedSegmentError]) -> None:
    """Remove damaged segments and what killed writers left; the caller holds the folder's lock."""
    for folder in (*parent.glob(".*.tmp"), *(Path(error.where) for error in damaged)):
        shutil.rmtree(folder, ignore_errors=True)
