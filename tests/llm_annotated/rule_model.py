"""A language model that answers by a rule of the request, with a prefix cache that counts as a server's does."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import takewhile

from assets.identity import digest
from assets.llm_annotated.chat import ChatReply, ChatRequest


@dataclass
class RuleModel:
    """Implements `ChatModel`. A "token" is a character, and the cache holds the last prompt alone.

    Attributes:
        rule: request to text, or to (text, log-probabilities), or to a whole reply.
        max_prompt: longest prompt it takes, in characters.
    """

    rule: Callable
    fingerprint: str = "rule-1"
    max_prompt: float = math.inf
    usd_per_request: float = 0.001
    asked: list[tuple[str, ChatRequest]] = field(default_factory=list)
    _last: str = ""

    def complete(self, requests: Sequence[ChatRequest], *, batch: str) -> list[ChatReply]:
        return [self._answer(request, batch) for request in requests]

    def estimate_usd(self, requests: Sequence[ChatRequest]) -> float:
        return self.usd_per_request * len(requests)

    def _answer(self, request: ChatRequest, batch: str) -> ChatReply:
        self.asked.append((batch, request))
        prompt = prompt_of(request)
        key = digest("request", self.fingerprint, prompt, str(request.seed))
        if len(prompt) > self.max_prompt:
            return ChatReply(key, "prompt_too_long")
        cached, self._last = len(shared_beginning(self._last, prompt)), prompt
        said = self.rule(request)
        if isinstance(said, ChatReply):
            return said
        text, log_probabilities = said if isinstance(said, tuple) else (said, {})
        return ChatReply(
            key,
            text=text,
            first_token_log_probabilities=log_probabilities,
            num_prompt_tokens=len(prompt),
            num_cached_tokens=cached,
            num_completion_tokens=len(text),
            cost_usd=self.usd_per_request,
        )


def prompt_of(request: ChatRequest) -> str:
    """All messages of a request as one text."""
    return "\n".join(message["content"] for message in request.messages)


def shared_beginning(one: str, two: str) -> str:
    """What two texts begin with alike."""
    return one[: sum(1 for _ in takewhile(lambda both: both[0] == both[1], zip(one, two, strict=False)))]
