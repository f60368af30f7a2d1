"""Databases of the desk: every rule is tested on SQLite and on a PostgreSQL server made for the run."""

import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
from itertools import count
from pathlib import Path

import pytest
from argon2 import PasswordHasher
from sqlalchemy import create_engine, text

from assets.human_gold.desk.accounts import Accounts
from assets.human_gold.desk.database import open_database
from assets.human_gold.desk.passwords import Passwords
from assets.human_gold.desk.schema import Base
from tests.human_gold.desk.working import Clock, Office

_numbers = count()


def _server_programs():
    """The folder of PostgreSQL's server programs; None where there are none."""
    found = shutil.which("initdb")
    places = [Path(found).resolve().parent] if found else []
    places += sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    return next((place for place in places if (place / "initdb").exists() and (place / "postgres").exists()), None)


def _free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.fixture(scope="session")
def postgresql_server():
    """Address of an empty PostgreSQL server on loopback, ended with the tests."""
    programs = _server_programs()
    if programs is None:
        pytest.skip("no PostgreSQL server on this machine (initdb is not found)")
    pytest.importorskip("psycopg", reason="PostgreSQL's driver is not installed")
    # The server refuses to run as root.
    user = {}
    folder = Path(tempfile.mkdtemp(prefix="synpref-postgresql-"))
    if os.geteuid() == 0:
        names = [name for name in ("postgres", "nobody") if any(entry.pw_name == name for entry in pwd.getpwall())]
        if not names:
            pytest.skip("PostgreSQL does not run as root, and there is no other user")
        user = {"user": names[0], "cwd": "/"}
        shutil.chown(folder, names[0])
    data, port = folder / "data", _free_port()
    try:
        subprocess.run(
            [programs / "initdb", "-D", data, "-U", "desk", "-A", "trust", "-E", "UTF8", "--no-sync"],
            check=True,
            capture_output=True,
            **user,
        )
        command = [programs / "postgres", "-D", data, "-k", folder, "-h", "127.0.0.1", "-p", str(port)]
        server = subprocess.Popen([*command, "-F"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, **user)
        try:
            ready = [programs / "pg_isready", "-h", "127.0.0.1", "-p", str(port), "-t", "1"]
            for _ in range(300):
                if subprocess.run(ready, capture_output=True, check=False).returncode == 0:
                    break
                if server.poll() is not None:
                    raise RuntimeError("the PostgreSQL server ended while it started")
            yield f"postgresql://desk@127.0.0.1:{port}"
        finally:
            # At once: it need not tidy up what is thrown away.
            server.send_signal(signal.SIGQUIT)
            server.wait(30)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request):
    """Which of the two the test runs on."""
    return request.param


@pytest.fixture
def url(database, request, tmp_path):
    """URL of a database that is not there yet (SQLite) or empty (PostgreSQL)."""
    if database == "sqlite":
        return f"sqlite:///{tmp_path}/desk.db"
    return _new_database(request.getfixturevalue("postgresql_server"))


def _new_database(server):
    name = f"desk_{os.getpid()}_{next(_numbers)}"
    admin = create_engine(
        server.replace("postgresql:", "postgresql+psycopg:") + "/postgres", isolation_level="AUTOCOMMIT"
    )
    with admin.connect() as connection:
        connection.execute(text(f"CREATE DATABASE {name}"))
    admin.dispose()
    return f"{server}/{name}"


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory):
    """A file with all tables: migrating once is enough for most tests."""
    path = tmp_path_factory.mktemp("template") / "desk.db"
    open_database(f"sqlite:///{path}").dispose()
    return path


@pytest.fixture(scope="session")
def postgresql_tables(postgresql_server):
    """URL of a database with all tables, which the tests use in turn."""
    url = _new_database(postgresql_server)
    open_database(url).dispose()
    return url


@pytest.fixture
def engine(database, request, tmp_path):
    """An open, empty database of the desk."""
    if database == "sqlite":
        shutil.copy(request.getfixturevalue("sqlite_template"), tmp_path / "desk.db")
        url = f"sqlite:///{tmp_path}/desk.db"
    else:
        url = request.getfixturevalue("postgresql_tables")
    opened = open_database(url)
    if database == "postgresql":
        names = ", ".join(Base.metadata.tables)
        with opened.begin() as connection:
            connection.execute(text(f"TRUNCATE {names} RESTART IDENTITY CASCADE"))
    yield opened
    opened.dispose()


@pytest.fixture
def clock():
    """A clock that tests turn."""
    return Clock()


@pytest.fixture(scope="session")
def cheap_passwords():
    """Hashes that cost next to nothing."""
    return Passwords(PasswordHasher(time_cost=1, memory_cost=8, parallelism=1))


@pytest.fixture
def accounts(engine, clock, cheap_passwords):
    """The accounts of the database."""
    return Accounts(engine, clock, cheap_passwords)


@pytest.fixture
def office(engine, clock, accounts):
    """A desk with what tests need to work at it."""
    return Office(engine, clock, accounts)
