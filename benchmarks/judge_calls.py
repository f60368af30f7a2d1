"""Calls to judges against a local server: throughput, CPU a request, and what is asked again after a kill.

python -m benchmarks.judge_calls [--repeats 5] [--delays 500,50] [--clients ours,...] [--kill]

`ours` is the whole path: request hash, ledger, budget, progress. The other clients have none of these and are there for
comparison: `create` is the openai client as its README shows it, `create_aiohttp` the same over its aiohttp transport,
`post` its low-level call over our transport. Prompts are 4 KB, of which 3.5 KB are shared, as with guideline and
examples. The machine's load before each run is printed with it: CPU time suffers from neighbours, throughput more so.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import httpx2
import orjson
from openai import AsyncOpenAI, DefaultAioHttpClient

from assets.llm_annotated.calling.endpoint import EndpointModel
from assets.llm_annotated.calling.opening import open_budget
from assets.llm_annotated.calling.transport import make_client, post_chat
from assets.llm_annotated.chat import ChatRequest
from assets.llm_annotated.judging import OK
from assets.llm_annotated.settings import BudgetSettings, LanguageModelSettings
from assets.settings import REPOSITORY
from benchmarks.openai_process import LocalServer, local_server

CONCURRENCY = 64
_GUIDELINE = "Judge which response follows the instruction more closely, and say why in one line. " * 42
_PAIR = "The response under judgement says what it says at some length, as responses do. " * 6


def questions(number: int, what: str) -> list[ChatRequest]:
    """Requests of 4 KB with one shared beginning and a choice of two verdicts."""
    return [
        ChatRequest(
            ({"role": "system", "content": _GUIDELINE}, {"role": "user", "content": f"{what} {n}\n{_PAIR}"}),
            seed=n,
            choices=("1", "2"),
        )
        for n in range(number)
    ]


def settings_for(server: LocalServer) -> LanguageModelSettings:
    """Prices and limits of a cheap judge."""
    return LanguageModelSettings(
        model="local",
        base_url=server.base_url,
        concurrency=CONCURRENCY,
        usd_per_million_prompt_tokens=0.15,
        usd_per_million_completion_tokens=0.6,
    )


# --- clients ---


def run_ours(server: LocalServer, folder: Path, requests: list[ChatRequest]) -> None:
    """Everything."""
    with open_budget(BudgetSettings(max_usd=1000.0), folder) as budget:
        replies = EndpointModel(settings_for(server), budget.ledger, budget).complete(requests, batch="benchmark")
    assert all(reply.status == OK for reply in replies)


def run_bare(name: str, server: LocalServer, requests: list[ChatRequest]) -> None:
    """The openai client alone, in one of three ways."""

    async def main() -> None:
        limits = httpx2.Limits(max_connections=CONCURRENCY, max_keepalive_connections=CONCURRENCY)
        if name == "post":
            client = make_client(server.base_url, "", CONCURRENCY)
        else:
            make_http = DefaultAioHttpClient if name == "create_aiohttp" else httpx2.AsyncClient
            http = make_http(limits=limits)
            client = AsyncOpenAI(base_url=server.base_url, api_key="none", http_client=http, max_retries=0)
        url = server.base_url + "/chat/completions"

        async def create(request: ChatRequest) -> None:
            reply = await client.chat.completions.create(
                model="local",
                messages=list(request.messages),  # type: ignore[arg-type]
                seed=request.seed,
                temperature=0.7,
                max_completion_tokens=512,
                logprobs=True,
                top_logprobs=20,
                extra_body={"structured_outputs": {"choice": list(request.choices)}},
            )
            assert reply.choices[0].message.content

        async def post(request: ChatRequest) -> None:
            body = {"model": "local", "messages": request.messages, "seed": request.seed, "logprobs": True}
            body |= {"structured_outputs": {"choice": request.choices}, "top_logprobs": 20}
            reply = orjson.loads(await post_chat(client, url, orjson.dumps(body), "key"))
            assert reply["choices"][0]["message"]["content"]

        waiting = iter(requests)
        async with client:
            await asyncio.gather(*[_worker(waiting, post if name == "post" else create) for _ in range(CONCURRENCY)])

    asyncio.run(main())


async def _worker(waiting: Iterator[ChatRequest], send: Callable[[ChatRequest], Awaitable[None]]) -> None:
    for request in waiting:
        await send(request)


# --- measurements ---


def measure(client: str, delay_ms: float, number: int, repeats: int) -> dict:
    """Throughput and CPU of one client; every repetition asks new questions of a new ledger."""
    rates, cpu_ms, loads = [], [], []
    ideal = CONCURRENCY / (delay_ms / 1000)
    with local_server("--delay-ms", str(delay_ms)) as server:
        for turn in range(repeats):
            requests = questions(number, f"{client} {turn}")
            loads.append(round(os.getloadavg()[0], 1))
            with tempfile.TemporaryDirectory() as folder:
                wall, cpu = time.perf_counter(), time.process_time()
                if client == "ours":
                    run_ours(server, Path(folder), requests)
                else:
                    run_bare(client, server, requests)
                wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
            rates.append(number / wall)
            cpu_ms.append(cpu / number * 1000)
    return {
        "client": client,
        "delay_ms": delay_ms,
        "requests": number,
        "per_second": {"best": round(max(rates), 1), "median": round(statistics.median(rates), 1)},
        "of_ideal": {"best": round(max(rates) / ideal, 3), "median": round(statistics.median(rates) / ideal, 3)},
        "cpu_ms_per_request": {"best": round(min(cpu_ms), 3), "median": round(statistics.median(cpu_ms), 3)},
        "load_before": loads,
    }


def measure_kill(number: int, after: int) -> dict:
    """Kill a caller after so many requests, run it again, and count what the server was asked twice."""
    with local_server("--delay-ms", "50") as server, tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "benchmarks.judge_calls", "--ask", str(number), server.base_url, folder]
        dying = subprocess.Popen(command, cwd=REPOSITORY)
        while server.seen()["num_answered"] < after:
            time.sleep(0.01)
        os.kill(dying.pid, signal.SIGKILL)
        dying.wait()
        with open_budget(BudgetSettings(), Path(folder)) as budget:
            keys = set(server.seen()["received"])
            recorded, in_doubt = set(budget.ledger.lookup(keys)), budget.ledger.count_statuses().get("in_doubt", 0)
            in_doubt_usd = budget.ledger.in_doubt_usd()
        answered = server.seen()["num_answered"]
        subprocess.run(command, cwd=REPOSITORY, check=True)
        repeated = {key for key, times in server.seen()["received"].items() if times > 1}
        with open_budget(BudgetSettings(), Path(folder)) as budget:
            spent_usd, num_ok = budget.ledger.spent_usd(), budget.ledger.count_statuses()[OK]
    return {
        "requests": number,
        "answered_before_the_kill": answered,
        "recorded_before_the_kill": len(recorded),
        "on_the_way_at_the_kill": in_doubt,
        "repeated_of_those_recorded": len(repeated & recorded),
        "repeated_of_those_on_the_way": len(repeated - recorded),
        "recorded_in_the_end": num_ok,
        "in_doubt_usd": round(in_doubt_usd, 6),
        "spent_usd": round(spent_usd, 6),
    }


def main() -> int:
    """Entry point."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.judge_calls", description=__doc__)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--delays", default="500,50")
    parser.add_argument("--clients", default="ours")
    parser.add_argument("--seconds", type=float, default=8.0, help="of an ideal run")
    parser.add_argument("--kill", action="store_true")
    parser.add_argument("--ask", nargs=3, metavar=("NUMBER", "BASE_URL", "HOME"), help="be the caller that is killed")
    given = parser.parse_args()
    if given.ask:
        number, base_url, home = given.ask
        run_ours(LocalServer(base_url, 0), Path(home), questions(int(number), "kill"))
        return 0
    if given.kill:
        print(json.dumps(measure_kill(3000, 1000)), flush=True)
        return 0
    for client in given.clients.split(","):
        for delay_ms in map(float, given.delays.split(",")):
            # Whole rounds of the ideal client, at most 6,000 requests.
            rounds = min(max(1, round(given.seconds * 1000 / delay_ms)), 6000 // CONCURRENCY)
            print(json.dumps(measure(client, delay_ms, rounds * CONCURRENCY, given.repeats)), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
