"""Made-up documents with planted near-duplicates and planted benchmark text, for measuring recall and speed.

    python -m benchmarks.texts near_duplicates DOCUMENTS.jsonl --documents 100000
    python -m benchmarks.texts contaminated DOCUMENTS.jsonl --documents 100000 --benchmark-prompts 30000

A document is about 4 KB: 350 to 1,050 words out of 20,000, drawn by rank as in real text. Every word is a function
of (seed, document, position), so the same arguments give the same bytes, and one core writes over 100 MB/s.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import numba
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

JACCARD_LEVELS = tuple(round(0.5 + 0.05 * step, 2) for step in range(10))
SHINGLE_WORDS = 5
_NUM_WORDS = 20_000
_MIN_WORDS, _MAX_WORDS = 350, 1_050
# Words are drawn through a table of 2^20 entries, in which each word stands as often as its rank says.
_TABLE_BITS = 20
_DOCUMENTS_PER_BLOCK = 10_000
# Lengths in words of what is copied from a benchmark prompt; one below 13 must not be found by 13-grams.
COPIED_WORDS = (12, 13, 14, 20, 30)
# Streams of random numbers that have nothing to do with each other.
_LENGTH, _WORD, _REPLACED, _PROMPT, _VOCABULARY = 1, 2, 3, 4, 5

# From document numbers to their word numbers.
_Make = Callable[[NDArray[np.int64]], list[NDArray[np.int32]]]


def write_texts(
    path: Path,
    num_documents: int,
    seed: int = 1,
    *,
    planted_share: float = 0.02,
    levels: Sequence[float] = JACCARD_LEVELS,
) -> pa.Table:
    """Write JSONL of {"id", "text"}, some documents being near copies of earlier ones.

    A copy differs from its original in single words, at least five apart, so many that about the wanted share of
    word 5-grams is left; each document is in one planted pair at most. Other documents share a few 5-grams by chance.

    Args:
        planted_share: planted pairs by documents.
        levels: wanted Jaccard similarities, in turn.

    Returns:
        One row per planted pair: `id_a`, `id_b`, `jaccard` (exact, of the sets of word 5-grams).
    """
    words = _Words(seed)
    lengths = words.lengths(num_documents)
    num_pairs = min(round(num_documents * planted_share), num_documents // 2)
    chosen = np.random.default_rng(seed).permutation(num_documents)[: 2 * num_pairs]
    originals, copies = np.minimum(chosen[::2], chosen[1::2]), np.maximum(chosen[::2], chosen[1::2])
    original_of = dict(zip(copies.tolist(), originals.tolist(), strict=True))
    level_of = {copy: levels[number % len(levels)] for number, copy in enumerate(copies.tolist())}
    exact: dict[int, float] = {}

    def edited(ids: NDArray[np.int64]) -> list[NDArray[np.int32]]:
        documents = [words.draw(_WORD, int(n), int(lengths[n])) for n in ids]
        for at, number in enumerate(ids.tolist()):
            if number in original_of:
                original = words.draw(_WORD, original_of[number], int(lengths[original_of[number]]))
                documents[at] = words.replaced(original, number, level_of[number])
                exact[number] = jaccard(original, documents[at])
        return documents

    _write_documents(path, num_documents, words, edited)
    return pa.table(
        {
            "id_a": [_document_id(int(n)) for n in originals],
            "id_b": [_document_id(int(n)) for n in copies],
            "jaccard": pa.array([exact[int(n)] for n in copies], pa.float64()),
        }
    )


def write_contaminated(
    path: Path, num_documents: int, num_benchmark_prompts: int, seed: int = 1, *, planted_share: float = 0.01
) -> pa.Table:
    """Write JSONL of documents, and of benchmark prompts ({"id", "text"}) beside it, at `benchmark_path(path)`.

    Returns:
        One row per planted copy: `id` (document), `item_id` (benchmark prompt), `num_words` (copied words in a
        row, chance neighbours included): rows below 13 are decoys that 13-grams must not find.
    """
    words = _Words(seed)
    lengths = words.lengths(num_documents)
    prompt_lengths = 40 + words.random(_PROMPT, np.arange(num_benchmark_prompts)) % np.uint64(110)
    prompts = [
        words.draw(_PROMPT, number, int(length)) for number, length in enumerate(prompt_lengths.astype(np.int64))
    ]
    with benchmark_path(path).open("wb") as file:
        for number, prompt in enumerate(prompts):
            file.write(b'{"id":"%s","text":"%s"}\n' % (_item_id(number).encode(), words.text(prompt)))
    rng = np.random.default_rng(seed)
    touched = rng.permutation(num_documents)[: round(num_documents * planted_share)]
    item_of = dict(zip(touched.tolist(), rng.integers(num_benchmark_prompts, size=len(touched)).tolist(), strict=True))
    copied_of = {number: COPIED_WORDS[at % len(COPIED_WORDS)] for at, number in enumerate(touched.tolist())}
    found: dict[int, int] = {}

    def planted(ids: NDArray[np.int64]) -> list[NDArray[np.int32]]:
        documents = [words.draw(_WORD, int(n), int(lengths[n])) for n in ids]
        for at, number in enumerate(ids.tolist()):
            if number in item_of:
                found[number] = _plant(documents[at], prompts[item_of[number]], copied_of[number], seed + number)
        return documents

    _write_documents(path, num_documents, words, planted)
    order = sorted(item_of)
    return pa.table(
        {
            "id": [_document_id(n) for n in order],
            "item_id": [_item_id(item_of[n]) for n in order],
            "num_words": pa.array([found[n] for n in order], pa.int64()),
        }
    )


def benchmark_path(documents: Path) -> Path:
    """Where the benchmark prompts of a file of documents lie."""
    return documents.with_name(f"{documents.stem}_benchmark.jsonl")


def jaccard(first: NDArray[np.int32], second: NDArray[np.int32], size: int = SHINGLE_WORDS) -> float:
    """Jaccard similarity of the sets of word n-grams of two texts, given as word numbers.

    >>> jaccard(np.arange(6, dtype=np.int32), np.arange(7, dtype=np.int32))
    0.6666666666666666
    """
    a, b = (
        set(map(bytes, np.lib.stride_tricks.sliding_window_view(words, size))) if len(words) >= size else set()
        for words in (first, second)
    )
    return len(a & b) / len(a | b) if a or b else 0.0


class _Words:
    """The vocabulary, and words as a function of (seed, stream, text, position)."""

    def __init__(self, seed: int) -> None:
        self.seed = np.uint64(seed)
        rng = np.random.default_rng([seed, _VOCABULARY])
        letters = np.array(list("abcdefghijklmnopqrstuvwxyz"))
        words: dict[str, None] = {}
        while len(words) < _NUM_WORDS:
            words["".join(rng.choice(letters, rng.integers(2, 9)))] = None
        encoded = [word.encode() for word in words]
        self.letters = np.frombuffer(b"".join(encoded), np.uint8)
        self.starts = np.concatenate([[0], np.cumsum([len(word) for word in encoded])]).astype(np.int64)
        shares = 1 / np.arange(1, _NUM_WORDS + 1)
        edges = np.cumsum(shares / shares.sum())
        self.table = np.searchsorted(edges, (np.arange(2**_TABLE_BITS) + 0.5) / 2**_TABLE_BITS).astype(np.int32)

    def random(self, stream: int, numbers: NDArray[np.int64]) -> NDArray[np.uint64]:
        """64 random bits for each number."""
        return _mixed(numbers.astype(np.uint64) + (self.seed << np.uint64(40)) + np.uint64(stream << 60))

    def lengths(self, num_documents: int) -> NDArray[np.int64]:
        """Words per document."""
        drawn = self.random(_LENGTH, np.arange(num_documents)) % np.uint64(_MAX_WORDS - _MIN_WORDS + 1)
        return drawn.astype(np.int64) + _MIN_WORDS

    def draw(self, stream: int, text: int, length: int) -> NDArray[np.int32]:
        """Word numbers of a text."""
        key = self.random(stream, np.array([text]))[0]
        return _draw(key, length, self.table)

    def replaced(self, words: NDArray[np.int32], text: int, level: float) -> NDArray[np.int32]:
        """A copy with single words changed, so that about `level` of the 5-grams of both are shared."""
        num_shingles = len(words) - SHINGLE_WORDS + 1
        num_changed = max(1, round(num_shingles * (1 - level) / (1 + level) / SHINGLE_WORDS))
        bits = self.random(_REPLACED, np.array([text]))[0]
        stride = len(words) // num_changed
        offset = int(bits % np.uint64(max(1, stride - SHINGLE_WORDS + 1)))
        positions = np.arange(num_changed) * stride + offset
        copy = words.copy()
        # Another word than the one that stands there, whatever that is.
        shift = 1 + (self.random(_REPLACED, text * 4_096 + positions) % np.uint64(_NUM_WORDS - 1)).astype(np.int32)
        copy[positions] = (copy[positions] + shift) % _NUM_WORDS
        return copy

    def text(self, words: NDArray[np.int32]) -> bytes:
        """The words, one space between them."""
        return _spell(words, self.starts, self.letters).tobytes()


def _write_documents(path: Path, num_documents: int, words: _Words, make: _Make) -> None:
    with path.open("wb", buffering=2**22) as file:
        for first in range(0, num_documents, _DOCUMENTS_PER_BLOCK):
            ids = np.arange(first, min(first + _DOCUMENTS_PER_BLOCK, num_documents))
            for number, document in zip(ids.tolist(), make(ids), strict=True):
                file.write(b'{"id":"%s","text":"%s"}\n' % (_document_id(number).encode(), words.text(document)))


def _plant(document: NDArray[np.int32], prompt: NDArray[np.int32], num_words: int, seed: int) -> int:
    """Copy words of the prompt over words of the document; returns how many in a row are equal then."""
    rng = np.random.default_rng(seed)
    source = int(rng.integers(len(prompt) - num_words + 1))
    target = int(rng.integers(len(document) - num_words + 1))
    document[target : target + num_words] = prompt[source : source + num_words]
    before, after = 0, 0
    while min(source, target) > before and document[target - before - 1] == prompt[source - before - 1]:
        before += 1
    while (
        max(source - len(prompt), target - len(document)) + num_words + after < 0
        and document[target + num_words + after] == prompt[source + num_words + after]
    ):
        after += 1
    return before + num_words + after


def _document_id(number: int) -> str:
    return f"d{number:09d}"


def _item_id(number: int) -> str:
    return f"q{number:06d}"


def _mixed(values: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """The finaliser of SplitMix64: every bit of the result depends on every bit of the value."""
    values = values + np.uint64(0x9E3779B97F4A7C15)
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))


@numba.njit(cache=False)
def _draw(key, length, table):
    words = np.empty(length, np.int32)
    state = key
    for position in range(length):
        state += np.uint64(0x9E3779B97F4A7C15)
        mixed = (state ^ (state >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        words[position] = table[(mixed ^ (mixed >> np.uint64(31))) >> np.uint64(64 - _TABLE_BITS)]
    return words


@numba.njit(cache=False)
def _spell(words, starts, letters):
    size = len(words) - 1
    for word in words:
        size += starts[word + 1] - starts[word]
    text = np.empty(max(size, 0), np.uint8)
    at = 0
    for number in range(len(words)):
        if number:
            text[at] = 32
            at += 1
        for letter in range(starts[words[number]], starts[words[number] + 1]):
            text[at] = letters[letter]
            at += 1
    return text


def main(arguments: Sequence[str] | None = None) -> int:
    """Entry point; what was planted is written beside the documents as NAME_planted.parquet."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.texts", description=__doc__.splitlines()[0])
    parser.add_argument("kind", choices=["near_duplicates", "contaminated"])
    parser.add_argument("path", type=Path)
    parser.add_argument("--documents", type=int, default=100_000)
    parser.add_argument("--benchmark-prompts", type=int, default=30_000)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args(arguments)
    if given.kind == "near_duplicates":
        planted = write_texts(given.path, given.documents, given.seed)
    else:
        planted = write_contaminated(given.path, given.documents, given.benchmark_prompts, given.seed)
    pq.write_table(planted, planted_path(given.path))
    print(json.dumps({"documents": given.documents, "planted": len(planted), "bytes": given.path.stat().st_size}))
    return 0


def planted_path(documents: Path) -> Path:
    """Where the command line writes what was planted in a file of documents."""
    return documents.with_name(f"{documents.stem}_planted.parquet")


if __name__ == "__main__":
    sys.exit(main())
