"""The source catalogue: read, checked, extended."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from assets.durable_files import write_atomically
from assets.errors import ConfigError
from assets.raw_pairs.remote_files import is_url
from assets.raw_pairs.source_entry import LabelOrigin, SourceEntry
from assets.settings import read_yaml
from assets.settings_base import describe_validation
from assets.workspace import Workspace, data_folder, home_folder

_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[\w.-]+(@[\w./-]+)?")
_SUFFIXES = (".jsonl", ".ndjson", ".json", ".gz", ".zst", ".parquet")


def load_catalogue(path: str | Path, workspace: Workspace | None = None) -> tuple[SourceEntry, ...]:
    """Read and check a source catalogue; the paths of its entries come back absolute.

    Whether the files are there is `require_files`' matter: the graph of assets has to load without them.

    Args:
        path: YAML file with one list, `sources`.
        workspace: fills `{home}`, `{lake}` and `{data}`; relative paths lie beside the catalogue.

    Raises:
        ConfigError: bad YAML, an unusable entry, or a name given twice.
    """
    path = Path(path)
    value = read_yaml(path)
    items = value.get("sources")
    if set(value) != {"sources"} or not isinstance(items, list):
        raise ConfigError(
            "A source catalogue must hold one list named `sources`.",
            where=str(path),
            todo="put every source under `sources:`",
        )
    entries: list[SourceEntry] = []
    for number, item in enumerate(items, start=1):
        where = f"{path}, source {number}"
        entry = _check_entry(item, where)
        if entry.name in {e.name for e in entries}:
            raise ConfigError(f"The source {entry.name!r} is named twice.", where=where, todo="rename one of the two")
        located: dict[str, Any] = {"paths": _locate(entry.paths, path, workspace)}
        if entry.hub is not None and entry.hub.copy_at:
            (folder,) = _locate((entry.hub.copy_at,), path, workspace)
            located["hub"] = entry.hub.model_copy(update={"copy_at": folder})
        entries.append(entry.model_copy(update=located))
    return tuple(entries)


def require_files(entries: Iterable[SourceEntry]) -> None:
    """Check that the files of sources are there.

    Raises:
        ConfigError: the first one that is not, with the variable to set where its folder is configurable.
    """
    for entry in entries:
        for file in map(Path, (path for path in entry.paths if not is_url(path))):
            if file.is_file():
                continue
            folders = {"SYNPREF_DATA": data_folder(), "SYNPREF_HOME": home_folder()}
            variable = next((name for name, folder in folders.items() if file.is_relative_to(folder)), None)
            todo = "correct the path in the catalogue, or take the source out"
            if variable is not None:
                todo = f"set {variable} to the folder that holds it (now {folders[variable]}), or {todo}"
            raise ConfigError(f"A file of the source {entry.name!r} is not there.", where=str(file), todo=todo)


def add_source(
    catalogue: str | Path,
    location: str,
    *,
    name: str,
    licence: str,
    label_origin: LabelOrigin | None = None,
    **settings: Any,
) -> SourceEntry:
    """Append a source to a catalogue, keeping the file's comments; a new catalogue is created.

    Args:
        location: an existing file, a URL, or a hub id with its revision, `owner/name@revision`.
        settings: further fields of `SourceEntry`.

    Raises:
        ConfigError: neither a file nor a hub id with revision, an unusable setting, or a name that is taken.
    """
    catalogue = Path(catalogue)
    item: dict[str, Any] = {"name": name, **_place(location), "licence": licence}
    if label_origin is not None:
        item["label_origin"] = label_origin
    item |= settings
    entry = _check_entry(item, f"new source {name!r}")
    text = catalogue.read_text("utf-8") if catalogue.exists() else "sources:\n"
    listed = (yaml.safe_load(text) or {}).get("sources") or []
    if any(isinstance(other, Mapping) and other.get("name") == name for other in listed):
        raise ConfigError(f"A source is named {name!r} already.", where=str(catalogue), todo="choose another name")
    block = yaml.safe_dump([item], sort_keys=False, allow_unicode=True)
    # Whatever form the list has, the new text is only written when it reads back as the old list and one more.
    for new in (f"{text.rstrip()}\n{indented(block)}", yaml.safe_dump({"sources": [*listed, item]}, sort_keys=False)):
        try:
            if yaml.safe_load(new) == {"sources": [*listed, item]}:
                write_atomically(catalogue, new)
                return entry
        except yaml.YAMLError:
            continue
    raise ConfigError("The catalogue cannot be extended.", where=str(catalogue), todo="add the source by hand")


def indented(block: str) -> str:
    """A YAML block moved two spaces to the right."""
    return "".join(f"  {line}\n" for line in block.splitlines())


def _place(location: str) -> dict[str, Any]:
    if is_url(location):
        return {"paths": [location]}
    file = Path(location.removeprefix("file://")).expanduser()
    if file.exists():
        return {"paths": [str(file.resolve())]}
    hub_id, _, revision = location.partition("@")
    if _HUB_ID.fullmatch(location) and revision:
        return {"hub": {"id": hub_id, "revision": revision}}
    raise ConfigError(
        f"{location!r} is neither a file nor a URL nor a data set of the hub with its revision.",
        todo="check the path, or write the data set as owner/name@revision",
    )


def _check_entry(item: object, where: str) -> SourceEntry:
    if not isinstance(item, dict):
        raise ConfigError("A source must be a mapping of settings.", where=where)
    try:
        return SourceEntry(**item)
    except ValidationError as error:
        raise ConfigError(
            f"The source {item.get('name')!r} cannot be used: {describe_validation(error)}.",
            where=where,
            todo="correct the settings named",
        ) from error
    except TypeError as error:
        raise ConfigError(f"A source's settings must have text as names: {error}.", where=where) from error


def _locate(paths: Iterable[str], catalogue: Path, workspace: Workspace | None) -> tuple[str, ...]:
    found = []
    for given in paths:
        if is_url(given):
            found.append(given)
            continue
        given = given.removeprefix("file://")
        if given.startswith("{"):
            if workspace is None:
                raise ConfigError(f"{given!r} needs a run's configuration to be filled in.", where=str(catalogue))
            file = workspace.resolve(given)
        else:
            file = (catalogue.resolve().parent / Path(given).expanduser()).resolve()
        # A pattern that nothing matches stays as it is: `require_files` will say that it is not there.
        matching: Iterable[Path] = ()
        if file.is_dir():
            matching = (path for path in file.rglob("[!.]*") if path.suffix.lower() in _SUFFIXES and path.is_file())
        elif not file.exists():
            matching = Path(file.anchor).glob(str(file.relative_to(file.anchor)))
        found += sorted(map(str, matching)) or [str(file)]
    return tuple(found)
