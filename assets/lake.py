"""The lake: where each table's Parquet lies, and how a partition is published so that no reader sees half of it.

A partition is a folder `<table>/<level>=<value>/.../` with data files and one `manifest.json` that names the
current one. A new version is written under a temporary name, synced and renamed; only then is the manifest
replaced, by one rename. Whatever is killed in between leaves the old version in force. The lake holds no rules.
"""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import filelock
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from assets.contracts import SCHEMA_VERSION, conform, contract_of
from assets.durable_files import replacing, sha256_of
from assets.errors import ContractError, MissingUpstreamError, PartitionBusyError, SynprefError
from assets.partition_writer import Manifest, PartitionWriter

_SLUG = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,99}")


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
            with replacing(path) as temporary:
                pq.write_table(contract_of(table).schema.empty_table(), temporary)
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

    def rows_at(self, manifest: Manifest, positions: Sequence[int]) -> pa.Table:
        """Rows of one partition by position, ascending, without reading more than a row group at once."""
        parts = []
        with pq.ParquetFile(self.file_of(manifest)) as file:
            first = 0
            for group in range(file.metadata.num_row_groups):
                end = first + file.metadata.row_group(group).num_rows
                inside = [p - first for p in positions if first <= p < end]
                if inside:
                    parts.append(file.read_row_group(group).take(pa.array(inside, pa.int64())))
                first = end
        return pa.concat_tables(parts) if parts else contract_of(manifest.table).schema.empty_table()

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
        if not path.exists() or sha256_of(path) != manifest.file_sha256:
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
