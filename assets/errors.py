"""The error every room raises for bad input: what was wrong, where, what was kept, what to do."""

from __future__ import annotations


class SynprefError(Exception):
    """A mistake in data or configuration that a person can act on.

    Args:
        what: what was wrong, one sentence.
        where: file, row, column, partition or setting.
        kept: what remains valid; empty when nothing was touched.
        todo: what to do next.
    """

    def __init__(self, what: str, *, where: str = "", kept: str = "", todo: str = "") -> None:
        self.what, self.where, self.kept, self.todo = what, where, kept, todo
        parts = [what]
        if where:
            parts.append(f"Where: {where}.")
        if kept:
            parts.append(f"Kept: {kept}.")
        if todo:
            parts.append(f"What to do: {todo}.")
        super().__init__(" ".join(parts))


class ConfigError(SynprefError):
    """A configuration file, or a setting in it, cannot be used."""


class ContractError(SynprefError):
    """A table does not have the columns or types its contract names."""


class MissingUpstreamError(SynprefError):
    """A stage needs a partition that has not been published yet."""


class PartitionBusyError(SynprefError):
    """Another process is writing the same partition."""
