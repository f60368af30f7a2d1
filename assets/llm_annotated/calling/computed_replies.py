"""Computed replies: the request ledger for a model that answers here and costs nothing a call."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from assets.llm_annotated.calling.claims import Claim, Settlement
from assets.llm_annotated.calling.request_ledger import RequestLedger
from assets.llm_annotated.chat import ChatReply


class ComputedReplies:
    """Finds and keeps replies that were computed, and not bought: nothing is claimed before.

    Args:
        ledger: where they are kept.
    """

    def __init__(self, ledger: RequestLedger) -> None:
        self._ledger = ledger

    def lookup(self, keys: Sequence[str]) -> Mapping[str, ChatReply]:
        """The final replies among the keys."""
        return self._ledger.find(keys)

    def store(self, replies: Sequence[ChatReply], *, fingerprint: str, subjects: Mapping[str, str], batch: str) -> None:
        """Commit the replies of one model; storing one again changes nothing. `subjects`: by key."""
        claims = [Claim(reply.key, fingerprint, batch, subjects.get(reply.key, ""), 0) for reply in replies]
        claimed = self._ledger.write(claims=claims)
        # What is not ours was stored before, or is being stored by another process with the same reply.
        ours = [reply for reply, claim in zip(replies, claimed, strict=True) if claim.state == "yours"]
        self._ledger.write([Settlement(reply.key, reply) for reply in ours])
