"""Checking: what a look at a source's first rows finds, before anything of it is stored."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import islice

from assets.raw_pairs.canonical import pair_row
from assets.raw_pairs.ingest import source_files
from assets.raw_pairs.layouts import Layout
from assets.raw_pairs.outcomes import Outcome, outcomes_of
from assets.raw_pairs.readers import read_rows
from assets.raw_pairs.reading import layout_at_start
from assets.raw_pairs.recorded import share_votes
from assets.raw_pairs.rows import DeadLetter, ParsedPair, RowProblem
from assets.raw_pairs.source_entry import SourceEntry


@dataclass(frozen=True)
class CheckedPair:
    """A pair as it would be stored.

    Attributes:
        verdict: the source's label, in the order of the file; None for a pair without one.
        label_origin: of the row, else of the catalogue.
        problem: why it is none, such as `equal_responses`.
        num_votes: recorded verdicts that people and judges would replay.
    """

    pair: ParsedPair
    verdict: str | None
    label_origin: str
    problem: str | None
    num_votes: int


@dataclass(frozen=True)
class LayoutReport:
    """What the first rows of a file become.

    Attributes:
        num_rows: rows looked at.
        dead_letters: number of the row, and why it makes no pair.
        left_out: pairs that the rows could have made, by reason.
    """

    file: str
    layout: Layout
    num_rows: int
    pairs: tuple[CheckedPair, ...]
    dead_letters: tuple[tuple[int, DeadLetter], ...]
    left_out: Mapping[str, int]

    @property
    def num_pairs(self) -> int:
        """Pairs in the rows that were looked at."""
        return len(self.pairs)

    @property
    def verdicts(self) -> dict[str, int]:
        """Labels by verdict, in the order of the file; `none` for a pair without one."""
        return dict(sorted(Counter(one.verdict or "none" for one in self.pairs).items()))

    @property
    def problems(self) -> dict[str, int]:
        """Pairs that are none, by problem."""
        return dict(sorted(Counter(one.problem for one in self.pairs if one.problem).items()))

    @property
    def reasons(self) -> dict[str, int]:
        """Dead letters by reason."""
        return dict(sorted(Counter(letter.reason for _, letter in self.dead_letters).items()))


def check_source(entry: SourceEntry, num_rows: int = 100) -> list[LayoutReport]:
    """Recognise the layout of every file of a source and try its first rows; nothing is published.

    Raises:
        ConfigError, SynprefError: as `ingest_source`.
    """
    reports = []
    for file in source_files(entry)[1]:
        layout = layout_at_start(entry, file)
        rows = list(islice(read_rows(file), num_rows))
        pairs: list[CheckedPair] = []
        letters: list[tuple[int, DeadLetter]] = []
        left_out: Counter[str] = Counter()
        for outcome in outcomes_of(layout, rows, entry):
            checked = _checked(entry, outcome)
            if isinstance(checked, DeadLetter):
                letters += [(row.number, checked) for row in outcome.rows]
            else:
                pairs += checked
                left_out.update({} if isinstance(outcome.result, DeadLetter) else outcome.result.left_out)
        reports.append(LayoutReport(file.name, layout, len(rows), tuple(pairs), tuple(letters), dict(left_out)))
    return reports


def _checked(entry: SourceEntry, outcome: Outcome) -> list[CheckedPair] | DeadLetter:
    """Pairs of an outcome as ingestion would take them: votes shared out, the label's origin known."""
    if isinstance(outcome.result, DeadLetter):
        return outcome.result
    first, found = outcome.rows[0], []
    try:
        for pair in outcome.result.pairs:
            votes = share_votes(entry, first.value or {}, pair)
            row, _ = pair_row(entry, first.number, pair)
            num_votes = len(votes.people) + len(votes.judges)
            found.append(CheckedPair(pair, votes.verdict, row["label_origin"], row["problem"], num_votes))
    except RowProblem as problem:
        return problem.letter
    return found
