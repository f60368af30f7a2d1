"""Recorded votes: which verdict of a row is the source's label, and which ones people and judges replay."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from assets.raw_pairs.rows import ParsedPair, RowProblem, look_up
from assets.raw_pairs.source_entry import SourceEntry, VoteSettings

CROWD_JUDGE = "crowd votes replayed as judge"
_OTHER = {"a": "b", "b": "a"}


@dataclass(frozen=True)
class Vote:
    """One recorded verdict, in the order of the file.

    Attributes:
        labeller: who gave it; for people the name is made unique by the source's.
        position: place in the source's list.
        verdict: "a", "b", "tie" or "undecided".
        first_shown: "a" or "b", or None where nobody knows.
    """

    labeller: str
    position: int
    verdict: str
    first_shown: str | None = None


@dataclass(frozen=True)
class SharedVotes:
    """A row's votes, shared out.

    Attributes:
        verdict: the source's label after sharing; None for no label.
        made_by: the vote that the label is, where it is one.
        people, judges: the votes they replay; none of them made the label but the single person's, who is the source.
    """

    verdict: str | None
    made_by: Vote | None = None
    people: tuple[Vote, ...] = ()
    judges: tuple[Vote, ...] = ()


def share_votes(entry: SourceEntry, row: Mapping[str, Any], pair: ParsedPair) -> SharedVotes:
    """Share a row's recorded votes out among source, people and judges (see `VoteSettings`).

    Raises:
        RowProblem: `bad_votes`, when the votes do not have the form that the catalogue states.
    """
    settings = entry.votes
    if settings is None:
        return SharedVotes(pair.verdict)
    if settings.use == "single_person":
        if pair.verdict is None or (pair.label_origin or entry.label_origin) != "human":
            return SharedVotes(pair.verdict)
        return SharedVotes(pair.verdict, people=(Vote(f"{entry.name}:rater", 0, pair.verdict),))
    if settings.use == "other_judges":
        return _other_judges(settings, row, pair)
    votes = _listed(entry.name, settings, row)
    if not votes:
        return SharedVotes(None)
    label, rest = votes[0], votes[1:]
    if settings.use == "later_judges":
        return SharedVotes(label.verdict, label, judges=rest)
    # Two for the judge, so that one vote's noise can show as the judge's own inconsistency; one of three votes.
    num_judges = min(2, len(rest) // 2) if len(rest) != 3 else 2
    people, judges = rest[: len(rest) - num_judges], rest[len(rest) - num_judges :]
    return SharedVotes(
        label.verdict,
        label,
        people=people,
        judges=tuple(Vote(CROWD_JUDGE, v.position, v.verdict, v.first_shown) for v in judges),
    )


def _other_judges(settings: VoteSettings, row: Mapping[str, Any], pair: ParsedPair) -> SharedVotes:
    given = look_up(row, settings.column)
    maker = look_up(row, settings.label_maker)
    if not isinstance(given, Mapping) or maker not in given:
        raise RowProblem("bad_votes", f"the maker of the label, {maker!r:.80}, is not among the verdicts")
    first = _first_response(settings, row)
    votes = [
        Vote(str(judge), place, _verdict(settings, value, first))
        # A judge asked but without an answer has no verdict: Parquet writes such a key as null.
        for place, (judge, value) in enumerate(sorted((j, v) for j, v in given.items() if v is not None))
    ]
    made_by = next(v for v in votes if v.labeller == maker)
    return SharedVotes(pair.verdict, made_by, judges=tuple(v for v in votes if v.labeller != maker))


def _listed(source: str, settings: VoteSettings, row: Mapping[str, Any]) -> tuple[Vote, ...]:
    given = look_up(row, settings.column)
    if given is None:
        return ()
    if not isinstance(given, (list, tuple)):
        raise RowProblem("bad_votes", f"column {settings.column!r} is not a list of votes")
    first = _first_response(settings, row)
    votes = []
    for place, item in enumerate(given):
        value = _part(item, settings.verdict_at)
        shown = None
        if settings.order_at is not None:
            side = settings.orders.get(str(_part(item, settings.order_at)))
            shown = {"first": first, "second": _OTHER[first]}.get(side or "")
        name = f"rater {place + 1}" if settings.labeller_at is None else str(_part(item, settings.labeller_at))
        labeller = f"{source}:{name}" if settings.use == "crowd" else name
        votes.append(Vote(labeller, place, _verdict(settings, value, first), shown))
    return tuple(votes)


def _part(item: Any, place: int | None) -> Any:
    if place is None:
        return item
    if not isinstance(item, (list, tuple)) or place >= len(item):
        raise RowProblem("bad_votes", f"a vote has no part {place}: {item!r:.120}")
    return item[place]


def _first_response(settings: VoteSettings, row: Mapping[str, Any]) -> str:
    first = look_up(row, settings.first_response) if settings.first_response else "a"
    if first not in _OTHER:
        raise RowProblem("bad_votes", f"column {settings.first_response!r} says {first!r:.80}, not a or b")
    return first


def _verdict(settings: VoteSettings, value: Any, first: str) -> str:
    side = settings.values.get(str(value))
    if side is None and settings.midpoint is not None and isinstance(value, (int, float)) and value == value:
        tie = value == settings.midpoint or value in settings.tie_values
        side = "tie" if tie else "first" if value < settings.midpoint else "second"
    if side is None:
        raise RowProblem("bad_votes", f"the vote {value!r:.120} is outside the set")
    return {"first": first, "second": _OTHER[first]}.get(side, side)
