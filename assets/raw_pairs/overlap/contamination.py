"""Contamination: which texts of a source's pairs touch which benchmark items, and by which span of words."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from assets.contracts import contract_of
from assets.raw_pairs.overlap.benchmark_index import BenchmarkIndex, fold
from assets.raw_pairs.overlap.pair_texts import conversations, last_user_turns
from assets.raw_pairs.overlap.words import TextColumn, ascii_keys_of, hash_ngrams, hash_words, native, words_of
from assets.settings import DecontaminationSettings

COLUMNS = ("pair_id", "prompt_id", "source", "source_row", "prompt", "response_1", "response_2")
"""Columns of `pairs` that the scan reads."""

_BITS_PER_NGRAM = 16
_SHARED = pa.schema([("text", pa.int64()), ("owner", pa.int64()), ("num_shared", pa.int64()), ("place", pa.int64())])


class ContaminationScan:
    """Looks texts up in a benchmark index. Threads may share one.

    An n-gram is first looked up in a bit table sixteen times as large as the index has n-grams, which answers nearly
    all of them from the processor's cache, then in the sorted n-grams. At 64 bits, thirty billion n-grams of a pool
    against ten million of benchmarks meet by chance with a probability of 2 %.
    """

    def __init__(self, index: BenchmarkIndex, settings: DecontaminationSettings) -> None:
        """Take the index of the benchmarks that are to be looked for."""
        self.index, self.settings = index, settings
        size = 1 << max(10, int(len(index.ngrams) * _BITS_PER_NGRAM).bit_length())
        self._bits = np.zeros(size // 8, np.uint8)
        _set_bits(index.ngrams, self._bits)
        self._items = index.texts.drop_columns(["exact", "prompt", "text"]).to_pylist()
        self._exact: dict[str, list[int]] = {}
        for row, text in enumerate(index.texts["exact"].to_pylist()):
            if text:
                self._exact.setdefault(text, []).append(row)
        self._exact_keys = np.unique(index.exact_keys)

    def hits(self, pairs: pa.Table) -> pa.Table:
        """Hits of some pairs.

        Args:
            pairs: `COLUMNS` of contract `pairs`. Rows whose texts make no pair are looked at too.

        Returns:
            Table of contract `contamination_hits` in order of row, text and item; `similarity` is null.
        """
        pairs = pairs.combine_chunks()
        last_turns = last_user_turns(pairs["prompt"])
        whole = self.settings.compare == "all_texts"
        texts = {"prompt": conversations(pairs["prompt"]) if whole else last_turns}
        if whole:
            texts |= {side: pairs[side] for side in ("response_1", "response_2")}
        found = [self._hits_of(name, pairs, column, last_turns) for name, column in texts.items()]
        order = [("source_row", "ascending"), ("pair_id", "ascending"), ("text", "ascending")]
        order += [("benchmark", "ascending"), ("benchmark_text", "descending"), ("item_id", "ascending")]
        return pa.concat_tables(found).sort_by(order)

    def _hits_of(self, name: str, pairs: pa.Table, column: pa.Array, last_turns: pa.Array) -> pa.Table:
        """Hits of one text of each pair. The same text of several pairs is looked up once."""
        distinct, rows_of = _distinct(column)
        shared = self._shared(distinct)
        by_row = _spread(shared, rows_of)
        exact = self._exact_hits(last_turns) if name == "prompt" else _SHARED.empty_table()
        return self._described(name, pairs, column, by_row, exact)

    def _shared(self, texts: pa.Array) -> pa.Table:
        """Texts that share n-grams with benchmark texts: how many different ones, and where the first stands."""
        index, column = self.index, TextColumn(texts, published=self.index.published)
        counts = np.zeros(len(column), np.int64)
        arguments = (column.runs, index.ngram, self._bits, index.ngrams, column.max_words)
        _count_hits(column.data, column.starts, column.ends, *arguments, counts)
        some = np.flatnonzero(counts)
        found, places = np.empty(counts.sum(), np.uint64), np.empty(counts.sum(), np.int64)
        _find_hits(column.data, column.starts[some], column.ends[some], *arguments, found, places)
        of_text = np.repeat(some, counts[some])
        low = np.searchsorted(index.ngrams, found, "left")
        num_owners = np.searchsorted(index.ngrams, found, "right") - low
        # One row for each owner of each n-gram that was found.
        nth = np.arange(num_owners.sum()) - np.repeat(np.cumsum(num_owners) - num_owners, num_owners)
        spread = pa.table(
            {
                "text": np.repeat(of_text, num_owners),
                "owner": index.owners[np.repeat(low, num_owners) + nth],
                "ngram": np.repeat(found, num_owners),
                "place": np.repeat(places, num_owners),
            }
        )
        grouped = spread.group_by(["text", "owner"]).aggregate([("ngram", "count_distinct"), ("place", "min")])
        return grouped.select(["text", "owner", "ngram_count_distinct", "place_min"]).rename_columns(_SHARED.names)

    def _exact_hits(self, last_turns: pa.Array) -> pa.Table:
        """Prompts whose last user turn is that of a benchmark prompt, up to case and white space."""
        # Equal runs of letters are cheap to find and nearly always mean equal texts; `fold` decides.
        alike = np.isin(ascii_keys_of(TextColumn(last_turns, published=True)), self._exact_keys)
        pairs = [
            (row, owner)
            for row in np.flatnonzero(alike).tolist()
            for owner in self._exact.get(fold(last_turns[row].as_py()), ())
        ]
        rows, owners = (np.array([pair[side] for pair in pairs], np.int64) for side in (0, 1))
        zeros = np.zeros(len(pairs), np.int64)
        return pa.table(dict(zip(_SHARED.names, (rows, owners, zeros, zeros), strict=True)), schema=_SHARED)

    def _described(self, name: str, pairs: pa.Table, column: pa.Array, shared: pa.Table, exact: pa.Table) -> pa.Table:
        """Rows of the contract, the best hit for each item of a benchmark."""
        index, n = self.index, self.index.ngram
        exact_keys = set(zip(exact["text"].to_pylist(), exact["owner"].to_pylist(), strict=True))
        merged = pa.concat_tables([shared, exact])
        merged = merged.group_by(["text", "owner"]).aggregate([("num_shared", "max"), ("place", "max")])
        # Threads group in no order that can be relied on.
        merged = merged.sort_by([("text", "ascending"), ("owner", "ascending")])
        words: dict[int, list[str]] = {}
        best: dict[tuple[int, str, str, str], dict] = {}
        items = self._items
        for row, owner, num_shared, place in zip(*(merged[c].to_pylist() for c in merged.column_names), strict=True):
            item = items[owner]
            if row not in words:
                words[row] = words_of(column[row].as_py() or "", published=index.published)
            is_exact = (row, owner) in exact_keys
            hit = {
                "row": row,
                "text": name,
                "benchmark": item["benchmark"],
                "item_id": item["item_id"],
                "num_items": item["num_items"],
                "benchmark_text": item["benchmark_text"],
                "kind": "exact" if is_exact else f"{n}gram",
                "num_shared_ngrams": num_shared,
                "span": " ".join(words[row][place : place + n]),
                "similarity": None,
            }
            key = (row, item["benchmark"], item["benchmark_text"], item["item_id"])
            if key not in best or (is_exact, num_shared) > (
                best[key]["kind"] == "exact",
                best[key]["num_shared_ngrams"],
            ):
                best[key] = hit
        hits = pa.Table.from_pylist(list(best.values()), schema=_HITS)
        ids = pairs.select(["pair_id", "prompt_id", "source", "source_row"]).take(hits["row"])
        columns = {field: (ids if field in ids.column_names else hits)[field] for field in _SCHEMA.names}
        return pa.table(columns, schema=_SCHEMA)


_SCHEMA = contract_of("contamination_hits").schema
_HITS = pa.schema([("row", pa.int64()), *(f for f in _SCHEMA if f.name not in COLUMNS)])


def _rank(hit: dict) -> tuple[bool, int]:
    return hit["kind"] == "exact", hit["num_shared_ngrams"]


def _distinct(column: pa.Array) -> tuple[pa.Array, np.ndarray]:
    """The different texts of a column, and for each row which of them it has."""
    column = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    encoded = pc.fill_null(column, "").dictionary_encode()
    return encoded.dictionary, encoded.indices.to_numpy()


def _spread(shared: pa.Table, rows_of: np.ndarray) -> pa.Table:
    """What was found for texts, once for each row that has the text."""
    order = np.argsort(rows_of, kind="stable")
    text = shared["text"].to_numpy()
    low = np.searchsorted(rows_of[order], text, "left")
    high = np.searchsorted(rows_of[order], text, "right")
    again = np.repeat(np.arange(len(text)), high - low)
    nth = np.arange(len(again)) - np.repeat(np.cumsum(high - low) - (high - low), high - low)
    spread = shared.take(again)
    return spread.set_column(0, "text", pa.array(order[low[again] + nth], pa.int64()))


@native
def _set_bits(ngrams, bits):
    mask = np.uint64(len(bits) * 8 - 1)
    for value in ngrams:
        place = value & mask
        bits[place >> np.uint64(3)] |= np.uint8(1) << np.uint8(place & np.uint64(7))


@native
def _is_known(value, bits, mask, ngrams):
    place = value & mask
    if not (bits[place >> np.uint64(3)] >> np.uint8(place & np.uint64(7))) & 1:
        return False
    low, high = 0, len(ngrams)
    while low < high:
        middle = (low + high) >> 1
        if ngrams[middle] < value:
            low = middle + 1
        else:
            high = middle
    return low < len(ngrams) and ngrams[low] == value


@native
def _count_hits(data, starts, ends, runs, n, bits, known, max_words, counts):
    words, ngrams = np.empty(max_words, np.uint64), np.empty(max_words, np.uint64)
    mask = np.uint64(len(bits) * 8 - 1)
    for text in range(len(starts)):
        num = hash_ngrams(words, hash_words(data, starts[text], ends[text], runs, words), n, ngrams)
        for place in range(num):
            if _is_known(ngrams[place], bits, mask, known):
                counts[text] += 1


@native
def _find_hits(data, starts, ends, runs, n, bits, known, max_words, found, places):
    words, ngrams = np.empty(max_words, np.uint64), np.empty(max_words, np.uint64)
    mask = np.uint64(len(bits) * 8 - 1)
    total = 0
    for text in range(len(starts)):
        num = hash_ngrams(words, hash_words(data, starts[text], ends[text], runs, words), n, ngrams)
        for place in range(num):
            if _is_known(ngrams[place], bits, mask, known):
                found[total] = ngrams[place]
                places[total] = place
                total += 1
