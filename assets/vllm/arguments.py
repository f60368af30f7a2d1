"""Arguments: from a served model to vLLM's command line."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from assets.errors import ConfigError
from assets.vllm.served_model import ServedModel

_SLUG = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
# What the pipeline sets itself, what would bring in foreign code, and what would hide either in a file.
_NOT_TO_BE_SET = (
    *("model", "served-model-name", "revision", "load-format", "tokenizer", "tokenizer-revision", "hf-config-path"),
    *("host", "port", "uds", "api-key", "root-path", "ssl-keyfile", "ssl-certfile", "config"),
    *("trust-remote-code", "code-revision", "trust-request-chat-template"),
)


def engine_arguments(settings: ServedModel, folder: str, *, cpu: bool) -> list[str]:
    """Arguments that a server and an offline batch share.

    Args:
        settings: of the model.
        folder: with the weights.
        cpu: whether vLLM is the build without a GPU, which starts minutes sooner without compiling.

    Raises:
        ConfigError: a name in `vllm_arguments` is no slug, or is not to be set there.

    >>> from types import SimpleNamespace
    >>> settings = SimpleNamespace(model="m", max_context_tokens=16384, vllm_arguments={"enforce-eager": "false"})
    >>> engine_arguments(settings, "/m", cpu=True)[-2:]
    ['--max-model-len=16384', '--no-enforce-eager']
    """
    _require_valid(settings.vllm_arguments)
    # `generation-config vllm`: sampling is what the request says, not what came with the weights.
    chosen = {"generation-config": "vllm", "max-model-len": str(settings.max_context_tokens)}
    if cpu:
        chosen["enforce-eager"] = "true"
    chosen |= dict(settings.vllm_arguments)
    return [f"--model={folder}", "--load-format=safetensors", *(_flag(k, v) for k, v in chosen.items())]


def server_arguments(settings: ServedModel, folder: str, *, cpu: bool, port: int) -> list[str]:
    """Arguments of a server on loopback that answers to the name in the settings."""
    return [
        *("--host=127.0.0.1", f"--port={port}", f"--served-model-name={settings.model}"),
        *("--enable-prompt-tokens-details", "--disable-uvicorn-access-log"),
        *engine_arguments(settings, folder, cpu=cpu),
    ]


def names_file(value: str) -> bool:
    """Whether an argument's value is the name of a file, such as a chat template's."""
    # A long value is JSON, which no file system takes as a name.
    return len(value) < 1000 and Path(value).is_file()


def _require_valid(names: Iterable[str]) -> None:
    for name in names:
        if not _SLUG.fullmatch(name):
            raise ConfigError(
                f"{name!r} is no name of a vLLM argument: lower-case words joined by single hyphens, without `--`.",
                where="vllm_arguments",
            )
        # vLLM's parser takes the beginning of a name for the name.
        if taken := next((t for t in _NOT_TO_BE_SET if t.startswith(name)), None):
            raise ConfigError(
                f"vLLM argument {name!r} cannot be set: {taken!r} is the pipeline's own, or never allowed.",
                where="vllm_arguments",
                todo="remove it",
            )


def _flag(name: str, value: str) -> str:
    switches = {"true": f"--{name}", "": f"--{name}", "false": f"--no-{name}"}
    # With `=`, no value can be read as a further argument.
    return switches.get(value.casefold(), f"--{name}={Path(value).resolve() if names_file(value) else value}")
