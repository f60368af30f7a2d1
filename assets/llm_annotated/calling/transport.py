"""Transport: the openai client over aiohttp, with bounded reading and nothing that a chat request does not need.

The client's own path (`chat.completions.create` over httpx) takes 3 ms of CPU a request, most of it for pydantic models
of the reply and for httpx's layers of middleware. Its low-level `post` with bytes in and bytes out, over an HTTP client
that hands requests to aiohttp, takes 0.8 ms.
"""

from __future__ import annotations

import ipaddress
from typing import Any

import aiohttp
import httpx2
from openai import APIStatusError, AsyncOpenAI
from openai._types import RequestOptions

MOST_REPLY_BYTES = 2_000_000
"""A reply of thousands of tokens with log-probabilities stays far below; what is longer is not read to its end."""

_CONNECT_S = 20.0
# Where there is no key, the client still asks for one, and would take OPENAI_API_KEY, which belongs to another server.
_NO_KEY = "none"
_HEADERS = frozenset({"authorization", "content-type", "idempotency-key", "user-agent"})
_OPENAI_HEADERS = frozenset({"openai-organization", "openai-project"})
_OPTIONS: RequestOptions = {
    "params": {},
    "timeout": None,
    "max_retries": 0,
    "follow_redirects": False,
    "security": {"bearer_auth": True},
    "synthesize_event_and_data": False,
    "stream_mode": "legacy",
}


class ReplyTooLongError(Exception):
    """A body that does not end within `MOST_REPLY_BYTES`."""


class CompressedReplyError(Exception):
    """A body whose true length cannot be told before it is unpacked."""


class AiohttpClient(httpx2.AsyncClient):
    """An HTTP client for one server: no redirects, which could take the key elsewhere, no cookies, no compression.

    Args:
        url: of the server. No proxy of the environment is asked for one on this machine.
        concurrency: most connections.
    """

    def __init__(self, url: httpx2.URL, concurrency: int) -> None:
        # The base class would make TLS contexts and proxies that nothing here uses.
        super().__init__(transport=httpx2.AsyncBaseTransport(), trust_env=False)
        context = httpx2.create_ssl_context() if url.scheme == "https" else True
        # Parsing an address takes as long as sending the request: the same one is parsed once.
        self._urls: dict[str, httpx2.URL] = {}
        self._sent_headers = _HEADERS | (_OPENAI_HEADERS if url.host == "api.openai.com" else frozenset())
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=concurrency, ssl=context, keepalive_timeout=60),
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=_CONNECT_S),
            trust_env=not _is_loopback(url.host),
            auto_decompress=False,
        )

    def build_request(self, method: str, url: Any, **parts: Any) -> httpx2.Request:
        """A request with the headers that matter; whatever else the environment tells the client to send stays here."""
        kept = [(name, value) for name, value in parts["headers"] if name.lower() in self._sent_headers]
        if url not in self._urls:
            self._urls = {url: httpx2.URL(url)}
        return httpx2.Request(method, self._urls[url], content=parts.get("content"), headers=kept)

    async def send(self, request: httpx2.Request, **_: Any) -> httpx2.Response:
        """Send a request and read the whole reply.

        Raises:
            httpx2.ConnectError: nothing was sent.
            httpx2.ReadError: the connection ended before the reply did.
            ReplyTooLongError: the body is longer than anybody needs.
            CompressedReplyError: it came compressed, which was not asked for.
        """
        try:
            async with self._session.post(
                str(request.url), data=request.content, headers=request.headers, allow_redirects=False
            ) as answer:
                if answer.headers.get("Content-Encoding", "identity") != "identity":
                    raise CompressedReplyError("a compressed reply that nobody asked for")
                body = await answer.content.read(MOST_REPLY_BYTES + 1)
                if not answer.content.at_eof():
                    body = await _rest(answer, body)
                return httpx2.Response(answer.status, headers=answer.raw_headers, content=body, request=request)
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as error:
            raise httpx2.ConnectError(str(error), request=request) from None
        except (aiohttp.ClientError, ConnectionError) as error:
            raise httpx2.ReadError(f"{type(error).__name__}: {error}", request=request) from None

    async def aclose(self) -> None:
        """Close all connections."""
        await self._session.close()
        await super().aclose()


async def _rest(answer: aiohttp.ClientResponse, begun: bytes) -> bytes:
    """The rest of a body that did not come in one piece."""
    parts, num = [begun], len(begun)
    while num <= MOST_REPLY_BYTES:
        part = await answer.content.read(MOST_REPLY_BYTES + 1 - num)
        if not part:
            return b"".join(parts)
        parts.append(part)
        num += len(part)
    # Closed, not drained: the connection cannot be used again.
    answer.close()
    raise ReplyTooLongError(f"a reply of more than {MOST_REPLY_BYTES:,} bytes")


def make_client(base_url: str, api_key: str, concurrency: int) -> AsyncOpenAI:
    """An openai client for one server, made inside a running event loop.

    Its own retries are off: they would hold a place and a reservation while they wait, and send without asking the
    budget again.
    """
    http = AiohttpClient(httpx2.URL(base_url), concurrency)
    return AsyncOpenAI(base_url=base_url, api_key=api_key or _NO_KEY, http_client=http, max_retries=0, timeout=None)


async def post_chat(client: AsyncOpenAI, url: str, body: bytes, key: str) -> bytes:
    """Send one chat request with its key as Idempotency-Key; returns the reply's body.

    Raises:
        openai.APIStatusError: another status than 200.
        openai.APIConnectionError: its cause is an httpx2.ConnectError if nothing was sent.
        ReplyTooLongError, CompressedReplyError: see `AiohttpClient.send`.
    """
    headers = {"Content-Type": "application/json", "Idempotency-Key": key}
    # All options are given: the client would fill in what is missing by copying its defaults deeply.
    options: RequestOptions = {**_OPTIONS, "headers": headers, "idempotency_key": key}
    answer = await client.post(url, cast_to=httpx2.Response, content=body, options=options)
    if answer.status_code != 200:
        # The client raises for errors only; a redirect or an empty success is none of its.
        raise APIStatusError(f"status {answer.status_code}", response=answer, body=None)
    return answer.content


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
