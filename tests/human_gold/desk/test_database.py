"""Opening the annotation database: migrations, versions, settings, and two who come at once."""

import multiprocessing
import stat
import subprocess
import sys
import threading
from datetime import UTC, datetime
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import create_engine, inspect, make_url, select, text
from sqlalchemy.exc import IntegrityError

from assets.human_gold.desk.database import VERSION_TABLE, open_database, reading, writing
from assets.human_gold.desk.schema import AuditRow, Base, DraftRow
from assets.human_gold.desk.views import DeskError

_NOON = datetime(2025, 3, 1, 12, tzinfo=UTC)


def test_the_migrations_give_the_models_schema(url):
    engine = open_database(url)
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"version_table": VERSION_TABLE, "compare_type": True})
        assert compare_metadata(context, Base.metadata) == []
        # What the comparison leaves out.
        for table in Base.metadata.tables.values():
            made = {index["name"]: index for index in inspect(connection).get_indexes(table.name)}
            for index in table.indexes:
                assert [column.name for column in index.columns] == made[index.name]["column_names"]
    engine.dispose()


def test_the_comparison_would_see_a_missing_column(url):
    engine = open_database(url)
    with engine.begin() as connection:
        connection.execute(text("ALTER TABLE tasks DROP COLUMN due"))
        context = MigrationContext.configure(connection, opts={"version_table": VERSION_TABLE})
        assert compare_metadata(context, Base.metadata) != []


def url_of(engine):
    return engine.url.render_as_string(hide_password=False)


def test_opening_again_keeps_everything(engine, clock):
    with writing(engine) as session:
        session.add(AuditRow(at=clock(), action="a", subject="b", detail={}, address=""))
    again = open_database(url_of(engine))
    with reading(again) as session:
        assert session.scalar(select(AuditRow.action)) == "a"
    again.dispose()


def test_a_database_of_a_newer_program_is_refused(url):
    engine = open_database(url)
    with engine.begin() as connection:
        connection.execute(text(f"UPDATE {VERSION_TABLE} SET version_num = '9999'"))
    with pytest.raises(DeskError, match="newer than this program: 9999"):
        open_database(url_of(engine))
    with engine.connect() as connection:
        assert connection.scalar(text(f"SELECT version_num FROM {VERSION_TABLE}")) == "9999"


def test_a_database_of_another_program_is_refused(url):
    plain = create_engine(make_url(url).set(drivername="postgresql+psycopg") if url.startswith("postgres") else url)
    with plain.begin() as connection:
        connection.execute(text("CREATE TABLE items (name varchar(10))"))
    with pytest.raises(DeskError, match="another program: items"):
        open_database(url)
    plain.dispose()


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ("mysql://u:hush-hush@h/db", "must be a SQLite file or a PostgreSQL database"),
        ("sqlite://", "must be a SQLite file"),
        ("sqlite:///:memory:", "must be a SQLite file"),
        ("not a url", "no database URL"),
        ("postgresql://u:hush-hush@127.0.0.1:1/db", "cannot be opened"),
        ("postgresql+psycopg://u:hush-hush@127.0.0.1:1/db", "cannot be opened"),
        ("sqlite:////proc/nothing/desk.db", "cannot be opened"),
    ],
)
def test_what_cannot_be_opened_is_refused_without_its_password(wrong, message):
    if "postgresql" in wrong:
        pytest.importorskip("psycopg")
    with pytest.raises(DeskError, match=message) as caught:
        open_database(wrong)
    assert "hush" not in str(caught.value)
    assert caught.value.__cause__ is None


def test_sqlite_waits_for_the_disk_and_only_its_owner_reads_it(tmp_path):
    engine = open_database(f"sqlite:///{tmp_path}/new folder/desk.db")
    with engine.connect() as connection:
        settings = {
            name: connection.exec_driver_sql(f"PRAGMA {name}").scalar()
            for name in ("journal_mode", "synchronous", "foreign_keys", "busy_timeout")
        }
    assert settings == {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1, "busy_timeout": 10_000}
    for file in (tmp_path / "new folder").glob("desk.db*"):
        assert file.suffix == ".lock" or stat.S_IMODE(file.stat().st_mode) == 0o600
    engine.dispose()


def test_foreign_keys_are_kept(engine, clock):
    with pytest.raises(IntegrityError), writing(engine) as session:
        session.add(DraftRow(key="t", person_id=77, form={}, saved_at=clock()))


def test_a_transaction_that_fails_leaves_nothing(engine, clock):
    def fail():
        with writing(engine) as session:
            session.add(AuditRow(at=clock(), action="a", subject="b", detail={}, address=""))
            session.flush()
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    with reading(engine) as session:
        assert session.scalars(select(AuditRow)).all() == []


def _open_and_write(url, barrier, number):
    barrier.wait(60)
    engine = open_database(url)
    for step in range(10):
        with writing(engine) as session:
            # Reads first: with a lock that is taken only then, two would wait for each other.
            seen = len(session.scalars(select(AuditRow.audit_id)).all())
            session.add(AuditRow(at=_NOON, action=f"{number}-{step}", subject=str(seen), detail={}, address=""))
    engine.dispose()


def test_processes_that_open_a_new_database_at_once_make_one(url):
    num = 4
    spawn = multiprocessing.get_context("spawn")
    barrier = spawn.Barrier(num)
    processes = [spawn.Process(target=_open_and_write, args=(url, barrier, number)) for number in range(num)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(120)
    assert [process.exitcode for process in processes] == [0] * num
    engine = open_database(url)
    with reading(engine) as session:
        rows = session.scalars(select(AuditRow).order_by(AuditRow.audit_id)).all()
    # Each saw all that came before it: one writer at a time, and ids in the order of their commits.
    assert [row.subject for row in rows] == [str(n) for n in range(num * 10)]
    engine.dispose()


def test_twenty_threads_write_at_once(engine, clock):
    failed = []

    def write(number):
        try:
            for step in range(10):
                with writing(engine) as session:
                    seen = len(session.scalars(select(AuditRow.audit_id)).all())
                    session.add(
                        AuditRow(at=clock(), action=f"{number}-{step}", subject=str(seen), detail={}, address="")
                    )
        except Exception as error:
            failed.append(error)

    threads = [threading.Thread(target=write, args=(number,)) for number in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []
    with reading(engine) as session:
        rows = session.scalars(select(AuditRow).order_by(AuditRow.audit_id)).all()
    assert [row.subject for row in rows] == [str(n) for n in range(200)]


def test_a_file_that_is_no_database_is_refused(tmp_path):
    (tmp_path / "desk.db").write_bytes(b"something else " * 100)
    with pytest.raises(DeskError, match="file is not a database"):
        open_database(f"sqlite:///{tmp_path}/desk.db")
    assert (tmp_path / "desk.db").read_bytes() == b"something else " * 100


def test_readers_do_not_wait_for_a_writer(engine, clock):
    with writing(engine) as session:
        session.add(AuditRow(at=clock(), action="a", subject="b", detail={}, address=""))
        session.flush()
        with reading(engine) as other:
            assert other.scalars(select(AuditRow)).all() == []


def test_the_migrations_travel_with_the_package():
    """Every folder of them is a package with a module, which is what the build takes along."""
    folder = Path(sys.modules["assets.human_gold.desk.database"].__file__).parent / "migrations"
    assert (folder / "env.py").exists()
    assert (folder / "__init__.py").exists()
    assert (folder / "versions" / "__init__.py").exists()
    found = subprocess.run(
        [sys.executable, "-c", "from setuptools import find_packages; print(find_packages(include=['assets*']))"],
        capture_output=True,
        text=True,
        check=True,
        cwd=folder.parents[3],
    )
    assert "assets.human_gold.desk.migrations.versions" in found.stdout
