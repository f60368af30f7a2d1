"""Small random decoders of three architectures, and groups of rows, for the tests of the packed layout."""

from __future__ import annotations

import numpy as np
import torch

from training import attention
from training.backbones.decoder import PackedDecoder, ScalarHead
from training.tokenising import EncodedRow

VOCABULARY = 60
WINDOW = 6
ARCHITECTURES = ("llama", "qwen3", "gemma3")
_SHAPE = {
    "vocab_size": VOCABULARY,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 16,
    "max_position_embeddings": 256,
    "num_labels": 1,
    "pad_token_id": 0,
    "dtype": "float32",
    # Larger than in practice, so that a token seen or not seen moves a score by more than rounding.
    "initializer_range": 0.2,
}


def make_config(architecture: str, **changes):
    from transformers import Gemma3TextConfig, LlamaConfig, Qwen3Config

    kind = {"llama": LlamaConfig, "qwen3": Qwen3Config, "gemma3": Gemma3TextConfig}[architecture]
    values = {**_SHAPE, **changes}
    if architecture == "gemma3":
        layers = ["sliding_attention", "full_attention"] * values["num_hidden_layers"]
        values |= {"layer_types": layers[: values["num_hidden_layers"]], "query_pre_attn_scalar": 16}
        values = {"sliding_window": WINDOW, **values}
    return kind(**values)


def make_model(architecture: str, **changes):
    """As transformers runs it, without anything of ours."""
    from transformers import AutoModelForSequenceClassification

    torch.manual_seed(0)
    return AutoModelForSequenceClassification.from_config(
        make_config(architecture, **changes), attn_implementation="sdpa"
    ).eval()


def packed_decoder(
    architecture: str, *, precision: str = "float32", device: str = "cpu", compiled: str = "never", **changes
) -> PackedDecoder:
    """The same weights behind our attention."""
    module = make_model(architecture, **changes)
    module.set_attn_implementation(attention.register())
    module.score.__class__ = ScalarHead
    return PackedDecoder(module, precision, compiled, device=torch.device(device))


def make_groups(*shapes: tuple[int, tuple[int, ...]], seed: int = 0) -> list[list[EncodedRow]]:
    """Groups of a prompt's length and its responses' lengths; no token is the padding id."""
    rng = np.random.default_rng(seed)
    groups = []
    for prompt_length, lengths in shapes:
        prompt = rng.integers(1, VOCABULARY, prompt_length).astype(np.int32)
        groups.append([EncodedRow(prompt, rng.integers(1, VOCABULARY, n).astype(np.int32)) for n in lengths])
    return groups


def one_by_one(model, rows: list[EncodedRow]) -> torch.Tensor:
    """Scores as plain transformers gives them, each conversation by itself."""
    texts = [torch.from_numpy(np.concatenate([row.prompt, row.response]).astype(np.int64)) for row in rows]
    return torch.stack([model(input_ids=ids[None]).logits.reshape(()) for ids in texts])
