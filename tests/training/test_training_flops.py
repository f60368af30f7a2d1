"""FLOPs: by hand, beside what torch counts in transformers' own models, and beside masks counted one by one."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from assets.errors import ConfigError
from training.flops import decoder_shape, matrix_peak, pair_flops, row_flops, seen_tokens, shared_flops


def _config(kind: str, **changes):
    from transformers import AutoConfig

    sizes = {
        "hidden_size": 8,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "head_dim": 4,
        "intermediate_size": 10,
        "vocab_size": 32,
        "num_labels": 1,
        "pad_token_id": 0,
    }
    return AutoConfig.for_model(kind, **{**sizes, **changes})


def test_a_row_by_hand():
    shape = decoder_shape(_config("llama"))
    # Per layer and token: queries 2*8*16, keys and values 2*(2*8*8), output 2*16*8, MLP 3*(2*8*10).
    assert shape.linear_per_token == 2 * (256 + 256 + 256 + 480)
    # Five tokens see 1+2+3+4+5 = 15; each sight costs 4*4*4 in each of two layers. The head: 2*8.
    row = row_flops(shape, 3, 2)
    assert (row.linear, row.attention, row.head) == (5 * 2496, 2 * 64 * 15, 16)
    assert row.forward == 12480 + 1920 + 16
    assert row.training == 3 * row.forward


def test_a_pair_is_two_rows_and_its_shared_form_computes_the_prompt_once():
    shape = decoder_shape(_config("llama"))
    pair, shared = pair_flops(shape, 3, 2, 1), shared_flops(shape, 3, [2, 1])
    assert (pair.linear, shared.linear) == (9 * 2496, 6 * 2496)
    # Alone: 15 and 10 sights. Shared: the prompt's 6, then 4+5 and 4.
    assert (pair.attention, shared.attention) == (128 * 25, 128 * 19)
    assert pair.head == shared.head == 32


def test_lengths_can_be_arrays():
    shape = decoder_shape(_config("qwen3"))
    lengths = np.array([[3, 2, 1], [5, 1, 4]])
    together = pair_flops(shape, *lengths.T).training
    assert together.tolist() == [float(pair_flops(shape, *one).training) for one in lengths]


@pytest.mark.parametrize("window", [0, 1, 3, 5, 9])
@pytest.mark.parametrize(("prompt", "responses"), [(1, (1,)), (4, (3, 6)), (7, (2, 2, 1))])
def test_sights_are_those_of_the_tree_mask(window, prompt, responses):
    segments = [0] * prompt + [n + 1 for n, r in enumerate(responses) for _ in range(r)]
    positions = list(range(prompt)) + [prompt + at for r in responses for at in range(r)]
    seen = sum(
        segments[k] in (0, segments[q]) and 0 <= positions[q] - positions[k] < (window or 99)
        for q in range(len(segments))
        for k in range(q + 1)
    )
    changes = {"sliding_window": window or None, "layer_types": [f"{'sliding' if window else 'full'}_attention"] * 2}
    shape = decoder_shape(_config("gemma3_text", **changes))
    assert shape.windows == (window, window)
    found = shared_flops(shape, prompt, list(responses)).attention
    assert found == seen * 2 * shape.attention_per_sight


def test_seen_tokens_counts_a_window_no_longer_than_the_row():
    assert float(seen_tokens(3, 8)) == float(seen_tokens(3)) == 6


@pytest.mark.parametrize("kind", ["llama", "qwen3", "gemma3_text", "qwen2", "mistral"])
def test_torch_counts_the_same_in_the_models_themselves(kind):
    from torch.utils.flop_counter import FlopCounterMode
    from transformers import AutoModelForSequenceClassification

    config = _config(kind)
    model = AutoModelForSequenceClassification.from_config(config, attn_implementation="eager").eval()
    tokens = 6
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model(input_ids=torch.ones(1, tokens, dtype=torch.long))
    counted = {str(name): number for name, number in counter.get_flop_counts()["Global"].items()}
    shape = decoder_shape(config)
    # transformers puts the head on every token; we count it where it is read.
    linear = counted["aten.mm"] + counted.get("aten.addmm", 0) - 2 * 8 * tokens
    assert linear == shape.linear_per_token * tokens
    # Plain attention computes every sight, those of the future too; the rotation's table is a product as well.
    rotations = counted["aten.bmm"] - 2 * shape.attention_per_sight * tokens**2
    assert 0 <= rotations <= 4 * config.head_dim * tokens


def test_layers_without_a_window_are_told_from_those_with_one():
    config = _config("gemma3_text", num_hidden_layers=6, sliding_window=4)
    shape = decoder_shape(config)
    assert shape.windows == tuple(config.sliding_window if k == "sliding_attention" else 0 for k in config.layer_types)
    assert 0 in shape.windows
    assert set(shape.windows) != {0}
    sights = 5 * float(seen_tokens(20, config.sliding_window)) + float(seen_tokens(20))
    assert row_flops(shape, 15, 5).attention == sights * shape.attention_per_sight


def test_an_architecture_that_is_not_written_out_is_refused():
    from transformers import AutoConfig

    with pytest.raises(ConfigError, match="mixtral"):
        decoder_shape(AutoConfig.for_model("mixtral"))


def test_the_matrix_rate_is_a_rate():
    assert matrix_peak(torch.device("cpu"), torch.float32, size=64, repeats=2) > 1e6
