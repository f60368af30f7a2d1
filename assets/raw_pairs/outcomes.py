"""Outcomes: what rows become, one by one, or together where a source gives one response a row."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from assets.identity import Turn
from assets.raw_pairs.completions import MAX_COMPLETIONS, Completion
from assets.raw_pairs.layouts import Layout
from assets.raw_pairs.parsing import parse_rated_rows, parse_row, rated_row
from assets.raw_pairs.readers import Block, RawRow, rows_of
from assets.raw_pairs.rows import DeadLetter, ParsedRow
from assets.raw_pairs.source_entry import SourceEntry

_TOGETHER = "rated_rows"


@dataclass(frozen=True)
class Outcome:
    """What one row became, or several consecutive ones of one prompt: pairs, or a dead letter for each of them."""

    rows: tuple[RawRow, ...]
    result: ParsedRow | DeadLetter


def outcomes_of(layout: Layout, rows: Iterable[RawRow], entry: SourceEntry) -> Iterator[Outcome]:
    """Outcomes of consecutive rows of a file, in order. Rows of one prompt must all be among them."""
    if layout.name != _TOGETHER:
        for row in rows:
            if row.value is None:
                yield Outcome((row,), DeadLetter("unreadable_row", row.problem))
            elif layout.name == "none":
                problem = "the first rows of the file are unreadable, so its layout is unknown"
                yield Outcome((row,), DeadLetter("unreadable_row", problem))
            else:
                yield Outcome((row,), parse_row(layout, row.value, entry))
        return
    for group in _by_prompt(layout, rows):
        yield from _outcomes_of_prompt(layout, group, entry)


def whole_prompts(blocks: Iterable[Block], layout: Layout) -> Iterator[Block]:
    """Blocks in which no prompt is cut in two, where rows of a prompt belong together; otherwise the same blocks."""
    if layout.name != _TOGETHER:
        yield from blocks
        return
    waiting: list[RawRow] = []
    block: Block | None = None
    for block in blocks:
        first = waiting[0].number if waiting else block.first
        *ready, waiting = list(_by_prompt(layout, [*waiting, *rows_of(block)])) or [[]]
        rows = tuple(row for group in ready for row in group)
        end = waiting[0].number if waiting else block.end
        yield Block(first, end, rows, len(rows), block.share_read)
    if block is not None and waiting:
        yield Block(waiting[0].number, block.end, tuple(waiting), len(waiting), 1.0)


def _by_prompt(layout: Layout, rows: Iterable[RawRow]) -> Iterator[list[RawRow]]:
    """Consecutive rows of equal prompt, at most `MAX_COMPLETIONS`; an unreadable row joins the prompt around it."""
    group: list[RawRow] = []
    prompt: object = None
    for row in rows:
        own = prompt if row.value is None else [layout.get(row.value, field) for field in ("prompt", "system")]
        if group and (own != prompt or len(group) == MAX_COMPLETIONS):
            yield group
            group = []
        group.append(row)
        prompt = own
    if group:
        yield group


def _outcomes_of_prompt(layout: Layout, group: Sequence[RawRow], entry: SourceEntry) -> Iterator[Outcome]:
    good: list[tuple[RawRow, tuple[Turn, ...], Completion]] = []
    for row in group:
        if row.value is None:
            yield Outcome((row,), DeadLetter("unreadable_row", row.problem))
        elif isinstance(made := rated_row(layout, row.value), DeadLetter):
            yield Outcome((row,), made)
        else:
            good.append((row, *made))
    if not good:
        return
    values = [row.value or {} for row, _, _ in good]
    completions = [completion for _, _, completion in good]
    result = parse_rated_rows(layout, values, completions, good[0][1], entry)
    yield Outcome(tuple(row for row, _, _ in good), result)
