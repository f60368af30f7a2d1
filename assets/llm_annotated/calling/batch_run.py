"""One batch of requests on its way: claimed in order, sent as the server bears it, settled, tried again, given up.

Neither the client's retries nor a retry decorator fit here: they hold a place among the requests at once, and the money
reserved for a try, while they wait. A try that failed is settled, leaves its place, and asks for both again.
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
import math
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from assets.llm_annotated.calling.claims import Claim, Claimed, Settlement, is_final
from assets.llm_annotated.calling.group_commits import GroupCommits
from assets.llm_annotated.calling.outcomes import Outcome
from assets.llm_annotated.calling.pacing import Pacing, Patience
from assets.llm_annotated.calling.prices import usd_of
from assets.llm_annotated.calling.progress import CallProgress
from assets.llm_annotated.chat import ChatReply, ChatRequest

_POLL_S = 0.2
_RECOVER_EVERY = 10


@dataclass
class Item:
    """One request and what became of it so far."""

    request: ChatRequest
    claim: Claim
    num_tries: int = 0
    in_doubt_nano: int = 0
    last: ChatReply | None = None


class BatchRun:
    """Sends a batch; used once, inside an event loop.

    Args:
        items: what to send, in order, no key twice.
        send: one try; raises nothing.
        price: cost in nano-dollars, from an outcome whose charge is `counted`.
        on_field: called when the server does not accept a field of a request.
        clean: takes secrets out of a text.
    """

    def __init__(
        self,
        items: list[Item],
        *,
        send: Callable[[Item], Awaitable[Outcome]],
        price: Callable[[Outcome, int], int],
        on_field: Callable[[Item, Outcome], None],
        clean: Callable[[str], str],
        pacing: Pacing,
        patience: Patience,
        max_tries: int,
        commits: GroupCommits,
        recover: Callable[[], object],
        progress: CallProgress,
    ) -> None:
        self._fresh = deque(items)
        self._num_left = len(items)
        self._send, self._price, self._on_field = send, price, on_field
        self._clean = clean
        self._pacing, self._patience, self._max_tries = pacing, patience, max_tries
        self._commits, self._recover, self._progress = commits, recover, progress
        self._waiting: list[tuple[float, int, Item]] = []
        self._tickets = itertools.count()
        self._num_running = self._num_polls = 0
        self._wake = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self._over_budget = False
        self.spent_nano = 0
        self.replies: dict[str, ChatReply] = {}
        self.on_the_way: dict[str, Item] = {}

    async def run(self) -> Mapping[str, ChatReply]:
        """Replies by key, one for every item.

        Raises:
            SynprefError: the ledger cannot be written: nothing is sent that could not be recorded.
        """
        self._pacing.begin(self._loop.time())
        try:
            async with asyncio.TaskGroup() as tasks:
                while self._num_left:
                    self._wake.clear()
                    if not await self._send_some(tasks) and self._num_left:
                        await self._wait()
        except BaseExceptionGroup as group:
            # The first is the reason; the others were stopped for it.
            raise group.exceptions[0] from None
        return self.replies

    async def _send_some(self, tasks: asyncio.TaskGroup) -> bool:
        """Send what may be sent now; False if there is nothing to do before something changes."""
        if self._pacing.given_up or self._over_budget:
            self._end_unsent("circuit_open" if self._pacing.given_up else "over_budget")
            return False
        group = self._next_group()
        if not group:
            return False
        # Until they are claimed they are in no queue; nothing else takes from the queues meanwhile.
        answers = await self._commits.claim([item.claim for item in group])
        back = []
        for item, answer in zip(group, answers, strict=True):
            if answer.state == "yours":
                item.num_tries += 1
                self._num_running += 1
                self.on_the_way[item.claim.key] = item
                tasks.create_task(self._try(item))
            elif answer.state == "wait":
                back.append(item)
            else:
                self._take_answer(item, answer)
        self._fresh.extendleft(reversed(back))
        if back:
            await self._wait(_POLL_S)
        return True

    def _next_group(self) -> list[Item]:
        now = self._loop.time()
        num = self._pacing.slots(now, self._num_running)
        group: list[Item] = []
        while len(group) < num and self._waiting and self._waiting[0][0] <= now:
            group.append(heapq.heappop(self._waiting)[2])
        while len(group) < num and self._fresh:
            group.append(self._fresh.popleft())
        return group

    def _take_answer(self, item: Item, answer: Claimed) -> None:
        if answer.state == "answered":
            assert answer.reply is not None
            self._finish(item, answer.reply)
        elif answer.state == "busy":
            self._queue(item, _POLL_S)
            self._num_polls += 1
            if self._num_polls % _RECOVER_EVERY == 1:
                # The process that claimed it may have died since this one looked.
                self._recover()
        else:
            self._over_budget = True
            self._finish(item, self._without_answer(item, "over_budget"))

    async def _try(self, item: Item) -> None:
        sent_at = self._loop.time()
        outcome = await self._send(item)
        now = self._loop.time()
        self._pacing.record(outcome, sent_at, now)
        if outcome.field is not None:
            self._on_field(item, outcome)
            item.num_tries -= 1
        again = outcome.again and item.num_tries < self._max_tries and not self._pacing.given_up
        settlement = self._settlement(item, outcome, again)
        # Its place is free before the disk has confirmed, so that the next claim shares the transaction.
        self._num_running -= 1
        self._wake.set()
        await self._commits.settle(settlement)
        del self.on_the_way[item.claim.key]
        self.spent_nano += settlement.cost_nano + settlement.in_doubt_nano
        item.last = None if outcome.field is not None else settlement.reply
        if not again:
            self._finish(item, settlement.reply)
        elif outcome.field is not None:
            self._queue(item, 0.0)
        else:
            self._queue(item, self._patience.wait_s(item.claim.key, item.num_tries, outcome.wait_s))
        self._wake.set()

    def _settlement(self, item: Item, outcome: Outcome, again: bool) -> Settlement:
        worst = item.claim.worst_nano
        # A status that is final must not stand in the ledger while another try is to come.
        status = "server_failed" if again and is_final(outcome.status) else outcome.status
        counted = self._price(outcome, worst) if outcome.charge == "counted" else 0
        unknown = worst if outcome.charge == "unknown" else 0
        cost, in_doubt = (counted + unknown, 0) if is_final(status) else (counted, unknown)
        item.in_doubt_nano += in_doubt
        reply = ChatReply(
            item.claim.key,
            status,
            None if outcome.text is None else self._clean(outcome.text),
            outcome.first_token,
            outcome.prompt,
            outcome.cached,
            outcome.completion,
            usd_of(cost if is_final(status) else item.in_doubt_nano),
        )
        return Settlement(item.claim.key, reply, cost, in_doubt, self._clean(outcome.cause))

    def _end_unsent(self, status: str) -> None:
        for _, _, item in self._waiting:
            # Of a server that only failed, its failure says more than that nobody asked again.
            last = item.last if status == "circuit_open" else None
            self._finish(item, last or self._without_answer(item, status))
        for item in self._fresh:
            self._finish(item, self._without_answer(item, status))
        self._waiting.clear()
        self._fresh.clear()

    def _without_answer(self, item: Item, status: str) -> ChatReply:
        return ChatReply(item.claim.key, status, cost_usd=usd_of(item.in_doubt_nano))

    def _queue(self, item: Item, wait_s: float) -> None:
        heapq.heappush(self._waiting, (self._loop.time() + wait_s, next(self._tickets), item))

    def _finish(self, item: Item, reply: ChatReply) -> None:
        self.replies[item.claim.key] = reply
        self._num_left -= 1
        self._progress.move(1, usd_of(self.spent_nano), int(self._pacing.limit))

    async def _wait(self, at_most_s: float = math.inf) -> None:
        """Wait until a try ends, or until time alone lets something be sent."""
        now = self._loop.time()
        moments = [self._pacing.not_before, self._waiting[0][0] if self._waiting else now]
        delay_s = min([moment - now for moment in moments if moment > now], default=math.inf)
        delay_s = min(delay_s, at_most_s)
        timer = None if delay_s == math.inf else self._loop.call_later(delay_s, self._wake.set)
        try:
            await self._wake.wait()
        finally:
            if timer is not None:
                timer.cancel()
