"""Weights: the folder that vLLM is given, what makes it unfit, and the hash that stands for what is in it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from assets.durable_files import sha256_of
from assets.errors import ConfigError
from assets.vllm.arguments import names_file
from assets.vllm.served_model import ServedModel

# What can change an answer: weights, configuration, tokenizer, chat template. Pickled weights are never loaded.
_READ = ("*.safetensors", "*.json", "*.jinja", "*.model", "*.tiktoken", "*.txt")
# Arguments with which a model does without a chat template of its own.
_OTHER_TEMPLATES = {"chat-template", "tokenizer-mode"}


def find_weights(settings: ServedModel) -> Path:
    """The model's folder; a model of the hub is downloaded first, unless it is there already.

    Raises:
        ConfigError: no such folder, a hub id without a revision, a download that failed, or a folder that is unfit.
    """
    local = Path(settings.model).expanduser()
    if local.is_dir():
        folder = local.resolve()
    elif settings.model.startswith(("/", ".", "~")) or settings.model.count("/") > 1:
        raise ConfigError("There is no such model folder.", where=settings.model, todo="check `model`")
    else:
        folder = from_hub(settings.model, settings.revision)
    require_fit(folder, needs_template=not _OTHER_TEMPLATES & set(settings.vllm_arguments))
    return folder


def require_fit(folder: Path, *, needs_template: bool = True) -> None:
    """Refuse a folder that would run foreign code, or that cannot be served as a chat model.

    Raises:
        ConfigError: no or unreadable config.json, `auto_map` in any configuration, no safetensors, no chat template.
    """
    if not (folder / "config.json").is_file():
        raise ConfigError("The model's folder has no config.json.", where=str(folder), todo="check `model`")
    templates = (folder / "chat_template.jinja").is_file()
    for path in sorted(folder.glob("*.json")):
        content = _object(path)
        if "auto_map" in content:
            raise ConfigError(
                "The model wants to run Python code of its own (`auto_map`), which is never done.",
                where=str(path),
                todo="use a model whose architecture vLLM knows, or remove the entry after reading what it names",
            )
        templates = templates or "chat_template" in content
    if not any(folder.glob("*.safetensors")):
        raise ConfigError(
            "The model's folder has no safetensors; weights in other formats are not loaded.",
            where=str(folder),
            todo="convert the weights",
        )
    if needs_template and not templates:
        raise ConfigError(
            "The model has no chat template, so messages cannot be put to it.",
            where=str(folder),
            todo="use a chat model, or name a template in vllm_arguments: {chat-template: FILE}",
        )


def fingerprint_of(folder: Path, settings: ServedModel, version: str) -> str:
    """32 hex digits that change whenever the same request could be answered otherwise.

    Over the hashes of the folder's files, the revision, the context length, vLLM's version and arguments, and the
    content of files that arguments name. The parameters of sampling are the request's, not the server's.
    """
    said = {
        "files": _file_hashes(folder),
        "revision": settings.revision,
        "max_context_tokens": settings.max_context_tokens,
        "vllm": version,
        "arguments": dict(settings.vllm_arguments),
        "argument_files": {k: sha256_of(Path(v)) for k, v in settings.vllm_arguments.items() if names_file(v)},
    }
    return hashlib.blake2b(json.dumps(said, sort_keys=True).encode(), digest_size=16).hexdigest()


def from_hub(model: str, revision: str) -> Path:
    """The folder of a model of the hub, downloaded unless it is there already.

    Raises:
        ConfigError: no revision, or the download failed.
    """
    if not revision:
        raise ConfigError(
            f"Model {model!r} of the hub comes without a revision, so a run could not be repeated.",
            todo="name the commit in `revision`, or give a folder as `model`",
        )
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    try:
        return Path(snapshot_download(model, revision=revision, allow_patterns=list(_READ)))
    except (HfHubHTTPError, LocalEntryNotFoundError, HFValidationError, OSError) as error:
        raise ConfigError(
            f"Model {model!r} of the hub could not be fetched: {str(error).splitlines()[0]}",
            where=f"revision {revision}",
            kept="what was downloaded so far",
            todo="check name, revision and connection, or give a folder as `model`",
        ) from error


def _object(path: Path) -> dict:
    try:
        content = json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"A file of the model is no JSON: {error}.", where=str(path)) from error
    return content if isinstance(content, dict) else {}


def _file_hashes(folder: Path) -> dict[str, str]:
    paths = sorted(_files(folder))
    # Hashing releases the interpreter, and large models come in many files.
    with ThreadPoolExecutor(4) as pool:
        return dict(zip([str(p.relative_to(folder)) for p in paths], pool.map(sha256_of, paths), strict=True))


def _files(folder: Path) -> Iterator[Path]:
    for pattern in _READ:
        for path in folder.rglob(pattern):
            if path.is_file() and not any(part.startswith(".") for part in path.relative_to(folder).parts):
                yield path
