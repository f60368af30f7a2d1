"""Checking: what a look at a source's first rows finds, before anything of it is stored."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import islice

from assets.identity import normalise
from assets.raw_pairs.canonical import problem_of
from assets.raw_pairs.ingest import source_files
from assets.raw_pairs.layouts import Layout
from assets.raw_pairs.outcomes import outcomes_of
from assets.raw_pairs.readers import read_rows
from assets.raw_pairs.reading import layout_at_start
from assets.raw_pairs.rows import DeadLetter, ParsedPair
from assets.raw_pairs.source_entry import SourceEntry


@dataclass(frozen=True)
class LayoutReport:
    """What the first rows of a file become.

    Attributes:
        num_rows: rows looked at.
        left_out: pairs they could have made, by reason.
    """

    file: str
    layout: Layout
    num_rows: int
    pairs: tuple[ParsedPair, ...]
    dead_letters: tuple[tuple[int, DeadLetter], ...]
    left_out: Mapping[str, int]

    @property
    def num_pairs(self) -> int:
        """Pairs in the rows that were looked at."""
        return len(self.pairs)

    @property
    def verdicts(self) -> dict[str, int]:
        """Labels by verdict, in the order of the file; `none` for a pair without one."""
        return dict(sorted(Counter(pair.verdict or "none" for pair in self.pairs).items()))

    @property
    def reasons(self) -> dict[str, int]:
        """Dead letters by reason."""
        return dict(sorted(Counter(letter.reason for _, letter in self.dead_letters).items()))

    @property
    def problems(self) -> dict[str, int]:
        """Pairs that are none since a text is empty or both responses are the same, by problem."""
        found = (
            problem_of(p.turns, p.response_a, p.response_b, equal=normalise(p.response_a) == normalise(p.response_b))
            for p in self.pairs
        )
        return dict(sorted(Counter(problem for problem in found if problem).items()))


def check_source(entry: SourceEntry, num_rows: int = 100) -> list[LayoutReport]:
    """Recognise the layout of every file of a source and try its first rows; nothing is published.

    Raises:
        ConfigError, SynprefError: as `ingest_source`.
    """
    reports = []
    for file in source_files(entry)[1]:
        layout = layout_at_start(entry, file)
        rows = list(islice(read_rows(file), num_rows))
        outcomes = list(outcomes_of(layout, rows, entry))
        letters = tuple((row.number, o.result) for o in outcomes if isinstance(o.result, DeadLetter) for row in o.rows)
        parsed = [o.result for o in outcomes if not isinstance(o.result, DeadLetter)]
        left_out: Counter[str] = Counter()
        for one in parsed:
            left_out.update(one.left_out)
        pairs = tuple(pair for one in parsed for pair in one.pairs)
        reports.append(LayoutReport(file.name, layout, len(rows), pairs, letters, dict(left_out)))
    return reports
