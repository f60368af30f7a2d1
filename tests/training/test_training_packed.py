"""Packed layout: the scores and gradients of one-by-one computation, for the models that transformers brings."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn.attention.flex_attention import create_block_mask

from assets.errors import SynprefError
from tests.training.packed_models import ARCHITECTURES, WINDOW, make_groups, make_model, one_by_one, packed_decoder
from training import attention
from training.layout import group_rows, lay_out
from training.packed_layout import pack_rows
from training.tokenising import EncodedRow

# K of 1, 2 and 5; an empty prompt, a response of one token, groups shorter and longer than the window and a block.
GROUPS = make_groups((5, (3, 9)), (0, (4,)), (20, (12, 1, 7, 7, 3)), (30, (2,)), (1, (40, 33)), (70, (35, 50)))
ROWS = [row for group in GROUPS for row in group]
# Root mean square error of scores computed in bfloat16, in standard deviations of the scores. These models have large
# weights; computed one by one they are off by up to 0.033.
BFLOAT16_BOUND = 0.05
needs_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU here")


def test_groups_stand_end_to_end_and_continue_their_prompts_positions():
    rows = [
        EncodedRow(np.array([5, 6]), np.array([7])),
        EncodedRow(np.array([5, 6]), np.array([8, 9])),
        EncodedRow(np.array([4]), np.array([3])),
    ]
    packed = pack_rows(rows, pad_id=1, width=9)
    assert packed.input_ids.tolist() == [[5, 6, 7, 8, 9, 4, 3, 1, 1]]
    assert packed.position_ids.tolist() == [[0, 1, 2, 2, 3, 0, 1, 0, 0]]
    assert packed.ends.tolist() == [2, 4, 6]
    assert packed.groups == ((0, 2, 3, 5), (5, 6, 7))
    seen = attention.tree_mask_mod(packed, None)
    places = torch.arange(9)
    assert seen(0, 0, places[:, None], places[None]).int().tolist() == [
        [1, 0, 0, 0, 0, 0, 0, 0, 0],
        [1, 1, 0, 0, 0, 0, 0, 0, 0],
        [1, 1, 1, 0, 0, 0, 0, 0, 0],
        [1, 1, 0, 1, 0, 0, 0, 0, 0],
        [1, 1, 0, 1, 1, 0, 0, 0, 0],
        [0, 0, 0, 0, 0, 1, 0, 0, 0],
        [0, 0, 0, 0, 0, 1, 1, 0, 0],
        [0, 0, 0, 0, 0, 0, 0, 1, 0],
        [0, 0, 0, 0, 0, 0, 0, 0, 1],
    ]


def test_a_window_counts_positions_and_not_places_in_the_row():
    rows = [EncodedRow(np.arange(4), np.arange(3)), EncodedRow(np.arange(4), np.arange(3))]
    packed = pack_rows(rows, pad_id=0)
    places = torch.arange(10)
    seen = attention.tree_mask_mod(packed, 3)(0, 0, places[:, None], places[None])
    # Second response's first token stands at place 7 and has position 4: it sees positions 2 and 3 of the prompt.
    assert seen[7].nonzero().flatten().tolist() == [2, 3, 7]
    assert seen[9].nonzero().flatten().tolist() == [7, 8, 9]


def test_a_response_without_a_token_is_refused():
    with pytest.raises(SynprefError, match="without a token"):
        pack_rows([EncodedRow(np.array([1]), np.array([], dtype=np.int32))], pad_id=0)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize("heads", [4, 2, 1])
def test_packed_scores_are_those_of_plain_transformers(architecture, heads):
    with torch.inference_mode():
        alone = one_by_one(make_model(architecture, num_key_value_heads=heads), ROWS)
        decoder = packed_decoder(architecture, num_key_value_heads=heads)
        together = decoder.scores(ROWS)
        # Another order of groups and of responses; then packs of one, two and three groups.
        order = np.random.default_rng(1).permutation(len(GROUPS))
        mixed = [row for at in order for row in reversed(GROUPS[at])]
        parts = [[row for group in GROUPS[a:b] for row in group] for a, b in ((0, 1), (1, 3), (3, 6))]
        apart = torch.cat([decoder.scores(part) for part in parts])
        other = decoder.scores(mixed)
    assert torch.std(alone) > 0.3
    torch.testing.assert_close(together, alone, atol=1e-5, rtol=0)
    torch.testing.assert_close(apart, alone, atol=1e-5, rtol=0)
    place = {id(row): at for at, row in enumerate(ROWS)}
    torch.testing.assert_close(other, alone[[place[id(row)] for row in mixed]], atol=1e-5, rtol=0)


def test_the_window_of_the_sliding_layers_is_what_bounds_sight():
    with torch.inference_mode():
        near = packed_decoder("gemma3").scores(ROWS)
        far = packed_decoder("gemma3", sliding_window=500).scores(ROWS)
    assert (near - far).abs().max() > 1e-2
    assert all(sum(map(len, (group[0].prompt, *(r.response for r in group)))) > WINDOW for group in GROUPS[2:])


@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize("max_responses", [1, 2, None])
def test_the_padded_layout_gives_the_same_on_either_side_with_any_sharing(side, max_responses):
    model = make_model("qwen3")
    batch = lay_out(ROWS, pad_id=0, padding_side=side, max_responses=max_responses)
    with torch.inference_mode():
        hidden = model.base_model(
            input_ids=batch.input_ids, position_ids=batch.position_ids, attention_mask=batch.mask, use_cache=False
        ).last_hidden_state
        last = hidden.gather(1, batch.ends[:, :, None].expand(-1, -1, hidden.shape[2]))
        padded = model.score(last).flatten()[batch.row_at]
        torch.testing.assert_close(padded, packed_decoder("qwen3").scores(ROWS), atol=1e-5, rtol=0)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize("recomputed", [0, 2])
def test_gradients_are_those_of_one_by_one_computation(architecture, recomputed):
    model = make_model(architecture).train()
    decoder = packed_decoder(architecture)
    decoder.module.train()
    decoder.recompute_layers(recomputed)
    weights = torch.linspace(-1, 1, len(ROWS))
    (one_by_one(model, ROWS) * weights).sum().backward()
    # Gradients of several packs add up.
    for part in (slice(0, 3), slice(3, len(ROWS))):
        (decoder.scores(ROWS[part]) * weights[part]).sum().backward()
    ours = dict(decoder.module.named_parameters())
    for name, parameter in model.named_parameters():
        assert parameter.grad.norm() > 0, name
        assert (ours[name].grad - parameter.grad).norm() <= 1e-4 * parameter.grad.norm(), name


def test_recomputed_layers_run_twice_and_the_last_never_does():
    decoder = packed_decoder("llama")
    decoder.module.train()
    decoder.recompute_layers(2)
    calls = []
    for number, layer in enumerate(decoder.module.base_model.layers):
        layer.mlp.register_forward_pre_hook(lambda *_, number=number: calls.append(number))
    decoder.scores(ROWS).sum().backward()
    assert sorted(calls) == [0, 0, 1, 1, 2]


@pytest.mark.parametrize("window", [None, 3, 40])
@pytest.mark.parametrize("softcap", [None, 2.0])
def test_flex_attention_with_our_mask_gives_what_slices_give(window, softcap):
    layout = pack_rows(ROWS, pad_id=0, width=512)
    torch.manual_seed(0)
    query, key, value = torch.randn(1, 4, 512, 16), torch.randn(1, 2, 512, 16), torch.randn(1, 2, 512, 16)
    how = {"scale": 0.3, "dropout": 0.0, "window": window, "softcap": softcap}
    blocks = attention.BlockAttention(layout, frozenset({None, window}))(query, key, value, **how)
    slices = attention.SlicedAttention(layout)(query, key, value, **how)
    used = layout.groups[-1][-1]
    torch.testing.assert_close(blocks[:, :used], slices[:, :used], atol=1e-5, rtol=0)
    assert torch.isfinite(blocks).all()


@pytest.mark.parametrize("window", [None, 3, 130])
def test_block_masks_are_those_that_trying_every_pair_of_tokens_gives(window):
    rows = [row for group in make_groups((200, (300, 180)), (3, (5,)), (150, (40, 60, 20))) for row in group]
    layout = pack_rows(rows, pad_id=0, width=1152)
    ours = attention.block_mask(layout, window)
    theirs = create_block_mask(attention.tree_mask_mod(layout, window), None, None, 1152, 1152, device="cpu")
    for name in ("kv", "full_kv", "q", "full_q"):
        counts, indices = getattr(ours, f"{name}_num_blocks")[0, 0], getattr(ours, f"{name}_indices")[0, 0]
        assert torch.equal(counts, getattr(theirs, f"{name}_num_blocks")[0, 0]), name
        wanted = getattr(theirs, f"{name}_indices")[0, 0]
        for count, mine, their in zip(counts.tolist(), indices, wanted, strict=True):
            assert torch.equal(mine[:count], their[:count]), name
    assert (ours.full_kv_num_blocks.sum() > 0) == (window is None)


@pytest.mark.parametrize("architecture", ["qwen3", "gemma3"])
def test_a_layer_is_traced_whole_with_block_masks_and_only_once_for_packs_of_one_width(architecture):
    """What `compile` does on a GPU, as far as a CPU can show it: no kernel is generated, and nothing is derived."""
    torch._dynamo.reset()
    traced = []

    def backend(graph, inputs):
        traced.append(graph)
        return graph.forward

    decoder = packed_decoder(architecture)
    base, windows = decoder.module.base_model, frozenset({None, decoder.module.config.sliding_window})
    for layer in base.layers:
        layer.compile(backend=backend, dynamic=False, fullgraph=True)
    with torch.no_grad():
        for rows in (ROWS, ROWS[:4], ROWS[2:]):
            layout = pack_rows(rows, pad_id=0, width=512)
            hidden = base(
                input_ids=layout.input_ids,
                position_ids=layout.position_ids,
                use_cache=False,
                packed=attention.BlockAttention(layout, windows),
            ).last_hidden_state
            scores = decoder.module.score(hidden[:, layout.ends]).flatten()
            torch.testing.assert_close(scores, packed_decoder(architecture).scores(rows), atol=1e-5, rtol=0)
    # Layers with and without a window differ.
    assert len(traced) == (2 if architecture == "gemma3" else 1)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize("device", ["cpu", pytest.param("cuda", marks=needs_gpu)])
def test_bfloat16_computation_stays_within_the_stated_bound(architecture, device):
    model = make_model(architecture)
    with torch.inference_mode():
        exact = one_by_one(model, ROWS)
        with torch.autocast("cpu", torch.bfloat16):
            alone = one_by_one(model, ROWS)
        packed = packed_decoder(architecture, precision="bfloat16", device=device).scores(ROWS)
    assert packed.dtype == torch.float32
    error, error_alone = (
        ((scores.cpu() - exact).square().mean().sqrt() / exact.std()).item() for scores in (packed, alone)
    )
    assert 1e-4 < error < BFLOAT16_BOUND
    # The rounding is that of bfloat16; the layout adds none.
    assert error < 1.5 * error_alone


@needs_gpu
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_compiled_layers_on_a_gpu_give_the_scores_and_gradients_of_one_by_one_computation(architecture):
    model = make_model(architecture).train()
    decoder = packed_decoder(architecture, device="cuda", compiled="always")
    decoder.module.train()
    decoder.budget = 512
    decoder.recompute_layers(1)
    alone, together = one_by_one(model, ROWS), decoder.scores(ROWS)
    torch.testing.assert_close(together.cpu(), alone, atol=1e-4, rtol=0)
    weights = torch.linspace(-1, 1, len(ROWS))
    (alone * weights).sum().backward()
    (together * weights.cuda()).sum().backward()
    ours = dict(decoder.module.named_parameters())
    for name, parameter in model.named_parameters():
        assert (ours[name].grad.cpu() - parameter.grad).norm() <= 1e-3 * parameter.grad.norm(), name


def test_a_model_that_asks_for_more_than_this_attention_does_is_refused():
    decoder = packed_decoder("llama")
    layout = pack_rows(ROWS, pad_id=0)
    with pytest.raises(SynprefError, match="no packed layout"):
        decoder.module.base_model(input_ids=layout.input_ids)
    with pytest.raises(SynprefError, match="s_aux"):
        decoder.module.base_model(
            input_ids=layout.input_ids, packed=attention.SlicedAttention(layout), s_aux=torch.zeros(4)
        )


def test_neighbours_are_grouped_up_to_a_number_of_responses_and_of_tokens():
    a, b = (EncodedRow(np.array(prompt), np.array([3, 3])) for prompt in ([1, 2], [9]))
    rows = [a, a, a, b, a]
    assert group_rows(rows) == [[0, 1], [2], [3], [4]]
    assert group_rows(rows, None) == [[0, 1, 2], [3], [4]]
    assert group_rows(rows, None, max_tokens=7) == [[0, 1], [2], [3], [4]]
    assert group_rows(rows, None, max_tokens=1) == [[0], [1], [2], [3], [4]]
