"""The lake: where each table's Parquet lies, and how a partition is published so that no reader sees half of it.

A partition is a folder `<table>/<level>=<value>/.../` with data files and one `manifest.json` that names the
current one. A new version is written under a temporary name, synced and renamed; only then is the manifest
replaced, by one rename. Whatever is killed in between leaves the old version in force. The lake holds no rules.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType

import filelock
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from assets.contracts import SCHEMA_VERSION, conform, contract_of
from assets.errors import ContractError, MissingUpstreamError, PartitionBusyError, SynprefError

_SLUG = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,99}")
# Hashing re-chunks to this many rows, so that a table's hash does not depend on how it was batched.
_HASH_ROWS = 16_384
_ROW_GROUP = 16_384


def check_slug(value: str, what: str = "partition") -> str:
    """Return a value that is safe as a folder name and a partition key, or raise.

    >>> check_slug("mmlu_pro")
    'mmlu_pro'
    """
    if not _SLUG.fullmatch(value) or ".." in value:
        raise SynprefError(
            f"{value[:120]!r} cannot name a {what}.",
            todo="use letters, digits, '_', '-' and '.', at most 100 characters, beginning with a letter or digit",
        )
    return value


@dataclass(frozen=True)
class Manifest:
    """What a published partition says of itself.

    Attributes:
        table, partition: which partition, e.g. `pairs`, `{"source": "hh_rlhf"}`.
        file: name of the current data file in the partition's folder.
        num_rows: rows in it.
        content_hash: hash of all columns but the volatile ones; equal content has an equal hash.
        file_sha256: hash of the file's bytes, for detecting damage.
        inputs: fingerprint of everything the partition was made from.
        info: what the stage wishes to keep with it (row accounting, settings).
        published_at: ISO 8601, UTC; for people, never for ordering.
        schema_version: of `assets.contracts`.
    """

    table: str
    partition: dict[str, str]
    file: str
    num_rows: int
    content_hash: str
    file_sha256: str
    inputs: str = ""
    info: dict = field(default_factory=dict)
    published_at: str = ""
    schema_version: int = SCHEMA_VERSION


class Lake:
    """Reads and publishes partitions of the tables that `assets.contracts` names.

    Args:
        root: the lake's folder; created on the first publish.
    """

    def __init__(self, root: str | Path) -> None:
        self.root = Path(root)

    # --- where things are ---

    def folder(self, table: str, partition: Mapping[str, str] | None = None) -> Path:
        """Folder of a partition; every level of the contract must be given, and none else."""
        contract = contract_of(table)
        partition = dict(partition or {})
        if set(partition) != set(contract.partition_by):
            raise ContractError(f"{table} is partitioned by {list(contract.partition_by)}, not by {sorted(partition)}.")
        path = self.root / table
        for level in contract.partition_by:
            path = path / f"{level}={check_slug(partition[level])}"
        return path

    def manifest(self, table: str, partition: Mapping[str, str] | None = None) -> Manifest | None:
        """The partition's manifest, or None when it was never published."""
        return self._read_manifest(self.folder(table, partition))

    def manifests(self, table: str, **where: str) -> list[Manifest]:
        """Manifests of every published partition, in order of their folders, filtered by levels."""
        contract = contract_of(table)
        pattern = "/".join(f"{level}=*" for level in contract.partition_by)
        folders = sorted((self.root / table).glob(pattern)) if pattern else [self.root / table]
        found = [m for m in map(self._read_manifest, folders) if m is not None]
        return [m for m in found if all(m.partition.get(k) == v for k, v in where.items())]

    def files(self, table: str, **where: str) -> list[Path]:
        """Current data files of every published partition, filtered by levels."""
        return [self.file_of(m) for m in self.manifests(table, **where)]

    def file_of(self, manifest: Manifest) -> Path:
        """Path of the data file that a manifest names."""
        return self.folder(manifest.table, manifest.partition) / manifest.file

    def readable_files(self, table: str, **where: str) -> list[Path]:
        """Like `files`, but never empty: an unpublished table reads as one file without rows."""
        return self.files(table, **where) or [self.empty_file(table)]

    def empty_file(self, table: str) -> Path:
        """A file of the table's contract without rows, for readers that need one."""
        path = self.root / "_empty" / f"{table}.v{SCHEMA_VERSION}.parquet"
        if not path.exists():
            self._make_folder(path.parent)
            temporary = path.with_name(f".{uuid.uuid4().hex}.tmp")
            pq.write_table(contract_of(table).schema.empty_table(), temporary)
            temporary.replace(path)
        return path

    # --- reading ---

    def read(
        self, table: str, columns: Sequence[str] | None = None, filters: pc.Expression | None = None, **where: str
    ) -> pa.Table:
        """All rows of the published partitions, in order of partition; empty when there is none."""
        schema = contract_of(table).schema
        if columns is not None:
            schema = pa.schema([schema.field(c) for c in columns])
        parts = []
        for path in self.files(table, **where):
            try:
                parts.append(pq.read_table(path, columns=columns, filters=filters, partitioning=None))
            except (pa.ArrowInvalid, OSError) as error:
                raise SynprefError(
                    f"A published file of {table} cannot be read: {error}.",
                    where=str(path),
                    kept="all other partitions",
                    todo="materialise this partition again",
                ) from error
        return pa.concat_tables([t.select(schema.names) for t in parts]) if parts else schema.empty_table()

    def require(self, table: str, *, todo: str, **where: str) -> list[Manifest]:
        """Manifests of published partitions, or an error that says what to materialise first."""
        found = self.manifests(table, **where)
        if not found:
            described = ", ".join(f"{k}={v}" for k, v in where.items())
            raise MissingUpstreamError(
                f"{table}{f' ({described})' if described else ''} has not been published yet.",
                where=str(self.root),
                todo=todo,
            )
        return found

    def verify(self, manifest: Manifest) -> None:
        """Raise when the data file no longer has the bytes that were published."""
        path = self.file_of(manifest)
        if not path.exists() or _sha256(path) != manifest.file_sha256:
            raise SynprefError(
                f"A published file of {manifest.table} is missing or damaged.",
                where=str(path),
                kept="all other partitions",
                todo="materialise this partition again",
            )

    # --- writing ---

    def publish(
        self,
        table_name: str,
        table: pa.Table,
        partition: Mapping[str, str] | None = None,
        *,
        inputs: str = "",
        info: Mapping | None = None,
    ) -> Manifest:
        """Publish a whole partition at once, replacing the version before it."""
        with self.writer(table_name, partition, inputs=inputs, info=info) as writer:
            writer.write(table)
        assert writer.manifest is not None
        return writer.manifest

    def writer(
        self,
        table_name: str,
        partition: Mapping[str, str] | None = None,
        *,
        inputs: str = "",
        info: Mapping | None = None,
    ) -> PartitionWriter:
        """A context manager that takes batches and publishes when its block ends without an error."""
        return PartitionWriter(self, table_name, dict(partition or {}), inputs, dict(info or {}))

    def append_events(
        self,
        table_name: str,
        table: pa.Table,
        partition: Mapping[str, str],
        *,
        inputs: str = "",
        info: Mapping | None = None,
    ) -> Manifest:
        """Add rows to a ledger partition; rows whose key is already there add nothing.

        Rows published before keep their place and their `seq`; new ones follow in the order given. This is
        what makes a delivery repeated after a crash harmless.
        """
        contract = contract_of(table_name)
        (key,) = contract.key
        with self.lock(table_name, partition):
            old = self.read(table_name, **partition)
            new = conform(table, table_name)
            seen = set(old[key].to_pylist())
            keep = []
            for position, value in enumerate(new[key].to_pylist()):
                if value not in seen:
                    seen.add(value)
                    keep.append(position)
            new = new.take(pa.array(keep, pa.int64()))
            if "seq" in new.schema.names:
                at = new.schema.get_field_index("seq")
                new = new.set_column(at, "seq", pa.array(range(len(old), len(old) + len(new)), pa.int64()))
            with PartitionWriter(self, table_name, dict(partition), inputs, dict(info or {}), locked=True) as writer:
                writer.write(pa.concat_tables([old, new]))
        assert writer.manifest is not None
        return writer.manifest

    @contextlib.contextmanager
    def lock(self, table: str, partition: Mapping[str, str] | None = None) -> Iterator[None]:
        """Hold the partition for writing.

        Raises:
            PartitionBusyError: another process holds it.
        """
        folder = self.folder(table, partition)
        self._make_folder(folder)
        try:
            with filelock.FileLock(folder / ".lock", timeout=0):
                yield
        except filelock.Timeout:
            raise PartitionBusyError(
                f"Another process is writing {table}.",
                where=str(folder),
                kept="the published version",
                todo="wait for the other run to end, then run again",
            ) from None

    def _make_folder(self, folder: Path) -> None:
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise SynprefError(
                f"The lake's folder cannot be written: {error.strerror}.",
                where=str(folder),
                todo="make it writable or point SYNPREF_HOME at a folder that is",
            ) from error

    def _read_manifest(self, folder: Path) -> Manifest | None:
        try:
            text = (folder / "manifest.json").read_text("utf-8")
        except FileNotFoundError:
            return None
        try:
            return Manifest(**json.loads(text))
        except (ValueError, TypeError) as error:
            raise SynprefError(
                "A manifest cannot be read.", where=str(folder / "manifest.json"), todo="materialise it again"
            ) from error


class PartitionWriter:
    """Takes the batches of one partition and publishes them together. Made by `Lake.writer`."""

    def __init__(
        self, lake: Lake, table: str, partition: dict[str, str], inputs: str, info: dict, *, locked: bool = False
    ) -> None:
        self.lake, self.table, self.partition, self.inputs = lake, table, partition, inputs
        self.info = info
        """May be filled until the block ends; published with the manifest."""
        self.manifest: Manifest | None = None
        """Set when the block has ended without an error."""
        self._contract = contract_of(table)
        self._folder = lake.folder(table, partition)
        self._stack = contextlib.ExitStack()
        self._locked = locked
        self._num_rows = 0
        self._hash = hashlib.blake2b(digest_size=16)
        self._pending: list[pa.Table] = []
        self._num_pending = 0

    def __enter__(self) -> PartitionWriter:
        if not self._locked:
            self._stack.enter_context(self.lake.lock(self.table, self.partition))
        for leftover in self._folder.glob(".*.tmp"):
            leftover.unlink()
        self._temporary = self._folder / f".{uuid.uuid4().hex}.tmp"
        self._parquet = pq.ParquetWriter(self._temporary, self._contract.schema, compression="zstd")
        return self

    def write(self, table: pa.Table) -> None:
        """Add rows; the table must conform to the contract."""
        table = conform(table, self.table, where=str(self._folder))
        self._pending.append(table)
        self._num_pending += len(table)
        self._num_rows += len(table)
        if self._num_pending >= _HASH_ROWS:
            self._flush(whole_blocks_only=True)

    def _flush(self, *, whole_blocks_only: bool) -> None:
        """Hash and write what is pending, in blocks of a fixed number of rows."""
        if not self._pending:
            return
        rows = pa.concat_tables(self._pending).combine_chunks()
        end = len(rows) - len(rows) % _HASH_ROWS if whole_blocks_only else len(rows)
        for start in range(0, end, _HASH_ROWS):
            block = rows.slice(start, min(_HASH_ROWS, end - start))
            self._hash_block(block)
            self._parquet.write_table(block, row_group_size=_ROW_GROUP)
        rest = rows.slice(end)
        self._pending, self._num_pending = ([rest] if len(rest) else []), len(rest)

    def _hash_block(self, block: pa.Table) -> None:
        stable = block.drop_columns(list(self._contract.volatile)) if self._contract.volatile else block
        # `take` copies, so that the bytes do not depend on offsets into a larger buffer.
        stable = stable.take(pa.array(range(len(stable)), pa.int64())).combine_chunks()
        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, stable.schema) as stream:
            stream.write_table(stable)
        self._hash.update(sink.getvalue())

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._stack:
            try:
                if kind is None:
                    self._flush(whole_blocks_only=False)
                self._parquet.close()
                if kind is None:
                    self._publish()
            finally:
                self._temporary.unlink(missing_ok=True)

    def _publish(self) -> None:
        _sync(self._temporary)
        sha = _sha256(self._temporary)
        name = f"data-{sha[:16]}.parquet"
        self._temporary.replace(self._folder / name)
        _sync(self._folder)
        manifest = Manifest(
            table=self.table,
            partition=self.partition,
            file=name,
            num_rows=self._num_rows,
            content_hash=self._hash.hexdigest(),
            file_sha256=sha,
            inputs=self.inputs,
            info=self.info,
            published_at=datetime.now(UTC).isoformat(timespec="seconds"),
        )
        write_atomically(self._folder / "manifest.json", json.dumps(manifest.__dict__, indent=1, sort_keys=True))
        self.manifest = manifest
        for path in self._folder.glob("data-*.parquet"):
            if path.name != name:
                path.unlink()


def write_atomically(path: Path, text: str) -> None:
    """Write a small text file so that a reader sees the old or the new version, never half of one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{uuid.uuid4().hex}.tmp")
    try:
        temporary.write_text(text, "utf-8")
        _sync(temporary)
        temporary.replace(path)
        _sync(path.parent)
    finally:
        temporary.unlink(missing_ok=True)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
