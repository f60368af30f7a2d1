"""JSON Lines: a round's tasks as a file for any tool, and answers from files, one object a line.

An answer has `task_id` (or `pair_id` and `person`) and `verdict`: left or right as the task showed them, 1 or 2 in
canonical order, tie or undecided. It may have `person`, `strength`, `reasons`, `comment`, `edited_attributes`,
`active_seconds`, `guideline_version`, `client_key` and `answered_at` (ISO 8601 with zone); what else it has is ignored.

Files may be imported again, also after lines were appended: a line is known by its file's name, its number and its
text, or by its `client_key`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from sqlalchemy import Engine

from assets.durable_files import replacing
from assets.errors import SynprefError
from assets.guidelines import Guidelines
from assets.human_gold.bridges.intake import Delivered, Intake, Outcome
from assets.human_gold.bridges.reports import Report, Taken, time_of, write_down
from assets.human_gold.bridges.tasks import RoundExport
from assets.human_gold.desk.database import Clock, now
from assets.identity import digest, storable

SOURCE = "answers"
"""Name under which dead letters of imported files are kept."""

# An answer holds a comment and five attributes of 20,000 characters at most, and escapes take up to six bytes each.
MAX_LINE_BYTES = 1 << 20


@dataclass(frozen=True)
class Exported:
    """What an export wrote; `left_out` by reason, see `tasks.RoundExport`."""

    num_tasks: int
    left_out: Mapping[str, int]


def export_tasks(
    engine: Engine, round_name: str, path: Path, guidelines: Guidelines, *, clock: Clock = now
) -> Exported:
    """Write a round's waiting tasks to a file, which appears when it is whole.

    Raises:
        SynprefError: the desk has no such round.
    """
    export, num_tasks = RoundExport(engine, round_name, guidelines), 0
    with replacing(path) as temporary, temporary.open("w", encoding="utf-8", newline="\n") as file:
        for task in export:
            file.write(json.dumps(task, ensure_ascii=False) + "\n")
            num_tasks += 1
    exported = Exported(num_tasks, dict(sorted(export.left_out.items())))
    detail = {"file": path.name, "tasks": num_tasks, "left_out": exported.left_out}
    write_down(engine, clock, "tasks_exported", round_name, detail)
    return exported


def import_answers(
    engine: Engine,
    path: Path,
    *,
    round_name: str | None = None,
    clock: Clock = now,
    rule: str = "no_majority",
) -> Taken:
    """Take the answers of a file in, line by line; a file of any size needs the memory of one line.

    Args:
        engine: of the annotation database.
        path: the file.
        round_name: only tasks of this round; None for any.
        clock: gives the time, UTC.
        rule: of adjudication, as the desk's.

    Returns:
        What became of every line that is not empty. Reasons beside those of `Intake.take`: `unreadable_row`.

    Raises:
        SynprefError: there is no such file.
    """
    if not path.is_file():
        raise SynprefError("There is no file to import.", where=str(path), todo="name a file of JSON Lines")
    intake = Intake(engine, "jsonl", round_name=round_name, clock=clock, rule=rule)
    report = Report(SOURCE, path.name)
    with path.open("rb") as file:
        for number, line in _lines(file):
            text = line.decode("utf-8", "replace")
            read = _read(line, f"{path.name}:{number}:{digest(text)}")
            report.add(number, read if isinstance(read, Outcome) else intake.take(read), text)
    taken = report.close()
    write_down(engine, clock, "answers_imported", path.name, taken.summary)
    return taken


def _lines(file: BinaryIO) -> Iterator[tuple[int, bytes]]:
    """Number and bytes of every line that is not blank; of one that is too long, a little more than is allowed."""
    number = 0
    while line := file.readline(MAX_LINE_BYTES + 2):
        number += 1
        rest = line
        while not rest.endswith(b"\n") and (rest := file.readline(1 << 16)):
            pass
        if line.strip():
            yield number, line


def _read(line: bytes, place: str) -> Delivered | Outcome:
    """The answer of a line, or why it is none."""
    if len(line.rstrip(b"\r\n")) > MAX_LINE_BYTES:
        return Outcome("unreadable_row", f"longer than {MAX_LINE_BYTES:,} bytes")
    try:
        row = json.loads(line.removeprefix(b"\xef\xbb\xbf").decode("utf-8"))
    except (ValueError, RecursionError) as error:
        return Outcome("unreadable_row", f"not JSON: {error}"[:300])
    if not isinstance(row, Mapping):
        return Outcome("unreadable_row", "not an object")
    row = {name: value for name, value in row.items() if value is not None}
    if "verdict" not in row or not ("task_id" in row or {"pair_id", "person"} <= row.keys()):
        return Outcome("unreadable_row", "needs verdict, and task_id or pair_id and person")
    try:
        key = row.get("client_key")
        return Delivered(
            act=place if key is None else f"client_key:{_text(row, 'client_key')}",
            verdict=_verdict(row["verdict"]),
            task_id=_text(row, "task_id") if "task_id" in row else None,
            pair_id=_text(row, "pair_id") if "pair_id" in row else None,
            person=_text(row, "person") if "person" in row else None,
            strength=_text(row, "strength") if "strength" in row else None,
            reasons=tuple(_texts(row.get("reasons", []))),
            comment=_text(row, "comment"),
            edited_attributes=_object(row, "edited_attributes"),
            guideline_version=_text(row, "guideline_version"),
            active_seconds=_number(row, "active_seconds"),
            answered_at=time_of(_text(row, "answered_at")) if "answered_at" in row else None,
        )
    except (TypeError, ValueError, OverflowError) as error:
        return Outcome("unreadable_row", str(error)[:300])


def _verdict(value: Any) -> str:
    if isinstance(value, bool) or not isinstance(value, (str, int)):
        return storable(json.dumps(value))[:80]
    return storable(str(value))


def _text(row: Mapping[str, Any], name: str) -> str:
    value = row.get(name, "")
    if not isinstance(value, str):
        raise TypeError(f"{name} is no text")
    return storable(value)


def _texts(value: Any) -> list[str]:
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise TypeError("reasons is no list of texts")
    return [storable(item) for item in value]


def _object(row: Mapping[str, Any], name: str) -> dict[str, Any]:
    value = row.get(name, {})
    if not isinstance(value, Mapping):
        raise TypeError(f"{name} is no object")
    return dict(value)


def _number(row: Mapping[str, Any], name: str) -> float | None:
    value = row.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise TypeError(f"{name} is no number")
    return float(value)
