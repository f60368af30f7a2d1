"""Packing: which pairs are computed together, and on which process. Pure and deterministic."""

from __future__ import annotations

import bisect
import heapq
from collections.abc import Iterable, Sequence

# Length at which a token's attention costs as much as its share of all matrices: about 6 hidden sizes of a Llama, times
# two because a token sees half of what is there. Only the balance between processes depends on it.
_EVEN_LENGTH = 16_384


def pack(lengths: Sequence[int], max_tokens: int) -> list[list[int]]:
    """Indices of pairs in as few packs as best-fit-decreasing finds; the order within and of packs is fixed.

    Args:
        lengths: tokens of each pair, at least 1.
        max_tokens: of a pack. A pair with more makes a pack of its own: its memory is counted before the start
            (`training.memory`), where the recipe's longest pair is known.

    >>> pack([3, 1, 9, 2, 5], 6)
    [[2], [4, 1], [0, 3]]
    """
    packs: list[list[int]] = []
    room: list[tuple[int, int]] = []  # (tokens left, pack), ascending
    for index in sorted(range(len(lengths)), key=lambda at: (-lengths[at], at)):
        at = bisect.bisect_left(room, (lengths[index], -1))
        left, number = room.pop(at) if at < len(room) else (max_tokens, len(packs))
        if number == len(packs):
            packs.append([])
        packs[number].append(index)
        if left > lengths[index]:
            bisect.insort(room, (left - lengths[index], number))
    return packs


def plan_step(lengths: Sequence[int], max_tokens: int, world_size: int) -> list[list[list[int]]]:
    """For each rank its packs: as many on each, empty ones filling up, so that all gather and reduce together.

    Pairs are spread over the packs by work, so that no rank waits for another; where that needs more packs than
    best fit does, best fit's are taken. A rank's packs go from most work to least, as those of the others do.

    Args:
        lengths, max_tokens: as for `pack`.

    Returns:
        world_size lists of packs. Every pair is in exactly one pack.
    """
    packs = pack(lengths, max_tokens)
    if world_size == 1:
        return [packs]
    each = -(-len(packs) // world_size)
    packs = _spread(lengths, max_tokens, each * world_size) or packs
    costs = [_work(lengths[index] for index in part) for part in packs]
    ranks: list[list[list[int]]] = [[] for _ in range(world_size)]
    least = [(0.0, rank) for rank in range(world_size)]
    for number in sorted(range(len(packs)), key=lambda at: (-costs[at], at)):
        work, rank = heapq.heappop(least)
        ranks[rank].append(packs[number])
        if len(ranks[rank]) < each:
            heapq.heappush(least, (work + costs[number], rank))
    return [part + [[]] * (each - len(part)) for part in ranks]


def _spread(lengths: Sequence[int], max_tokens: int, num_packs: int) -> list[list[int]] | None:
    """Heaviest pair first, each to the pack with the least work that has room; None where one fits nowhere."""
    packs: list[list[int]] = [[] for _ in range(num_packs)]
    tokens = [0] * num_packs
    least = [(0.0, number) for number in range(num_packs)]
    for index in sorted(range(len(lengths)), key=lambda at: (-lengths[at], at)):
        passed = []
        while least:
            work, number = heapq.heappop(least)
            if not packs[number] or tokens[number] + lengths[index] <= max_tokens:
                break
            passed.append((work, number))
        else:
            return None
        packs[number].append(index)
        tokens[number] += lengths[index]
        for entry in (*passed, (work + _work([lengths[index]]), number)):
            heapq.heappush(least, entry)
    return packs


def _work(lengths: Iterable[int]) -> float:
    """Cost of pairs in units of one token without attention."""
    return sum(length + length * length / _EVEN_LENGTH for length in lengths)
