"""vLLM on this machine: time to ready, both-order verdicts through the server and offline, text, prefix cache.

    make vllm-env && python -m benchmarks.vllm_calls --home SCRATCH [--pairs 100]

One line of JSON per figure. The model is SmolLM2-135M-Instruct, whose answers are worth nothing; the figures are about
the way to it. Both ways get the same requests: guideline, example and pair of about 330 tokens, verdict constrained.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import openai

from assets.chance import rank_key
from assets.llm_annotated.chat import ChatReply, ChatRequest
from assets.llm_annotated.settings import LanguageModelSettings
from assets.llm_annotated.vllm.offline import OfflineModel
from assets.vllm.serving import RunningServer, running_server
from benchmarks.smollm2 import smollm2_folder

_GUIDELINE = "You compare two responses. Prefer what is correct, then what is helpful, then what is brief. " * 12
_CHOICES = ("1", "2", "tie")


@dataclass
class _Kept:
    """A ledger in memory."""

    replies: dict[str, ChatReply] = field(default_factory=dict)

    def lookup(self, keys):
        return {key: self.replies[key] for key in keys if key in self.replies}

    def store(self, replies, **_):
        self.replies |= {reply.key: reply for reply in replies}


def verdict_requests(num_pairs: int) -> list[ChatRequest]:
    """Both orders of made-up pairs, the guideline first."""
    requests = []
    for number in range(num_pairs):
        words = [f"{number} plus {number} is {2 * number}.", f"It is {rank_key('wrong', number)[:12]}, I think."]
        for first, second in (words, words[::-1]):
            text = f"Question: what is {number} plus {number}?\nCandidate 1: {first}\nCandidate 2: {second}\nVerdict:"
            messages = ({"role": "system", "content": _GUIDELINE}, {"role": "user", "content": text})
            requests.append(ChatRequest(messages, seed=7, choices=_CHOICES))
    return requests


def main() -> None:
    """Measure, and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--home", type=Path, required=True)
    parser.add_argument("--pairs", type=int, default=100)
    parser.add_argument("--concurrency", type=int, default=8)
    options = parser.parse_args()
    os.environ.setdefault("VLLM_CPU_KVCACHE_SPACE", "1")
    settings = LanguageModelSettings(
        server="vllm_server", model=str(smollm2_folder()), max_context_tokens=1024, max_completion_tokens=128,
        concurrency=options.concurrency,
    )  # fmt: skip
    requests = verdict_requests(options.pairs)
    with _Measured("ready", requests=0) as figure:
        context = running_server(settings, options.home)
        server = context.__enter__()
        figure.done()
    try:
        _ask(server, settings, requests[:2])
        with _Measured("server verdicts", requests=len(requests)) as figure:
            figure.done(_ask(server, settings, requests))
        texts = [ChatRequest(({"role": "user", "content": f"Tell story {n}."},), seed=n) for n in range(16)]
        with _Measured("server text", requests=len(texts)) as figure:
            figure.done(_ask(server, settings, texts))
    finally:
        context.__exit__(None, None, None)
    offline = OfflineModel(settings.model_copy(update={"server": "vllm_offline"}), _Kept(), options.home)
    with _Measured("offline verdicts, loading included", requests=len(requests)) as figure:
        figure.done(offline.complete(requests, batch="benchmark"))
    log = max((options.home / "logs").glob("vllm-offline-*.log"), key=lambda path: path.stat().st_mtime)
    print(next(line for line in log.read_text("utf-8").splitlines() if line.startswith("runner: ")))


class _Measured:
    def __init__(self, name: str, requests: int) -> None:
        self._said: dict[str, Any] = {"figure": name, "requests": requests}

    def __enter__(self):
        self._load, self._started = os.getloadavg()[0], time.perf_counter()
        return self

    def done(self, replies: Sequence[ChatReply] = ()) -> None:
        """The measured part is over."""
        seconds = time.perf_counter() - self._started
        self._said |= {"seconds": round(seconds, 2), "load_before": round(self._load, 1)}
        if replies:
            prompt = sum(reply.num_prompt_tokens or 0 for reply in replies)
            self._said |= {
                "requests_per_s": round(len(replies) / seconds, 2),
                "prompt_tokens_per_s": round(prompt / seconds),
                "completion_tokens_per_s": round(sum(r.num_completion_tokens or 0 for r in replies) / seconds, 1),
                "prefix_hit_rate": round(sum(reply.num_cached_tokens or 0 for reply in replies) / prompt, 3),
                "statuses": sorted({reply.status for reply in replies}),
            }

    def __exit__(self, *_):
        print(json.dumps(self._said), flush=True)


def _ask(server: RunningServer, settings: LanguageModelSettings, requests: list[ChatRequest]) -> list[ChatReply]:
    client = openai.OpenAI(base_url=server.base_url, api_key=server.api_key, max_retries=0, timeout=600)

    def one(request: ChatRequest) -> ChatReply:
        more = {"structured_outputs": {"choice": list(request.choices)}} if request.choices else {}
        reply = client.chat.completions.create(
            model=settings.model,
            messages=cast(Any, list(request.messages)),
            seed=request.seed,
            temperature=settings.temperature,
            max_completion_tokens=settings.max_completion_tokens,
            logprobs=bool(request.choices),
            top_logprobs=20 if request.choices else None,
            extra_body=more,
        )
        usage = reply.usage
        assert usage is not None
        assert usage.prompt_tokens_details is not None
        counts = (usage.prompt_tokens, usage.prompt_tokens_details.cached_tokens, usage.completion_tokens)
        return ChatReply("", "ok", reply.choices[0].message.content, {}, *counts)

    with ThreadPoolExecutor(settings.concurrency) as pool:
        return list(pool.map(one, requests))


if __name__ == "__main__":
    main()
