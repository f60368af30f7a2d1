"""Claims and settlements: what is recorded before and after a request is sent, and what the bounds let through."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from assets.llm_annotated.chat import ChatReply

TRY_LATER = ("over_budget", "circuit_open", "connection_failed", "rate_limited", "server_failed", "timeout")
"""Statuses after which the next run asks again, beside every `http_<code>`: the server refused, and charged nothing."""

SENT, IN_DOUBT = "sent", "in_doubt"
"""Statuses of requests on their way, and of those that were when their process died."""


def is_final(status: str) -> bool:
    """Whether a request with this status is never sent again.

    >>> is_final("ok"), is_final("timeout"), is_final("http_401"), is_final("in_doubt")
    (True, False, False, False)
    """
    return status not in TRY_LATER and status not in (SENT, IN_DOUBT) and not status.startswith("http_")


@dataclass(frozen=True)
class Claim:
    """A request that somebody is about to send.

    Attributes:
        key: request hash.
        worst_nano: what it can cost at most.
    """

    key: str
    fingerprint: str
    batch: str
    subject: str
    worst_nano: int


@dataclass(frozen=True)
class Bounds:
    """The most that may be spent and reserved together, nano-dollars; None sets no bound."""

    total_nano: int | None = None
    batch_nano: int | None = None


@dataclass(frozen=True)
class Settlement:
    """How one sending of a claimed request ended.

    Attributes:
        key: request hash.
        reply: what its asker gets.
        cost_nano: what the server says that it cost.
        in_doubt_nano: what it may have cost, where the server does not say.
        error: what went wrong; holds no secret.
    """

    key: str
    reply: ChatReply
    cost_nano: int = 0
    in_doubt_nano: int = 0
    error: str = ""


@dataclass(frozen=True)
class Claimed:
    """What became of a claim.

    Attributes:
        state: `yours`, send it; `answered`, here is the reply; `busy`, another process is at it; `wait`, the budget may
            have room for it when what is on its way is settled; `over_budget`, it has none.
    """

    state: Literal["yours", "answered", "busy", "wait", "over_budget"]
    reply: ChatReply | None = None


@dataclass
class Spend:
    """Nano-dollars of one batch: known to be spent, perhaps spent, and what calls on their way can cost at most."""

    cost: int = 0
    in_doubt: int = 0
    reserved: int = 0

    @property
    def committed(self) -> int:
        """All three together: what no bound may be below."""
        return self.cost + self.in_doubt + self.reserved


@dataclass
class Spends:
    """Spend by batch, as one transaction changes it."""

    of_batch: dict[str, Spend] = field(default_factory=dict)
    changed: set[str] = field(default_factory=set)

    def change(self, batch: str) -> Spend:
        """The spend of a batch, which is going to be changed."""
        self.changed.add(batch)
        return self.of_batch.setdefault(batch, Spend())

    def fits(self, claim: Claim, bounds: Bounds) -> bool:
        """Whether a claim stays within the bounds even at its highest price."""
        total = sum(spend.committed for spend in self.of_batch.values())
        here = self.of_batch.get(claim.batch, Spend()).committed
        return _within(total + claim.worst_nano, bounds.total_nano) and _within(
            here + claim.worst_nano, bounds.batch_nano
        )

    def may_shrink(self, claim: Claim, bounds: Bounds) -> bool:
        """Whether the claim would fit if everything on its way turned out to cost nothing."""
        free = Spends({batch: Spend(one.cost, one.in_doubt) for batch, one in self.of_batch.items()})
        return free.fits(claim, bounds)


def _within(nano: int, bound: int | None) -> bool:
    return bound is None or nano <= bound
