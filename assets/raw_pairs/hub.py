"""The Hugging Face hub: the files of a data set at a pinned revision, fetched into the hub's own cache."""

from __future__ import annotations

from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path

from assets.errors import SynprefError
from assets.raw_pairs.catalogue import HubLocation


@dataclass(frozen=True)
class HubFiles:
    """Files of a data set.

    Attributes:
        commit: what the revision stood for when it was looked up.
        files: name in the repository, and where the file lies now; in order of name.
    """

    commit: str
    files: tuple[tuple[str, Path], ...]


def fetch(location: HubLocation, *, endpoint: str | None = None, cache: Path | None = None) -> HubFiles:
    """Fetch the files of a data set; what the cache holds already is not fetched again.

    Args:
        endpoint: address of the hub; None takes HF_ENDPOINT or the public one.
        cache: folder; None takes the hub's default, which HF_HOME moves.

    Raises:
        SynprefError: the hub cannot be reached, does not know the data set or the revision, or no file matches.
    """
    from huggingface_hub import HfApi, hf_hub_download
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError, OfflineModeIsEnabled

    # The client is built on httpx or on its successor, by version: the common base class is found from its own error.
    http_error: type[Exception] = next(kind for kind in HfHubHTTPError.__mro__ if kind.__name__ == "HTTPError")
    where = f"{location.id}@{location.revision}"
    try:
        info = HfApi(endpoint=endpoint).dataset_info(location.id, revision=location.revision)
        names = sorted(s.rfilename for s in info.siblings or () if fnmatch(s.rfilename, location.files))
        commit = info.sha or location.revision
        if not names:
            raise SynprefError(
                f"No file of the data set matches {location.files!r}.", where=where, todo="correct `hub.files`"
            )
        files = []
        for name in names:
            path = hf_hub_download(
                location.id, name, repo_type="dataset", revision=commit, endpoint=endpoint, cache_dir=cache
            )
            files.append((name, Path(path)))
    except HfHubHTTPError as error:
        raise SynprefError(
            f"The hub refused the data set: {str(error).splitlines()[0]}",
            where=where,
            todo="check id and revision; a gated data set needs HF_TOKEN",
        ) from error
    except (http_error, LocalEntryNotFoundError, OfflineModeIsEnabled, ConnectionError) as error:
        raise SynprefError(
            f"The hub cannot be reached: {type(error).__name__}.",
            where=where,
            kept="what was fetched before stays in the hub's cache",
            todo="check the network, or give local files as `paths`",
        ) from error
    return HubFiles(commit, tuple(files))
