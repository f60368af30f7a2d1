"""What the peers' scripts share: shards of the input, and the report of a run."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.cost_of_run import PeakMemory


def shard(documents: Path, folder: Path, num_shards: int) -> int:
    """Deal the lines of a JSONL file to files of their own, because a peer's task reads whole files.

    Returns:
        Number of documents.
    """
    folder.mkdir(parents=True)
    files = [(folder / f"{number:05d}.jsonl").open("wb") for number in range(num_shards)]
    num_documents = 0
    with documents.open("rb") as lines:
        for num_documents, line in enumerate(lines, start=1):
            files[num_documents % num_shards].write(line)
    for file in files:
        file.close()
    return num_documents


@contextmanager
def measured(result: dict, num_documents: int) -> Iterator[None]:
    """Add wall seconds, documents a second, peak memory of all processes and the load before to a result."""
    load = os.getloadavg()[0]
    with PeakMemory() as memory:
        started = time.monotonic()
        yield
        wall_s = time.monotonic() - started
    result |= {
        "documents": num_documents,
        "wall_s": round(wall_s, 2),
        "documents_per_s": round(num_documents / wall_s),
        "peak_mb": round(memory.peak / 1e6),
        "load_before": round(load, 2),
    }


class SplitOnSpaces:
    """A word tokenizer for datatrove that costs next to nothing.

    datatrove folds case, punctuation and white space before it asks for words. On texts of plain words this then gives
    the words spaCy gives, without the time spaCy takes.
    """

    def word_tokenize(self, text: str) -> list[str]:
        """Words of a folded text."""
        return text.split()


def report(result: dict) -> None:
    """One line of JSON."""
    print(json.dumps(result), flush=True)
