"""A local HTTP server with OpenAI's chat route, thin enough to measure clients against; misbehaves where it is ordered.

python -m benchmarks.openai_server [--port 0] [--delay-ms 50] [--refuse logprobs,structured_outputs]

It prints its address as its first line. Beside `/v1/chat/completions`: `/v1/models`, `GET /seen` (what was asked, by
Idempotency-Key) and `POST /control` (changes the options while it runs).
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import gzip
import importlib
import json
import signal
import socket
import struct
import sys
from collections import Counter
from typing import Any

import httptools
import orjson

from benchmarks.openai_replies import Rule, completion, orders_in, rule_by_hash

_REASONS = {200: "OK", 400: "Bad Request", 401: "Unauthorized", 404: "Not Found", 429: "Too Many Requests"}
_SEEN = ("num_received", "num_answered", "most_at_once", "last_authorization", "last_headers")
_KINDS = {"refuse": set, "tries": Counter}
_PREFIX_BLOCK = 256
_ENDLESS = b"10000\r\n" + b"x" * 0x10000 + b"\r\n"


class Options:
    """What can be changed while the server runs, and what it counted."""

    def __init__(self, delay_s: float, refuse: set[str], rule: Rule, max_at_once: int, fail_all: int) -> None:
        self.delay_s, self.refuse, self.rule = delay_s, refuse, rule
        # More requests at once than this are answered with 429; 0: as many as come.
        self.max_at_once = max_at_once
        # Every request gets this status; 0: none.
        self.fail_all = fail_all
        self.prefix_cache = False
        self.cached_prefixes: set[int] = set()
        self.at_once = self.most_at_once = 0
        self.received: Counter[str] = Counter()
        self.answered: Counter[str] = Counter()
        self.tries: Counter[str] = Counter()
        self.num_received = self.num_answered = 0
        self.last_authorization = ""
        self.last_headers: list[str] = []


class Connection(asyncio.Protocol):
    """One connection with keep-alive; a client sends its next request after the reply to the last."""

    def __init__(self, options: Options) -> None:
        self.options = options
        self.parser = httptools.HttpRequestParser(self)
        self.transport: asyncio.Transport | None = None
        self.url, self.key, self.body = b"", "", bytearray()
        self.slow: asyncio.Future | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def connection_lost(self, exc: Exception | None) -> None:
        self.transport = None

    def data_received(self, data: bytes) -> None:
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserError:
            if self.transport:
                self.transport.abort()

    def on_message_begin(self) -> None:
        self.url, self.key, self.body = b"", "", bytearray()
        self.headers: list[str] = []

    def on_url(self, url: bytes) -> None:
        self.url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        lower = name.lower()
        self.headers.append(lower.decode("latin-1"))
        if lower == b"idempotency-key":
            self.key = value.decode("latin-1")
        elif lower == b"authorization":
            self.options.last_authorization = value.decode("latin-1")

    def on_body(self, body: bytes) -> None:
        self.body += body

    def on_message_complete(self) -> None:
        path = self.url.decode("latin-1").partition("?")[0]
        if path == "/v1/chat/completions":
            self.options.last_headers = self.headers
            self._chat(bytes(self.body), self.key)
        elif path == "/v1/models":
            self._send(200, orjson.dumps({"object": "list", "data": [{"id": "local", "object": "model"}]}))
        elif path == "/seen":
            seen = {name: getattr(self.options, name) for name in _SEEN}
            keys = {"received": dict(self.options.received), "answered": dict(self.options.answered)}
            self._send(200, orjson.dumps(seen | keys))
        elif path == "/control":
            for name, value in orjson.loads(bytes(self.body)).items():
                setattr(self.options, name, _KINDS.get(name, type(value))(value))
            self._send(200, b"{}")
        else:
            self._send(404, b'{"error": {"message": "no such route"}}')

    # --- the chat route ---

    def _chat(self, body: bytes, key: str) -> None:
        options = self.options
        options.num_received += 1
        options.received[key] += 1
        request = orjson.loads(body)
        orders = orders_in(request)
        if orders.get("times") is not None:
            # "The first n tries of this very request", whatever its key and what the client left out since.
            try_of = str(request["messages"])
            options.tries[try_of] += 1
            if options.tries[try_of] > orders["times"]:
                orders = {}
        refused = sorted(options.refuse & request.keys())
        if options.fail_all:
            self._status(options.fail_all, {})
        elif refused:
            self._status(400, {"error": f"Unsupported parameter: {refused[0]}", "param": refused[0]})
        elif options.max_at_once and options.at_once >= options.max_at_once:
            self._status(429, {})
        else:
            options.at_once += 1
            options.most_at_once = max(options.most_at_once, options.at_once)
            delay_s = orders.get("delay_s", options.delay_s)
            if delay_s:
                asyncio.get_running_loop().call_later(delay_s, self._answer, request, orders, key)
            else:
                self._answer(request, orders, key)

    def _answer(self, request: dict[str, Any], orders: dict[str, Any], key: str) -> None:
        self.options.at_once -= 1
        if self.transport is None or self.transport.is_closing():
            return
        fault = orders.get("fault")
        if fault == "status":
            self._status(orders.get("code", 500), orders)
            return
        if fault == "hang":
            return
        if fault == "refuse":
            self._reset()
            return
        text = orders.get("text", "x" * orders.get("num_bytes", 10_000_000) if fault == "long" else None)
        reply = completion(request, self.options.rule(request) if text is None else text, self._cached(request))
        if fault == "missing_choices":
            reply["choices"] = []
        elif fault == "null_content":
            reply["choices"][0]["message"]["content"] = None
        elif fault == "doubled_choices":
            reply["choices"] *= 2
        elif fault == "replace":
            reply |= orders["reply"]
        body = orjson.dumps(reply)
        if fault == "nan":
            body = json.dumps(reply | {"choices": [reply["choices"][0] | {"logprobs": float("nan")}]}).encode()
        elif fault == "html":
            body = b"<!doctype html><title>Welcome</title><p>Please sign in to this network."
        elif fault == "empty":
            body = b""
        elif fault == "truncated":
            body = body[: len(body) // 2]
        elif fault == "doubled_body":
            body += body
        if fault in ("cut", "reset", "drip", "endless", "gzip"):
            self._send_badly(fault, body)
            return
        self.options.num_answered += 1
        self.options.answered[key] += 1
        self._send(200, body)

    def _cached(self, request: dict[str, Any]) -> int:
        """Prompt tokens whose block, and all before it, were seen in an earlier request; four bytes a token."""
        if not self.options.prefix_cache:
            return 0
        text = "\0".join(message.get("content") or "" for message in request["messages"])
        num_cached, known = 0, True
        for end in range(_PREFIX_BLOCK, len(text) + 1, _PREFIX_BLOCK):
            prefix = hash(text[:end])
            known = known and prefix in self.options.cached_prefixes
            num_cached += _PREFIX_BLOCK // 4 if known else 0
            self.options.cached_prefixes.add(prefix)
        return num_cached

    def _status(self, code: int, orders: dict[str, Any]) -> None:
        error = {"message": orders.get("error", f"ordered to answer {code}"), "type": "ordered"}
        error |= {"code": orders.get("error_code"), "param": orders.get("param")}
        after = orders.get("retry_after")
        self._send(code, orjson.dumps({"error": error}), f"Retry-After: {after}\r\n" if after is not None else "")

    def _send(self, code: int, body: bytes, headers: str = "") -> None:
        if self.transport is None or self.transport.is_closing():
            return
        head = f"HTTP/1.1 {code} {_REASONS.get(code, 'Other')}\r\nContent-Type: application/json\r\n{headers}"
        self.transport.write(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)

    def _send_badly(self, fault: str, body: bytes) -> None:
        assert self.transport is not None
        head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
        if fault == "endless":
            self.transport.write(head + b"Transfer-Encoding: chunked\r\n\r\n")
            self.slow = asyncio.ensure_future(self._endless())
            return
        if fault == "gzip":
            packed = gzip.compress(body)
            self.transport.write(head + b"Content-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(packed) + packed)
            return
        self.transport.write(head + b"Content-Length: %d\r\n\r\n" % len(body))
        if fault == "drip":
            self.slow = asyncio.ensure_future(self._drip(body))
            return
        self.transport.write(body[: len(body) // 2])
        # Give the half body time to leave before the connection ends.
        asyncio.get_running_loop().call_later(0.05, self._reset if fault == "reset" else self.transport.close)

    def _reset(self) -> None:
        if self.transport is not None:
            raw: socket.socket = self.transport.get_extra_info("socket")
            # With nothing to linger for, closing sends a reset.
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.transport.abort()

    async def _drip(self, body: bytes) -> None:
        for byte in body:
            if self.transport is None or self.transport.is_closing():
                return
            self.transport.write(bytes([byte]))
            await asyncio.sleep(0.2)

    async def _endless(self) -> None:
        while self.transport is not None and not self.transport.is_closing():
            self.transport.write(_ENDLESS)
            await asyncio.sleep(0.001)


async def serve(port: int, options: Options) -> None:
    """Serve until SIGTERM or SIGINT."""
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Connection(options), "127.0.0.1", port, backlog=1024)
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    print(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1", flush=True)
    await stop.wait()
    server.close()


def main() -> int:
    """Entry point."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.openai_server", description=__doc__)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--delay-ms", type=float, default=0.0)
    parser.add_argument("--refuse", default="", help="fields that are answered with 400, separated by commas")
    parser.add_argument("--max-at-once", type=int, default=0, help="answer 429 beyond it; 0: never")
    parser.add_argument("--rule", default="", help="MODULE:FUNCTION from a request's JSON to the reply's text")
    given = parser.parse_args()
    rule: Rule = rule_by_hash
    if given.rule:
        module, _, name = given.rule.partition(":")
        rule = getattr(importlib.import_module(module), name)
    options = Options(given.delay_ms / 1000, set(filter(None, given.refuse.split(","))), rule, given.max_at_once, 0)
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(serve(given.port, options))
    return 0


if __name__ == "__main__":
    sys.exit(main())
