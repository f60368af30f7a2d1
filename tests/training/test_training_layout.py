"""Layout: the exact tensors, and scores that depend on nothing but a row's own tokens."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from training.backbones.small_llama import LlamaShape, SmallLlama
from training.batching import epoch_batches, within_budget
from training.layout import group_rows, lay_out, num_tokens
from training.tokenising import EncodedRow

PAD = 0


def row(prompt, response) -> EncodedRow:
    return EncodedRow(np.array(prompt, dtype=np.int32), np.array(response, dtype=np.int32))


@pytest.fixture(scope="module")
def model() -> SmallLlama:
    torch.manual_seed(0)
    made = SmallLlama(LlamaShape(50, 32, 64, 2, 2, 64)).eval()
    # Larger than at the start of a training, so that a token seen or not seen moves a score by more than rounding.
    with torch.no_grad():
        for parameter in made.parameters():
            if parameter.dim() > 1:
                parameter.mul_(10)
    return made


@pytest.fixture(scope="module")
def rows() -> list[EncodedRow]:
    rng = np.random.default_rng(1)
    made = []
    for length in (3, 9, 5, 1):
        prompt = rng.integers(0, 50, length)
        made += [row(prompt, rng.integers(0, 50, size)) for size in (2 + length, 4)]
    return made


def scores(model, rows, **how) -> np.ndarray:
    with torch.inference_mode():
        return model(lay_out(rows, pad_id=PAD, **how)).numpy()


def test_a_pair_is_laid_out_as_prompt_and_two_responses_that_do_not_see_each_other():
    batch = lay_out([row([5, 6], [7]), row([5, 6], [8, 9]), row([4], [3])], pad_id=PAD)
    assert batch.input_ids.tolist() == [[5, 6, 7, 8, 9], [4, 3, PAD, PAD, PAD]]
    assert batch.position_ids.tolist() == [[0, 1, 2, 2, 3], [0, 1, 0, 0, 0]]
    assert batch.ends.tolist() == [[2, 4], [1, 1]]
    assert batch.row_at.tolist() == [0, 1, 2]
    assert batch.mask[0, 0].int().tolist() == [
        [1, 0, 0, 0, 0],
        [1, 1, 0, 0, 0],
        [1, 1, 1, 0, 0],
        [1, 1, 0, 1, 0],
        [1, 1, 0, 1, 1],
    ]
    assert batch.mask[1, 0].int().tolist() == [
        [1, 0, 0, 0, 0],
        [1, 1, 0, 0, 0],
        [0, 0, 1, 0, 0],
        [0, 0, 0, 1, 0],
        [0, 0, 0, 0, 1],
    ]


def test_the_last_token_is_found_by_position_even_where_it_is_the_padding_id(model):
    ends_in_pad = row([5, 6], [7, PAD])
    batch = lay_out([ends_in_pad, row([5, 6, 7, 8], [1, 2])], pad_id=PAD)
    assert batch.ends[0, 0].item() == 3
    alone, other = scores(model, [ends_in_pad]), scores(model, [row([5, 6], [7])])
    assert not np.allclose(alone, other, atol=1e-3)


@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize("batch_size", [1, 2, 3, 8])
def test_scores_do_not_depend_on_padding_side_or_batch(model, rows, side, batch_size):
    alone = np.concatenate([scores(model, [one]) for one in rows])
    parts = [rows[at : at + batch_size] for at in range(0, len(rows), batch_size)]
    together = np.concatenate([scores(model, part, padding_side=side) for part in parts])
    np.testing.assert_allclose(together, alone, atol=2e-5)
    assert np.ptp(alone) > 0.1  # Scores that were all alike would show nothing.


def test_scores_follow_their_rows_in_any_order(model, rows):
    order = np.random.default_rng(3).permutation(len(rows))
    np.testing.assert_allclose(scores(model, [rows[i] for i in order]), scores(model, rows)[order], atol=2e-5)


def test_rows_share_a_prompt_two_at_a_time_and_only_next_to_each_other():
    a, b = row([1, 2], [3]), row([9], [3])
    assert group_rows([a, a, a, b, a]) == [[0, 1], [2], [3], [4]]
    assert num_tokens([a, a]) == 4


@given(
    st.lists(st.integers(1, 300), min_size=1, max_size=200),
    st.integers(1, 40),
    st.integers(0, 2**31),
    st.integers(0, 9),
)
@settings(max_examples=60)
def test_an_epoch_has_every_pair_once_in_seeded_order(lengths, batch_pairs, seed, epoch):
    batches = epoch_batches(lengths, batch_pairs, seed, epoch)
    assert sorted(np.concatenate(batches).tolist()) == list(range(len(lengths)))
    assert max(map(len, batches)) <= batch_pairs
    assert len(batches) == -(-len(lengths) // batch_pairs)
    again = epoch_batches(lengths, batch_pairs, seed, epoch)
    assert [b.tolist() for b in batches] == [b.tolist() for b in again]


def test_epochs_and_seeds_differ_in_order_and_lengths_go_together():
    lengths = [10] * 64 + [200] * 64
    first = [b.tolist() for b in epoch_batches(lengths, 16, 0, 0)]
    assert first != [b.tolist() for b in epoch_batches(lengths, 16, 0, 1)]
    assert first != [b.tolist() for b in epoch_batches(lengths, 16, 1, 0)]
    assert all(len({lengths[i] for i in batch}) == 1 for batch in first)


@given(st.lists(st.integers(1, 100), max_size=60), st.integers(1, 300))
def test_the_token_budget_holds_unless_one_sequence_alone_exceeds_it(lengths, budget):
    batches = list(within_budget(lengths, budget))
    assert sorted(i for batch in batches for i in batch) == list(range(len(lengths)))
    for batch in batches:
        assert len(batch) == 1 or len(batch) * max(lengths[i] for i in batch) <= budget
