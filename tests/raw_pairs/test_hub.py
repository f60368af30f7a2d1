"""The hub: files at a pinned commit from a server with the hub's routes, and clear errors without one."""

import hashlib
import json
import threading
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from assets.errors import ConfigError, SynprefError
from assets.raw_pairs import hub
from assets.raw_pairs.hub_layout import choose_files
from assets.raw_pairs.ingest import ingest_source
from assets.raw_pairs.source_entry import HubLocation, SourceEntry

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


def test_files_come_at_the_commit_of_the_revision_when_they_are_read(server, files, tmp_path):
    address, asked = server
    found = hub.files_of(HubLocation(id="owner/name", revision="main"), endpoint=address, cache=tmp_path)
    assert found.commit == COMMIT
    (file,) = found.files
    assert file.name == "data/train.parquet"
    assert not any("train.parquet" in request for _, request in asked), "nothing is fetched before it is read"
    assert file.open().read() == files["data/train.parquet"]
    num_asked = len(asked)
    assert file.open().read() == files["data/train.parquet"]
    assert len(asked) == num_asked, "nor fetched twice"


def test_a_hub_source_is_ingested_like_a_file(server, tmp_path, bench, monkeypatch):
    address, asked = server
    files_of = hub.files_of
    monkeypatch.setattr(
        hub, "files_of", lambda location: files_of(location, endpoint=address, cache=tmp_path / "cache")
    )
    entry = SourceEntry(name="s", hub={"id": "owner/name", "revision": "main"}, licence="MIT", label_origin="llm")
    report = ingest_source(entry, bench.lake, seed=1, created_at=CREATED_AT)
    assert (report.revision, report.num_pairs) == (COMMIT, 3)
    assert report.layouts == {"data/train.parquet": "two_responses"}
    asked.clear()
    assert ingest_source(entry, bench.lake, seed=1, created_at=CREATED_AT).unchanged
    assert not any("train.parquet" in request for _, request in asked)
    # The same commit, other files of it: a part of the settings as much as a column's name.
    other = entry.model_copy(update={"hub": entry.hub.model_copy(update={"files": "data/*.parquet"})})
    assert not ingest_source(other, bench.lake, seed=1, created_at=CREATED_AT).unchanged


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
        hub.files_of(HubLocation(**location), endpoint=server[0], cache=tmp_path)
    assert f"{location['id']}@{location['revision']}" in str(caught.value)


def test_without_a_network_the_error_says_what_to_do(tmp_path):
    # Port 9 of the loopback: nobody listens there.
    with pytest.raises(SynprefError, match="cannot be reached") as caught:
        hub.files_of(HubLocation(id="owner/name", revision="main"), endpoint="http://127.0.0.1:9", cache=tmp_path)
    assert "owner/name@main" in str(caught.value)
    assert "hf download owner/name --repo-type dataset --revision main" in str(caught.value)
    assert "hub.copy_at" in str(caught.value)


CARD = """---
licence: mit
configs:
- config_name: default
  data_files:
  - {split: train, path: data/train-*}
  - {split: test, path: [data/test-*]}
- config_name: edits
  data_files: edits/*.parquet
---
# About
"""
ONE_CONFIG = CARD.partition("- config_name: edits")[0] + "---\n"
NAMES = ["README.md", "data/test-00000-of-00001.parquet", "edits/0000.parquet"]
NAMES += ["data/train-00000-of-00002.parquet", "data/train-00001-of-00002.parquet"]
TRAIN = NAMES[3:]


@pytest.mark.parametrize(
    ("card", "settings", "chosen"),
    [
        (CARD, {"config": "default"}, [NAMES[1], *TRAIN]),
        (CARD, {"config": "default", "split": "train"}, TRAIN),
        (CARD, {"config": "edits"}, [NAMES[2]]),
        (ONE_CONFIG, {"split": "test"}, [NAMES[1]]),
        (ONE_CONFIG, {}, [NAMES[1], *TRAIN]),
        ("", {}, [NAMES[1], *TRAIN, NAMES[2]]),
        ("", {"split": "train"}, TRAIN),
        ("", {"config": "edits"}, [NAMES[2]]),
        ("", {"split": "edits"}, [NAMES[2]]),
        ("", {"files": "data/*"}, [NAMES[1], *TRAIN]),
        ("---\nconfigs: [\n---\n", {"split": "train"}, TRAIN),
        ("---\nconfigs: !!python/object:os.system {}\n---\n", {"split": "train"}, TRAIN),
    ],
)
def test_files_of_a_configuration_and_split(card, settings, chosen):
    assert choose_files(NAMES, card, HubLocation(id="a/b", revision="1", **settings), where="a/b@1") == chosen


@pytest.mark.parametrize(
    ("card", "settings", "says"),
    [
        (CARD, {}, "several configurations.*default, edits"),
        (CARD, {"config": "none"}, "no configuration 'none'.*default, edits"),
        (CARD, {"config": "default", "split": "dev"}, "no split 'dev'.*train, test"),
        ("", {"config": "none"}, "no configuration 'none'.*data, edits"),
        ("", {"split": "dev"}, "no split 'dev'.*edits, test, train"),
        ("", {"files": "*.csv"}, "matches"),
        (CARD.replace("edits/*", "gone/*"), {"config": "edits"}, "files that are not there"),
    ],
)
def test_a_choice_of_nothing_is_refused_with_what_there_is(card, settings, says):
    with pytest.raises(ConfigError, match=says) as caught:
        choose_files(NAMES, card, HubLocation(id="a/b", revision="1", **settings), where="a/b@1")
    assert "a/b@1" in str(caught.value)


def test_a_copy_of_a_data_set_is_read_in_place_of_the_hub(bench, two_responses, tmp_path):
    copy = tmp_path / "copy"
    for name in NAMES:
        (copy / name).parent.mkdir(parents=True, exist_ok=True)
        number = NAMES.index(name)
        rows = [two_responses(10 * number + n) for n in range(2)]
        pq.write_table(pa.Table.from_pylist(rows), copy / name)
    (copy / "README.md").write_text(CARD)
    where = {"id": "owner/name", "revision": "v1", "config": "default", "split": "train", "copy_at": str(copy)}
    entry = SourceEntry(name="s", hub=where, licence="MIT", label_origin="llm")
    report = ingest_source(entry, bench.lake, seed=1, created_at=CREATED_AT)
    assert list(report.layouts) == TRAIN
    assert [row["prompt"][0]["content"] for row in bench.rows("pairs")] == [f"What is {n}?" for n in (30, 31, 40, 41)]
    entry = entry.model_copy(update={"hub": entry.hub.model_copy(update={"copy_at": str(tmp_path / "gone")})})
    with pytest.raises(ConfigError, match="hf download owner/name"):
        ingest_source(entry, bench.lake, seed=1, created_at=CREATED_AT)
