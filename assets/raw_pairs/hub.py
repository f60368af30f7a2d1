"""The Hugging Face hub: the files of a data set at a pinned revision, each fetched when it is read, or from a copy."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO

from assets.errors import ConfigError, SynprefError
from assets.raw_pairs.file_states import FileState
from assets.raw_pairs.hub_layout import choose_files
from assets.raw_pairs.source_entry import HubLocation
from assets.raw_pairs.source_files import LocalFile, SourceFile

_CARD = "README.md"


@dataclass(frozen=True)
class HubFile:
    """A file of a data set, fetched into the hub's own cache at first use; what is there is not fetched again.

    Attributes:
        name: path in the repository.
        commit: at which it is read.
        blob: the hub's hash of its content; empty where the hub does not say.
        size: in bytes, as the hub says; 0 where it does not.
    """

    name: str
    location: HubLocation
    commit: str
    blob: str
    size: int
    endpoint: str | None
    cache: Path | None

    def __str__(self) -> str:
        return f"{self.location.id}@{self.commit}, {self.name}"

    @property
    def suffix(self) -> str:
        """See `SourceFile`."""
        return PurePosixPath(self.name).suffix.lower()

    @cached_property
    def path(self) -> Path:
        """Where the file lies now.

        Raises:
            SynprefError: it cannot be fetched.
        """
        from huggingface_hub import hf_hub_download

        with _told(self.location):
            return Path(
                hf_hub_download(
                    self.location.id,
                    self.name,
                    repo_type="dataset",
                    revision=self.commit,
                    endpoint=self.endpoint,
                    cache_dir=self.cache,
                )
            )

    def open(self) -> BinaryIO:
        """See `SourceFile`."""
        return LocalFile(self.name, self.path).open()

    def open_parquet(self) -> Any:
        """See `SourceFile`."""
        return self.path

    def state(self) -> FileState:
        """A commit never changes, so the content's hash, or the commit, is the version."""
        return FileState(self.size, self.blob or self.commit)


@dataclass(frozen=True)
class HubFiles:
    """Files of a data set, in order of name.

    Attributes:
        commit: what the revision stood for when it was looked up; empty for a copy, whose files tell by their hashes.
    """

    commit: str
    files: tuple[SourceFile, ...]


def files_of(location: HubLocation, *, endpoint: str | None = None, cache: Path | None = None) -> HubFiles:
    """The files of a data set that its entry chooses.

    Args:
        endpoint: address of the hub; None takes HF_ENDPOINT or the public one.
        cache: folder; None takes the hub's default, which HF_HOME moves.

    Raises:
        SynprefError: the hub cannot be reached, does not know the data set or the revision, or no file is chosen.
    """
    where = _where(location)
    if location.copy_at:
        folder = Path(location.copy_at)
        if not folder.is_dir():
            raise ConfigError("The copy of a data set is not there.", where=str(folder), todo=_how_to_copy(location))
        names = [path.relative_to(folder).as_posix() for path in sorted(folder.rglob("*")) if path.is_file()]
        card = (folder / _CARD).read_text("utf-8") if _CARD in names else ""
        chosen = choose_files(names, card, location, where=f"{where}, copy {folder}")
        return HubFiles("", tuple(LocalFile(name, folder / name) for name in chosen))
    from huggingface_hub import HfApi

    with _told(location):
        info = HfApi(endpoint=endpoint).dataset_info(location.id, revision=location.revision, files_metadata=True)
    commit = info.sha or location.revision
    found = {one.rfilename: one for one in info.siblings or ()}

    def file(name: str) -> HubFile:
        return HubFile(name, location, commit, found[name].blob_id or "", found[name].size or 0, endpoint, cache)

    card = file(_CARD).path.read_text("utf-8", "replace") if _CARD in found else ""
    chosen = choose_files(found, card, location, where=where)
    return HubFiles(commit, tuple(map(file, chosen)))


def _where(location: HubLocation) -> str:
    return f"{location.id}@{location.revision}"


def _how_to_copy(location: HubLocation) -> str:
    command = f"hf download {location.id} --repo-type dataset --revision {location.revision} --local-dir DIR"
    return f"where there is a network run `{command}`, bring the folder here and set `hub.copy_at` to it"


@contextmanager
def _told(location: HubLocation) -> Iterator[None]:
    """Turns the hub's errors into ones that name the data set and say what to do."""
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError, OfflineModeIsEnabled

    # The client is built on httpx or on its successor, by version: the common base class is found from its own error.
    http_error: type[Exception] = next(kind for kind in HfHubHTTPError.__mro__ if kind.__name__ == "HTTPError")
    try:
        yield
    except HfHubHTTPError as error:
        raise SynprefError(
            f"The hub refused the data set: {str(error).splitlines()[0]}",
            where=_where(location),
            todo="check id and revision; a gated data set needs HF_TOKEN",
        ) from error
    except (http_error, LocalEntryNotFoundError, OfflineModeIsEnabled, ConnectionError) as error:
        raise SynprefError(
            f"The hub cannot be reached: {type(error).__name__}.",
            where=_where(location),
            kept="what was fetched before stays in the hub's cache",
            todo=f"check the network; or {_how_to_copy(location)}",
        ) from error
