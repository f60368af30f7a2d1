"""Label Studio's REST API: the few calls that the bridge makes, with retries and errors that say what to do.

Not through its SDK: label-studio-sdk 2.1.2 pins opencv-python-headless 4.12, with it numpy below 2.3, and
PyJWT 2.13, while this environment has numpy 2.4 and PyJWT 2.15. So it cannot be installed beside the pipeline. The
calls are those that the SDK makes.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from types import TracebackType
from typing import Any
from urllib.parse import urlsplit

import httpx

from assets.errors import SynprefError

PAGE_SIZE = 50
"""Tasks of one answer of the server; a response of 200,000 characters makes a page of 20 MB at most."""

_BUSY = frozenset({429, 502, 503, 504})
_WAITS_S = (0.5, 2.0, 5.0)
_TIMEOUT_S = 60.0


class LabelStudio:
    """A server.

    Args:
        url: such as http://127.0.0.1:8080.
        token: a user's legacy token; it needs LABEL_STUDIO_ENABLE_LEGACY_API_TOKEN=true on the server. It is in no
            message.
    """

    def __init__(self, url: str, token: str) -> None:
        if urlsplit(url).scheme not in ("http", "https"):
            raise SynprefError("The address of Label Studio is no URL.", todo="write http://HOST:PORT")
        self.url = url.rstrip("/")
        self._client = httpx.Client(
            base_url=self.url,
            headers={"Authorization": f"Token {token}"},
            timeout=_TIMEOUT_S,
            transport=httpx.HTTPTransport(retries=2),
        )

    @classmethod
    def of_environment(cls) -> LabelStudio:
        """The server that LABEL_STUDIO_URL and LABEL_STUDIO_API_KEY name.

        Raises:
            SynprefError: one of them is not set.
        """
        names = ("LABEL_STUDIO_URL", "LABEL_STUDIO_API_KEY")
        if missing := [name for name in names if not os.environ.get(name)]:
            raise SynprefError(f"{missing[0]} is not set.", todo="set the address and a user's token of Label Studio")
        return cls(*(os.environ[name] for name in names))

    def __enter__(self) -> LabelStudio:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._client.close()

    def project(self, title: str) -> int | None:
        """Id of the project of that title, the oldest if there are several; None if there is none."""
        found = [project["id"] for project in self._pages("/api/projects") if project["title"] == title]
        return min(found, default=None)

    def create_project(self, title: str, label_config: str, instruction: str) -> int:
        """Make a project; each of its tasks is answered once. Returns its id."""
        body = {
            "title": title,
            "label_config": label_config,
            "expert_instruction": instruction,
            "show_instruction": True,
            "show_skip_button": True,
            "maximum_annotations": 1,
            "sampling": "Sequential sampling",
        }
        return self._call("POST", "/api/projects", body)["id"]

    def create_tab(self, project: int, title: str, column: str, value: str) -> None:
        """Make a tab of the project's tasks whose data have a value, unless there is one of that title."""
        tabs = self._call("GET", "/api/dm/views", params={"project": project})
        if any(tab["data"].get("title") == title for tab in tabs):
            return
        only = {"filter": f"filter:tasks:data.{column}", "operator": "equal", "type": "String", "value": value}
        data = {"title": title, "filters": {"conjunction": "and", "items": [only]}}
        self._call("POST", "/api/dm/views", {"project": project, "data": data})

    def add_tasks(self, project: int, tasks: Sequence[Mapping[str, Any]]) -> None:
        """Add tasks by their data."""
        self._call("POST", f"/api/projects/{project}/import", [{"data": task} for task in tasks])

    def remove_task(self, task: int) -> None:
        """Delete a task."""
        self._call("DELETE", f"/api/tasks/{task}")

    def tasks(self, project: int, since: str | None = None) -> Iterator[dict[str, Any]]:
        """Tasks with their annotations, in order of their ids.

        Args:
            project: its id.
            since: only those that changed after this time, as the server writes times.
        """
        params: dict[str, Any] = {"project": project, "fields": "all"}
        if since is not None:
            changed = {"filter": "filter:tasks:updated_at", "operator": "greater", "type": "Datetime", "value": since}
            params["query"] = json.dumps({"filters": {"conjunction": "and", "items": [changed]}})
        yield from self._pages("/api/tasks", params, key="tasks")

    def emails(self) -> dict[int, str]:
        """E-mail address of every user, by id."""
        return {user["id"]: user["email"] for user in self._call("GET", "/api/users")}

    def _pages(self, path: str, params: Mapping[str, Any] | None = None, key: str = "results") -> Iterator[dict]:
        page = 1
        while True:
            answer = self._call("GET", path, params={**(params or {}), "page": page, "page_size": PAGE_SIZE})
            yield from answer[key]
            # A page after the last is an error to the server, so its total has to be believed.
            if not answer[key] or page * PAGE_SIZE >= answer.get("total", answer.get("count", 0)):
                return
            page += 1

    def _call(self, method: str, path: str, body: Any = None, params: Mapping[str, Any] | None = None) -> Any:
        # Adding is not repeated when its answer was lost: the next push looks what is there.
        waits = (*_WAITS_S, None) if method != "POST" else (None,)
        for wait in waits:
            try:
                answer = self._client.request(method, path, json=body, params=params)
            except httpx.HTTPError as error:
                if wait is None:
                    why = f"cannot be reached: {type(error).__name__}"
                    raise self._failed(why, "start it, then try again") from None
            else:
                if answer.status_code not in _BUSY or wait is None:
                    return self._read(answer, f"{method} {path}")
            time.sleep(wait)
        raise AssertionError

    def _read(self, answer: httpx.Response, call: str) -> Any:
        if answer.status_code in (401, 403):
            raise self._failed(
                f"refused {call} ({answer.status_code})",
                "use the token of a user of that server, with LABEL_STUDIO_ENABLE_LEGACY_API_TOKEN=true there",
            )
        if not answer.is_success:
            raise self._failed(f"answered {call} with {answer.status_code}: {answer.text[:300]}", "see its log")
        if answer.status_code == 204:
            return None
        try:
            return answer.json()
        except ValueError:
            raise self._failed(f"answered {call} with no JSON", "check that the address is Label Studio's") from None

    def _failed(self, what: str, todo: str) -> SynprefError:
        return SynprefError(
            f"Label Studio {what}.", where=self.url, kept="what was sent and taken in before", todo=todo
        )
