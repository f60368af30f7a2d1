"""Tokenised pairs: a selection joined with its tokens, truncated and turned to chosen and rejected as they are read."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from assets.accounting import StageCounts
from assets.chance import rank_key
from training.data import leakage_error
from training.pairs import EncodedPair
from training.token_cache import encoding
from training.token_cache.pair_keys import Keys, hex_of, positions_in
from training.token_cache.pool import TokenPool, facts_of
from training.token_cache.segments import Segment
from training.token_cache.selection import PairSelection
from training.tokenising import EncodedRow, kept_tokens, truncate

# Pairs looked at together: the facts of so many take 70 MB.
_AT_ONCE = 1_000_000
# In this order: a pair counts under the first reason that holds.
_FLAGGED = (
    ("empty_prompt", encoding.EMPTY_PROMPT),
    ("empty_response", encoding.EMPTY_RESPONSE),
    ("equal_responses", encoding.EQUAL_RESPONSES),
    ("text_too_long", encoding.TEXT_TOO_LONG),
    ("template_refused", encoding.TEMPLATE_REFUSED),
)
_UNTOKENISED = encoding.TEXT_TOO_LONG | encoding.TEMPLATE_REFUSED


@dataclass(frozen=True)
class SelectionReport:
    """What became of the selected rows.

    Attributes:
        counts: rows in, pairs out, dropped by reason.
        truncation: responses that were truncated, each with its prompt, and their tokens that did not fit.
        num_special_text: pairs whose own text holds a special token's.
        num_repaired: pairs whose text had bytes that are no UTF-8, read as U+FFFD.
        refused_examples: of `template_refused`: pair id to what the template said.
    """

    counts: StageCounts
    truncation: dict[str, int]
    num_special_text: int
    num_repaired: int
    refused_examples: dict[str, str]

    def as_dict(self) -> dict[str, Any]:
        """What the training report says of tokens, beyond the counts."""
        return {
            "num_special_text": self.num_special_text,
            "num_repaired": self.num_repaired,
            "refused_examples": self.refused_examples,
        }


class TokenisedPairs:
    """Implements `training.pairs.PairSource` with tokens that stay on disk; 41 bytes of memory a pair.

    Attributes:
        lengths: int64[n], tokens of a pair after truncation, a shared prompt once.
    """

    def __init__(
        self,
        pool: TokenPool,
        selection: PairSelection,
        at: NDArray[np.int64],
        found: NDArray[np.int64],
        lengths: NDArray[np.int64],
        max_tokens: int,
    ) -> None:
        self._segments: Sequence[Segment] = pool.segments
        self._segment, self._row = pool.segment[found], pool.row[found]
        self._keys: Keys = selection.keys[at]
        self._chosen, self._weight = selection.chosen[at], selection.weight[at]
        self._ids = None if selection.ids is None else selection.ids.take(at)
        self._max_tokens = max_tokens
        self.lengths = lengths

    def __len__(self) -> int:
        return len(self._keys)

    def __iter__(self) -> Iterator[EncodedPair]:
        return (self[at] for at in range(len(self)))

    def __getitem__(self, index: int, /) -> EncodedPair:
        """The pair at a place.

        Raises:
            DamagedSegmentError: its tokens on disk are not the ones that were written.
        """
        index = range(len(self))[index]
        first, second = self.rows(index)
        chosen, rejected = (first, second) if self._chosen[index] == 1 else (second, first)
        segment = self._segments[self._segment[index]]
        cluster = hex_of(segment.index[int(self._row[index])]["cluster"])
        return EncodedPair(self.pair_id(index), chosen, rejected, float(self._weight[index]), cluster)

    def rows(self, index: int) -> tuple[EncodedRow, EncodedRow]:
        """Response 1 and response 2 of a pair, in canonical order, truncated."""
        prompt, first, second = self._segments[self._segment[index]].pair(int(self._row[index]))
        return truncate(prompt, first, self._max_tokens), truncate(prompt, second, self._max_tokens)

    def pair_id(self, index: int) -> str:
        """Id of the pair at a place."""
        return hex_of(self._keys[index]) if self._ids is None else self._ids[index].as_py()

    def clusters(self) -> Keys:
        """S16[n], keys of the prompts' clusters: equal ones are one prompt for leakage and intervals."""
        return self._facts("cluster")

    @cached_property
    def fingerprint(self) -> str:
        """Changes with the pairs, their order, tokens, sides and weights; 32 hex digits."""
        state = hashlib.blake2b(str(self._max_tokens).encode(), digest_size=16)
        for column in (self._keys, self._facts("checksum"), self._chosen, self._weight, self.lengths):
            state.update(np.ascontiguousarray(column).view(np.uint8).data)
        return state.hexdigest()

    def _facts(self, name: str) -> NDArray[Any]:
        parts = [np.zeros(0, encoding.INDEX)[name]]
        for start in range(0, len(self), _AT_ONCE):
            some = slice(start, start + _AT_ONCE)
            parts.append(np.ascontiguousarray(facts_of(self._segments, self._segment[some], self._row[some])[name]))
        return np.concatenate(parts)


def select_pairs(
    pool: TokenPool, selection: PairSelection, *, max_tokens: int, max_pairs: int | None = None, seed: int = 0
) -> tuple[TokenisedPairs, SelectionReport]:
    """Join a selection with its tokens; ties, undecided pairs and whatever cannot train are dropped by reason.

    Args:
        max_tokens: prompt and response together, at most.
        max_pairs: keep at most this many, drawn with the seed; the rest is counted `over_max_train_pairs`.
    """
    all_at, all_found, dropped, refused = _usable(pool, selection, to_train=True)
    if max_pairs is not None and len(all_at) > max_pairs:
        dropped["over_max_train_pairs"] = len(all_at) - max_pairs
        drawn = draw(selection, all_at, max_pairs, seed)
        all_at, all_found = all_at[drawn], all_found[drawn]
    sizes = [_sizes(pool.facts(all_found[s : s + _AT_ONCE]), max_tokens) for s in range(0, len(all_at), _AT_ONCE)]
    lengths = np.concatenate([np.zeros(0, np.int64), *(some.lengths for some in sizes)])
    differ = np.concatenate([np.zeros(0, bool), *(some.differ for some in sizes)])
    if not differ.all():
        dropped["equal_after_truncation"] = int(len(differ) - differ.sum())
    pairs = TokenisedPairs(pool, selection, all_at[differ], all_found[differ], lengths[differ], max_tokens)
    report = SelectionReport(
        StageCounts(len(selection), len(pairs), {why: num for why, num in dropped.items() if num}),
        {name: sum(getattr(some, name) for some in sizes) for name in ("num_responses", "num_tokens")},
        sum(some.num_special_text for some in sizes),
        sum(some.num_repaired for some in sizes),
        refused,
    )
    return pairs, report


def pairs_to_score(
    pool: TokenPool, selection: PairSelection, *, max_tokens: int
) -> tuple[TokenisedPairs, dict[str, int]]:
    """Every selected pair that has tokens, whatever its labels; `TokenisedPairs.rows` gives its two responses.

    Returns:
        The pairs, and how many have none: `text_not_found`, `text_too_long`, `template_refused`.
    """
    at, found, dropped, _ = _usable(pool, selection, to_train=False)
    sizes = [_sizes(pool.facts(found[s : s + _AT_ONCE]), max_tokens) for s in range(0, len(at), _AT_ONCE)]
    lengths = np.concatenate([np.zeros(0, np.int64), *(some.lengths for some in sizes)])
    return TokenisedPairs(pool, selection, at, found, lengths, max_tokens), dict(dropped)


def _usable(
    pool: TokenPool, selection: PairSelection, *, to_train: bool
) -> tuple[NDArray[np.int64], NDArray[np.int64], Counter[str], dict[str, str]]:
    """Where the usable pairs stand in the selection and in the pool; the others by reason; what a template said."""
    dropped: Counter[str] = Counter()
    refused: dict[str, str] = {}
    at, found = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)]
    for start in range(0, len(selection), _AT_ONCE):
        places = positions_in(pool.keys, selection.keys[start : start + _AT_ONCE])
        usable = (places >= 0) & (pool.segment[places] >= 0)
        tests = _tests(selection, start, usable, pool.facts(places)["flags"], to_train=to_train)
        left = np.ones(len(usable), bool)
        for why, holds in tests:
            rows = np.flatnonzero(left & holds)
            left[rows] = False
            if len(rows):
                dropped[why] += len(rows)
            if why == "template_refused":
                refused |= _said(pool, selection, start + rows, places[rows], refused)
        at.append(np.flatnonzero(left) + start)
        found.append(places[left])
    return np.concatenate(at), np.concatenate(found), dropped, refused


def refuse_shared_prompts(train: TokenisedPairs, dev: TokenisedPairs) -> None:
    """Raise when a prompt of the dev pairs is trained on: dev would choose the checkpoint that remembers best."""
    clusters = train.clusters()
    shared = np.intersect1d(clusters, dev.clusters())
    if len(shared):
        example = train.pair_id(int(np.flatnonzero(clusters == shared[0])[0]))
        raise leakage_error(len(shared), example)


def _tests(
    selection: PairSelection, start: int, has_text: NDArray[np.bool_], flags: NDArray[np.uint8], *, to_train: bool
) -> list[tuple[str, NDArray[np.bool_]]]:
    """For rows from `start` on, every reason and where it holds; a row counts under the first that does."""
    some = slice(start, start + len(flags))
    chosen, weight = selection.chosen[some], selection.weight[some]
    flagged = [(why, (flags & flag) != 0) for why, flag in _FLAGGED if to_train or flag & _UNTOKENISED]
    labelled = [("no_chosen_side", chosen == 0), ("no_weight", ~(np.isfinite(weight) & (weight > 0)))]
    return [*(labelled if to_train else []), ("text_not_found", ~has_text), *flagged]


def _said(
    pool: TokenPool, selection: PairSelection, at: NDArray[np.int64], found: NDArray[np.int64], known: dict[str, str]
) -> dict[str, str]:
    """What the template said of a few refused pairs, where their segments' manifests still know it."""
    said: dict[str, str] = {}
    for place, where in zip(at[:100].tolist(), found[:100].tolist(), strict=True):
        examples = pool.segments[pool.segment[where]].manifest["refused_examples"]
        text = examples.get(hex_of(selection.keys[place]))
        if text is not None and len(known) + len(said) < 3:
            said[selection.pair_id(place)] = text
    return said


def draw(selection: PairSelection, at: NDArray[np.int64], num: int, seed: int) -> NDArray[np.int64]:
    """Positions within `at` of pairs drawn with a seed, ascending; a pair's chance does not depend on the others."""
    kept, ranks = np.zeros(0, np.int64), np.zeros(0, "S32")
    for start in range(0, len(at), _AT_ONCE):
        some = at[start : start + _AT_ONCE].tolist()
        fresh = np.array([rank_key(seed, selection.pair_id(place)) for place in some], "S32")
        kept = np.concatenate([kept, np.arange(start, start + len(some))])
        ranks = np.concatenate([ranks, fresh])
        best = np.argsort(ranks, kind="stable")[:num]
        kept, ranks = kept[best], ranks[best]
    return np.sort(kept)


@dataclass(frozen=True)
class _Sizes:
    lengths: NDArray[np.int64]
    differ: NDArray[np.bool_]
    num_responses: int
    num_tokens: int
    num_special_text: int
    num_repaired: int


def _sizes(facts: NDArray[Any], max_tokens: int) -> _Sizes:
    prompt, first, second = (facts[name].astype(np.int64) for name in ("num_prompt", "num_1", "num_2"))
    prompt_1, kept_1 = kept_tokens(prompt, first, max_tokens)
    prompt_2, kept_2 = kept_tokens(prompt, second, max_tokens)
    shared = prompt_1 == prompt_2
    # A truncated response is its first tokens and its last one; so is, trivially, one that fits.
    same_last = (facts["flags"] & encoding.SAME_LAST_TOKEN) != 0
    equal = shared & (kept_1 == kept_2) & (facts["num_common"] >= kept_1 - 1) & same_last
    lost = np.concatenate([prompt + first - prompt_1 - kept_1, prompt + second - prompt_2 - kept_2])
    return _Sizes(
        lengths=np.where(shared, prompt_1, prompt_1 + prompt_2) + kept_1 + kept_2,
        differ=~equal,
        num_responses=int((lost > 0).sum()),
        num_tokens=int(lost.sum()),
        num_special_text=int(((facts["flags"] & encoding.SPECIAL_TEXT) != 0).sum()),
        num_repaired=int(((facts["flags"] & encoding.REPAIRED_TEXT) != 0).sum()),
    )
