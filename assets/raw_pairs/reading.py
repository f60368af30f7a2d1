"""Reading: a source's files in blocks, and what became of each, in order; a file that changes meanwhile is refused."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain, islice
from typing import Any

from assets.errors import SynprefError
from assets.identity import digest
from assets.raw_pairs.file_states import FileState
from assets.raw_pairs.growth import FileRecord, Version
from assets.raw_pairs.layouts import Layout
from assets.raw_pairs.outcomes import whole_prompts
from assets.raw_pairs.parallel import map_in_order, num_workers
from assets.raw_pairs.readers import Block, Start, read_blocks, rows_of
from assets.raw_pairs.source_entry import SourceEntry
from assets.raw_pairs.source_files import SourceFile
from assets.raw_pairs.source_pass import Delivery, Portion, Truth, layout_of, take_block

Progress = Callable[[int, float], None]
"""Called with rows done and the share of the files' bytes done, 0 to 1."""

RECOGNISE_ROWS = 50
# Below this, starting processes takes longer than the reading.
_PARALLEL_BYTES = 64_000_000


@dataclass(frozen=True)
class FileToRead:
    """A file, as it was found before it is read.

    Attributes:
        state: when its version was taken.
        start: where the reading begins.
    """

    file: SourceFile
    state: FileState
    version: Version
    start: Start = field(default_factory=Start)


@dataclass
class Reading:
    """Reads files of a source, and keeps what was found of each.

    Attributes:
        first_offset: number, in the source, of the first row of the first file.
        num_before: rows of the source before those that are read.
    """

    delivery: Delivery
    files: Sequence[FileToRead]
    truth: Truth
    first_offset: int = 0
    num_before: int = 0
    layouts: dict[str, Layout] = field(default_factory=dict)
    records: list[FileRecord] = field(default_factory=list)

    def portions(self, progress: Progress | None = None) -> Iterator[Portion]:
        """What became of every block, in order; rows are numbered on from file to file.

        Raises:
            ConfigError: no layout fits.
            SynprefError: a file is damaged, cannot be fetched, or is no longer what it was.
        """
        sizes = [one.state.size - one.start.byte for one in self.files]
        shares: list[float] = []
        num_rows = 0
        workers = num_workers() if sum(sizes) >= _PARALLEL_BYTES else 1
        for number, portion in enumerate(map_in_order(take_block, self._jobs(sizes, shares), num_workers=workers)):
            num_rows += portion.num_rows
            if progress:
                progress(num_rows, shares[number])
            yield portion

    def _jobs(self, sizes: Sequence[int], shares: list[float]) -> Iterator[dict[str, Any]]:
        offset, num_before, entry = self.first_offset, self.num_before, self.delivery.entry
        for number, one in enumerate(self.files):
            name, end = one.file.name, one.start.row
            layout, blocks = _recognised(entry, one)
            self.layouts[name] = layout
            for block in blocks:
                end = block.end
                shares.append((sum(sizes[:number]) + block.share_read * sizes[number]) / max(1, sum(sizes)))
                own = range(offset + block.first, offset + block.end)
                yield {
                    "delivery": self.delivery,
                    "file": name,
                    "layout": layout,
                    "block": block,
                    "offset": offset,
                    "num_before": num_before,
                    "truth": {n: self.truth[n] for n in own if n in self.truth} if self.truth else {},
                }
                num_before += block.num_rows
            offset += end
            self.records.append(FileRecord(name, one.version.value, one.state.size, end, layout_hash(layout)))


def layout_hash(layout: Layout) -> str:
    """Hash of a layout; empty where rows cannot be read on from the middle of a file."""
    return "" if layout.name in ("none", "rated_rows") else digest("layout", repr(layout))


def layout_at_start(entry: SourceEntry, file: SourceFile) -> Layout:
    """Layout of a file from its first rows.

    Raises:
        ConfigError: no layout fits.
    """
    first = next(read_blocks(file), None)
    return layout_of(entry, file.name, list(islice(rows_of(first), RECOGNISE_ROWS)) if first else [])


def _recognised(entry: SourceEntry, one: FileToRead) -> tuple[Layout, Iterator[Block]]:
    """Layout of a file, and its blocks from where the reading begins."""
    if one.start.byte:
        layout = layout_at_start(entry, one.file)
        return layout, whole_prompts(_checked(one), layout)
    blocks = _checked(one)
    first = next(blocks, None)
    layout = layout_of(entry, one.file.name, list(islice(rows_of(first), RECOGNISE_ROWS)) if first else [])
    return layout, whole_prompts(chain([first] if first else [], blocks), layout)


def _checked(one: FileToRead) -> Iterator[Block]:
    """Blocks of a file that must be at the end what it was when its version was taken."""
    try:
        yield from read_blocks(one.file, one.start)
    except SynprefError as error:
        if _changed(one):
            raise _change(one) from error
        raise
    if _changed(one):
        raise _change(one)


def _changed(one: FileToRead) -> bool:
    try:
        return one.file.state() != one.state
    except OSError:
        return True


def _change(one: FileToRead) -> SynprefError:
    return SynprefError(
        "A source's file changed while it was read.",
        where=str(one.file),
        kept="the source as it was published before, if it was",
        todo="wait until it is written, and read the source again",
    )
