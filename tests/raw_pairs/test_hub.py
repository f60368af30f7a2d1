"""The hub: files at a pinned commit from a server with the hub's routes, and clear errors without one."""

import hashlib
import json
import threading
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from assets.errors import SynprefError
from assets.raw_pairs import hub
from assets.raw_pairs.catalogue import HubLocation, SourceEntry
from assets.raw_pairs.ingest import ingest_source

COMMIT = "c" * 40
CREATED_AT = datetime(2025, 1, 1, tzinfo=UTC)


@pytest.fixture
def files(two_responses):
    sink = pa.BufferOutputStream()
    pq.write_table(pa.Table.from_pylist([two_responses(n) for n in range(3)]), sink)
    return {"data/train.parquet": sink.getvalue().to_pybytes(), "README.md": b"# about"}


@pytest.fixture
def server(files):
    """A local server with the hub's routes for one data set; tells what was asked of it."""
    asked = []

    class Handler(BaseHTTPRequestHandler):
        def do_HEAD(self):
            self.do_GET()

        def do_GET(self):
            asked.append((self.command, self.path))
            path = self.path.split("?")[0]
            if path.startswith("/api/datasets/owner/name/revision/"):
                known = path.endswith(("/main", f"/{COMMIT}"))
                siblings = [{"rfilename": name} for name in files]
                body = {"id": "owner/name", "sha": COMMIT, "siblings": siblings} if known else {"error": "no revision"}
                self.answer(200 if known else 404, json.dumps(body).encode(), "application/json")
            elif (name := path.removeprefix(f"/datasets/owner/name/resolve/{COMMIT}/")) in files:
                self.answer(200, files[name], "application/octet-stream")
            else:
                self.answer(404, b"{}", "application/json")

        def answer(self, status, body, kind):
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.send_header("ETag", f'"{hashlib.sha1(body).hexdigest()}"')
            self.send_header("X-Repo-Commit", COMMIT)
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(body)

        def log_message(self, *args):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
        threading.Thread(target=running.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{running.server_address[1]}", asked
        running.shutdown()


def test_files_come_at_the_commit_of_the_revision(server, files, tmp_path):
    address, asked = server
    found = hub.fetch(HubLocation(id="owner/name", revision="main"), endpoint=address, cache=tmp_path)
    assert found.commit == COMMIT
    ((name, path),) = found.files
    assert (name, path.read_bytes()) == ("data/train.parquet", files["data/train.parquet"])
    assert not any("README" in request for _, request in asked)


def test_a_hub_source_is_ingested_like_a_file(server, tmp_path, bench, monkeypatch):
    address, _ = server
    fetch = hub.fetch
    monkeypatch.setattr(hub, "fetch", lambda location: fetch(location, endpoint=address, cache=tmp_path / "cache"))
    entry = SourceEntry(name="s", hub={"id": "owner/name", "revision": "main"}, licence="MIT", label_origin="llm")
    report = ingest_source(entry, bench.lake, seed=1, created_at=CREATED_AT)
    assert (report.revision, report.num_pairs) == (COMMIT, 3)
    assert report.layouts == {"data/train.parquet": "two_responses"}


@pytest.mark.parametrize(
    ("location", "says"),
    [
        ({"id": "owner/name", "revision": "none"}, "refused the data set"),
        ({"id": "owner/other", "revision": "main"}, "refused the data set"),
        ({"id": "owner/name", "revision": "main", "files": "*.csv"}, r"matches '\*\.csv'"),
    ],
)
def test_what_the_hub_does_not_have_is_named(server, tmp_path, location, says):
    with pytest.raises(SynprefError, match=says) as caught:
        hub.fetch(HubLocation(**location), endpoint=server[0], cache=tmp_path)
    assert f"{location['id']}@{location['revision']}" in str(caught.value)


def test_without_a_network_the_error_says_what_to_do(tmp_path):
    # Port 9 of the loopback: nobody listens there.
    with pytest.raises(SynprefError, match="cannot be reached") as caught:
        hub.fetch(HubLocation(id="owner/name", revision="main"), endpoint="http://127.0.0.1:9", cache=tmp_path)
    assert "give local files" in str(caught.value)
