"""Score output: scores of a file of rows, as Parquet or JSON lines, rows that have none, and what is said of both."""

from __future__ import annotations

import heapq
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from assets.durable_files import replacing, sha256_of, write_atomically
from training.score import METADATA_KEY

SUFFIXES = (".parquet", ".jsonl")
SCHEMA = pa.schema(
    [
        ("row", pa.int64()),
        ("id", pa.string()),
        ("response_index", pa.int32()),
        ("score", pa.float64()),
        ("num_truncated_tokens", pa.int64()),
    ]
)
KEYS = pa.schema([*(SCHEMA.field(name) for name in ("row", "id", "response_index")), ("hash", pa.string())])
"""What a shard knows of a response beside its score; `hash` is its row's."""
REFUSED = "refused_by_template"
_WRITE_ROWS = 131_072

About = Mapping[str, Any]


@dataclass(frozen=True)
class FileReport:
    """What became of a file.

    Attributes:
        num_rows: of the input; each is scored whole, or counted in `bad_rows`.
        bad_rows: by reason.
    """

    num_rows: int
    num_responses: int
    bad_rows: Mapping[str, int]
    num_truncated_responses: int
    num_truncated_tokens: int

    @property
    def num_bad_rows(self) -> int:
        """Rows that have no score."""
        return sum(self.bad_rows.values())


def letters_file(output: Path) -> Path:
    """Where the bad rows of an output are."""
    return output.with_name(output.name + ".dead-letters.jsonl")


def written_report(output: Path, about: About) -> FileReport | None:
    """The report of an output that is there already and was made from the same; None otherwise."""
    try:
        if output.suffix == ".parquet":
            said = json.loads((pq.read_schema(output).metadata or {})[METADATA_KEY])
        else:
            said = json.loads(_side_file(output).read_text("utf-8"))
            if said["sha256"] != sha256_of(output):
                return None
        return FileReport(**said["report"]) if said["about"] == about else None
    except (OSError, pa.ArrowInvalid, ValueError, KeyError, TypeError):
        return None


def letter(number: int, digest: str, reason: str, detail: str) -> dict[str, Any]:
    """A bad row as it stands in the dead-letter file; `row` counts from 0, `line` from 1."""
    return {"row": number, "line": number + 1, "reason": reason, "detail": detail[:500], "hash": digest}


def write_letters(path: Path, letters: Iterable[Mapping[str, Any]]) -> Counter[str]:
    """Write the dead-letter file, unless there is nothing to write; returns the rows by reason."""
    counted: Counter[str] = Counter()
    with replacing(path) as temporary, temporary.open("w", encoding="utf-8") as file:
        for one in letters:
            # Details quote the row, which may hold what UTF-8 cannot carry: JSON's escapes do.
            file.write(json.dumps(one) + "\n")
            counted[one["reason"]] += 1
    if not counted:
        path.unlink()
    return counted


def publish(
    output: Path, tables: Iterable[pa.Table], about: About, *, num_rows: int, bad_rows: Counter[str]
) -> FileReport:
    """Write bad rows, then scores: where these are, those are too.

    Args:
        tables: the shards', in order; read twice.
        bad_rows: that are in the dead-letter file already. What the model refused joins them.
    """
    num_responses = num_truncated = num_tokens = 0
    refused: dict[int, dict[str, Any]] = {}
    for table in tables:
        bad = table.filter(table["problem"].is_valid())
        for row in bad.to_pylist():
            refused.setdefault(row["row"], letter(row["row"], row["hash"], REFUSED, row["problem"]))
        lost = table["num_truncated_tokens"].drop_null()
        num_responses += len(lost)
        num_truncated += pc.sum(pc.greater(lost, 0)).as_py() or 0
        num_tokens += pc.sum(lost).as_py() or 0
    if refused:
        bad_rows = _join_letters(letters_file(output), refused)
    report = FileReport(num_rows, num_responses, dict(sorted(bad_rows.items())), num_truncated, num_tokens)
    said: dict[str, Any] = {"about": about, "report": asdict(report)}
    scored = (table.filter(table["problem"].is_null()).select(SCHEMA.names) for table in tables)
    with replacing(output) as temporary:
        if output.suffix == ".parquet":
            schema = SCHEMA.with_metadata({METADATA_KEY: json.dumps(said, sort_keys=True)})
            with pq.ParquetWriter(temporary, schema, compression="zstd") as writer:
                for part in _in_groups(scored):
                    writer.write_table(part.cast(schema), row_group_size=_WRITE_ROWS)
        else:
            with temporary.open("w", encoding="utf-8") as file:
                for table in scored:
                    file.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in table.to_pylist())
    if output.suffix != ".parquet":
        said["sha256"] = sha256_of(output)
        write_atomically(_side_file(output), json.dumps(said, indent=1, sort_keys=True) + "\n")
    return report


def _join_letters(path: Path, refused: Mapping[int, Mapping[str, Any]]) -> Counter[str]:
    """Add to a dead-letter file, by row; what an earlier try added is there once."""
    path.touch()
    with path.open(encoding="utf-8") as file:
        before = (one for one in map(json.loads, file) if one["reason"] != REFUSED)
        ours = (refused[number] for number in sorted(refused))
        return write_letters(path, heapq.merge(before, ours, key=lambda one: one["row"]))


def _in_groups(tables: Iterable[pa.Table]) -> Iterator[pa.Table]:
    """The same rows in pieces of a fixed size, so that the file's bytes do not depend on how it was cut."""
    held: list[pa.Table] = []
    for table in tables:
        held.append(table)
        while sum(map(len, held)) >= _WRITE_ROWS:
            whole = pa.concat_tables(held)
            yield whole.slice(0, _WRITE_ROWS).combine_chunks()
            held = [whole.slice(_WRITE_ROWS)]
    if sum(map(len, held)):
        yield pa.concat_tables(held).combine_chunks()


def _side_file(output: Path) -> Path:
    return output.with_name(output.name + ".about.json")
