"""Decontamination of one source: its hits benchmark by benchmark, looked for only where something changed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from assets.identity import digest
from assets.lake import Lake
from assets.partition_writer import Manifest
from assets.raw_pairs.overlap.benchmark_index import BenchmarkIndex, build_index
from assets.raw_pairs.overlap.contamination import COLUMNS, ContaminationScan
from assets.raw_pairs.overlap.freshness import LOOKING, SCAN_VERSION, encoder_of, hits_inputs
from assets.raw_pairs.overlap.paraphrase_scan import EmbedPart, ParaphraseScan, prompts_with_rows
from assets.raw_pairs.overlap.row_groups import Progress, map_row_groups
from assets.settings import DecontaminationSettings, RunSettings
from assets.staleness import current

_TABLE = "contamination_hits"


@dataclass(frozen=True)
class SourceContamination:
    """What was found in a source.

    Attributes:
        manifests: by benchmark.
        scanned: benchmarks that were looked for; the others were current.
        boilerplate: n-grams left out, with the number of prompts that have them; empty when nothing was looked for.
    """

    manifests: dict[str, Manifest]
    scanned: tuple[str, ...]
    boilerplate: tuple[tuple[str, int], ...] = ()


def decontaminate(
    lake: Lake,
    pairs: Manifest,
    items: Sequence[Manifest],
    settings: RunSettings,
    *,
    embed: EmbedPart | None = None,
    progress: Progress | None = None,
) -> SourceContamination:
    """Publish a source's `contamination_hits` against each benchmark.

    A benchmark that is added is the only one looked for, unless its texts make boilerplate of another's n-grams.

    Args:
        pairs: manifest of the source's pairs.
        items: manifests of the benchmarks to look for.
        embed: needed where the settings ask for paraphrases.
    """
    source = pairs.partition["source"]
    chosen = settings.decontamination
    inputs = hits_inputs(settings, pairs, items)
    names = sorted(m.partition["benchmark"] for m in items)
    published = {name: lake.manifest(_TABLE, _partition(source, name)) for name in names}
    done = {name: current(lake, _TABLE, _partition(source, name), inputs) for name in names}
    if all(done.values()):
        return SourceContamination({name: m for name, m in done.items() if m is not None}, ())
    tables = [lake.read("benchmark_items", benchmark=name) for name in names]
    index = build_index(pa.concat_tables(tables), chosen)
    how = (SCAN_VERSION, chosen.model_dump_json(include=LOOKING - {"max_benchmark_prompts"}), encoder_of(settings))
    made_from = {name: digest(pairs.content_hash, index.fingerprint(name), *how) for name in names}
    info = {name: {"made_from": made_from[name]} for name in names}
    stale = [name for name in names if not _is_made_from(lake, published[name], made_from[name])]
    for name in set(names) - set(stale):
        # Nothing that decides its hits changed: only what it is compared with next time does.
        hits = lake.read(_TABLE, **_partition(source, name))
        lake.publish(_TABLE, hits, _partition(source, name), inputs=inputs, info=info[name])
    if stale:
        hits = _hits(lake, pairs, index.only(stale), chosen, embed, progress)
        _publish(lake, source, hits, {name: info[name] for name in stale}, inputs)
    manifests = {name: lake.require(_TABLE, **_partition(source, name), todo="run again")[0] for name in names}
    return SourceContamination(manifests, tuple(stale), index.boilerplate)


def _partition(source: str, benchmark: str) -> dict[str, str]:
    return {"source": source, "benchmark": benchmark}


def _is_made_from(lake: Lake, manifest: Manifest | None, made_from: str) -> bool:
    return manifest is not None and manifest.info.get("made_from") == made_from and lake.file_of(manifest).exists()


def _hits(
    lake: Lake,
    pairs: Manifest,
    index: BenchmarkIndex,
    settings: DecontaminationSettings,
    embed: EmbedPart | None,
    progress: Progress | None,
) -> Iterator[pa.Table]:
    """Hits of a source, a row group at a time."""
    scan = ContaminationScan(index, settings)
    if settings.paraphrases is None:
        yield from map_row_groups(lambda rows, _: scan.hits(rows), lake, pairs, COLUMNS, progress=progress)
        return
    assert embed is not None, "paraphrases need an embedder"
    paraphrases = ParaphraseScan(index, settings.paraphrases, embed)

    def looked_up(rows: pa.Table, first: int) -> tuple[pa.Table, pa.Table, int]:
        return prompts_with_rows(rows), scan.hits(rows), first

    for prompts, hits, first in map_row_groups(looked_up, lake, pairs, COLUMNS, progress=progress):
        yield paraphrases.hits(prompts, hits, f"{pairs.partition['source']}-{first}")


def _publish(lake: Lake, source: str, found: Iterable[pa.Table], info: dict[str, dict], inputs: str) -> None:
    with ExitStack() as stack:
        writers = {
            name: stack.enter_context(lake.writer(_TABLE, _partition(source, name), inputs=inputs, info=facts))
            for name, facts in info.items()
        }
        for hits in found:
            for name in pc.unique(hits["benchmark"]).to_pylist():
                writers[name].write(hits.filter(pc.equal(hits["benchmark"], name)))


def hits_by_class(hits: pa.Table) -> list[dict[str, object]]:
    """Pairs of a source that touch a benchmark, for people: by benchmark and by which texts meet.

    Args:
        hits: of contract `contamination_hits`.
    """
    rows = {
        (h["benchmark"], _class(h["text"], h["benchmark_text"]), h["kind"], h["source_row"], h["pair_id"])
        for h in hits.select(["benchmark", "text", "benchmark_text", "kind", "source_row", "pair_id"]).to_pylist()
    }
    counts = Counter((benchmark, met, kind) for benchmark, met, kind, *_ in rows)
    return [
        {"benchmark": benchmark, "texts that meet": met, "kind": kind, "pairs": num}
        for (benchmark, met, kind), num in sorted(counts.items())
    ]


def _class(text: str, benchmark_text: str) -> str:
    return f"{'prompt' if text == 'prompt' else 'response'} with benchmark {benchmark_text}"


def share_called_false(hits: pa.Table, false_below: float) -> tuple[int, int]:
    """N-gram hits of two prompts that were compared by meaning, and how many of them are called false."""
    compared = hits.filter(pc.and_(pc.is_valid(hits["similarity"]), pc.match_substring(hits["kind"], "gram")))
    return len(compared), pc.sum(pc.less(compared["similarity"], false_below)).as_py() or 0
