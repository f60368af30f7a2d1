"""The hub's layout of a data set: which files of a repository belong to a configuration and a split."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from fnmatch import fnmatch
from pathlib import PurePosixPath
from typing import Any

import yaml

from assets.errors import ConfigError
from assets.raw_pairs.source_entry import HubLocation

_FRONT_MATTER = re.compile(r"\A---\s*\n(.*?)\n---\s*(?:\n|\Z)", re.DOTALL)
_SHARD = re.compile(r"(?P<split>.+?)(?:-\d{5}-of-\d{5}.*|)")


def choose_files(names: Iterable[str], card: str, location: HubLocation, *, where: str) -> list[str]:
    """Files to read, in order of name.

    The data set's card (README.md) tells the files of configurations and splits; where it does not, a
    configuration is a folder, and a split is what the name begins with (`data/train-00000-of-00002.parquet`) or the
    folder it lies in (`train/0000.parquet`).

    Args:
        names: every file of the repository.
        card: text of its README.md; empty without one.

    Raises:
        ConfigError: nothing is chosen, or the data set has several configurations and the entry names none.
    """
    names = sorted(name for name in names if fnmatch(name, location.files))
    if not names:
        raise ConfigError(
            f"No file of the data set matches {location.files!r}.", where=where, todo="correct `hub.files`"
        )
    configs = _configs(card)
    if configs:
        names = _by_card(names, configs, location, where)
    else:
        if location.config:
            names = _named(names, location.config, _folders_of(names), "configuration", where)
        if location.split:
            names = _named(names, location.split, {name: {_split_of(name)} for name in names}, "split", where)
    return names


def _by_card(
    names: Sequence[str], configs: Mapping[str, Mapping[str, list[str]]], location: HubLocation, where: str
) -> list[str]:
    config = location.config or (next(iter(configs)) if len(configs) == 1 else "")
    if config not in configs:
        what = f"has no configuration {config!r}" if config else "has several configurations"
        known = ", ".join(configs)
        raise ConfigError(f"The data set {what}.", where=where, todo=f"set `hub.config` to one of {known}")
    splits = configs[config]
    if location.split and location.split not in splits:
        known = ", ".join(splits)
        raise ConfigError(
            f"The data set has no split {location.split!r}.", where=where, todo=f"set `hub.split` to one of {known}"
        )
    patterns = [p for split, given in splits.items() if location.split in ("", split) for p in given]
    chosen = [name for name in names if any(fnmatch(name, pattern) for pattern in patterns)]
    if not chosen:
        raise ConfigError(
            f"The data set's card names files that are not there: {', '.join(patterns)[:300]}.",
            where=where,
            todo="choose by `hub.files`, with another revision, or report it to the data set's owner",
        )
    return chosen


def _configs(card: str) -> dict[str, dict[str, list[str]]]:
    """Configuration to split to file patterns, as a card says; the one marked as default first."""
    matter = _FRONT_MATTER.match(card)
    try:
        head = yaml.safe_load(matter.group(1)) if matter else None
    except (yaml.YAMLError, RecursionError):
        return {}
    listed = head.get("configs") if isinstance(head, dict) else None
    found = {}
    for config in listed if isinstance(listed, list) else ():
        if isinstance(config, dict) and isinstance(config.get("config_name"), str) and config.get("data_files"):
            found[config["config_name"]] = _splits(config["data_files"])
    return found


def _splits(data_files: Any) -> dict[str, list[str]]:
    items = data_files if isinstance(data_files, list) else [data_files]
    splits: dict[str, list[str]] = {}
    for item in items:
        given = item.get("path") if isinstance(item, dict) else item
        split = str(item.get("split", "train")) if isinstance(item, dict) else "train"
        splits.setdefault(split, []).extend(str(p) for p in (given if isinstance(given, list) else [given]))
    return splits


def _folders_of(names: Iterable[str]) -> dict[str, set[str]]:
    return {name: set(PurePosixPath(name).parts[:-1]) for name in names}


def _split_of(name: str) -> str:
    path = PurePosixPath(name)
    stem = path.name.partition(".")[0]
    found = _SHARD.fullmatch(stem)
    # The hub's own conversion calls files 0000.parquet in a folder named after the split.
    return path.parent.name if stem.isdecimal() else found.group("split") if found else stem


def _named(names: Iterable[str], wanted: str, marks: Mapping[str, set[str]], what: str, where: str) -> list[str]:
    chosen = [name for name in names if wanted in marks[name]]
    if not chosen:
        known = ", ".join(sorted(set().union(*marks.values())))
        raise ConfigError(f"The data set has no {what} {wanted!r}.", where=where, todo=f"use one of {known}"[:400])
    return chosen
