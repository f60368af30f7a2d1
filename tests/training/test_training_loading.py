"""Loading decoders: what is refused before and after the weights are read, and the padding token."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from assets.errors import ConfigError, SynprefError
from tests.training.packed_models import make_config, make_groups, make_model, one_by_one
from training.backbones.loading import describe_decoder, load_decoder
from training.backbones.pretrained import PretrainedBackbone
from training.model_location import ModelLocation
from training.recipe import TrainingRecipe
from training.template_tokeniser import template_tokeniser

CHATML = "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
LLAMA_3 = "{% for m in messages %}<|start|>{{ m.role }}\n\n{{ m.content }}<|eot_id|>{% endfor %}"
WORDS = ["user", "assistant", "Hi", "Hello", "\n"]


def make_tokenizer(template: str | None = CHATML, **special):
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    tokens = ["<unk>", "<|im_start|>", "<|im_end|>", "<|start|>", "<|eot_id|>", "<|finetune_right_pad_id|>", *WORDS]
    inner = Tokenizer(models.WordLevel({token: at for at, token in enumerate(tokens)}, unk_token="<unk>"))
    inner.pre_tokenizer = pre_tokenizers.Split("\n", "isolated")
    inner.add_special_tokens([token for token in tokens if token.startswith("<|") and token not in special.values()])
    made = PreTrainedTokenizerFast(tokenizer_object=inner, **special)
    made.chat_template = template
    return made


@pytest.fixture
def save(tmp_path):
    def make(model=None, tokenizer=None, **config) -> ModelLocation:
        (model or make_model("llama")).save_pretrained(tmp_path)
        (tokenizer or make_tokenizer(pad_token="<|im_start|>")).save_pretrained(tmp_path)
        path = tmp_path / "config.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | config))
        return ModelLocation(str(tmp_path))

    return make


def recipe(location: ModelLocation, **changes) -> TrainingRecipe:
    return TrainingRecipe(backbone="pretrained", model=location.name, max_tokens=64, **changes)


def causal_model():
    from transformers import AutoModelForCausalLM

    torch.manual_seed(0)
    return AutoModelForCausalLM.from_config(make_config("llama"))


def two_logits():
    return make_model("llama", num_labels=2)


def encoder():
    from transformers import BertConfig, BertForSequenceClassification

    sizes = {"vocab_size": 60, "hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}
    return BertForSequenceClassification(BertConfig(**sizes, intermediate_size=48, num_labels=1))


def recurrent():
    from transformers import MambaConfig, MambaForCausalLM

    return MambaForCausalLM(MambaConfig(vocab_size=60, hidden_size=32, num_hidden_layers=1, state_size=4))


@pytest.mark.parametrize(
    ("make", "config", "said"),
    [
        (None, {"auto_map": {"AutoModel": "m.M"}}, "code of its own"),
        (two_logits, {}, "2 logits"),
        (encoder, {}, "no decoder with a scalar head"),
        (recurrent, {}, "no sequence classifier"),
        (None, {"use_bidirectional_attention": True}, "looks ahead"),
        (None, {"layer_types": ["full_attention", "linear_attention", "full_attention"]}, "linear_attention"),
    ],
)
def test_a_model_that_cannot_be_packed_is_refused_before_its_weights_are_read(save, make, config, said):
    location = save(make() if make else None, **config)
    with pytest.raises(ConfigError, match=said):
        describe_decoder(location)
    with pytest.raises(ConfigError, match=said):
        PretrainedBackbone.create(recipe(location), 0)


def test_weights_that_are_not_finite_are_named(save):
    model = make_model("llama")
    with torch.no_grad():
        model.model.layers[1].mlp.up_proj.weight[3, 4] = float("nan")
    with pytest.raises(SynprefError, match=r"1 of .* not finite: model\.layers\.1\.mlp\.up_proj\.weight"):
        load_decoder(save(model), "float32", new_head=False)


def test_a_base_model_gets_a_new_head_of_the_seed_to_train_and_none_to_score(save):
    location = save(causal_model())
    heads = [PretrainedBackbone.create(recipe(location), seed).module.score.weight for seed in (1, 1, 2)]
    assert torch.equal(heads[0], heads[1])
    assert not torch.equal(heads[0], heads[2])
    with pytest.raises(SynprefError, match=r"lack score\.weight"):
        load_decoder(location, "float32", new_head=False)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"micro_batch_tokens": 10**12, "batch_pairs": 10**11, "activation_checkpointing": "never"}, "GB are free"),
        ({"max_tokens": 5000}, "reads at most 256"),
    ],
)
def test_a_recipe_that_the_model_or_the_machine_cannot_follow_is_refused(save, changes, said):
    location = save()
    with pytest.raises(ConfigError, match=said):
        PretrainedBackbone.create(TrainingRecipe(**{**recipe(location).model_dump(), **changes}), 0)


@pytest.mark.parametrize(
    ("template", "special", "chosen"),
    [
        # Qwen3 and Gemma 3: a padding token of their own.
        (CHATML, {"pad_token": "<|im_start|>", "eos_token": "<|im_end|>"}, "<|im_start|>"),
        # SmolLM2: padding is the end of a turn, but a conversation ends with the line break after it.
        (CHATML, {"pad_token": "<|im_end|>", "eos_token": "<|im_end|>"}, "<|im_end|>"),
        # Llama-3: none, and its end of a turn is the last token.
        (LLAMA_3, {"eos_token": "<|eot_id|>"}, "<|finetune_right_pad_id|>"),
        # What others did to Llama-3 before us.
        (LLAMA_3, {"eos_token": "<|eot_id|>", "pad_token": "<|eot_id|>"}, "<|finetune_right_pad_id|>"),
    ],
)
def test_padding_is_a_token_that_no_conversation_ends_with(template, special, chosen):
    tokenizer = make_tokenizer(template, **special)
    template_tokeniser(tokenizer)
    assert tokenizer.pad_token == chosen


@pytest.mark.parametrize("architecture", ["llama", "qwen3", "gemma3"])
def test_what_is_saved_gives_plain_transformers_the_same_scores(save, tmp_path, architecture):
    from transformers import AutoModelForSequenceClassification

    location = save(make_model(architecture), make_tokenizer(LLAMA_3, eos_token="<|eot_id|>"))
    backbone = PretrainedBackbone.create(recipe(location), 0)
    backbone.module.eval()
    backbone.save(tmp_path / "saved")
    plain = AutoModelForSequenceClassification.from_pretrained(tmp_path / "saved").eval()
    assert plain.config._attn_implementation == "sdpa"
    pad = make_tokenizer().convert_tokens_to_ids("<|finetune_right_pad_id|>")
    assert plain.config.pad_token_id == pad
    rows = [row for group in make_groups((12, (9, 4)), (3, (20,))) for row in group]
    for row in rows:
        row.response[-1] = make_tokenizer().convert_tokens_to_ids("<|eot_id|>")
        row.response[row.response == pad] = 0
        row.prompt[row.prompt == pad] = 0
    longest = max(len(row.prompt) + len(row.response) for row in rows)
    ids = np.full((len(rows), longest), pad)
    for line, row in zip(ids, rows, strict=True):
        line[: len(row.prompt) + len(row.response)] = np.concatenate([row.prompt, row.response])
    with torch.inference_mode():
        alone = one_by_one(plain, rows)
        padded = plain(input_ids=torch.from_numpy(ids), attention_mask=torch.from_numpy(ids != pad).int()).logits[:, 0]
        ours = backbone.scores(rows).cpu()
    torch.testing.assert_close(ours, alone, atol=1e-5, rtol=0)
    torch.testing.assert_close(padded, alone, atol=1e-5, rtol=0)


def test_bfloat16_weights_leave_rotary_frequencies_and_the_score_in_float32(save):
    backbone = PretrainedBackbone.create(recipe(save(), precision="bfloat16_weights"), 0)
    assert {p.dtype for p in backbone.module.parameters()} == {torch.bfloat16}
    assert backbone.module.model.rotary_emb.inv_freq.dtype == torch.float32
    rows = make_groups((5, (3, 9)))[0]
    assert backbone.scores(rows).dtype == torch.float32


def test_a_layout_wider_than_its_tokens_changes_no_score(save):
    location = save()
    rows = [row for group in make_groups((12, (9, 4)), (3, (20,))) for row in group]
    narrow = PretrainedBackbone.create(recipe(location), 0)
    wide = PretrainedBackbone.create(recipe(location), 0)
    # As where layers are compiled, for one width.
    wide._decoder._compiled = True
    list(wide.micro_batches([10], 100))
    with torch.inference_mode():
        torch.testing.assert_close(wide.scores(rows), narrow.scores(rows), atol=1e-5, rtol=0)
