"""JSON lines: one line of a file as a row, or why it is none."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass
from typing import Any

import orjson

_KEY_END = re.compile(rb'"[ \t\r\n]*:')
_LARGEST_EXACT = 2.0**53


@dataclass(frozen=True)
class RawRow:
    """One row of a file.

    Attributes:
        number: from 0; in JSONL, the line, blank lines counted.
        value: column to value; None when the row cannot be read.
        problem: why it cannot be read.
        raw: the row's bytes, where the format has them.
        digest: hash of the row's bytes where they were not kept.
    """

    number: int
    value: dict[str, Any] | None
    problem: str = ""
    raw: bytes | None = None
    digest: str = ""

    def hash(self) -> str:
        """BLAKE2b-128 of the row's bytes, or of its values as JSON where the format has no bytes of a row."""
        if self.digest:
            return self.digest
        raw = self.raw
        if raw is None:
            raw = json.dumps(self.value, sort_keys=True, default=str).encode()
        return hashlib.blake2b(raw, digest_size=16).hexdigest()


def parse_line(number: int, line: bytes) -> RawRow:
    """A line as a row. The fast parser decides where it can; what it refuses, and keys that stand twice, are looked
    at by the exact one, whose problems people read."""
    try:
        value = orjson.loads(line)
        # Every key stands before a colon; more of them than keys means a key twice, or such a thing inside a text.
        if isinstance(value, dict) and len(_KEY_END.findall(line)) == _num_keys(value):
            return RawRow(number, value, raw=line)
    except (ValueError, RecursionError):
        pass
    return _parse_exactly(number, line)


def _num_keys(value: dict | list) -> int:
    """Keys in all objects of a value. Raises ValueError where a number may have lost digits to the fast parser."""
    total = len(value) if isinstance(value, dict) else 0
    for item in value.values() if isinstance(value, dict) else value:
        if isinstance(item, (dict, list)):
            total += _num_keys(item)
        elif isinstance(item, float) and not -_LARGEST_EXACT < item < _LARGEST_EXACT:
            raise ValueError
    return total


def _parse_exactly(number: int, line: bytes) -> RawRow:
    try:
        value = json.loads(line.decode("utf-8"), object_pairs_hook=_without_doubles)
    except UnicodeDecodeError as error:
        return RawRow(number, None, f"not UTF-8: {error.reason} at byte {error.start}", line)
    except json.JSONDecodeError as error:
        return RawRow(number, None, f"not JSON: {error.msg} at character {error.pos}", line)
    except (ValueError, RecursionError) as error:
        return RawRow(number, None, f"not usable JSON: {str(error)[:200]}", line)
    if not isinstance(value, dict):
        return RawRow(number, None, f"not a JSON object but {type(value).__name__}", line)
    return RawRow(number, value, raw=line)


def _without_doubles(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) != len(pairs):
        raise ValueError("a key stands twice in one object")
    return value
