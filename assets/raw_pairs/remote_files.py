"""Remote files: a source's files by URL, read in pieces through fsspec, and what tells their versions apart."""

from __future__ import annotations

import io
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any, BinaryIO
from urllib.parse import urlsplit, urlunsplit

from assets.errors import ConfigError, SynprefError
from assets.raw_pairs.file_states import FileState

_URL = re.compile(r"[a-z][a-z0-9+.-]*://")
_PIECE = 1 << 20
_REMOTE_BLOCK = 8 << 20
_VERSIONS = ("ETag", "etag", "generation", "VersionId", "md5Hash", "content_md5", "Content-MD5", "sha256", "checksum")
"""What stores call a version of a file's content; the first that is there is taken."""
_TIMES = ("LastModified", "last_modified", "Last-Modified", "updated", "mtime", "modified", "created")


@dataclass(frozen=True)
class RemoteFile:
    """A file by URL. `name` is what reports call it."""

    name: str
    url: str

    def __str__(self) -> str:
        return shown_url(self.url)

    @property
    def suffix(self) -> str:
        """See `SourceFile`."""
        return PurePosixPath(self.url.partition("?")[0]).suffix.lower()

    def open(self) -> BinaryIO:
        """See `SourceFile`."""
        return io.BufferedReader(_RemoteStream(self), buffer_size=_PIECE)

    def open_parquet(self) -> Any:
        """See `SourceFile`; only where the server gives byte ranges."""
        stream = _RemoteStream(self)
        if not stream.seekable():
            raise SynprefError(
                "A Parquet file cannot be read from a server that gives no byte ranges.",
                where=str(self),
                todo="download it and give the local file",
            )
        return stream

    def open_remote(self) -> Any:
        """The driver's own file object.

        Raises:
            SynprefError: the file cannot be reached.
        """
        system, path = _file_system(self.url)
        with _told(self.url):
            return system.open(path, "rb", block_size=_REMOTE_BLOCK, cache_type="readahead")

    def state(self) -> FileState:
        """Size and version as the store tells them."""
        system, path = _file_system(self.url)
        with _told(self.url):
            # Drivers remember what they listed; a change while reading would go unseen.
            system.invalidate_cache()
            info: Mapping[str, Any] = system.info(path)
        key = next((key for key in (*_VERSIONS, *_TIMES) if info.get(key)), None)
        return FileState(int(info.get("size") or 0), f"{key}={info[key]}" if key else "")


def is_url(location: str) -> bool:
    """Whether a place is a URL of another kind than file://."""
    return bool(_URL.match(location)) and not location.startswith("file://")


def shown_url(url: str) -> str:
    """A URL without user, password and query, which may hold secrets.

    >>> shown_url("https://me:secret@host/a/b.jsonl?token=x")
    'https://host/a/b.jsonl'
    """
    parts = urlsplit(url)
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))


def expanded(url: str) -> list[str]:
    """The URLs of a pattern, in order of name; a URL without one as it is.

    Raises:
        ConfigError: no driver is installed, nothing matches, or the URL is a chain.
    """
    if "::" in url:
        raise ConfigError("Chained URLs are not read.", where=shown_url(url), todo="give the plain URL")
    if not any(mark in urlsplit(url).path for mark in "*["):
        return [url]
    system, path = _file_system(url)
    with _told(url):
        found = sorted(system.glob(path))
    if not found:
        raise ConfigError("No file matches a URL.", where=shown_url(url), todo="correct the pattern in the catalogue")
    return [system.unstrip_protocol(name) for name in found]


def _file_system(url: str) -> tuple[Any, str]:
    from fsspec.core import url_to_fs

    scheme = url.partition("://")[0]
    try:
        return url_to_fs(url)
    except ImportError as error:
        raise ConfigError(
            f"Files of {scheme}:// need a driver that is not installed: {error}.",
            where=shown_url(url),
            todo=f"install the package named (pip install {_package(scheme)}), or give local files",
        ) from error
    except ValueError as error:
        raise ConfigError(
            f"Nothing reads files of {scheme}://: {error}.", where=shown_url(url), todo="correct the URL"
        ) from error


def _package(scheme: str) -> str:
    return {"s3": "s3fs", "s3a": "s3fs", "gs": "gcsfs", "gcs": "gcsfs", "http": "aiohttp", "https": "aiohttp"}.get(
        scheme, {"az": "adlfs", "abfs": "adlfs", "abfss": "adlfs"}.get(scheme, f"fsspec[{scheme}]")
    )


class _told:
    """Turns what a driver raises into an error that names the URL."""

    def __init__(self, url: str) -> None:
        self._url = url

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        # Every driver has errors of its own, of no common class; what ends the process passes.
        if isinstance(error, Exception) and not isinstance(error, SynprefError):
            # Drivers like to repeat the URL with its query.
            said = str(error).replace(self._url, shown_url(self._url)).splitlines()
            raise SynprefError(
                f"A source's file cannot be read: {type(error).__name__}{f', {said[0][:200]}' if said else ''}.",
                where=shown_url(self._url),
                kept="the source as it was published before, if it was",
                todo="check the address, the network and the access rights, or give local files",
            ) from error


class _RemoteStream(io.RawIOBase):
    """A remote file whose position is known whether or not the driver can seek, and whose errors name the URL."""

    def __init__(self, file: RemoteFile) -> None:
        self._url, self._file = file.url, file.open_remote()
        self._position = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return bool(self._file.seekable())

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        with _told(self._url):
            self._position = self._file.seek(offset, whence)
        return self._position

    def tell(self) -> int:
        return self._position

    def readinto(self, buffer: Any) -> int:
        with _told(self._url):
            data = self._file.read(len(buffer))
        buffer[: len(data)] = data
        self._position += len(data)
        return len(data)

    def close(self) -> None:
        if not self.closed:
            self._file.close()
        super().close()
