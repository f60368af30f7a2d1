"""Opening the annotation database, its migrations, and the two kinds of transaction: reading and writing.

One writer at a time, on both databases. SQLite knows nothing else; on PostgreSQL an advisory lock makes it so, because
the rules of asking then hold without locks of their own, and because ids of answers must appear in the order in which
they were given out: the bridge to the ledger asks for all after the last that it saw. A write takes milliseconds.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import filelock
from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import URL, ColumnElement, Connection, Engine, create_engine, event, inspect, literal, make_url, text
from sqlalchemy.exc import ArgumentError, DBAPIError
from sqlalchemy.orm import Session
from sqlalchemy.pool import QueuePool

from assets.human_gold.desk.schema import Base
from assets.human_gold.desk.views import DeskError

Clock = Callable[[], datetime]

VERSION_TABLE = "desk_version"
"""Where Alembic keeps the migration the database is at; a name of its own, since others write `alembic_version`."""

BUSY_TIMEOUT_S = 10
_MIGRATION_TIMEOUT_S = 120
# Any fixed numbers: one advisory lock for writing, one for migrating.
_PG_WRITE_LOCK, _PG_MIGRATION_LOCK = 0x5D35_0001, 0x5D35_0002
# uvicorn answers with up to 40 threads, each with a connection of its own.
_POOL_SIZE = 40


def now() -> datetime:
    """The time, UTC."""
    return datetime.now(UTC)


def open_database(url: str) -> Engine:
    """Open the database, made or brought to this code's version where needed.

    Args:
        url: `sqlite:///PATH` or `postgresql://USER:PASSWORD@HOST/NAME`.

    Raises:
        DeskError: another kind of database, one that cannot be reached, one that is newer than the code, or one in
            which another program has tables of the same names. Passwords in the URL are never part of the message.
    """
    parsed = _parse(url)
    shown = parsed.render_as_string(hide_password=True)
    engine = _sqlite_engine(parsed) if parsed.get_backend_name() == "sqlite" else _postgresql_engine(parsed)
    try:
        _migrate(engine, shown)
    except (DBAPIError, sqlite3.Error, OSError) as error:
        engine.dispose()
        reason = str(error.orig if isinstance(error, DBAPIError) else error).strip()
        # The driver's words can hold the connection string, with its password.
        reason = reason.replace(parsed.password or "\0", "***")
        raise DeskError(
            f"The annotation database cannot be opened: {reason}.",
            where=shown,
            todo="check that it is there and may be written",
        ) from None
    except DeskError:
        engine.dispose()
        raise
    return engine


@contextmanager
def reading(engine: Engine) -> Iterator[Session]:
    """A transaction that changes nothing; on SQLite it waits for nobody."""
    with Session(engine, expire_on_commit=False) as session:
        yield session


@contextmanager
def writing(engine: Engine) -> Iterator[Session]:
    """A transaction that changes something: the only one of its kind, committed when the block ends without error."""
    options = engine.get_execution_options()
    # Threads of one process wait here in turn; SQLite alone would let them sleep and try again.
    with options["desk_write_lock"], Session(_for_writing(engine), expire_on_commit=False) as session, session.begin():
        if engine.dialect.name == "postgresql":
            session.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _PG_WRITE_LOCK})
        else:
            session.connection()
        yield session


def as_words(value: str) -> ColumnElement[str]:
    """A value written into the statement: as a parameter, it would not tell that a partial index serves."""
    return literal(value, literal_execute=True)


def _for_writing(engine: Engine) -> Engine:
    return engine.execution_options(desk_writes=True)


def _parse(url: str) -> URL:
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):
        raise DeskError("The address of the annotation database is no database URL.", todo=_URL_FORMS) from None
    backend = parsed.get_backend_name()
    if backend == "postgresql":
        return parsed.set(drivername="postgresql+psycopg")
    if backend == "sqlite" and parsed.database and parsed.database != ":memory:":
        return parsed
    raise DeskError(
        "The annotation database must be a SQLite file or a PostgreSQL database.",
        where=parsed.render_as_string(hide_password=True),
        todo=_URL_FORMS,
    )


_URL_FORMS = "write sqlite:///PATH or postgresql://USER:PASSWORD@HOST/NAME"


def _sqlite_engine(url: URL) -> Engine:
    engine = create_engine(
        url,
        poolclass=QueuePool,
        pool_size=_POOL_SIZE,
        max_overflow=-1,
        connect_args={"timeout": BUSY_TIMEOUT_S, "check_same_thread": False},
        execution_options={"desk_write_lock": threading.Lock()},
    )

    @event.listens_for(engine, "connect")
    def _settings(connection: Any, _record: Any) -> None:
        # Transactions are begun below, by what they are for: a reader that turns writer could never wait its turn.
        connection.isolation_level = None
        for pragma in (f"busy_timeout = {BUSY_TIMEOUT_S * 1000}", "synchronous = FULL", "foreign_keys = ON"):
            connection.execute(f"PRAGMA {pragma}")

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        writes = connection.get_execution_options().get("desk_writes", False)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")

    return engine


def _postgresql_engine(url: URL) -> Engine:
    try:
        return create_engine(
            url,
            pool_size=_POOL_SIZE,
            max_overflow=-1,
            pool_pre_ping=True,
            execution_options={"desk_write_lock": threading.Lock()},
        )
    except ModuleNotFoundError:
        raise DeskError(
            "PostgreSQL's driver is not installed.", todo="install synpref[postgres], or use a SQLite file"
        ) from None


def _migrate(engine: Engine, shown: str) -> None:
    """Bring the database to the newest migration; of several processes one does it while the others wait."""
    if engine.dialect.name == "postgresql":
        with engine.begin() as connection:
            connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _PG_MIGRATION_LOCK})
            _upgrade(connection, shown)
        return
    path = Path(str(engine.url.database))
    path.parent.mkdir(parents=True, exist_ok=True)
    with filelock.FileLock(path.with_name(path.name + ".lock"), timeout=_MIGRATION_TIMEOUT_S):
        # Only its owner may read what people wrote; SQLite gives its side files the same mode.
        path.touch(mode=0o600)
        # Outside a transaction, and under the lock: SQLite does not wait when two connections change the mode.
        with closing(engine.raw_connection()) as raw:
            raw.cursor().execute("PRAGMA journal_mode = WAL")
        with _for_writing(engine).begin() as connection:
            _upgrade(connection, shown)


def _upgrade(connection: Connection, shown: str) -> None:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    config.attributes["connection"] = connection
    script = ScriptDirectory.from_config(config)
    heads = MigrationContext.configure(connection, opts={"version_table": VERSION_TABLE}).get_current_heads()
    known = {revision.revision for revision in script.walk_revisions()}
    unknown = sorted(set(heads) - known)
    if unknown:
        raise DeskError(
            f"The annotation database is newer than this program: {', '.join(unknown)} is unknown here.",
            where=shown,
            kept="the database as it is",
            todo="update synpref, or open another database",
        )
    if not heads:
        taken = sorted(set(inspect(connection).get_table_names()) & set(Base.metadata.tables))
        if taken:
            raise DeskError(
                f"The database holds tables of another program: {', '.join(taken)}.",
                where=shown,
                kept="the database as it is",
                todo="give the annotation page a database of its own",
            )
    if set(heads) != set(script.get_heads()):
        command.upgrade(config, "head")
