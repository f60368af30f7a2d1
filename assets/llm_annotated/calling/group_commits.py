"""Group commits: what many requests write to the ledger, in one transaction that the event loop does not wait for."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from assets.llm_annotated.calling.claims import Bounds, Claim, Claimed, Settlement
from assets.llm_annotated.calling.request_ledger import RequestLedger

# A disk takes milliseconds to confirm a write; what comes within one more shares it.
_GATHER_S = 0.001


class GroupCommits:
    """Writes to the ledger from one event loop.

    The rows are written in the loop's own thread: another would fight it for the interpreter's lock with every row.
    Only the wait for the disk, which needs no lock, is left to a thread.
    """

    def __init__(self, ledger: RequestLedger, bounds: Bounds) -> None:
        self._ledger, self._bounds = ledger, bounds
        self._loop = asyncio.get_running_loop()
        self._thread = ThreadPoolExecutor(1, "request_ledger")
        self._settlements: list[tuple[Settlement, asyncio.Future[None]]] = []
        self._claims: list[tuple[Sequence[Claim], asyncio.Future[list[Claimed]]]] = []
        self._busy = False
        # Claimed for somebody who was stopped before it could learn of it.
        self.orphans: list[str] = []

    async def settle(self, settlement: Settlement) -> None:
        """Returns when the settlement is on disk."""
        future: asyncio.Future[None] = self._loop.create_future()
        self._settlements.append((settlement, future))
        self._start()
        await future

    async def claim(self, claims: Sequence[Claim]) -> list[Claimed]:
        """Returns when the claims are on disk."""
        future: asyncio.Future[list[Claimed]] = self._loop.create_future()
        self._claims.append((claims, future))
        self._start()
        return await future

    async def close(self) -> None:
        """Wait for what is being written."""
        while self._busy:
            await asyncio.sleep(_GATHER_S)
        self._thread.shutdown()

    def _start(self) -> None:
        if not self._busy:
            self._busy = True
            self._loop.call_later(_GATHER_S, self._begin)

    def _begin(self) -> None:
        settlements, self._settlements = self._settlements, []
        claims, self._claims = self._claims, []
        wanted = [claim for group, _ in claims for claim in group]
        try:
            answers = self._ledger.begin([one for one, _ in settlements], wanted, self._bounds)
        except BaseException as error:
            self._fail(error, [future for _, future in settlements] + [future for _, future in claims])
            return
        written = self._loop.run_in_executor(self._thread, self._ledger.commit)

        def finish(done: asyncio.Future[None]) -> None:
            error = done.exception()
            if error is not None:
                self._fail(error, [future for _, future in settlements] + [future for _, future in claims])
                return
            for _, future in settlements:
                if not future.done():
                    future.set_result(None)
            start = 0
            for group, answered in claims:
                given = answers[start : start + len(group)]
                if not answered.done():
                    answered.set_result(given)
                else:
                    self.orphans += [claim.key for claim, one in zip(group, given, strict=True) if one.state == "yours"]
                start += len(group)
            self._go_on()

        written.add_done_callback(finish)

    def _fail(self, error: BaseException, futures: Sequence[asyncio.Future]) -> None:
        for future in futures:
            if not future.done():
                future.set_exception(error)
        self._go_on()

    def _go_on(self) -> None:
        if self._settlements or self._claims:
            self._loop.call_soon(self._begin)
        else:
            self._busy = False
