"""The annotation page of a run: the application over the run's desk, and a server of it for programs."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from sqlalchemy import Engine

from assets.errors import SynprefError
from assets.workspace import Workspace

if TYPE_CHECKING:
    from fastapi import FastAPI


def app_of(workspace: Workspace, engine: Engine) -> FastAPI:
    """The page over the run's desk, with the run's guidelines, settings and statistics."""
    from assets.guidelines import load_guidelines
    from assets.human_gold.page.app import create_app
    from assets.human_gold.quality import sections_for_managers

    return create_app(
        engine,
        guidelines=load_guidelines(),
        settings=workspace.settings.page,
        adjudicate=workspace.settings.people.adjudicate,
        agreement=lambda: sections_for_managers(workspace),
    )


@contextmanager
def running(app: FastAPI) -> Iterator[str]:
    """Serve an application on a free port of loopback, in a thread; gives its address.

    Raises:
        SynprefError: it did not come up.
    """
    import uvicorn

    server = uvicorn.Server(
        uvicorn.Config(app, host="127.0.0.1", port=0, access_log=False, log_level="warning", lifespan="off")
    )
    started = threading.Event()
    thread = threading.Thread(target=_serve, args=(server, started), daemon=True)
    thread.start()
    started.wait(timeout=30)
    if not server.started:
        raise SynprefError("The annotation page did not start.", todo="run again; the server's words are above")
    try:
        port = server.servers[0].sockets[0].getsockname()[1]
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        thread.join(timeout=30)


def _serve(server, started: threading.Event) -> None:
    import asyncio

    async def run() -> None:
        serving = asyncio.ensure_future(server.serve())
        while not (server.started or serving.done()):
            await asyncio.sleep(0.01)
        started.set()
        await serving

    try:
        asyncio.run(run())
    finally:
        started.set()
