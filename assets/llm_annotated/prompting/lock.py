"""The lock: what each prompt's text was when its version was given; `python -m assets.llm_annotated.prompting.lock`."""

from __future__ import annotations

import sys
from pathlib import Path

import yaml

from assets.durable_files import write_atomically
from assets.errors import SynprefError
from assets.guidelines.lock import Locked, misnumbered, read_lock
from assets.llm_annotated.prompting.texts import FOLDER, NAMES, read_texts

COMMAND = "python -m assets.llm_annotated.prompting.lock"


def lock_of(folder: Path = FOLDER) -> Locked:
    """The lock that the files should have."""
    found = {name: read_texts(folder / f"{name}.md") for name in NAMES}
    return {f"{name}.md": {"version": texts.version, "hash": texts.hash} for name, texts in found.items()}


def renew(folder: Path = FOLDER) -> Locked:
    """Write the lock of the files as they are.

    Raises:
        SynprefError: a text changed under its version number; nothing was written.
    """
    current = lock_of(folder)
    path = folder / "lock.yaml"
    if wrong := misnumbered(read_lock(folder), current):
        names = "; ".join(problem.replace("python -m assets.guidelines.lock", COMMAND) for problem in wrong)
        raise SynprefError(f"{names}.", where=str(path), kept="the lock as it was")
    write_atomically(path, yaml.safe_dump(current))
    return current


if __name__ == "__main__":
    try:
        print(f"{len(renew())} prompts locked.")
    except SynprefError as error:
        sys.exit(str(error))
