"""LLM judge: a language model that is shown guideline, examples and a pair, and says which response is better."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from assets.chance import rank_key
from assets.identity import digest, storable
from assets.llm_annotated.chat import ChatModel, ChatReply, ChatRequest
from assets.llm_annotated.judging import OK, JudgeCall, JudgeReply, both_orders, from_display
from assets.llm_annotated.pair_texts import PairTexts, ReadTexts
from assets.llm_annotated.prompting.injection import suspected
from assets.llm_annotated.prompting.judge_prompt import (
    Example,
    JudgePrompt,
    VerdictKind,
    cannot_fit,
    judge_prompt,
    prompt_version,
)
from assets.llm_annotated.prompting.pair_text import PairText
from assets.llm_annotated.prompting.reading import ReplyProblem
from assets.llm_annotated.prompting.verdicts import CHOICES, parse_verdict, schema_of
from assets.llm_annotated.settings import JudgeSettings, VotingSettings
from assets.llm_annotated.votes import SIDES

PROMPT_TOO_LONG = "prompt_too_long"
SUSPECTED = "suspected_injection"
NO_TEXT = "no_text"

# Calls whose prompts are in memory at once: enough to keep a server busy, some 64 MB of common prompts.
_BLOCK_CALLS = 2_048


@dataclass(frozen=True)
class LlmJudge:
    """A judge that reads.

    Attributes:
        name: as configured.
        model: answers its prompts.
        texts: of targets and examples.
        gold: verdict of every gold pair that may be an example.
        seed: the run's; delimiters and the model's sampling are drawn from it.
        verdict, reasoning: see `JudgeSettings`.
        max_prompt_tokens: what the model can hold beside its answer.
        ask_suspected: ask about pairs that show signs of injection too, and let them be examples.
    """

    name: str
    model: ChatModel
    texts: PairTexts
    gold: Mapping[str, str]
    seed: int
    verdict: VerdictKind = "json_schema"
    reasoning: bool = False
    max_prompt_tokens: int = 15_872
    ask_suspected: bool = False
    simulated: bool = field(default=False, init=False)

    @property
    def version(self) -> str:
        """Model, prompt and every setting that an answer depends on."""
        return (
            f"llm-1 model={self.model.fingerprint} prompt={prompt_version()} verdict={self.verdict} "
            f"reasoning={self.reasoning} max_prompt_tokens={self.max_prompt_tokens} "
            f"ask_suspected={self.ask_suspected} seed={self.seed}"
        )

    def plan(self, pair_id: str, votes_per_order: int) -> Sequence[tuple[int, int]]:
        """Both orders, each as often as asked."""
        return both_orders(votes_per_order)

    def answer(self, calls: Sequence[JudgeCall], *, batch: str = "") -> list[JudgeReply]:
        """One reply per call, in order.

        Calls go to the model grouped by the beginning that their prompts share, block by block, so that a server finds
        it in its cache. A prompt that is too long loses its least similar examples until it fits, or has the status
        `prompt_too_long`; a pair with signs of injection has the status `suspected_injection`.
        """
        replies: dict[int, JudgeReply] = {}
        with self.texts.opened({pair for call in calls for pair in (call.pair_id, *call.examples)}) as read:
            signs: dict[str, bool] = {}
            for block in self._blocks(calls):
                replies.update(self._answer_block(block, read, signs, batch))
        return [replies[at] for at in range(len(calls))]

    def estimate_usd(self, calls: Sequence[JudgeCall]) -> float:
        """What the calls would cost at most, without what the request ledger holds already."""
        usd = 0.0
        signs: dict[str, bool] = {}
        with self.texts.opened({pair for call in calls for pair in (call.pair_id, *call.examples)}) as read:
            for block in self._blocks(calls):
                _, questions = self._questions(block, read, signs)
                usd += self.model.estimate_usd([self._request(one) for one in questions])
        return usd

    def _blocks(self, calls: Sequence[JudgeCall]) -> Iterator[list[tuple[int, JudgeCall]]]:
        """Calls with their places, those of like examples beside each other."""
        order = sorted(
            enumerate(calls),
            key=lambda one: (sorted(one[1].examples), one[1].pair_id, one[1].first_shown, one[1].vote),
        )
        for start in range(0, len(order), _BLOCK_CALLS):
            yield order[start : start + _BLOCK_CALLS]

    def _answer_block(
        self, block: Sequence[tuple[int, JudgeCall]], read: ReadTexts, signs: dict[str, bool], batch: str
    ) -> dict[int, JudgeReply]:
        replies, questions = self._questions(block, read, signs)
        while questions:
            answers = self.model.complete([self._request(one) for one in questions], batch=batch)
            again = []
            for one, answer in zip(questions, answers, strict=True):
                if answer.status == PROMPT_TOO_LONG and one.examples:
                    # The server counts tokens, this judge estimates them: half of the examples are tried next.
                    again.append(self._question(one.at, one.call, one.target, one.examples[: len(one.examples) // 2]))
                else:
                    replies[one.at] = self._reply(one, answer)
            questions = again
        return replies

    def _questions(
        self, block: Sequence[tuple[int, JudgeCall]], read: ReadTexts, signs: dict[str, bool]
    ) -> tuple[dict[int, JudgeReply], list[_Question]]:
        """Replies to calls that are not to be asked, and the questions of the others, grouped by their beginning."""
        texts = read({pair for _, call in block for pair in (call.pair_id, *call.examples)})
        if not self.ask_suspected:
            # What is too long to be asked need not be searched.
            fitting = {pair: text for pair, text in texts.items() if not cannot_fit(text, self.max_prompt_tokens)}
            new = {pair: text for pair, text in fitting.items() if pair not in signs}
            signs.update(zip(new, suspected(new.values()), strict=True))
        replies: dict[int, JudgeReply] = {}
        questions = []
        for at, call in block:
            if call.pair_id not in texts:
                replies[at] = JudgeReply(None, NO_TEXT)
            elif cannot_fit(texts[call.pair_id], self.max_prompt_tokens):
                replies[at] = JudgeReply(None, PROMPT_TOO_LONG, num_examples_dropped=len(call.examples))
            elif signs.get(call.pair_id):
                replies[at] = JudgeReply(None, SUSPECTED)
            else:
                # An example that would speak to the judge, or that shows no preference, is none.
                usable = [p for p in call.examples if p in texts and not signs.get(p) and self.gold.get(p) in SIDES]
                examples = [Example(pair, texts[pair], self.gold[pair]) for pair in usable]
                question = self._question(at, call, texts[call.pair_id], examples)
                while question.examples and question.prompt.estimated_tokens > self.max_prompt_tokens:
                    question = self._question(at, call, question.target, question.examples[:-1])
                if question.prompt.estimated_tokens > self.max_prompt_tokens:
                    replies[at] = JudgeReply(None, PROMPT_TOO_LONG, num_examples_dropped=len(call.examples))
                else:
                    questions.append(question)
        return replies, sorted(questions, key=_Question.place)

    def _question(self, at: int, call: JudgeCall, target: PairText, examples: Sequence[Example]) -> _Question:
        prompt = judge_prompt(
            target,
            call.first_shown,
            examples,
            verdict=self.verdict,
            reasoning=self.reasoning,
            seed=self.seed,
            call=(call.pair_id, call.first_shown, call.vote),
        )
        return _Question(at, call, target, examples, prompt)

    def _request(self, question: _Question) -> ChatRequest:
        call = question.call
        drawn = rank_key(self.seed, "judge", call.pair_id, call.first_shown, call.vote)
        return ChatRequest(
            question.prompt.messages,
            seed=int(drawn[:7], 16),
            json_schema=schema_of(self.reasoning) if self.verdict == "json_schema" else None,
            choices=CHOICES if self.verdict == "choice" else (),
            subject=call.pair_id,
        )

    def _reply(self, question: _Question, answer: ChatReply) -> JudgeReply:
        verdict, status, probability, log_probability = None, answer.status, None, None
        if answer.status == OK:
            try:
                said = parse_verdict(answer.text or "", self.verdict, answer.first_token_log_probabilities)
                verdict = said.verdict
                if verdict in SIDES:
                    verdict = from_display(int(verdict), question.call.first_shown)
                probability, log_probability = said.probability_first, said.log_probability
            except ReplyProblem as problem:
                status = problem.reason
        return JudgeReply(
            verdict,
            status,
            log_probability=log_probability,
            probability_first=probability,
            num_prompt_tokens=answer.num_prompt_tokens,
            num_cached_tokens=answer.num_cached_tokens,
            num_completion_tokens=answer.num_completion_tokens,
            cost_usd=answer.cost_usd,
            raw_reply_hash=None if answer.text is None else digest("reply", storable(answer.text)),
            request_hash=answer.key,
            num_examples_dropped=len(question.call.examples) - question.prompt.num_examples,
        )


@dataclass(frozen=True)
class _Question:
    """One call with its place among all calls and its prompt; examples the most similar first."""

    at: int
    call: JudgeCall
    target: PairText
    examples: Sequence[Example]
    prompt: JudgePrompt

    def place(self) -> tuple:
        """By this, prompts that begin alike stand beside each other."""
        ids = sorted(example.pair_id for example in self.examples)
        return self.target.guideline, ids, self.call.pair_id, self.call.first_shown, self.call.vote


def make_llm_judge(
    settings: JudgeSettings,
    model: ChatModel,
    *,
    texts: PairTexts,
    gold: Mapping[str, str],
    voting: VotingSettings,
    seed: int,
) -> LlmJudge:
    """The judge that a configuration names; `settings.llm` must be given."""
    assert settings.llm is not None
    return LlmJudge(
        settings.name,
        model,
        texts,
        gold,
        seed,
        verdict=settings.verdict,
        reasoning=settings.reasoning,
        max_prompt_tokens=max(1, settings.llm.max_context_tokens - settings.llm.max_completion_tokens),
        ask_suspected=voting.suspected_injection == "ask",
    )
