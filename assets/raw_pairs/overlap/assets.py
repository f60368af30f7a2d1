"""Dagster glue of overlap: sketches and benchmark hits of each source, near duplicates across all."""

import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pyarrow as pa

from assets import plots
from assets.errors import SynprefError
from assets.raw_pairs.overlap.freshness import sources_of_run
from assets.raw_pairs.overlap.paraphrase_scan import EmbedPart
from assets.settings import RunSettings
from assets.staleness import current
from assets.workspace import Workspace
from orchestration.glue import failure, markdown_table, plot, published
from orchestration.partitions import Partitions
from orchestration.progress import progress_bar

GROUP = "raw_pairs"
_TODO = "materialise raw_pairs for this source"


def build(settings: RunSettings, partitions: Partitions) -> list[Any]:
    """Assets of this room."""

    @dg.asset(group_name=GROUP, partitions_def=partitions.sources, deps=["raw_pairs", "benchmark_items"])
    def contamination_hits(
        context: dg.AssetExecutionContext, workspace: dg.ResourceParam[Workspace]
    ) -> dg.MaterializeResult:
        """Texts of one source's pairs that touch a benchmark, by item and span; prompts and responses told apart."""
        from assets.raw_pairs.overlap.decontaminate import decontaminate, hits_by_class, share_called_false
        from assets.raw_pairs.overlap.freshness import benchmark_items

        lake, source = workspace.lake, context.partition_key
        try:
            pairs = lake.require("pairs", source=source, todo=_TODO)[0]
            items = benchmark_items(lake, settings)
            with progress_bar(f"contamination of {source}") as progress:
                result = decontaminate(lake, pairs, items, settings, embed=_embedder(workspace), progress=progress)
        except SynprefError as error:
            raise failure(error) from error
        hits = pa.concat_tables([lake.read("contamination_hits", **m.partition) for m in result.manifests.values()])
        worst = hits.sort_by([("num_shared_ngrams", "descending"), ("source_row", "ascending")]).slice(0, 20)
        called_false: dict[str, Any] = {}
        if chosen := settings.decontamination.paraphrases:
            compared, false = share_called_false(hits, chosen.false_below)
            called_false = {"ngram_hits_compared_by_meaning": compared, "called_false": false}
        return dg.MaterializeResult(
            metadata={
                **called_false,
                "dagster/row_count": len(hits),
                "unchanged": not result.scanned,
                "looked_for": dg.MetadataValue.json(list(result.scanned)),
                "pairs_by_what_they_touch": markdown_table(hits_by_class(hits)),
                "largest_overlaps": markdown_table(worst.select(_SHOWN).to_pylist()),
                "boilerplate": markdown_table(
                    [{"n-gram": words, "benchmark prompts": num} for words, num in result.boilerplate]
                ),
            }
        )

    @dg.asset(group_name=GROUP, partitions_def=partitions.sources, deps=["raw_pairs"])
    def text_sketches(
        context: dg.AssetExecutionContext, workspace: dg.ResourceParam[Workspace]
    ) -> dg.MaterializeResult:
        """MinHash sketches of one source's pairs and prompts: what near duplicates are found by."""
        from assets.raw_pairs.overlap.freshness import sketch_inputs
        from assets.raw_pairs.overlap.sketches import sketch_source

        lake, source = workspace.lake, context.partition_key
        try:
            pairs = lake.require("pairs", source=source, todo=_TODO)[0]
            inputs = sketch_inputs(settings, pairs)
            if done := current(lake, "pair_sketches", {"source": source}, inputs):
                return published(done, unchanged=True)
            with progress_bar(f"sketches of {source}") as progress:
                of_pairs, of_prompts = sketch_source(lake, pairs, inputs, progress=progress)
        except SynprefError as error:
            raise failure(error) from error
        return published(of_pairs, prompts=of_prompts.num_rows)

    specs = [
        dg.AssetSpec("pair_clusters", group_name=GROUP, deps=["text_sketches"], description=_CLUSTERS_OF_PAIRS),
        dg.AssetSpec("prompt_clusters", group_name=GROUP, deps=["text_sketches"], description=_CLUSTERS_OF_PROMPTS),
    ]

    @dg.multi_asset(specs=specs, name="near_duplicates", can_subset=True)
    def near_duplicates(
        context: dg.AssetExecutionContext, workspace: dg.ResourceParam[Workspace]
    ) -> Iterator[dg.MaterializeResult]:
        """Clusters of pairs and of prompts whose words nearly agree, across all sources."""
        from assets.raw_pairs.overlap.freshness import cluster_inputs, current_sketches
        from assets.raw_pairs.overlap.near_duplicates import PAIRS, PROMPTS, find_clusters

        lake = workspace.lake
        try:
            pairs = sources_of_run(workspace)
            for kind in (PAIRS, PROMPTS):
                if dg.AssetKey(kind.clusters) not in context.selected_asset_keys:
                    continue
                sketches = current_sketches(lake, kind.sketches, settings, pairs)
                inputs = cluster_inputs(settings, sketches)
                if done := current(lake, kind.clusters, None, inputs):
                    yield published(done, unchanged=True)._replace(asset_key=dg.AssetKey(kind.clusters))
                    continue
                (workspace.home / "tmp").mkdir(parents=True, exist_ok=True)
                with (
                    tempfile.TemporaryDirectory(dir=workspace.home / "tmp") as scratch,
                    progress_bar(kind.clusters) as progress,
                ):
                    threshold = settings.near_duplicates.threshold
                    found = find_clusters(lake, kind, pairs, sketches, threshold, Path(scratch), progress=progress)
                manifest = lake.publish(kind.clusters, found.table, inputs=inputs)
                sizes = Counter(Counter(found.table.column(1).to_pylist()).values())
                yield published(
                    manifest,
                    looked_at=found.num_texts,
                    compared=found.num_candidates,
                    confirmed=found.num_confirmed,
                    clusters_by_size=markdown_table(
                        [{"members": size, "clusters": num} for size, num in sorted(sizes.items())]
                    ),
                    similarities=plot(
                        plots.histogram(
                            found.table["similarity"].to_pylist(), title="Similarity to the nearest", unit="Jaccard"
                        )
                    ),
                )._replace(asset_key=dg.AssetKey(kind.clusters))
        except SynprefError as error:
            raise failure(error) from error

    return [contamination_hits, text_sketches, near_duplicates]


def _embedder(workspace: Workspace) -> EmbedPart:
    """Embeds texts of a part of the pool, whose vectors are kept in a folder of its own."""
    from assets.embedding import embed

    chosen = workspace.settings.decontamination.paraphrases
    settings = workspace.settings.embedding.model_copy(update={"max_tokens": chosen.max_tokens} if chosen else {})
    folder = workspace.home / "embeddings" / "prompts"
    return lambda texts, part: embed(texts, settings, cache=folder / part, keep_end=False)


_SHOWN = [
    "pair_id",
    "text",
    "benchmark",
    "item_id",
    "benchmark_text",
    "kind",
    "num_shared_ngrams",
    "similarity",
    "span",
]
_CLUSTERS_OF_PAIRS = "Pairs that have a near duplicate, with the cluster they are of."
_CLUSTERS_OF_PROMPTS = "Prompts that have a near duplicate, with the cluster they are of: splits keep it together."
