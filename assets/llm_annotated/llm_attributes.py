"""LLM attributes: the 5-tuple of every prompt by a language model, validated, repaired at most once, else counted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import pyarrow as pa

from assets.accounting import StageCounts
from assets.chance import rank_key
from assets.contracts import from_rows
from assets.llm_annotated.chat import ChatModel, ChatReply, ChatRequest
from assets.llm_annotated.judging import OK
from assets.llm_annotated.prompting.attributes_prompt import (
    SCHEMA,
    attributes_prompt,
    prompt_version,
    read_attributes,
    repair_prompt,
)
from assets.llm_annotated.prompting.judge_prompt import estimated_tokens
from assets.llm_annotated.prompting.reading import ReplyProblem

PROMPT_TOO_LONG = "prompt_too_long"
TRY_LATER = frozenset({"over_budget", "circuit_open", "connection_failed", "rate_limited", "server_failed", "timeout"})
"""Statuses after which the next run asks again."""

# Prompts in memory at once.
_BLOCK_PROMPTS = 1_024

ReadPrompts = Callable[[Sequence[str]], Mapping[str, Sequence[tuple[str, str]]]]
"""Conversations of some pairs, by pair id; a pair that has none is left out."""


@dataclass(frozen=True)
class WrittenAttributes:
    """What a model wrote.

    Attributes:
        table: contract `attributes`, in order of pair id.
        counts: pairs in, pairs with attributes out; dropped by reason. Such a pair cannot be retrieved.
        num_requests, num_repairs: requests, the second ones included, and those that showed an error.
        usd: what the requests cost.
    """

    table: pa.Table
    counts: StageCounts
    num_requests: int = 0
    num_repairs: int = 0
    usd: float = 0.0

    @property
    def complete(self) -> bool:
        """Whether nothing was left for a later run."""
        return not TRY_LATER & self.counts.dropped.keys()

    def facts(self) -> dict:
        """Metadata: cost and, where pairs are left without attributes, what that means for them."""
        facts: dict = {"requests": self.num_requests, "repairs": self.num_repairs, "usd": self.usd}
        if self.counts.num_dropped:
            facts["without_attributes"] = (
                f"{self.counts.num_dropped} pairs have no attributes ({', '.join(sorted(self.counts.dropped))}), "
                "so they cannot be retrieved"
            )
        return facts


@dataclass(frozen=True)
class LlmAttributes:
    """Writes attributes by a language model: one request a prompt, shared by the prompt's pairs.

    Attributes:
        writer: the model's name.
        model: answers.
        seed: the run's.
        max_prompt_tokens: what the model can hold beside its answer.
    """

    writer: str
    model: ChatModel
    seed: int
    max_prompt_tokens: int

    @property
    def version(self) -> str:
        """Model and prompt."""
        return f"llm-1 model={self.model.fingerprint} prompt={prompt_version()}"

    def write(
        self, prompt_of: Mapping[str, str], read: ReadPrompts, *, max_pairs: int, batch: str
    ) -> WrittenAttributes:
        """Attributes of the pairs, within the budget.

        Args:
            prompt_of: prompt id by pair id.
            read: gives conversations, block by block.
            max_pairs: pairs that get attributes, at most; which, is drawn by hash of their prompts.
            batch: what the money is spent on.
        """
        # Prompts in an order that chance fixed: where the budget ends is no matter of ids or of sources.
        pairs = sorted(prompt_of, key=lambda pair: (rank_key("attributes", prompt_of[pair]), pair))
        chosen = pairs[:max_pairs]
        pair_of = {prompt_of[pair]: pair for pair in reversed(chosen)}
        prompts = list(dict.fromkeys(prompt_of[pair] for pair in chosen))
        found: dict[str, dict[str, str]] = {}
        failed: dict[str, str] = {}
        spent = Counter[str]()
        usd = 0.0
        for start in range(0, len(prompts), _BLOCK_PROMPTS):
            block = prompts[start : start + _BLOCK_PROMPTS]
            texts = read([pair_of[prompt] for prompt in block])
            turns = {prompt: texts[pair_of[prompt]] for prompt in block if pair_of[prompt] in texts}
            failed |= {prompt: "no_text" for prompt in block if prompt not in turns}
            usd += self._write_block(turns, found, failed, spent, batch)
        rows = [
            {"pair_id": pair, "writer": self.writer, "writer_version": self.version, **found[prompt_of[pair]]}
            for pair in sorted(chosen)
            if prompt_of[pair] in found
        ]
        dropped = Counter(failed[prompt_of[pair]] for pair in chosen if prompt_of[pair] in failed)
        if len(pairs) > len(chosen):
            dropped["over_max_pairs"] = len(pairs) - len(chosen)
        counts = StageCounts(len(pairs), len(rows), dict(dropped))
        return WrittenAttributes(from_rows(rows, "attributes"), counts, spent["requests"], spent["repairs"], usd)

    def _write_block(
        self,
        turns: Mapping[str, Sequence[tuple[str, str]]],
        found: dict[str, dict[str, str]],
        failed: dict[str, str],
        spent: Counter[str],
        batch: str,
    ) -> float:
        messages: dict[str, Sequence[Mapping[str, str]]] = {}
        for prompt, conversation in turns.items():
            asked = attributes_prompt(prompt, conversation, seed=self.seed)
            if estimated_tokens(asked) > self.max_prompt_tokens:
                failed[prompt] = PROMPT_TOO_LONG
            else:
                messages[prompt] = asked
        replies = self._complete(messages, batch)
        usd = sum(reply.cost_usd for reply in replies.values())
        repairs = {}
        for prompt, reply in replies.items():
            if reply.status != OK:
                failed[prompt] = reply.status
                continue
            try:
                found[prompt] = read_attributes(reply.text or "")
            except ReplyProblem as problem:
                repairs[prompt] = repair_prompt(messages[prompt], reply.text or "", problem)
        spent.update(requests=len(replies) + len(repairs), repairs=len(repairs))
        for prompt, reply in self._complete(repairs, batch).items():
            usd += reply.cost_usd
            if reply.status != OK:
                failed[prompt] = reply.status
                continue
            try:
                found[prompt] = read_attributes(reply.text or "")
            except ReplyProblem as problem:
                failed[prompt] = problem.reason
        return usd

    def _complete(self, messages: Mapping[str, Sequence[Mapping[str, str]]], batch: str) -> dict[str, ChatReply]:
        requests = [
            ChatRequest(tuple(asked), seed=self.seed_of(prompt), json_schema=SCHEMA, subject=f"prompt {prompt}")
            for prompt, asked in messages.items()
        ]
        return dict(zip(messages, self.model.complete(requests, batch=batch) if requests else [], strict=True))

    def seed_of(self, prompt_id: str) -> int:
        """Seed of the model's sampling for one prompt."""
        return int(rank_key(self.seed, "attributes", prompt_id)[:7], 16)
