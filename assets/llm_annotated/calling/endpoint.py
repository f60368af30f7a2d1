"""A language model behind any server with OpenAI's chat route."""

from __future__ import annotations

import asyncio
import logging
import os
import threading
from collections.abc import Coroutine, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx2
from openai import APIConnectionError, APIStatusError, AsyncOpenAI

from assets.errors import ConfigError
from assets.llm_annotated.calling.batch_run import BatchRun, Item
from assets.llm_annotated.calling.budget import Budget
from assets.llm_annotated.calling.claims import Claim
from assets.llm_annotated.calling.group_commits import GroupCommits
from assets.llm_annotated.calling.outcomes import Outcome, read_completion, read_failure
from assets.llm_annotated.calling.pacing import Pacing, Patience
from assets.llm_annotated.calling.prices import cannot_fit, price_nano, usd_of, worst_price_nano
from assets.llm_annotated.calling.progress import CallProgress
from assets.llm_annotated.calling.request_body import Body, BodyWriter, model_fingerprint, request_key
from assets.llm_annotated.calling.request_ledger import RequestLedger
from assets.llm_annotated.calling.transport import CompressedReplyError, ReplyTooLongError, make_client, post_chat
from assets.llm_annotated.chat import ChatReply, ChatRequest
from assets.llm_annotated.settings import LanguageModelSettings

log = logging.getLogger(__name__)


class EndpointModel:
    """A `ChatModel` that sends requests over HTTP, each once in its life.

    Args:
        settings: the model and its server.
        ledger: where replies are kept.
        budget: what may be spent.
        base_url: of the server, where it is not the settings' own, such as http://127.0.0.1:8000/v1.
        api_key: of the server, in place of the environment variable that the settings name.
        weights_fingerprint: of the weights that the server has loaded, where somebody knows it.
        patience: how long failures are waited out.

    Raises:
        ConfigError: the environment variable that should hold the key does not.
    """

    def __init__(
        self,
        settings: LanguageModelSettings,
        ledger: RequestLedger,
        budget: Budget,
        *,
        base_url: str | None = None,
        api_key: str = "",
        weights_fingerprint: str = "",
        patience: Patience | None = None,
    ) -> None:
        self.settings = settings
        self._ledger, self._budget = ledger, budget
        self._base_url = base_url or settings.base_url
        self._url = self._base_url.rstrip("/") + "/chat/completions"
        self._key = api_key or _key_of(settings)
        self._fingerprint = model_fingerprint(settings, weights_fingerprint)
        self._patience = patience or Patience()
        self._pacing = Pacing(settings.concurrency, settings.max_tries, self._patience)
        self._bodies = BodyWriter(settings, lambda words: log.warning("%s %s.", settings.model, words))
        # State of the server is shared by all batches, which therefore go one after another.
        self._turn = threading.Lock()
        self._implausible = False

    @property
    def fingerprint(self) -> str:
        """See `ChatModel`."""
        return self._fingerprint

    @property
    def trouble(self) -> str:
        """Cause of the last failure, if the last batch was given up; else empty. Holds no secret."""
        return self._clean(self._pacing.cause) if self._pacing.given_up else ""

    def complete(self, requests: Sequence[ChatRequest], *, batch: str) -> list[ChatReply]:
        """See `ChatModel`.

        Raises:
            SynprefError: the ledger cannot be written; nothing is sent that could not be recorded.
        """
        keys = [request_key(self._fingerprint, request) for request in requests]
        with self._turn:
            found = self._ledger.lookup(dict.fromkeys(keys))
            items: dict[str, Item] = {}
            for key, request in zip(keys, requests, strict=True):
                if key in found or key in items:
                    continue
                if cannot_fit(self.settings, request):
                    found[key] = ChatReply(key, "prompt_too_long")
                    continue
                items[key] = self._item(key, request, batch)
            if items:
                self._ledger.recover()
                found |= _run(self._send_all(list(items.values()), batch, len(set(keys))))
        return [found[key] for key in keys]

    def estimate_usd(self, requests: Sequence[ChatRequest]) -> float:
        """See `ChatModel`."""
        by_key = {request_key(self._fingerprint, request): request for request in requests}
        found = self._ledger.lookup(by_key)
        return usd_of(sum(worst_price_nano(self.settings, by_key[key]) for key in by_key.keys() - found.keys()))

    def _item(self, key: str, request: ChatRequest, batch: str) -> Item:
        worst = worst_price_nano(self.settings, request)
        return Item(request, Claim(key, self._fingerprint, batch, request.subject, worst))

    async def _send_all(self, items: list[Item], batch: str, num_all: int) -> dict[str, ChatReply]:
        commits = GroupCommits(self._ledger, self._budget.bounds)
        name = f"{self.settings.model}, {batch}"
        async with make_client(self._base_url, self._key, self.settings.concurrency) as client:
            bodies: dict[str, Body] = {}

            async def send(item: Item) -> Outcome:
                body = bodies[item.claim.key] = self._bodies.write(item.request)
                return await self._send(client, item.claim.key, body)

            def learn(item: Item, outcome: Outcome) -> None:
                assert outcome.field is not None
                self._bodies.refuse(outcome.field, bodies[item.claim.key])

            with CallProgress(name, num_all, num_all - len(items)) as progress:
                run = BatchRun(
                    items,
                    send=send,
                    price=self._price,
                    on_field=learn,
                    clean=self._clean,
                    pacing=self._pacing,
                    patience=self._patience,
                    max_tries=self.settings.max_tries,
                    commits=commits,
                    recover=self._ledger.recover,
                    progress=progress,
                )
                try:
                    replies = await run.run()
                finally:
                    await commits.close()
                    left = [*run.on_the_way, *commits.orphans]
                    if left:
                        self._ledger.abandon(left)
        if self.trouble:
            num = sum(reply.status == "circuit_open" for reply in replies.values())
            log.warning("%s: gave up on the server, %s requests not sent. Cause: %s", name, f"{num:,}", self.trouble)
        return dict(replies)

    async def _send(self, client: AsyncOpenAI, key: str, body: Body) -> Outcome:
        """One try; every way in which it can fail is an outcome."""
        try:
            # In all, not for each read: a server that drips would never reach the latter.
            async with asyncio.timeout(self.settings.timeout_s):
                return read_completion(await post_chat(client, self._url, body.content, key))
        except TimeoutError:
            cause = f"no reply within {self.settings.timeout_s:g} s"
            return Outcome("timeout", "unknown", again=True, crowded=True, cause=cause)
        except APIStatusError as error:
            answer = error.response
            return read_failure(answer.status_code, answer.headers, answer.content, body.steps)
        except APIConnectionError as error:
            reason = error.__cause__
            if isinstance(reason, httpx2.ConnectError):
                return Outcome("connection_failed", again=True, cause=f"{self._base_url} cannot be reached: {reason}")
            return Outcome("connection_failed", "unknown", again=True, cause=f"the connection broke: {reason}")
        except ReplyTooLongError as error:
            return Outcome("reply_too_long", "unknown", cause=str(error))
        except CompressedReplyError as error:
            return Outcome("malformed_reply", "unknown", cause=str(error))

    def _price(self, outcome: Outcome, worst_nano: int) -> int:
        """Cost of a call that the server counted, never more than was reserved for it."""
        assert outcome.prompt is not None
        assert outcome.completion is not None
        cost = price_nano(self.settings, outcome.prompt, outcome.cached or 0, outcome.completion)
        if cost > worst_nano and not self._implausible:
            self._implausible = True
            log.warning(
                "%s counts %s prompt and %s completion tokens, more than the request allows: counted at its highest "
                "price; the bill may be higher than the spend shown.",
                self.settings.model,
                f"{outcome.prompt:,}",
                f"{outcome.completion:,}",
            )
        return min(cost, worst_nano)

    def _clean(self, text: str) -> str:
        """A text without the key, should a server have repeated it."""
        return text.replace(self._key, "***") if self._key else text


def _key_of(settings: LanguageModelSettings) -> str:
    if not settings.api_key_variable:
        return ""
    key = os.environ.get(settings.api_key_variable, "").strip()
    if not key:
        raise ConfigError(
            f"The key of model {settings.model!r} is missing.",
            where=f"environment variable {settings.api_key_variable}",
            todo="set it; a key never stands in a configuration file",
        )
    return key


def _run(work: Coroutine[Any, Any, dict[str, ChatReply]]) -> dict[str, ChatReply]:
    """Run a coroutine to its end, also where this thread runs an event loop already."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(work)
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(asyncio.run, work).result()
