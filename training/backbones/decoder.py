"""A decoder of transformers with a scalar head, run on packed layouts: its loading, its checks and its forward pass."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import nn

from assets.errors import ConfigError, SynprefError
from training import attention
from training.model_location import ModelLocation
from training.packed_layout import PackedLayout, pack_rows
from training.tokenising import EncodedRow

# Kinds of layers that see nothing but what attention shows them; a recurrent layer would leak one group into the next.
_KNOWN_LAYERS = {"full_attention", "sliding_attention"}


class ScalarHead(nn.Linear):
    """The score of hidden states, in float32 whatever the rest computes in.

    Two scores of about 20 differ by 0.1 in bfloat16 or not at all.
    """

    def forward(self, hidden: torch.Tensor) -> torch.Tensor:
        """[..., H] to float32[..., 1]."""
        with torch.autocast(hidden.device.type, enabled=False):
            return nn.functional.linear(hidden.float(), self.weight.float())


class PackedDecoder:
    """Scores of rows by one forward pass over a packed layout.

    Attributes:
        module: the model as transformers made it, which trains and is saved.
        budget: width of layouts where layers are compiled for one shape; nothing elsewhere.
    """

    def __init__(self, module: Any, precision: str, compiled: str, pad_id: int) -> None:
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self.module = module.to(self.device)
        self.budget = attention.BLOCK
        self._precision = precision
        self._pad_id = pad_id
        config = module.config.get_text_config()
        self._windows = frozenset({None, getattr(config, "sliding_window", None)})
        base = module.base_model
        # Of a model that also sees pictures, the part that reads text.
        self._base = getattr(base, "language_model", base)
        self._compiled = compiled == "always" or (compiled == "auto" and self.device.type == "cuda")
        if self._compiled:
            for layer in self._base.layers:
                layer.compile(dynamic=False)

    def scores(self, rows: Sequence[EncodedRow]) -> torch.Tensor:
        """float32[len(rows)]; neighbours with the same prompt share it."""
        tokens = pack_rows(rows, pad_id=self._pad_id)
        if self.device.type == "cuda" or self._compiled:
            tokens = pack_rows(rows, pad_id=self._pad_id, width=whole_width(tokens.input_ids.shape[1], self.budget))
        return self._forward(tokens.to(self.device))

    def _forward(self, layout: PackedLayout) -> torch.Tensor:
        on_gpu = self.device.type == "cuda"
        packed: attention.Attend = (
            attention.BlockAttention(layout, self._windows) if on_gpu else attention.SlicedAttention(layout)
        )
        whole = next(self._base.parameters()).dtype == torch.float32
        with (
            torch.autocast(self.device.type, torch.bfloat16, enabled=whole and self._precision == "bfloat16"),
            _only_at(layout.ends, self._base, inside_layer=not self._compiled),
        ):
            hidden = self._base(
                input_ids=layout.input_ids, position_ids=layout.position_ids, use_cache=False, packed=packed
            ).last_hidden_state
        return self.module.score(hidden[0] if len(layout.ends) == hidden.shape[1] else hidden[0, layout.ends]).flatten()


def whole_width(num_tokens: int, budget: int) -> int:
    """Width of a layout in whole blocks: the budget, doubled until the tokens fit.

    Few widths, because layers are compiled anew for each.

    >>> whole_width(900, 1000), whole_width(1025, 1000), whole_width(5000, 1000)
    (1024, 2048, 8192)
    """
    width = -(-budget // attention.BLOCK) * attention.BLOCK
    while width < num_tokens:
        width *= 2
    return width


@contextlib.contextmanager
def _only_at(ends: torch.Tensor, base: Any, *, inside_layer: bool) -> Iterator[None]:
    """Leave out what no head reads: outside the last tokens, the last norm and, in part, the last layer.

    The last layer's keys and values are needed of every token; its queries, its output projection and its
    feed-forward part of the last tokens alone. Zeros stand where nothing was computed.

    Args:
        inside_layer: also in the last layer, whose shapes then vary with the number of rows.
    """

    def take(module: nn.Module, args: tuple[torch.Tensor, ...]) -> tuple[torch.Tensor, ...]:
        return (args[0][:, ends], *args[1:])

    handles = [base.norm.register_forward_pre_hook(take)] if hasattr(base, "norm") else []
    if inside_layer:
        layer = base.layers[-1]
        attend = getattr(layer, "self_attn", None)
        for part in (getattr(attend, "q_proj", None), getattr(attend, "o_proj", None), getattr(layer, "mlp", None)):
            handles += _sparsely(part, ends) if part is not None else []
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _sparsely(part: nn.Module, ends: torch.Tensor) -> list[Any]:
    """Hooks that give a module some of the tokens, and its output a place among zeros."""
    width = 0

    def take(module: nn.Module, args: tuple[torch.Tensor, ...]) -> tuple[torch.Tensor, ...]:
        nonlocal width
        width = args[0].shape[1]
        return (args[0][:, ends],)

    def put_back(module: nn.Module, args: tuple[torch.Tensor, ...], out: torch.Tensor) -> torch.Tensor:
        return out.new_zeros(1, width, out.shape[2]).index_copy(1, ends, out)

    return [part.register_forward_pre_hook(take), part.register_forward_hook(put_back)]


def load_decoder(location: ModelLocation, precision: str, *, new_head: bool) -> tuple[Any, Any]:
    """A model with a scalar head, and its tokenizer.

    Args:
        new_head: whether a head may be drawn where the model has none.

    Raises:
        ConfigError: it is no decoder with one score, asks for code of its own, or has layers that are no attention.
        SynprefError: weights are missing or not finite.
    """
    from transformers import AutoModelForSequenceClassification, AutoTokenizer, PreTrainedConfig

    extra: dict[str, Any] = {"gguf_file": location.gguf_file} if location.gguf_file else {}
    if location.revision:
        extra["revision"] = location.revision
    _check_description(PreTrainedConfig.get_config_dict(location.name, **extra)[0], location.name)
    tokenizer = AutoTokenizer.from_pretrained(location.name, trust_remote_code=False, **extra)
    if not location.gguf_file:
        extra["use_safetensors"] = True
    module, found = AutoModelForSequenceClassification.from_pretrained(
        location.name,
        num_labels=1,
        # Loaded so and not cast afterwards: a cast would take the rotary frequencies along.
        dtype=torch.bfloat16 if precision == "bfloat16_weights" else torch.float32,
        attn_implementation=attention.register(),
        trust_remote_code=False,
        output_loading_info=True,
        **extra,
    )
    _check_module(module, set(found["missing_keys"]), location.name, new_head)
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


def _check_description(config: dict, where: str) -> None:
    if "auto_map" in config:
        raise ConfigError(
            "The model asks for code of its own to be run (auto_map), which is refused.",
            where=where,
            todo="use a model of an architecture that transformers knows",
        )
    architecture = (config.get("architectures") or [""])[0]
    num_labels = len(config.get("id2label") or (0, 1))
    if architecture.endswith("ForSequenceClassification") and num_labels != 1:
        raise ConfigError(
            f"The model is a classifier with {num_labels} logits; a reward model has one.",
            where=where,
            todo="use the base model, or a classifier with one logit",
        )


def _check_module(module: Any, missing: set[str], where: str, new_head: bool) -> None:
    if not isinstance(getattr(module, "score", None), nn.Linear):
        raise ConfigError(
            f"{type(module).__name__} is no decoder with a scalar head.", where=where, todo="use another model"
        )
    config = module.config.get_text_config()
    kinds = set(getattr(config, "layer_types", None) or ()) - _KNOWN_LAYERS
    both_ways = getattr(config, "use_bidirectional_attention", None) or not getattr(config, "is_causal", True)
    if kinds or both_ways or not module._supports_attention_backend:
        what = (
            f"layers of kind {sorted(kinds)}" if kinds else "attention that looks ahead" if both_ways else "no common"
        )
        raise ConfigError(
            f"{type(module).__name__} has {what}{'' if kinds or both_ways else ' attention interface'}.",
            where=where,
            todo="use a decoder with plain or sliding-window attention, such as Llama, Qwen3 or Gemma 3",
        )
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
