"""Near duplicates: clusters of pairs, and of prompts, whose words nearly agree.

Two pairs are near duplicates when their prompts, and their responses one by one in the better of both orders, each
have a Jaccard similarity of at least the threshold: a long prompt that both share does not make two different answers
the same. Candidates come from sketches, every candidate is compared exactly, and clusters are the connected
components of what was confirmed. Texts of candidates are read once and their shingles lie in a file, so memory grows
by some thirty bytes a row and by the confirmed edges, never by the text.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from assets.contracts import contract_of
from assets.lake import Lake
from assets.partition_writer import Manifest
from assets.raw_pairs.overlap.minhash import NUM_BANDS, jaccard, shingles
from assets.raw_pairs.overlap.pair_texts import conversations
from assets.raw_pairs.overlap.row_groups import Progress, map_row_groups
from assets.raw_pairs.overlap.words import native


@dataclass(frozen=True)
class Kind:
    """What is clustered.

    Attributes:
        sketches, clusters: the tables it is read from and published as.
        columns: of `pairs`, the texts of one.
    """

    sketches: str
    clusters: str
    columns: tuple[str, ...]


PAIRS = Kind("pair_sketches", "pair_clusters", ("prompt", "response_1", "response_2"))
PROMPTS = Kind("prompt_sketches", "prompt_clusters", ("prompt",))


@dataclass(frozen=True)
class Clusters:
    """Near duplicates of one kind.

    Attributes:
        table: of contract `pair_clusters` or `prompt_clusters`, in order of id.
        num_texts: different pairs or prompts that were looked at.
        num_candidates: comparisons that the sketches asked for.
        num_confirmed: comparisons that reached the threshold.
    """

    table: pa.Table
    num_texts: int
    num_candidates: int
    num_confirmed: int


def find_clusters(
    lake: Lake,
    kind: Kind,
    pairs: Sequence[Manifest],
    sketches: Sequence[Manifest],
    threshold: float,
    scratch: Path,
    *,
    progress: Progress | None = None,
) -> Clusters:
    """Cluster the near duplicates of some sources.

    Args:
        pairs, sketches: manifests of the sources' pairs, and of the sketches that were made from them.
        threshold: least Jaccard similarity, 0 to 1. Below 0.65 the sketches miss more than a quarter.
        scratch: folder for the shingles of candidates, twelve times the size of their texts at most; emptied
            by the caller.
        progress: called with candidates read and their share.
    """
    files = [lake.file_of(m) for m in sketches]
    nodes, num_texts = _nodes(files)
    edges = _candidates(files, nodes)
    wanted = np.unique(edges)
    texts = _read_shingles(lake, kind, pairs, files, wanted, scratch, progress)
    first, second = (np.searchsorted(wanted, edges[:, side]) for side in (0, 1))
    similarities = np.empty(len(edges))
    _compare(texts.values, texts.offsets, first, second, len(kind.columns), similarities)
    confirmed = similarities >= threshold
    ids = _ids_at(files, wanted)
    table = _clusters(kind, ids, first[confirmed], second[confirmed], similarities[confirmed])
    return Clusters(table, num_texts, len(edges), int(confirmed.sum()))


def _nodes(files: list[Path]) -> tuple[np.ndarray, int]:
    """Rows of all sketches, counted through, that are the first of their id; and how many.

    Ids are told apart by their first 64 bits: two of forty million agree in them with a probability of 0.004 %.
    """
    keys = np.concatenate([_first_bits(_column(file, 0)) for file in files]) if files else np.zeros(0, np.uint64)
    _, first = np.unique(keys, return_index=True)
    first.sort()
    return first, len(first)


def _first_bits(ids: pa.ChunkedArray) -> np.ndarray:
    """The first 16 of 32 hex digits as uint64."""
    parts = []
    for chunk in ids.chunks:
        digits = np.frombuffer(chunk.buffers()[2], np.uint8)[32 * chunk.offset : 32 * (chunk.offset + len(chunk))]
        digits = digits.reshape(-1, 32)[:, :16]
        nibbles = np.where(digits >= ord("a"), digits - (ord("a") - 10), digits - ord("0")).astype(np.uint8)
        parts.append(((nibbles[:, ::2] << 4) | nibbles[:, 1::2]).view(">u8").ravel().astype(np.uint64))
    return np.concatenate(parts) if parts else np.zeros(0, np.uint64)


def _column(file: Path, number: int) -> pa.ChunkedArray:
    with pq.ParquetFile(file) as opened:
        return opened.read(columns=[opened.schema_arrow.names[number]]).column(0)


def _band(files: list[Path], nodes: np.ndarray, band: int) -> np.ndarray:
    if not files:
        return np.zeros(0, np.uint64)
    return np.concatenate([_column(file, 2 + band).to_numpy() for file in files])[nodes]


def _candidates(files: list[Path], nodes: np.ndarray) -> np.ndarray:
    """Rows [edges, 2] that meet in a band: each with the first of its bucket and with the one before it."""
    found = np.zeros(0, np.int64)
    size = int(nodes[-1]) + 1 if len(nodes) else 0
    following = _band(files, nodes, 0)
    for band in range(NUM_BANDS):
        hashes, following = following, _band(files, nodes, (band + 1) % NUM_BANDS)
        # Within a bucket those that agree in the next band too stand together: in a bucket of many that share half
        # their words, near duplicates become neighbours. Rows decide last.
        order = np.lexsort((following, hashes))
        hashes = hashes[order]
        begins = np.r_[True, hashes[1:] != hashes[:-1]] if len(hashes) else np.zeros(0, bool)
        heads = order[np.flatnonzero(begins)][np.cumsum(begins) - 1]
        member = ~begins
        before = np.r_[0, order[:-1]][member] if len(order) else order
        one, other = np.r_[heads[member], before], np.r_[order[member], order[member]]
        edges = np.sort(np.stack([nodes[one], nodes[other]]), axis=0)
        found = np.union1d(found, edges[0] * size + edges[1])
    return np.stack([found // max(1, size), found % max(1, size)], axis=1)


@dataclass(frozen=True)
class _Shingles:
    """Sets of shingles: text number n is `values[offsets[n]:offsets[n + 1]]`."""

    values: np.ndarray
    offsets: np.ndarray


def _read_shingles(
    lake: Lake,
    kind: Kind,
    pairs: Sequence[Manifest],
    files: list[Path],
    wanted: np.ndarray,
    scratch: Path,
    progress: Progress | None,
) -> _Shingles:
    """Shingles of the wanted rows of all sketches, as many texts a row as the kind has columns."""
    path = scratch / f"{kind.clusters}.shingles"
    lengths: list[np.ndarray] = []
    done = 0
    with path.open("wb") as file:
        for manifest, positions in _positions(pairs, files, wanted):
            chosen = _Chooser(kind, positions)
            for values, sizes in map_row_groups(chosen.shingles, lake, manifest, kind.columns):
                file.write(values.tobytes())
                lengths.append(sizes)
                done += len(sizes) // len(kind.columns)
                if progress:
                    progress(done, done / len(wanted))
    offsets = np.concatenate([[0], np.cumsum(np.concatenate(lengths))]) if lengths else np.zeros(1, np.int64)
    # An empty file cannot be mapped.
    values = np.memmap(path, np.uint64, "r") if offsets[-1] else np.zeros(0, np.uint64)
    return _Shingles(values, offsets.astype(np.int64))


@dataclass(frozen=True)
class _Chooser:
    """Shingles of the chosen rows of a partition; `positions` are ascending."""

    kind: Kind
    positions: np.ndarray

    def shingles(self, rows: pa.Table, first: int) -> tuple[np.ndarray, np.ndarray]:
        """Values and their number by text, row after row."""
        low, high = np.searchsorted(self.positions, [first, first + len(rows)])
        rows = rows.take(pa.array(self.positions[low:high] - first)).combine_chunks()
        num_texts = len(self.kind.columns)
        columns = [
            conversations(rows[name]) if name == "prompt" else _one_array(rows[name]) for name in self.kind.columns
        ]
        # Texts of a row follow one another.
        order = np.arange(len(rows) * num_texts).reshape(num_texts, -1).T.ravel()
        values, offsets = shingles(pa.concat_arrays(columns).take(pa.array(order)))
        return values, np.diff(offsets)


def _one_array(column: pa.ChunkedArray) -> pa.Array:
    return column.combine_chunks()


def _positions(
    pairs: Sequence[Manifest], files: list[Path], wanted: np.ndarray
) -> Iterator[tuple[Manifest, np.ndarray]]:
    """For each source its rows of `pairs` that are wanted, ascending."""
    start = 0
    for manifest, file in zip(pairs, files, strict=True):
        positions = _column(file, 1).to_numpy()
        inside = wanted[(wanted >= start) & (wanted < start + len(positions))] - start
        if len(inside):
            yield manifest, positions[inside]
        start += len(positions)


def _ids_at(files: list[Path], wanted: np.ndarray) -> np.ndarray:
    """Ids of rows of all sketches, as fixed-width text."""
    start, parts = 0, [np.zeros(0, "U32")]
    for file in files:
        column = _column(file, 0)
        inside = wanted[(wanted >= start) & (wanted < start + len(column))] - start
        parts.append(column.take(pa.array(inside)).to_numpy().astype("U32"))
        start += len(column)
    return np.concatenate(parts)


@native
def _compare(values, offsets, first, second, num_texts, similarities):
    """Lowest similarity of the texts of two rows; of two responses, in the better order."""
    for edge in range(len(first)):
        a, b = first[edge] * num_texts, second[edge] * num_texts
        lowest = _similarity(values, offsets, a, b)
        if num_texts == 3 and lowest > 0.0:
            straight = min(_similarity(values, offsets, a + 1, b + 1), _similarity(values, offsets, a + 2, b + 2))
            crossed = min(_similarity(values, offsets, a + 1, b + 2), _similarity(values, offsets, a + 2, b + 1))
            lowest = min(lowest, max(straight, crossed))
        similarities[edge] = lowest


@native
def _similarity(values, offsets, a, b):
    return jaccard(values[offsets[a] : offsets[a + 1]], values[offsets[b] : offsets[b + 1]])


def _clusters(kind: Kind, ids: np.ndarray, first: np.ndarray, second: np.ndarray, similarities: np.ndarray) -> pa.Table:
    """Connected components of the confirmed edges; a cluster is named by its lowest id."""
    graph = coo_array((np.ones(len(first), bool), (first, second)), shape=(len(ids), len(ids)))
    _, component = connected_components(graph, directed=False)
    joined = np.unique(np.r_[first, second])
    nearest = np.zeros(len(ids))
    np.maximum.at(nearest, first, similarities)
    np.maximum.at(nearest, second, similarities)
    order = joined[np.argsort(ids[joined], kind="stable")]
    # Ids are in ascending order here, so the first of a component is its lowest.
    _, lowest, again = np.unique(component[order], return_index=True, return_inverse=True)
    columns = [
        pa.array(ids[order].tolist(), pa.string()),
        pa.array(ids[order][lowest][again].tolist(), pa.string()),
        pa.array(nearest[order], pa.float64()),
    ]
    return pa.Table.from_arrays(columns, schema=contract_of(kind.clusters).schema)
