"""A file written whole or not at all, and nothing left of writers that were killed."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from assets.durable_files import replacing, write_atomically

KILLED_WRITER = """
import os, signal, sys
from pathlib import Path
from assets.durable_files import replacing
with replacing(Path(sys.argv[1])) as temporary:
    temporary.write_text("half of it")
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_what_a_killed_writer_left_goes_with_the_next_write(tmp_path: Path) -> None:
    path = tmp_path / "page.html"
    write_atomically(path, "old")
    killed = subprocess.run([sys.executable, "-c", KILLED_WRITER, str(path)], check=False)
    assert killed.returncode == -signal.SIGKILL
    assert path.read_text() == "old"
    assert len(list(tmp_path.iterdir())) == 2
    write_atomically(path, "new")
    assert path.read_text() == "new"
    assert list(tmp_path.iterdir()) == [path]


def test_a_living_writer_keeps_its_file(tmp_path: Path) -> None:
    path = tmp_path / "page.html"
    with replacing(path) as temporary:
        temporary.write_text("the slower one")
        write_atomically(path, "the faster one")
        assert path.read_text() == "the faster one"
    assert path.read_text() == "the slower one"
    assert list(tmp_path.iterdir()) == [path]


def test_an_error_leaves_the_old_file_alone(tmp_path: Path) -> None:
    path = tmp_path / "page.html"
    write_atomically(path, "old")
    with pytest.raises(ValueError, match="no more"):
        _write_half(path)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def _write_half(path: Path) -> None:
    with replacing(path) as temporary:
        temporary.write_text("half of it")
        raise ValueError("no more")


def test_files_with_alike_names_are_not_touched(tmp_path: Path) -> None:
    other = tmp_path / ".page.htmlx.0.tmp"
    other.write_text("another file's")
    write_atomically(tmp_path / "page.html", "new")
    assert other.exists()
