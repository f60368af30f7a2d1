"""The real vLLM server: what a judge and an attribute writer need of it. One server for all, near a minute to start."""

import contextlib
import json
import math
import os

import httpx
import psutil
import pytest

from assets.errors import SynprefError
from assets.vllm.environment import MARK_VARIABLE
from assets.vllm.serving import running_server
from tests.llm_annotated.vllm.asking_vllm import (
    ATTRIBUTES_SCHEMA,
    CHOICES,
    GUIDELINE,
    DirectModel,
    ask,
    verdict_requests,
)

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def settings(real_settings):
    return real_settings()


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="module")
def server(settings, home):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SYNPREF_PLANTED", "a secret")
        context = contextlib.ExitStack()
        running = context.enter_context(running_server(settings, home))
        yield running
        if running.process.alive:
            context.close()
        else:
            # The last test killed it, and who used it to the end is told.
            with pytest.raises(SynprefError, match="ended while it was in use"):
                context.close()


@pytest.fixture(scope="module")
def model(server, settings):
    """What implements `ChatModel` on a running server."""
    return DirectModel(server, settings)


def one(model, *args, **more):
    return model.complete([ask(*args, **more)], batch="test")[0]


def test_it_answers(model):
    reply = one(model, "What is the capital of France? Answer with one word.")
    assert reply.status == "ok"
    assert "Paris" in reply.text
    assert reply.num_prompt_tokens > 10
    assert reply.num_completion_tokens >= 1


def test_attributes_keep_to_the_schema(model):
    prompts = ["Write a poem about rain.", "What is 17 times 23?", "Should taxes be higher?"]
    requests = [ask(f"Describe this task: {p}", json_schema=ATTRIBUTES_SCHEMA, seed=n) for n, p in enumerate(prompts)]
    replies = model.complete(requests, batch="test")
    assert {reply.status for reply in replies} <= {"ok", "cut_off"}
    whole = [json.loads(reply.text) for reply in replies if reply.status == "ok"]
    assert whole
    for attributes in whole:
        assert list(attributes) == ATTRIBUTES_SCHEMA["required"]
        for name, rule in ATTRIBUTES_SCHEMA["properties"].items():
            assert attributes[name] in rule.get("enum", [attributes[name]])
            assert len(attributes[name]) <= rule.get("maxLength", 100)


def test_verdicts_in_both_orders_come_with_log_probabilities(model):
    replies = model.complete(verdict_requests(3), batch="test")
    assert [reply.status for reply in replies] == ["ok"] * 6
    for reply in replies:
        assert reply.text in CHOICES
        # Only beginnings of a choice have probability, and together they have all of it.
        first = reply.first_token_log_probabilities
        assert all(any(choice.startswith(token) for choice in CHOICES) for token in first if token)
        assert sum(map(math.exp, first.values())) == pytest.approx(1, abs=0.02)
        assert {"1", "2"} <= {*first}


def test_a_prompt_with_the_same_beginning_hits_the_prefix_cache(model):
    first = one(model, "Which is better, red or blue?", system="Unheard of so far. " + GUIDELINE)
    second = one(model, "Name three rivers.", system="Unheard of so far. " + GUIDELINE)
    assert first.num_cached_tokens == 0
    # The cache works in blocks, so the beginning's last tokens are computed again.
    assert second.num_cached_tokens > 0.4 * second.num_prompt_tokens


def test_one_seed_gives_one_text_and_another_seed_another(model):
    texts = [one(model, "Tell me a story about a lighthouse.", seed=seed).text for seed in (3, 3, 4)]
    assert texts[0] == texts[1] != texts[2]


@pytest.mark.parametrize(("num_words", "too_long"), [(3000, True), (1010, True), (960, False)])
def test_a_prompt_that_does_not_fit_is_told_apart(model, num_words, too_long):
    # Each word is a token; the template takes about 30 of 1024. A completion may find too little room: that is cut_off.
    assert (one(model, "word " * num_words).status == "prompt_too_long") == too_long


def test_what_the_server_cannot_do_is_a_refusal_of_another_kind(model):
    assert one(model, "x", json_schema={"type": "nonsense"}).status == "http_400"
    assert one(model, "x").status in ("ok", "cut_off")


def test_it_listens_on_loopback_alone_and_knows_no_secret(server):
    marked = []
    for process in psutil.process_iter():
        try:
            environment = process.environ()
        except psutil.Error:
            continue
        if environment.get(MARK_VARIABLE) == server.process.mark:
            marked.append(process)
            assert "SYNPREF_PLANTED" not in environment
    # The keeper, the server, the engine and its worker, at least.
    assert len(marked) >= 3
    listening = [c for p in marked for c in p.net_connections("inet") if c.status == psutil.CONN_LISTEN]
    assert {c.laddr.ip for c in listening} == {"127.0.0.1"}
    assert len({os.getpgid(p.pid) for p in marked}) == 1
    log = server.log.read_text("utf-8", "replace")
    assert server.api_key not in log
    assert "a secret" not in log
    assert httpx.get(f"{server.base_url}/models", trust_env=False).status_code == 401


def test_settings_of_another_judge_share_the_server(server, real_settings, home):
    with running_server(real_settings(temperature=0, concurrency=2), home) as other:
        assert other is server
    assert server.process.alive


# The last one: it leaves no server.
def test_an_engine_killed_in_use_is_a_clear_error(server, model, settings):
    engine = [p for p in psutil.process_iter() if p.name().startswith("VLLM::") and _is_ours(p, server)]
    assert engine
    for process in engine:
        process.kill()
    reply = one(model, "Are you there?")
    assert reply.status in ("server_failed", "connection_failed")
    assert server.process.wait(60)
    with pytest.raises(SynprefError, match="ended while it was in use"):
        server.check()


def _is_ours(process, server):
    try:
        return process.environ().get(MARK_VARIABLE) == server.process.mark
    except psutil.Error:
        return False
