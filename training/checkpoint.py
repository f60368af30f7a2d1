"""Checkpoint: a model's folder appears whole or not at all, and says how it is to be loaded."""

from __future__ import annotations

import contextlib
import json
import shutil
import uuid
from collections.abc import Iterator
from pathlib import Path

from assets.durable_files import sha256_of, sync
from assets.errors import SynprefError

MANIFEST = "scorer.json"
"""How to load the folder: backbone, max_tokens, weights file and its SHA-256, temperature."""


@contextlib.contextmanager
def output_folder(target: Path) -> Iterator[Path]:
    """A new folder to write into, put in the target's place when the block ends without an error.

    A killed process leaves the target as it was, or (killed between the two renames of a replacement) its
    former version under a hidden name beside it, which the next call puts back first.
    """
    target = target.resolve()
    target.parent.mkdir(parents=True, exist_ok=True)
    former = target.with_name(f".{target.name}.former")
    if former.exists():
        if target.exists():
            shutil.rmtree(former)
        else:
            former.rename(target)
    for leftover in target.parent.glob(f".{target.name}.*.tmp"):
        shutil.rmtree(leftover)
    temporary = target.with_name(f".{target.name}.{uuid.uuid4().hex}.tmp")
    temporary.mkdir()
    try:
        yield temporary
        for path in sorted(temporary.rglob("*")):
            sync(path)
        sync(temporary)
        if target.exists():
            target.rename(former)
        temporary.rename(target)
        sync(target.parent)
        shutil.rmtree(former, ignore_errors=True)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def write_manifest(folder: Path, saved: dict, weights_file: str, temperature: float | None) -> str:
    """Write `scorer.json`; returns the weights' SHA-256."""
    sha = sha256_of(folder / weights_file)
    manifest = {**saved, "weights_file": weights_file, "weights_sha256": sha, "temperature": temperature}
    (folder / MANIFEST).write_text(json.dumps(manifest, indent=1, sort_keys=True), "utf-8")
    return sha


def read_manifest(folder: Path) -> dict:
    """How to load a model folder; one that this project did not write is taken as `pretrained`.

    Raises:
        SynprefError: there is no model, its weights are not the ones that were written, or its configuration
            asks for code of its own, which is never run.
    """
    config = _read_json(folder / "config.json")
    if config is not None and "auto_map" in config:
        raise SynprefError(
            "A model asks for code of its own to be run (auto_map), which is refused.",
            where=str(folder / "config.json"),
            todo="use a model of an architecture that transformers knows",
        )
    manifest = _read_json(folder / MANIFEST)
    if manifest is None:
        if config is None:
            raise SynprefError("There is no model in this folder.", where=str(folder), todo="train it first")
        return {"backbone": "pretrained", "max_tokens": None, "temperature": None}
    weights = folder / manifest["weights_file"]
    if not weights.exists() or sha256_of(weights) != manifest["weights_sha256"]:
        raise SynprefError(
            "A model's weights are missing or are not the ones that were written.",
            where=str(weights),
            todo="train this model again",
        )
    return manifest


def _read_json(path: Path) -> dict | None:
    try:
        return json.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        return None
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise SynprefError(f"A model's file is damaged: {error}.", where=str(path), todo="train it again") from error
