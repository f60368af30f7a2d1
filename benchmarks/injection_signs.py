"""Signs of injection over real pairs: how many pairs of each source would be set aside, and what their hits look like.

    python -m benchmarks.injection_signs [FILE.parquet ...] [--out FILE.json]

Reads pair files as they came (columns response_a, response_b, model_a, model_b), by default the shared pool's. What
should be found: NullModel, a constant answer of alpaca_eval made to fool judges. Every other hit is shown with its
text, to be judged by a reader.
"""

from __future__ import annotations

import argparse
import json
import time
from collections import Counter
from pathlib import Path

import pyarrow.parquet as pq

from assets.llm_annotated.prompting.injection import SIGNS, signs_in
from assets.workspace import data_folder

_BATCH_PAIRS = 2_000
_PLANTED = "NullModel"
_SHOWN_CHARS = 160


def measure(path: Path) -> dict:
    """Hits of one file: pairs with a sign, planted ones apart, by sign, and the distinct texts that show one."""
    found: Counter[str] = Counter(pairs=0, hits=0, planted=0, planted_found=0)
    by_sign: Counter[str] = Counter()
    texts: dict[str, dict] = {}
    chars = 0
    columns = ["response_a", "response_b", "model_a", "model_b"]
    for batch in pq.ParquetFile(path).iter_batches(_BATCH_PAIRS, columns=columns):
        rows = batch.to_pylist()
        both = [row[f"response_{side}"] or "" for row in rows for side in "ab"]
        chars += sum(map(len, both))
        # Many answers stand in several pairs.
        distinct = list(dict.fromkeys(both))
        signs_of = dict(zip(distinct, signs_in(distinct), strict=True))
        for row, one, two in zip(rows, both[::2], both[1::2], strict=True):
            found["pairs"] += 1
            is_planted = _PLANTED in (row["model_a"], row["model_b"])
            found["planted"] += is_planted
            shown = [(text, signs_of[text]) for text in (one, two) if signs_of[text]]
            if not shown:
                continue
            found["planted_found" if is_planted else "hits"] += 1
            if not is_planted:
                by_sign.update({sign for _, signs in shown for sign in signs})
                texts.update({text: {"signs": signs, "text": excerpt(text)} for text, signs in shown})
    num_texts = len(texts)
    return {
        "source": path.stem,
        **found,
        "chars": chars,
        "by_sign": dict(by_sign),
        "num_texts": num_texts,
        "texts": list(texts.values()),
    }


def excerpt(text: str) -> str:
    """The beginning and the end of a text, on one line."""
    flat = " ".join(text.split())
    return flat if len(flat) <= 2 * _SHOWN_CHARS else f"{flat[:_SHOWN_CHARS]} ... {flat[-_SHOWN_CHARS:]}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", type=Path, nargs="*")
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    results = []
    titles = ["source", "pairs", f"{_PLANTED} pairs", "of them found", "other pairs with a sign", "share"]
    titles += ["distinct texts", "by sign", "MB/s"]
    print(f"| {' | '.join(titles)} |\n{'|---' * len(titles)}|")
    for path in arguments.files or sorted((data_folder() / "pool").glob("*.parquet")):
        start = time.perf_counter()
        one = measure(path)
        rate = one["chars"] / 1e6 / (time.perf_counter() - start)
        results.append(one)
        others = one["pairs"] - one["planted"]
        signs = ", ".join(f"{name} {one['by_sign'][name]}" for name in SIGNS if name in one["by_sign"])
        cells = [one["source"], one["pairs"], one["planted"], one["planted_found"], one["hits"]]
        cells += [f"{100 * one['hits'] / max(1, others):.3f} %", one["num_texts"], signs or "-", f"{rate:.0f}"]
        print("| " + " | ".join(map(str, cells)) + " |", flush=True)
    total = {name: sum(one[name] for one in results) for name in ("pairs", "planted", "planted_found", "hits")}
    print(f"\n{total['hits']} of {total['pairs'] - total['planted']} other pairs show a sign; ", end="")
    print(f"{total['planted_found']} of {total['planted']} {_PLANTED} pairs are found.\n")
    for one in results:
        for text in one["texts"]:
            print(f"{one['source']}: {', '.join(text['signs'])}: {text['text']!r}")
    if arguments.out:
        arguments.out.write_text(json.dumps(results, indent=1, ensure_ascii=False), "utf-8")


if __name__ == "__main__":
    main()
