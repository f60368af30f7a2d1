"""Freshness: whether what is compared with the pool was made from the pool as it is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from assets.errors import MissingUpstreamError
from assets.lake import Lake
from assets.partition_writer import Manifest
from assets.raw_pairs.catalogue import load_catalogue
from assets.raw_pairs.overlap.minhash import SKETCH_VERSION
from assets.settings import RunSettings
from assets.staleness import current, fingerprint
from assets.workspace import Workspace

SCAN_VERSION = "1"
"""Raised when the same texts are to give other hits."""

LOOKING = {"compare", "ngram", "max_benchmark_prompts", "paraphrases"}
"""Settings of decontamination that decide what is found; the others decide what of it excludes."""


def encoder_of(settings: RunSettings) -> str:
    """What tells paraphrases: the encoder's settings and its weights; empty where none are looked for."""
    if settings.decontamination.paraphrases is None:
        return ""
    chosen, weights = settings.embedding, ""
    if chosen.provider == "sentence_transformer":
        from training.model_location import locate_model

        weights = locate_model(chosen.model, chosen.revision).fingerprint()
    # Attributes are no part of a prompt, and whether retrieval embeds them asks for no new scan.
    return f"{chosen.model_dump_json(exclude={'attributes'})} {weights}"


def hits_inputs(settings: RunSettings, pairs: Manifest, items: Sequence[Manifest]) -> str:
    """Fingerprint of what a source's hits are made from: any benchmark may make boilerplate of another's n-grams."""
    how = settings.decontamination.model_dump_json(include=LOOKING)
    return fingerprint(settings, [], [pairs, *items], SCAN_VERSION, how, encoder_of(settings))


def benchmark_items(lake: Lake, settings: RunSettings) -> list[Manifest]:
    """Items of every configured benchmark.

    Raises:
        MissingUpstreamError: a benchmark was not read: leaving it out would pass for having looked for it.
    """
    todo = "materialise benchmark_items"
    return [m for b in settings.benchmarks for m in lake.require("benchmark_items", benchmark=b.name, todo=todo)]


def sketch_inputs(settings: RunSettings, pairs: Manifest) -> str:
    """Fingerprint of what a source's sketches are made from."""
    return fingerprint(settings, [], [pairs], SKETCH_VERSION)


def cluster_inputs(settings: RunSettings, sketches: Sequence[Manifest]) -> str:
    """Fingerprint of what clusters are made from."""
    return fingerprint(settings, ["near_duplicates"], sketches)


def current_sketches(lake: Lake, table: str, settings: RunSettings, pairs: Sequence[Manifest]) -> list[Manifest]:
    """Sketches of every source, in order of the pairs.

    Raises:
        MissingUpstreamError: those of a source are missing or were made from other pairs than are there now: rows
            would be compared by the words of others.
    """
    found = []
    for manifest in pairs:
        sketches = current(lake, table, manifest.partition, sketch_inputs(settings, manifest))
        if sketches is None:
            _refuse(f"The sketches of {manifest.partition['source']}", f"text_sketches[{manifest.partition['source']}]")
        else:
            found.append(sketches)
    return found


def require_compared(lake: Lake, settings: RunSettings, pairs: Sequence[Manifest]) -> None:
    """Refuse to go on where near duplicates or contamination of what is there now have not been looked for.

    Args:
        pairs: manifests of the sources of the run.

    Raises:
        MissingUpstreamError: a pool would hold pairs that nobody compared with a benchmark or with each other.
    """
    items = benchmark_items(lake, settings) if pairs else []
    for manifest in pairs:
        source, inputs = manifest.partition["source"], hits_inputs(settings, manifest, items)
        for benchmark in settings.benchmarks:
            where = {"source": source, "benchmark": benchmark.name}
            if current(lake, "contamination_hits", where, inputs) is None:
                _refuse(f"The hits of {source} on {benchmark.name}", f"contamination_hits[{source}]")
    for kind in ("pair", "prompt"):
        require_clusters(lake, kind, settings, pairs)


def require_clusters(lake: Lake, kind: str, settings: RunSettings, pairs: Sequence[Manifest]) -> None:
    """Refuse to go on without current clusters.

    Args:
        kind: `pair` or `prompt`.
    """
    sketches = current_sketches(lake, f"{kind}_sketches", settings, pairs)
    if pairs and current(lake, f"{kind}_clusters", None, cluster_inputs(settings, sketches)) is None:
        _refuse(f"The clusters of {kind}s", f"{kind}_clusters")


def _refuse(what: str, artifact: str) -> None:
    raise MissingUpstreamError(
        f"{what} are missing or were made before the pairs changed.",
        kept="everything published before",
        todo=f"materialise {artifact} first",
    )


def sources_of_run(workspace: Workspace) -> list[Manifest]:
    """Published pairs of the sources in the catalogue; one that left it stays in the lake and is not read."""
    names = [entry.name for entry in load_catalogue(workspace.catalogue_path, workspace)]
    return [m for name in names for m in workspace.lake.manifests("pairs", source=name)]


def compared(workspace: Workspace) -> dict[str, Any]:
    """dbt variables of decontamination, once everything in the pool has been compared.

    Raises:
        MissingUpstreamError: something has not; the message says what to materialise.
    """
    require_compared(workspace.lake, workspace.settings, sources_of_run(workspace))
    return workspace.settings.decontamination.model_dump()
