"""Freshness: whether what is compared with the pool was made from the pool as it is."""

from __future__ import annotations

from collections.abc import Sequence

from assets.errors import MissingUpstreamError
from assets.lake import Lake
from assets.partition_writer import Manifest
from assets.raw_pairs.overlap.minhash import SKETCH_VERSION
from assets.settings import RunSettings
from assets.staleness import current, fingerprint


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
    for manifest in pairs:
        source = manifest.partition["source"]
        for benchmark in settings.benchmarks:
            hits = lake.manifest("contamination_hits", {"source": source, "benchmark": benchmark.name})
            items = lake.manifest("benchmark_items", {"benchmark": benchmark.name})
            texts = {"pairs": manifest.content_hash, "items": items.content_hash if items else ""}
            if hits is None or hits.info.get("texts") != texts:
                _refuse(f"The hits of {source} on {benchmark.name}", f"contamination_hits[{source}]")
    for kind in ("pair", "prompt"):
        sketches = current_sketches(lake, f"{kind}_sketches", settings, pairs)
        if pairs and current(lake, f"{kind}_clusters", None, cluster_inputs(settings, sketches)) is None:
            _refuse(f"The clusters of {kind}s", f"{kind}_clusters")


def _refuse(what: str, artifact: str) -> None:
    raise MissingUpstreamError(
        f"{what} are missing or were made before the pairs changed.",
        kept="everything published before",
        todo=f"materialise {artifact} first",
    )
