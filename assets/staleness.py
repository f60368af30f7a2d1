"""Staleness: whether a published partition was made from what is there now, so that nothing is done twice."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

from assets.identity import IDENTITY_VERSION
from assets.lake import Lake
from assets.partition_writer import Manifest
from assets.settings import RunSettings


def fingerprint(
    settings: RunSettings, sections: Iterable[str], upstream: Iterable[Manifest], *extra: str, code_version: int = 1
) -> str:
    """Fingerprint of everything an artifact is made from.

    Args:
        sections: the concerns of the configuration that matter to it; the seed always does.
        upstream: manifests of the partitions it reads; their content counts, not when they were written.
        extra: anything else that matters, such as the hash of a model's weights.
        code_version: raised when the same inputs are to give another result.
    """
    state = hashlib.blake2b(digest_size=16)
    parts = [IDENTITY_VERSION, str(code_version), settings.section_hash("seed", *sections), *extra]
    parts += sorted(f"{m.table}|{sorted(m.partition.items())}|{m.content_hash}" for m in upstream)
    for part in parts:
        state.update(part.encode() + b"\0")
    return state.hexdigest()


def current(lake: Lake, table: str, partition: dict[str, str] | None, inputs: str) -> Manifest | None:
    """The published manifest when it was made from these very inputs and its file is there, else None."""
    manifest = lake.manifest(table, partition)
    if manifest is None or manifest.inputs != inputs or not lake.file_of(manifest).exists():
        return None
    return manifest
