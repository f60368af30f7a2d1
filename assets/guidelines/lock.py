"""The lock: what each guideline's text was when its version number was given, so that no text changes unnoticed.

`python -m assets.guidelines.lock` renews it.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path

import yaml

from assets.durable_files import write_atomically
from assets.errors import SynprefError
from assets.guidelines.files import FOLDER, GuidelineFile, file_name, read_all
from assets.identity import digest

COMMAND = "python -m assets.guidelines.lock"
_LOCK = "lock.yaml"

Locked = dict[str, dict[str, int | str]]
"""{file: {"version": number, "hash": 32 hex digits}}"""


def lock_of(files: Mapping[str, GuidelineFile]) -> Locked:
    """The lock that the files should have."""
    return {
        file_name(name): {
            "version": file.version,
            "hash": digest(file.title, *(part for section in file.sections.items() for part in section)),
        }
        for name, file in sorted(files.items())
    }


def problems(locked: Locked, current: Locked) -> list[str]:
    """What must be done before the files may be used under their version numbers; empty when all is well."""
    found = misnumbered(locked, current)
    if not found and locked != current:
        names = sorted(name for name in {*locked, *current} if locked.get(name) != current.get(name))
        found.append(f"{', '.join(names)}: new version, not locked yet; run `{COMMAND}` and commit {_LOCK}")
    return found


def misnumbered(locked: Locked, current: Locked) -> list[str]:
    """Files whose text changed under its version number, or whose number fell, each with what to do."""
    found = []
    for name in sorted(locked.keys() & current.keys()):
        before, now = locked[name], current[name]
        if now["hash"] != before["hash"] and int(now["version"]) <= int(before["version"]):
            raised = int(before["version"]) + 1
            found.append(f"{name} changed under its version: set `version: {raised}`, then run `{COMMAND}`")
        elif int(now["version"]) < int(before["version"]):
            found.append(f"{name} fell below version {before['version']}: versions only rise")
    return found


def read_lock(folder: Path = FOLDER) -> Locked:
    """The lock as it was committed; empty when there is none."""
    path = folder / _LOCK
    return yaml.safe_load(path.read_text("utf-8")) if path.exists() else {}


def renew(folder: Path = FOLDER) -> Locked:
    """Write the lock of the files as they are.

    Raises:
        SynprefError: a text changed under its version number; nothing was written.
    """
    current = lock_of(read_all(folder))
    if wrong := misnumbered(read_lock(folder), current):
        raise SynprefError(f"{'; '.join(wrong)}.", where=str(folder / _LOCK), kept="the lock as it was")
    write_atomically(folder / _LOCK, yaml.safe_dump(current))
    return current


if __name__ == "__main__":
    try:
        print(f"{len(renew())} guidelines locked.")
    except SynprefError as error:
        sys.exit(str(error))
