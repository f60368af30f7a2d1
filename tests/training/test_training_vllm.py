"""vLLM as the one who computes: the scores of ours from the tokens of ours, and no server is believed unchecked."""

from __future__ import annotations

import contextlib
import json
import math
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from assets.errors import ConfigError, SynprefError
from orchestration.cli import app
from training.scorer_facts import read_facts
from training.scoring import load_scorer
from training.vllm_scoring import Address, VllmScorer, open_encoder, pooling_server

ITEMS = [
    ((("user", f"describe the river number {at % 5}" + " and on" * (30 * (at == 7))),), f"the river: {'stone ' * at}")
    for at in range(40)
]


class PoolingServer:
    """Answers as vLLM's routes do; a sequence's score is computed from its ids. `change` spoils a reply."""

    def __init__(self, change=lambda reply, body: reply, *, fails=0, max_model_len=64, status=500):
        outer = self
        self.bodies: list[dict] = []
        self.fails = fails

        class Routes(BaseHTTPRequestHandler):
            def do_GET(self):
                listed = {"data": [{"id": "a-model", "max_model_len": max_model_len}]}
                self._send(200, {"version": "0.0.1"} if self.path == "/version" else listed)

            def do_POST(self):
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                outer.bodies.append(body)
                if outer.fails > 0:
                    outer.fails -= 1
                    self._send(status, {"error": "busy"})
                    return
                raw = [score_of(ids) for ids in body["input"]]
                shown = [1 / (1 + math.exp(-x)) for x in raw] if body["use_activation"] else raw
                reply = {
                    "data": [{"index": at, "probs": [value]} for at, value in enumerate(shown)],
                    "usage": {"prompt_tokens": sum(map(len, body["input"]))},
                }
                self._send(200, change(reply, body))

            def _send(self, status, value):
                data = value if isinstance(value, bytes) else json.dumps(value).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, *_):
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Routes)
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self):
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_):
        self._server.shutdown()
        self._server.server_close()


def score_of(ids):
    return (sum((at + 1) * i for at, i in enumerate(ids)) % 1000) / 100 - 5


def scorer_on(server, folder):
    return VllmScorer(folder, read_facts(folder), Address(server.url))


def test_the_server_is_sent_the_tokens_of_ours_and_asked_for_raw_scores(model):
    rows = load_scorer(model)._backbone.encode(ITEMS)
    with PoolingServer() as server:
        scorer = scorer_on(server, model)
        seen: list[int] = []
        result = scorer.score(ITEMS, progress=seen.append)
    expected = [score_of([*row.prompt.tolist(), *row.response.tolist()]) for row in rows]
    assert result.scores.tolist() == expected
    assert result.num_truncated_tokens.tolist() == [row.num_truncated for row in rows]
    assert result.num_truncated_tokens.max() > 0
    assert sum(seen) == len(ITEMS)
    assert all(not body["use_activation"] and not body["add_special_tokens"] for body in server.bodies[2:])
    assert scorer.facts.backend == "vllm 0.0.1"
    # Those of one prompt go together.
    prompts = [ids[:4] for body in server.bodies[2:] for ids in body["input"]]
    assert len(prompts) == len(ITEMS)


def spoil_usage(reply, body):
    return reply | {"usage": {"prompt_tokens": reply["usage"]["prompt_tokens"] + len(body["input"])}}


def always_squash(reply, body):
    if body["use_activation"]:
        return reply
    probs = [1 / (1 + math.exp(-entry["probs"][0])) for entry in reply["data"]]
    return reply | {"data": [{"index": at, "probs": [p]} for at, p in enumerate(probs)]}


@pytest.mark.parametrize(
    ("change", "what"),
    [
        (spoil_usage, "it adds or cuts tokens"),
        (always_squash, "does not give raw scores"),
        (lambda r, b: r | {"data": r["data"][:-1]}, "gave 0 numbers for 1 sequences"),
        (lambda r, b: r | {"data": [{"index": 3, "probs": [0.0]}]}, "gave 1 numbers for 1"),
        (lambda r, b: r | {"data": [{"index": 0, "probs": [0.0, 1.0]}]}, "gave 2 numbers for 1"),
        (lambda r, b: {"error": "no"}, "no classification"),
        (lambda r, b: b"<html>", "answered no JSON"),
        (lambda r, b: b"", "answered no JSON"),
    ],
)
def test_a_server_that_answers_otherwise_is_not_believed(model, change, what):
    with PoolingServer(change) as server, pytest.raises(SynprefError, match=what):
        scorer_on(server, model)


def test_a_busy_server_is_asked_again_and_one_that_refuses_is_not(model):
    with PoolingServer(fails=2, status=503) as server:
        assert np.isfinite(scorer_on(server, model).score(ITEMS[:2]).scores).all()
    with PoolingServer(fails=99, status=400) as server:
        with pytest.raises(SynprefError, match="answered 400"):
            scorer_on(server, model)
        assert len(server.bodies) == 1
    with pytest.raises(SynprefError, match="does not answer"):
        scorer_on(server, model)
    with PoolingServer(max_model_len=63) as server, pytest.raises(ConfigError, match="takes at most 63 tokens"):
        scorer_on(server, model)


def test_a_frozen_encoder_is_none_of_vllms(model):
    from dataclasses import replace

    with pytest.raises(ConfigError, match="cannot compute the backbone frozen_encoder"):
        open_encoder(model, replace(read_facts(model), backbone="frozen_encoder"))


def test_the_command_takes_a_running_server_and_says_whose_scores_they_are(model, tmp_path):
    rows = [{"prompt": turns[0][1], "response": response} for turns, response in ITEMS]
    (tmp_path / "in.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    with PoolingServer() as server:
        arguments = ["score", "--model", str(model), "--input", str(tmp_path / "in.jsonl"), "--backend", "vllm"]
        arguments += ["--output", str(tmp_path / "out.jsonl"), "--server", server.url]
        result = CliRunner().invoke(app, arguments)
        assert result.exit_code == 0, result.output
    about = json.loads((tmp_path / "out.jsonl.about.json").read_text())["about"]
    assert about["scorer"]["backend"] == "vllm 0.0.1"
    assert about["scorer"]["precision"] == "the server's"
    scores = [json.loads(line)["score"] for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    encode = open_encoder(model, read_facts(model))
    assert scores == [score_of([*r.prompt.tolist(), *r.response.tolist()]) for r in encode(ITEMS)]


# --- the real one: a minute to start ---


@pytest.fixture(scope="module")
def decoder(tmp_path_factory):
    """A small model from scratch, in a size that vLLM's kernels have; its folder is served as it was saved."""
    import pyarrow as pa

    from tests.training.conftest import TEXT, make_pairs
    from training.recipe import TrainingRecipe
    from training.specs import TrainSpec
    from training.train import train_model

    folder = tmp_path_factory.mktemp("decoder")
    rows, labels = make_pairs(60)
    pq.write_table(pa.Table.from_pylist(rows, schema=TEXT), folder / "text.parquet")
    pq.write_table(pa.Table.from_pylist(labels), folder / "train.parquet")
    recipe = TrainingRecipe(
        backbone="scratch", hidden_size=128, num_layers=2, num_heads=2, vocabulary_size=320, max_tokens=64,
        batch_pairs=16, max_steps=12, learning_rate=3e-3,
    )  # fmt: skip
    train_model(
        TrainSpec(
            name="tiny", seed=7, output_dir=folder / "model", text_files=(folder / "text.parquet",),
            train_selection=folder / "train.parquet", recipe=recipe,
        )
    )  # fmt: skip
    return folder / "model"


@pytest.fixture(scope="module")
def real(decoder, tmp_path_factory):
    from assets.vllm.environment import vllm_python

    with contextlib.ExitStack() as stack:
        stack.enter_context(pytest.MonkeyPatch.context()).setenv("VLLM_CPU_KVCACHE_SPACE", "1")
        try:
            vllm_python()
        except SynprefError:
            pytest.skip("no .venv-vllm: run `make vllm-env`")
        facts = read_facts(decoder)
        yield stack.enter_context(pooling_server(facts, decoder, tmp_path_factory.mktemp("home")))


@pytest.mark.integration
def test_vllm_gives_our_scores(decoder, real):
    ours = load_scorer(decoder).score(ITEMS)
    scorer = VllmScorer(decoder, read_facts(decoder), real)
    theirs = scorer.score(ITEMS)
    assert np.ptp(ours.scores) > 0.1
    np.testing.assert_allclose(theirs.scores, ours.scores, atol=1e-5)
    np.testing.assert_array_equal(theirs.num_truncated_tokens, ours.num_truncated_tokens)
    order = np.random.default_rng(0).permutation(len(ITEMS))
    again = scorer.score([ITEMS[at] for at in order]).scores
    np.testing.assert_allclose(again, ours.scores[order], atol=1e-5)
    assert scorer.facts.backend.startswith("vllm ")


@pytest.mark.integration
def test_vllm_renders_and_tokenises_the_saved_folder_as_we_do(decoder, real):
    """Whoever serves the folder without us, and sends messages, gets our scores too."""
    import httpx

    whole = [item for item in ITEMS if len(item[0][0][1]) < 60][:4]
    ours = load_scorer(decoder).score(whole).scores
    for (turns, response), score in zip(whole, ours, strict=True):
        messages = [{"role": role, "content": content} for role, content in (*turns, ("assistant", response))]
        body = {"messages": messages, "use_activation": False}
        reply = httpx.post(f"{real.url}/classify", json=body, trust_env=False, timeout=60).json()
        assert reply["data"][0]["probs"][0] == pytest.approx(score, abs=1e-5)
