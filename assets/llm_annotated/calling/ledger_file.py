"""The file of the request ledger: opening it, its tables, its transactions, and its errors in words."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from assets.errors import SynprefError

VERSION = 1
_BUSY_S = 60
_SCHEMA = """
CREATE TABLE requests (
    request_key TEXT PRIMARY KEY, fingerprint TEXT NOT NULL, batch TEXT NOT NULL, subject TEXT NOT NULL,
    status TEXT NOT NULL, owner TEXT NOT NULL, num_tries INTEGER NOT NULL,
    reserved_nano INTEGER NOT NULL, cost_nano INTEGER NOT NULL, in_doubt_nano INTEGER NOT NULL,
    num_prompt_tokens INTEGER, num_cached_tokens INTEGER, num_completion_tokens INTEGER,
    reply TEXT, first_token TEXT, error TEXT NOT NULL, sent_at REAL NOT NULL, settled_at REAL
) WITHOUT ROWID;
CREATE INDEX requests_sent ON requests (owner) WHERE status = 'sent';
CREATE TABLE spend (
    batch TEXT PRIMARY KEY,
    cost_nano INTEGER NOT NULL, in_doubt_nano INTEGER NOT NULL, reserved_nano INTEGER NOT NULL
) WITHOUT ROWID;
"""


def open_file(path: Path) -> sqlite3.Connection:
    """Open a ledger's file; made where it is missing. Threads may share the connection, one at a time.

    Raises:
        SynprefError: the file is no ledger, of a newer version, or cannot be opened.
    """
    with in_words(path):
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            # Replies quote what people wrote: for their owner's eyes. SQLite gives its side files the same mode.
            path.touch(mode=0o600)
        except OSError as error:
            raise SynprefError(f"The request ledger cannot be opened: {error.strerror}.", where=str(path)) from error
        database = sqlite3.connect(path, timeout=_BUSY_S, isolation_level=None, check_same_thread=False)
        try:
            _prepare(database, path)
        except BaseException:
            database.close()
            raise
        return database


@contextmanager
def transaction(database: sqlite3.Connection) -> Iterator[None]:
    """A transaction that may write."""
    database.execute("BEGIN IMMEDIATE")
    try:
        yield
        database.execute("COMMIT")
    except BaseException:
        roll_back(database)
        raise


def roll_back(database: sqlite3.Connection) -> None:
    """Undo a transaction, where there is one; some errors of SQLite have done so already."""
    if database.in_transaction:
        database.execute("ROLLBACK")


@contextmanager
def in_words(path: Path) -> Iterator[None]:
    """SQLite's errors as errors that a person can act on."""
    try:
        yield
    except sqlite3.ProgrammingError:
        # A mistake of ours, which no room on the disk would mend.
        raise
    except sqlite3.Error as error:
        raise SynprefError(
            f"The request ledger cannot be used: {error}.",
            where=str(path),
            kept="every reply that was recorded before",
            todo="make room on the disk, or let the other process finish; a damaged file is never overwritten",
        ) from error


def _prepare(database: sqlite3.Connection, path: Path) -> None:
    # Outside a transaction. FULL: a commit has reached the disk when it returns, not only the kernel.
    for pragma in ("journal_mode = WAL", "synchronous = FULL"):
        database.execute(f"PRAGMA {pragma}")
    with transaction(database):
        version = database.execute("PRAGMA user_version").fetchone()[0]
        if version == 0:
            for statement in _SCHEMA.split(";\n"):
                database.execute(statement)
            database.execute(f"PRAGMA user_version = {VERSION}")
    if version > VERSION:
        raise SynprefError(
            f"The request ledger is of version {version}, this program knows {VERSION}.",
            where=str(path),
            kept="the ledger as it is",
            todo="update synpref",
        )
