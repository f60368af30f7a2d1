"""LoRA: adapters begin as nothing, train alone with the head, and are merged into a plain model."""

from __future__ import annotations

import pytest
import torch
from transformers import LlamaConfig, LlamaForSequenceClassification

from assets.errors import ConfigError
from training.lora import add_adapters, merge_adapters
from training.recipe import LoraSettings

ALL = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")


@pytest.fixture
def llama():
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=50, hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=4, num_labels=1
    )
    return LlamaForSequenceClassification(config).eval()


def scores(module) -> torch.Tensor:
    ids = torch.arange(24).reshape(3, 8)
    hidden = module.model(input_ids=ids).last_hidden_state[:, -1]
    return torch.nn.functional.linear(hidden, module.score.weight).flatten()


@pytest.mark.parametrize("targets", [(), ("q_proj", "v_proj")])
def test_adapters_begin_as_nothing_train_alone_and_merge_to_a_plain_model(llama, targets):
    names = set(llama.state_dict())
    before = scores(llama)
    add_adapters(llama, LoraSettings(rank=4, targets=targets), seed=1)
    assert torch.equal(scores(llama), before)
    trained = {name for name, p in llama.named_parameters() if p.requires_grad}
    assert "score.weight" in trained
    assert all("lora_" in name for name in trained - {"score.weight"})
    assert {name.split(".")[-4] for name in trained - {"score.weight"}} == set(targets or ALL)
    frozen = {name: p.clone() for name, p in llama.named_parameters() if not p.requires_grad}

    optimiser = torch.optim.AdamW([p for p in llama.parameters() if p.requires_grad], lr=1e-2)
    for _ in range(3):
        optimiser.zero_grad()
        scores(llama).square().sum().backward()
        optimiser.step()
    assert all(torch.equal(dict(llama.named_parameters())[name], p) for name, p in frozen.items())
    adapted = scores(llama)
    assert not torch.allclose(adapted, before, atol=1e-4)

    merge_adapters(llama)
    assert set(llama.state_dict()) == names
    torch.testing.assert_close(scores(llama), adapted, atol=1e-5, rtol=1e-5)


def test_adapters_depend_on_the_seed_alone(llama):
    import copy

    made = []
    for seed in (1, 1, 2):
        module = copy.deepcopy(llama)
        torch.randn(seed)
        add_adapters(module, LoraSettings(rank=4), seed=seed)
        made.append(module.model.layers[0].self_attn.q_proj.lora_A["default"].weight)
    assert torch.equal(made[0], made[1])
    assert not torch.equal(made[0], made[2])


@pytest.mark.parametrize("targets", [("query",), ("q_proj", "score"), ("norm",)])
def test_a_target_that_is_no_linear_layer_is_refused(llama, targets):
    with pytest.raises(ConfigError, match=targets[-1]):
        add_adapters(llama, LoraSettings(targets=targets), seed=0)
