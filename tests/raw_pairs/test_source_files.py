"""Source files: by path and by URL, streamed, their versions told apart, and a clear error where one cannot be had."""

import gzip
import json
import subprocess
import sys
import threading
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import fsspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from assets.errors import ConfigError, SynprefError
from assets.raw_pairs import remote_files
from assets.raw_pairs.catalogue import add_source, load_catalogue
from assets.raw_pairs.ingest import ingest_source
from assets.raw_pairs.readers import read_rows
from assets.raw_pairs.source_files import files_at

CREATED_AT = datetime(2025, 1, 1, tzinfo=UTC)


def lines(rows):
    return b"".join(json.dumps(row).encode() + b"\n" for row in rows)


def parquet(rows):
    sink = pa.BufferOutputStream()
    pq.write_table(pa.Table.from_pylist(rows), sink)
    return sink.getvalue().to_pybytes()


@pytest.fixture
def memory():
    system = fsspec.filesystem("memory")
    system.store.clear()
    yield system
    system.store.clear()


@pytest.fixture
def rows(two_responses):
    return [two_responses(n) for n in range(3)]


def ingest(bench, *paths):
    return ingest_source(bench.entry("", paths=paths), bench.lake, seed=1, created_at=CREATED_AT)


@pytest.mark.parametrize("name", ["x.jsonl", "x.jsonl.gz", "x.parquet"])
def test_a_url_is_read_like_a_file(bench, memory, rows, name):
    data = {"x.jsonl": lines, "x.parquet": parquet, "x.jsonl.gz": lambda r: gzip.compress(lines(r))}[name](rows)
    memory.pipe(f"/data/{name}", data)
    report = ingest(bench, f"memory://data/{name}")
    assert (report.num_pairs, list(report.layouts)) == (3, [name])
    assert ingest(bench, f"memory://data/{name}").unchanged
    memory.pipe(f"/data/{name}", data)
    assert not ingest(bench, f"memory://data/{name}").unchanged, "the store says that it was written again"


def test_a_pattern_of_a_url_stands_for_its_files(bench, memory, rows):
    for name in ("b-1.jsonl", "b-0.jsonl", "c.jsonl"):
        memory.pipe(f"/data/{name}", lines(rows[:1]))
    assert [file.name for file in files_at(["memory://data/b-*.jsonl"])] == ["b-0.jsonl", "b-1.jsonl"]
    report = ingest(bench, "memory://data/b-*.jsonl")
    memory.pipe("/data/b-2.jsonl", lines(rows[1:]))
    grown = ingest(bench, "memory://data/b-*.jsonl")
    assert (report.num_pairs, grown.num_rows_kept, grown.num_pairs) == (2, 2, 4)
    with pytest.raises(ConfigError, match="No file matches"):
        files_at(["memory://data/z*.jsonl"])


def test_files_of_one_name_are_told_apart(bench, rows):
    for folder in ("one", "two"):
        (bench.folder / folder).mkdir()
        bench.write(rows, f"{folder}/x.jsonl")
    report = ingest(bench, str(bench.folder / "one/x.jsonl"), str(bench.folder / "two/x.jsonl"))
    assert list(report.layouts) == ["one/x.jsonl", "two/x.jsonl"]


def test_what_a_catalogue_may_name(bench, rows, tmp_path):
    for name in ("in/b.jsonl", "in/deep/a.jsonl", "in/.hidden.jsonl", "in/notes.txt"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(lines(rows))
    paths = ["in", f"file://{tmp_path}/in/b.jsonl", "memory://data/x.jsonl"]
    catalogue = tmp_path / "sources.yaml"
    catalogue.write_text(yaml.safe_dump({"sources": [{"name": "s", "paths": paths, "licence": "MIT"}]}))
    (entry,) = load_catalogue(catalogue)
    local = [str(tmp_path / "in" / name) for name in ("b.jsonl", "deep/a.jsonl")]
    assert entry.paths == (*local, local[0], "memory://data/x.jsonl")
    add_source(catalogue, "https://host/x.jsonl", name="t", licence="MIT")
    assert load_catalogue(catalogue)[1].paths == ("https://host/x.jsonl",)


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("memory://data/gone.jsonl", "cannot be read: FileNotFoundError"),
        ("http://127.0.0.1:9/x.jsonl?token=secret", "cannot be read"),
        ("nowhere://x.jsonl", "Nothing reads files of nowhere"),
        ("zip://x.jsonl::memory://a.zip", "Chained"),
    ],
)
def test_a_url_that_cannot_be_read_is_named_without_its_secrets(bench, memory, url, says):
    with pytest.raises(SynprefError, match=says) as caught:
        ingest(bench, url)
    assert url.partition("?")[0].partition("::")[0] in str(caught.value)
    assert "secret" not in str(caught.value)


def test_a_missing_driver_is_named_with_its_package(monkeypatch):
    monkeypatch.setitem(sys.modules, "s3fs", None)
    with pytest.raises(ConfigError, match="pip install s3fs"):
        files_at(["s3://bucket/*.parquet"])


def test_a_url_that_changes_while_it_is_read_is_refused(bench, memory, two_responses, monkeypatch):
    memory.pipe("/x.jsonl", lines(two_responses(n) for n in range(5000)))
    readinto = remote_files._RemoteStream.readinto

    def changing(stream, buffer):
        data = readinto(stream, buffer)
        if not data:
            memory.pipe("/x.jsonl", b"{}\n")
        return data

    monkeypatch.setattr(remote_files._RemoteStream, "readinto", changing)
    with pytest.raises(SynprefError, match="changed while it was read"):
        ingest(bench, "memory://x.jsonl")
    assert not bench.lake.manifests("pairs")


@pytest.fixture
def server():
    """A local server of one changing file, with byte ranges or without."""
    served = {"data": b"", "etag": '"1"', "ranges": True, "asked": []}

    class Handler(BaseHTTPRequestHandler):
        def do_HEAD(self):
            self.do_GET()

        def do_GET(self):
            if self.path.partition("?")[0] not in ("/x.jsonl", "/x.parquet"):
                self.send_error(404)
                return
            data, start, end = served["data"], 0, len(served["data"])
            wanted = self.headers.get("Range") if served["ranges"] else None
            if wanted:
                first, _, last = wanted.removeprefix("bytes=").partition("-")
                start, end = int(first), min(end, int(last or end - 1) + 1)
            self.send_response(206 if wanted else 200)
            if wanted:
                self.send_header("Content-Range", f"bytes {start}-{end - 1}/{len(data)}")
            if served["ranges"]:
                self.send_header("Accept-Ranges", "bytes")
            self.send_header("ETag", served["etag"])
            self.send_header("Content-Length", str(end - start))
            self.end_headers()
            if self.command == "GET":
                served["asked"].append((start, end))
                self.wfile.write(data[start:end])

        def log_message(self, *args):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
        threading.Thread(target=running.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{running.server_address[1]}", served
        running.shutdown()


@pytest.mark.parametrize("ranges", [True, False])
def test_lines_come_over_http_and_its_etag_is_the_version(bench, server, rows, ranges):
    address, served = server
    served |= {"data": lines(rows), "ranges": ranges}
    assert ingest(bench, f"{address}/x.jsonl").num_pairs == 3
    served["asked"].clear()
    assert ingest(bench, f"{address}/x.jsonl").unchanged
    assert not served["asked"], "the version tells that nothing changed"
    served["etag"] = '"2"'
    assert not ingest(bench, f"{address}/x.jsonl").unchanged


def test_parquet_comes_over_http_where_there_are_ranges(bench, server, rows):
    address, served = server
    served["data"] = parquet(rows)
    assert ingest(bench, f"{address}/x.parquet").num_pairs == 3
    # A small file fits into one request; a large one does not.
    noise = np.random.default_rng(1).integers(0, 256, 20_000_000, np.uint8).tobytes().hex()
    served |= {"ranges": False, "etag": '"2"', "data": parquet([rows[0] | {"noise": noise}])}
    with pytest.raises(SynprefError, match="cannot be read: ValueError"):
        ingest(bench, f"{address}/x.parquet")


def test_a_remote_file_is_not_held_in_memory(server):
    address, served = server
    served["data"] = lines({"n": n, "text": "x" * 1000} for n in range(60_000))
    (file,) = files_at([f"{address}/x.jsonl"])
    numbers = (row.value["n"] for row in read_rows(file))
    assert next(numbers) == 0
    assert sum(end - start for start, end in served["asked"]) < 30_000_000 < len(served["data"])
    assert sum(1 for _ in numbers) == 59_999


def test_drivers_are_not_loaded_for_local_files(tmp_path):
    (tmp_path / "x.jsonl").write_text("{}\n")
    code = (
        "import sys; from assets.raw_pairs.source_files import files_at, sha256_of_file\n"
        f"sha256_of_file(files_at([{str(tmp_path / 'x.jsonl')!r}])[0])\n"
        "sys.exit('fsspec' in sys.modules or 'aiohttp' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
