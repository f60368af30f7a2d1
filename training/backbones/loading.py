"""Loading a decoder of transformers with a scalar head: what is refused, and which padding token it is given."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from assets.errors import ConfigError, SynprefError
from training import attention
from training.backbones.decoder import ScalarHead
from training.model_location import ModelLocation

# Kinds of layers that see nothing but what attention shows them; a recurrent layer would leak one group into the next.
_KNOWN_LAYERS = {"full_attention", "sliding_attention"}
_ADVICE = "use a decoder with plain or sliding-window attention, such as Llama, Qwen3 or Gemma 3"


def describe_decoder(location: ModelLocation) -> Any:
    """The model without its weights, on the meta device: for its sizes, and for refusing it before it is loaded.

    Raises:
        ConfigError: it is no decoder with one score, asks for code of its own, or has layers that are no attention.
    """
    from transformers import AutoConfig, AutoModelForSequenceClassification, PreTrainedConfig

    raw = PreTrainedConfig.get_config_dict(location.name, **_where(location))[0]
    if "auto_map" in raw:
        raise ConfigError(
            "The model asks for code of its own to be run (auto_map), which is refused.",
            where=location.name,
            todo="use a model of an architecture that transformers knows",
        )
    architecture = (raw.get("architectures") or [""])[0]
    num_labels = len(raw.get("id2label") or (0, 1))
    if architecture.endswith("ForSequenceClassification") and num_labels != 1:
        raise ConfigError(
            f"The model is a classifier with {num_labels} logits; a reward model has one.",
            where=location.name,
            todo="use the base model, or a classifier with one logit",
        )
    config = AutoConfig.from_pretrained(location.name, trust_remote_code=False, num_labels=1, **_where(location))
    try:
        with torch.device("meta"):
            module = AutoModelForSequenceClassification.from_config(config)
    except ValueError as error:
        raise ConfigError(
            f"transformers has no sequence classifier for {type(config).__name__}.", where=location.name, todo=_ADVICE
        ) from error
    _refuse_other_kinds(module, location.name)
    return module


def load_decoder(location: ModelLocation, precision: str, *, new_head: bool) -> tuple[Any, Any]:
    """A model that `describe_decoder` has let through, with a scalar head, and its tokenizer.

    Args:
        new_head: whether a head may be drawn where the model has none.

    Raises:
        SynprefError: weights are missing or not finite.
    """
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(location.name, trust_remote_code=False, **_where(location))
    module, found = AutoModelForSequenceClassification.from_pretrained(
        location.name,
        num_labels=1,
        # Loaded so and not cast afterwards: a cast would take the rotary frequencies along.
        dtype=torch.bfloat16 if precision == "bfloat16_weights" else torch.float32,
        attn_implementation=attention.register(),
        trust_remote_code=False,
        output_loading_info=True,
        **_where(location),
        **({} if location.gguf_file else {"use_safetensors": True}),
    )
    _refuse_bad_weights(module, set(found["missing_keys"]), location.name, new_head)
    module.score.__class__ = ScalarHead
    if location.gguf_file:
        # The weights are whole float32 tensors now; what says "quantized" would keep them from being saved.
        module.hf_quantizer = None
        module.is_quantized = False
        if hasattr(module.config, "quantization_config"):
            del module.config.quantization_config
    tokenizer.pad_token = pad_token(tokenizer)
    module.config.get_text_config().pad_token_id = tokenizer.pad_token_id
    return module, tokenizer


def _where(location: ModelLocation) -> dict[str, Any]:
    named = {"gguf_file": location.gguf_file, "revision": location.revision}
    return {name: value for name, value in named.items() if value}


def pad_token(tokenizer: Any) -> str:
    """The tokenizer's own, or another that no conversation ends with.

    Nothing of ours reads it, but plain transformers takes the last token that is not padding: with Llama-3's
    end-of-turn token as padding it would score the token before.
    """
    reserved = [name for name in ("<|finetune_right_pad_id|>", "<pad>", "<|endoftext|>") if _is_known(tokenizer, name)]
    last = _last_token(tokenizer)
    for name in (tokenizer.pad_token, *reserved, tokenizer.unk_token, tokenizer.bos_token):
        if name is not None and name != last:
            return name
    return tokenizer.eos_token


def _is_known(tokenizer: Any, token: str) -> bool:
    return token in tokenizer.get_added_vocab() or token in tokenizer.all_special_tokens


def _last_token(tokenizer: Any) -> str | None:
    if not tokenizer.chat_template:
        return None
    turns = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello"}]
    ids = tokenizer.apply_chat_template(turns, tokenize=True, return_dict=True)["input_ids"]
    return tokenizer.convert_ids_to_tokens(ids[-1])


def _refuse_other_kinds(module: Any, where: str) -> None:
    name, config = type(module).__name__, module.config.get_text_config()
    if not isinstance(getattr(module, "score", None), nn.Linear):
        raise ConfigError(f"{name} is no decoder with a scalar head.", where=where, todo=_ADVICE)
    kinds = set(getattr(config, "layer_types", None) or ()) - _KNOWN_LAYERS
    if kinds:
        raise ConfigError(f"{name} has layers of kind {sorted(kinds)}.", where=where, todo=_ADVICE)
    if getattr(config, "use_bidirectional_attention", None) or not getattr(config, "is_causal", True):
        raise ConfigError(f"{name} has attention that looks ahead.", where=where, todo=_ADVICE)
    base = getattr(module.base_model, "language_model", module.base_model)
    if not module._supports_attention_backend or not hasattr(base, "layers"):
        raise ConfigError(
            f"{name} does not take its attention from transformers' interface.", where=where, todo=_ADVICE
        )


def _refuse_bad_weights(module: Any, missing: set[str], where: str, new_head: bool) -> None:
    if missing - {"score.weight"} or (missing and not new_head):
        raise SynprefError(
            f"The model's weights lack {', '.join(sorted(missing))}.",
            where=where,
            todo="score with a trained reward model" if missing == {"score.weight"} else "fetch the model again",
        )
    broken = [name for name, weight in module.named_parameters() if not torch.isfinite(weight).all()]
    if broken:
        raise SynprefError(
            f"{len(broken)} of the model's weights hold values that are not finite: {', '.join(broken[:5])}.",
            where=where,
            todo="fetch or train the model again",
        )
