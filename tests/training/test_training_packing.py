"""Packing: every pair once, within the budget, and the same number of packs of like work on every rank."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from training.packing import pack, plan_step

LENGTHS = st.lists(st.integers(1, 120), max_size=80)


def log_normal_lengths(num: int, seed: int = 0) -> list[int]:
    """Pairs of design.md: prompts of 180 tokens in the median, responses of 280."""
    rng = np.random.default_rng(seed)
    prompts, first, second = (np.exp(rng.normal(np.log(m), 0.7, num)) for m in (180, 280, 280))
    return (prompts + first + second).astype(int).tolist()


def check(lengths: list[int], budget: int, packs: list[list[int]]) -> None:
    assert sorted(index for part in packs for index in part) == list(range(len(lengths)))
    for part in packs:
        assert len(part) <= 1 or sum(lengths[index] for index in part) <= budget


@given(LENGTHS, st.integers(1, 200))
def test_a_pack_holds_the_budget_unless_one_pair_alone_exceeds_it(lengths, budget):
    packs = pack(lengths, budget)
    check(lengths, budget, packs)
    assert all(packs)
    assert packs == pack(lengths, budget)
    # No two packs would fit into one: best fit never leaves that.
    sizes = sorted(sum(lengths[index] for index in part) for part in packs)
    assert len(sizes) < 2 or sizes[0] + sizes[1] > budget


@given(LENGTHS, st.integers(1, 200), st.integers(1, 9))
@settings(max_examples=200)
def test_every_rank_gets_as_many_packs_and_every_pair_is_whole_on_one(lengths, budget, world_size):
    plan = plan_step(lengths, budget, world_size)
    assert len(plan) == world_size
    assert len({len(packs) for packs in plan}) == 1
    check(lengths, budget, [part for packs in plan for part in packs])
    assert plan == plan_step(lengths, budget, world_size)
    # Balance costs no rank a pack more than the fewest that best fit finds.
    assert len(plan[0]) == -(-len(pack(lengths, budget)) // world_size)


def test_nothing_to_pack_is_nothing_on_every_rank():
    assert pack([], 10) == []
    assert plan_step([], 10, 3) == [[], [], []]


@pytest.mark.parametrize(("num", "budget", "world_size"), [(256, 8_192, 2), (2_048, 16_384, 8), (1_000, 32_768, 3)])
def test_ranks_have_like_work_on_lengths_as_they_come(num, budget, world_size):
    lengths = log_normal_lengths(num)
    plan = plan_step(lengths, budget, world_size)
    tokens = [sum(lengths[index] for part in packs for index in part) for packs in plan]
    assert max(tokens) <= 1.02 * min(tokens)


def test_packs_of_lengths_as_they_come_are_full():
    lengths = log_normal_lengths(2_048)
    assert sum(lengths) > 0.98 * 16_384 * len(pack(lengths, 16_384))
