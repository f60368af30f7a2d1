"""The source catalogue: which sources there are, under which licence, and how their rows are to be read."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import Field, ValidationError, field_validator, model_validator

from assets.durable_files import write_atomically
from assets.errors import ConfigError, SynprefError
from assets.lake import check_slug
from assets.settings import Settings, Share, describe_validation, read_yaml
from assets.workspace import Workspace, data_folder, home_folder

LabelOrigin = Literal["human", "llm", "verifiable", "model_strength"]
LayoutName = Literal[
    "auto",
    "pair_file",
    "chosen_rejected_text",
    "chosen_rejected_messages",
    "chosen_rejected_transcript",
    "two_responses",
    "two_conversations",
    "ranking",
    "ratings",
    "rated_rows",
]
Side = Literal["first", "second"]

_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[\w.-]+(@[\w./-]+)?")


class HubLocation(Settings):
    """A data set of the Hugging Face hub. The revision is pinned: a branch is resolved and its commit recorded."""

    id: str
    revision: str = Field(min_length=1)
    # Files of the repository to read, as a shell pattern.
    files: str = "*.parquet"


class VoteSettings(Settings):
    """Verdicts recorded with a source's rows: where they stand and who replays them.

    use:
        crowd: a list of people's votes. The first is the source's label, two of the last (one where there are
            three) are a judge named "crowd votes replayed as judge", the rest are people.
        later_judges: a list of judges' verdicts. The first is the source's label, the others are judges'.
        other_judges: judge to verdict. `label_maker` names the one the label was made from; the others are judges'.
        single_person: no column; the label of a row with label origin `human` is one person's vote.
    Columns may be dotted: `meta.votes` looks into `meta`, decoding it where it is JSON text.
    """

    use: Literal["crowd", "later_judges", "other_judges", "single_person"]
    column: str = ""
    # Where a vote is itself a list: positions of its labeller, of its verdict and of the order it was shown in.
    labeller_at: int | None = None
    verdict_at: int | None = None
    order_at: int | None = None
    orders: dict[str, Side] = Field(default_factory=dict)
    values: dict[str, Literal["first", "second", "tie", "undecided"]] = Field(default_factory=dict)
    # Numeric verdicts: below the midpoint is the first response, above it the second.
    midpoint: float | None = None
    tie_values: tuple[float, ...] = ()
    # Column that says which of a and b the votes call first; without it, response a.
    first_response: str = ""
    label_maker: str = ""

    @model_validator(mode="after")
    def _complete(self) -> VoteSettings:
        if self.use == "single_person":
            return self
        if not self.column:
            raise ValueError(f"votes of use {self.use!r} need a column")
        if not self.values and self.midpoint is None:
            raise ValueError("votes need `values` or a `midpoint`")
        if self.use == "other_judges" and not self.label_maker:
            raise ValueError("votes of use 'other_judges' need `label_maker`")
        return self


class PlantedErrors(Settings):
    """Label errors put in on purpose: the label of a share of the pairs is inverted, its truth kept for reports."""

    share: Share
    seed: int
    kind: Literal["uniform"] = "uniform"


class SourceEntry(Settings):
    """One source.

    Attributes:
        name: partition key; a file's own source column goes to `meta`.
        paths: files or shell patterns (`*`, `?`, `[...]`, `**`), in order. Absolute files, sorted by name, once loaded.
        hub: instead of paths, a data set of the hub.
        licence: as an SPDX name where there is one.
        label_origin: for rows that do not say it themselves; a row without either is a dead letter.
        layout: `auto`, or the name of one.
        columns: field of the layout to column of the file, where recognition needs help. `score` names the one rating
            that is the score of a completion, where it has several.
        score_weights: rating to weight, where the score is to be a weighted sum of several; in place of `score`.
        max_pairs_per_prompt: pairs made of the completions of one row (in `rated_rows`, of consecutive rows of one
            prompt), those of the largest margin; the rest is counted as left out. None: all.
        label_values: value of the label column to a, b, tie or undecided, where the usual ones do not fit.
        votes: verdicts recorded with the rows.
        plant_errors: label errors put in on purpose.
        max_rows: rows read; the rest is counted under `beyond_max_rows`. None: all.
        simulated: true where the source's labels are made up by the project.
    """

    name: str
    paths: tuple[str, ...] = ()
    hub: HubLocation | None = None
    licence: str = Field(min_length=1)
    label_origin: LabelOrigin | None = None
    layout: LayoutName = "auto"
    columns: dict[str, str] = Field(default_factory=dict)
    score_weights: dict[str, float] = Field(default_factory=dict)
    max_pairs_per_prompt: int | None = Field(default=None, gt=0)
    label_values: dict[str, Literal["a", "b", "tie", "undecided"]] = Field(default_factory=dict)
    votes: VoteSettings | None = None
    plant_errors: PlantedErrors | None = None
    max_rows: int | None = Field(default=None, gt=0)
    simulated: bool = False

    @field_validator("name")
    @classmethod
    def _name_is_a_slug(cls, value: str) -> str:
        try:
            return check_slug(value, "source")
        except SynprefError as error:
            raise ValueError(str(error)) from error

    @model_validator(mode="after")
    def _one_place(self) -> SourceEntry:
        if bool(self.paths) == (self.hub is not None):
            raise ValueError("give either `paths` or `hub`")
        if self.score_weights and "score" in self.columns:
            raise ValueError("give either `score_weights` or `columns.score`")
        return self


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
        entries.append(entry.model_copy(update={"paths": _locate(entry, path, workspace)}))
    return tuple(entries)


def require_files(entries: Iterable[SourceEntry]) -> None:
    """Check that the files of sources are there.

    Raises:
        ConfigError: the first one that is not, with the variable to set where its folder is configurable.
    """
    for entry in entries:
        for file in map(Path, entry.paths):
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
        location: an existing file, or a hub id with its revision, `owner/name@revision`.
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
    file = Path(location).expanduser()
    if file.exists():
        return {"paths": [str(file.resolve())]}
    hub_id, _, revision = location.partition("@")
    if _HUB_ID.fullmatch(location) and revision:
        return {"hub": {"id": hub_id, "revision": revision}}
    raise ConfigError(
        f"{location!r} is neither a file nor a data set of the hub with its revision.",
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


def _locate(entry: SourceEntry, catalogue: Path, workspace: Workspace | None) -> tuple[str, ...]:
    found = []
    for given in entry.paths:
        if given.startswith("{"):
            if workspace is None:
                raise ConfigError(f"{given!r} needs a run's configuration to be filled in.", where=str(catalogue))
            file = workspace.resolve(given)
        else:
            file = (catalogue.resolve().parent / Path(given).expanduser()).resolve()
        # A pattern that nothing matches stays as it is: `require_files` will say that it is not there.
        matching = [] if file.exists() else Path(file.anchor).glob(str(file.relative_to(file.anchor)))
        found += sorted(map(str, matching)) or [str(file)]
    return tuple(found)
