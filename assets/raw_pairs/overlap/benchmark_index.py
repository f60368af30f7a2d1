"""Benchmark index: the n-grams of every configured benchmark's prompts and responses, boilerplate left out.

Compared are words (see `words`), so case, white space and punctuation hide no overlap. An n-gram in the texts
of more than `max_benchmark_prompts` different prompts is boilerplate: an instruction that many items share says
nothing about one of them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa

from assets.raw_pairs.overlap.pair_texts import conversations, last_user_turns
from assets.raw_pairs.overlap.words import TextColumn, ascii_keys_of, ngrams_of, words_of
from assets.settings import DecontaminationSettings

PROMPT, RESPONSE = "prompt", "response"


@dataclass(frozen=True)
class BenchmarkIndex:
    """What the pool's texts are compared with.

    Attributes:
        texts: one row per benchmark, kind of text and distinct text: benchmark, benchmark_text (prompt or
            response), item_id (the first item that has it), num_items, exact (a prompt's last user turn as exact
            hits compare it; empty for a response), prompt (that turn as it came; empty for a response), text
            (what n-grams are of).
        ngram: n.
        published: whether words are those of published lists.
        ngrams: uint64, ascending; an n-gram of several texts stands several times.
        owners: int64, row of `texts` that each of them is from.
        exact_keys: uint64, `words.ascii_keys_of` of each row's `exact`.
        boilerplate: n-grams left out, as words, with the number of prompts that have them; the commonest first.
    """

    texts: pa.Table
    ngram: int
    published: bool
    ngrams: np.ndarray
    owners: np.ndarray
    exact_keys: np.ndarray
    boilerplate: tuple[tuple[str, int], ...] = ()

    def fingerprint(self, benchmark: str) -> str:
        """Hash of all that decides a benchmark's hits; another benchmark changes it through boilerplate alone."""
        mine = self._rows_of([benchmark])
        inside = mine[self.owners]
        state = hashlib.blake2b(f"{self.ngram} {self.published}".encode(), digest_size=16)
        state.update(self.ngrams[inside].tobytes())
        # Rows are numbered within the benchmark, so that a benchmark before it moves nothing.
        state.update((np.cumsum(mine)[self.owners[inside]] - 1).astype("<i8").tobytes())
        for row in self.texts.filter(pa.array(mine)).to_pylist():
            state.update(repr(sorted(row.items())).encode("utf-8", "surrogatepass"))
        return state.hexdigest()

    def only(self, benchmarks: Iterable[str]) -> BenchmarkIndex:
        """The same index with the texts of some benchmarks alone."""
        mine = self._rows_of(benchmarks)
        inside = mine[self.owners]
        numbers = np.cumsum(mine) - 1
        return BenchmarkIndex(
            texts=self.texts.filter(pa.array(mine)),
            ngram=self.ngram,
            published=self.published,
            ngrams=self.ngrams[inside],
            owners=numbers[self.owners[inside]],
            exact_keys=self.exact_keys[mine],
            boilerplate=self.boilerplate,
        )

    def _rows_of(self, benchmarks: Iterable[str]) -> np.ndarray:
        wanted = set(benchmarks)
        return np.array([name in wanted for name in self.texts["benchmark"].to_pylist()], bool)


def fold(text: str) -> str:
    r"""A text as exact hits compare it: lower case, every run of white space one space.

    >>> fold("  What is\n 2 + 2? ")
    'what is 2 + 2?'
    """
    return " ".join(text.lower().split())


@dataclass
class _Text:
    """A distinct text of a benchmark: the first item that has it, its last user turn if it is a prompt, whose it is."""

    item_id: str
    text: str
    asked: str
    items: set[str] = field(default_factory=set)
    prompts: set[str] = field(default_factory=set)


def build_index(items: pa.Table, settings: DecontaminationSettings) -> BenchmarkIndex:
    """Index the benchmarks.

    Args:
        items: of contract `benchmark_items`.
        settings: `compare` says whether responses count and which turns of a prompt.
    """
    compared = conversations if settings.compare == "all_texts" else last_user_turns
    found: dict[tuple[str, str, str], _Text] = {}
    whole = compared(items["prompt"]).to_pylist()
    asked = last_user_turns(items["prompt"]).to_pylist()
    ids, benchmarks, responses = (items[name].to_pylist() for name in ("item_id", "benchmark", "responses"))
    for number, (item, benchmark) in enumerate(zip(ids, benchmarks, strict=True)):
        prompt = fold(asked[number])
        texts = [(PROMPT, whole[number])]
        if settings.compare == "all_texts":
            texts += [(RESPONSE, text) for text in responses[number]]
        for kind, text in texts:
            key = (benchmark, kind, fold(text))
            if not key[-1]:
                continue
            same = found.setdefault(key, _Text(item, text, asked[number] if kind == PROMPT else ""))
            same.items.add(item)
            same.prompts.add(prompt)
            if item < same.item_id:
                same.item_id, same.text = item, text
    return _index(found, settings)


def _index(found: dict[tuple[str, str, str], _Text], settings: DecontaminationSettings) -> BenchmarkIndex:
    keys = sorted(found)
    texts = [found[key] for key in keys]
    published = settings.compare == "last_turns"
    column = TextColumn(pa.array([text.text for text in texts], pa.string()), published=published)
    ngrams, owners = ngrams_of(column, settings.ngram)
    order = np.lexsort((owners, ngrams))
    ngrams, owners = ngrams[order], owners[order]
    # Once a text: how often an n-gram stands in it does not matter.
    first = np.ones(len(ngrams), bool)
    first[1:] = (ngrams[1:] != ngrams[:-1]) | (owners[1:] != owners[:-1])
    ngrams, owners = ngrams[first], owners[first]
    common, boilerplate = _boilerplate(ngrams, owners, texts, settings)
    telling = ~np.isin(ngrams, common)
    # Exact hits compare the last user turn, whatever n-grams see of a prompt.
    exact = [fold(text.asked) for text in texts]
    exact_keys = ascii_keys_of(TextColumn(pa.array([text.asked for text in texts], pa.string()), published=True))
    table = pa.table(
        {
            "benchmark": pa.array([benchmark for benchmark, _, _ in keys], pa.string()),
            "benchmark_text": pa.array([kind for _, kind, _ in keys], pa.string()),
            "item_id": pa.array([text.item_id for text in texts], pa.string()),
            "num_items": pa.array([len(text.items) for text in texts], pa.int64()),
            "exact": pa.array(exact, pa.string()),
            "prompt": pa.array([text.asked for text in texts], pa.string()),
            "text": pa.array([text.text for text in texts], pa.string()),
        }
    )
    return BenchmarkIndex(table, settings.ngram, published, ngrams[telling], owners[telling], exact_keys, boilerplate)


def _boilerplate(
    ngrams: np.ndarray, owners: np.ndarray, texts: list[_Text], settings: DecontaminationSettings
) -> tuple[np.ndarray, tuple[tuple[str, int], ...]]:
    """N-grams in the texts of too many prompts: their hashes, and their words with the number of prompts."""
    starts = np.flatnonzero(np.r_[True, ngrams[1:] != ngrams[:-1]]) if len(ngrams) else np.zeros(0, np.int64)
    ends = np.r_[starts[1:], len(ngrams)].astype(np.int64)
    # One text may answer several prompts, several may answer one: only n-grams of many texts are looked at again.
    weights = np.array([len(text.prompts) for text in texts], np.int64)
    sums = np.add.reduceat(weights[owners], starts) if len(starts) else starts
    common, described = [], []
    for group in np.flatnonzero(sums > settings.max_benchmark_prompts):
        having = [texts[owner] for owner in owners[starts[group] : ends[group]]]
        num_prompts = len(set().union(*(text.prompts for text in having)))
        if num_prompts > settings.max_benchmark_prompts:
            value = ngrams[starts[group]]
            published = settings.compare == "last_turns"
            hashes, _ = ngrams_of(TextColumn(pa.array([having[0].text]), published=published), settings.ngram)
            place = int(np.flatnonzero(hashes == value)[0])
            words = words_of(having[0].text, published=published)[place : place + settings.ngram]
            common.append(value)
            described.append((" ".join(words), num_prompts))
    described.sort(key=lambda entry: (-entry[1], entry[0]))
    return np.array(common, np.uint64), tuple(described)
