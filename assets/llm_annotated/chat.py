"""Chat: what one request to a language model is, what comes back, and the protocol of all models."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from assets.llm_annotated.judging import OK


@dataclass(frozen=True)
class ChatRequest:
    """One request.

    Attributes:
        messages: role and content of each, in order.
        seed: of the model's sampling; makes repetitions of one prompt different requests.
        json_schema: what the reply must conform to; None for free text.
        choices: the reply is one of these texts; empty for any. Excludes `json_schema`.
        subject: what the request is about (a pair id), for logs and error messages; no part of the key.
    """

    messages: tuple[Mapping[str, str], ...]
    seed: int
    json_schema: Mapping | None = None
    choices: tuple[str, ...] = ()
    subject: str = field(default="", compare=False)


@dataclass(frozen=True)
class ChatReply:
    """What came back.

    Attributes:
        key: request hash, 32 hex digits, over the model's fingerprint, its parameters and the request: what the request
            ledger knows the call by.
        status: `OK`, or why there is no text: over_budget, prompt_too_long, timeout, connection_failed, http_<code>,
            rate_limited, server_failed, malformed_reply, empty_reply, reply_too_long, cut_off (the completion reached
            its limit), refused (by the server's content filter), circuit_open.
        text: None unless the status is `OK` or `cut_off`.
        first_token_log_probabilities: of the first token's likeliest candidates, where the server gives them.
        num_prompt_tokens, num_cached_tokens, num_completion_tokens: as the server counts; None where it does not.
        cost_usd: of this call, by the settings' prices.
    """

    key: str
    status: str = OK
    text: str | None = None
    first_token_log_probabilities: Mapping[str, float] = field(default_factory=dict)
    num_prompt_tokens: int | None = None
    num_cached_tokens: int | None = None
    num_completion_tokens: int | None = None
    cost_usd: float = 0.0


class ChatModel(Protocol):
    """Answers requests, each at most once in its life: what the ledger holds is not asked again."""

    @property
    def fingerprint(self) -> str:
        """Changes whenever the same request could be answered otherwise: weights, revision, parameters."""
        ...

    def complete(self, requests: Sequence[ChatRequest], *, batch: str) -> list[ChatReply]:
        """One reply per request, in order. `batch` names what the money is spent on (a round, `stage_2`, ...)."""
        ...

    def estimate_usd(self, requests: Sequence[ChatRequest]) -> float:
        """What the requests that the ledger does not hold would cost, at most."""
        ...
