"""Prices: what a call costs, and what it can cost at most, in whole nano-dollars so that sums are exact."""

from __future__ import annotations

import math
import unicodedata

import orjson

from assets.llm_annotated.chat import ChatRequest
from assets.llm_annotated.settings import LanguageModelSettings

NANO = 1_000_000_000
"""Nano-dollars in a dollar."""

# Beside its texts: what chat templates put around messages, and around the whole (a system prompt of their own, tools).
TOKENS_PER_MESSAGE, TOKENS_PER_REQUEST = 16, 256
# No text of people or models has so many bytes a token; a prompt beyond it fits into no context.
_MOST_BYTES_PER_TOKEN = 32


def nano_of(usd: float) -> int:
    """Dollars as nano-dollars.

    >>> nano_of(0.1) + nano_of(0.2) == nano_of(0.3)
    True
    """
    return round(usd * NANO)


def usd_of(nano: int) -> float:
    """Nano-dollars as dollars."""
    return nano / NANO


def price_nano(settings: LanguageModelSettings, prompt: int, cached: int, completion: int) -> int:
    """Price of a call by its numbers of tokens, rounded up; `cached` of the prompt's come from the server's cache."""
    dear = settings.usd_per_million_prompt_tokens
    cheap = settings.usd_per_million_cached_tokens
    usd_millionths = dear * (prompt - cached) + (dear if cheap is None else cheap) * cached
    usd_millionths += settings.usd_per_million_completion_tokens * completion
    return math.ceil(usd_millionths * (NANO // 1_000_000))


def most_prompt_tokens(request: ChatRequest) -> int:
    """Bound of a prompt's tokens from above, without a tokenizer.

    A byte-level or byte-fallback tokenizer makes at most one token of each byte. Some normalise to NFKC before, which
    can lengthen a text. Counts of earlier replies do not tighten the bound: the next text may be in another language.
    """
    num = TOKENS_PER_REQUEST + sum(_bytes(message["content"]) for message in request.messages)
    num += TOKENS_PER_MESSAGE * len(request.messages)
    # Servers may write the schema into the prompt.
    if request.json_schema is not None:
        num += len(orjson.dumps(request.json_schema))
    return num + sum(_bytes(choice) for choice in request.choices)


def worst_price_nano(settings: LanguageModelSettings, request: ChatRequest) -> int:
    """What one call can cost at most: nothing cached, and a completion of full length."""
    prompt = most_prompt_tokens(request)
    all_cached = price_nano(settings, prompt, prompt, settings.max_completion_tokens)
    return max(price_nano(settings, prompt, 0, settings.max_completion_tokens), all_cached)


def cannot_fit(settings: LanguageModelSettings, request: ChatRequest) -> bool:
    """Whether a prompt is too long beyond all doubt; whether others are is for the server's tokenizer to say."""
    num_bytes = sum(len(message["content"]) for message in request.messages)
    return num_bytes > _MOST_BYTES_PER_TOKEN * settings.max_context_tokens


def _bytes(text: str) -> int:
    if text.isascii():
        return len(text)
    composed = unicodedata.normalize("NFKC", text)
    return max(len(text.encode("utf-8", "surrogatepass")), len(composed.encode("utf-8", "surrogatepass")))
