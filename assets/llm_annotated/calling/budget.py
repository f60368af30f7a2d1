"""The budget: what calls may cost, held by the ledger in the transaction that records a call before it is sent."""

from __future__ import annotations

from collections.abc import Sequence

from assets.llm_annotated.calling.claims import Bounds, Claim, Claimed, Settlement
from assets.llm_annotated.calling.prices import nano_of
from assets.llm_annotated.calling.request_ledger import RequestLedger
from assets.llm_annotated.settings import BudgetSettings


class Budget:
    """Hard bounds on everything that the ledger holds, of all runs and processes that share it.

    A call's highest price is reserved before it is sent and replaced by its cost when it is answered. The bounds hold
    as long as servers charge for no more tokens than a prompt has bytes and a completion was allowed.

    Args:
        settings: the bounds; `max_usd_per_round` holds for each batch by itself.
        ledger: where spend is kept.
    """

    def __init__(self, settings: BudgetSettings, ledger: RequestLedger) -> None:
        self.settings, self.ledger = settings, ledger
        total, batch = settings.max_usd, settings.max_usd_per_round
        self.bounds = Bounds(None if total is None else nano_of(total), None if batch is None else nano_of(batch))

    def reserve(self, claims: Sequence[Claim]) -> list[Claimed]:
        """Claim requests in order, as far as they fit at their highest price; recorded when this returns."""
        return self.ledger.write(claims=claims, bounds=self.bounds)

    def settle(self, settlements: Sequence[Settlement]) -> None:
        """Replace what was reserved by what calls cost; recorded when this returns."""
        self.ledger.write(settlements)

    def spent_usd(self, batch: str | None = None) -> float:
        """Dollars spent, in doubt included, on one batch or on everything."""
        return self.ledger.spent_usd(batch)

    def left_usd(self, batch: str) -> float | None:
        """Dollars that may still be spent on a batch; None without a bound."""
        bounded = [
            bound - self.ledger.spent_usd(of) - self.ledger.reserved_usd(of)
            for bound, of in ((self.settings.max_usd, None), (self.settings.max_usd_per_round, batch))
            if bound is not None
        ]
        return max(0.0, min(bounded)) if bounded else None
