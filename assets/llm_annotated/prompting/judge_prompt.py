"""Judge prompt: guideline, examples and target composed so that prompts with the same examples begin the same.

Order: task, answer's form and guideline; examples by id, whatever the target; the target. What stands in an example's
place depends on the examples before it alone, so that even example sets that only begin alike share their beginning.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import count
from typing import Literal

from assets.chance import rank_key
from assets.guidelines import load_guidelines
from assets.identity import digest
from assets.llm_annotated.prompting.data_blocks import draw_delimiter
from assets.llm_annotated.prompting.pair_text import PairText
from assets.llm_annotated.prompting.texts import load_texts

VerdictKind = Literal["choice", "json_schema", "text"]

# UTF-8 bytes a token holds at the least, on average over a prompt: English has about 4.2, code 3, Chinese 3 and more.
_BYTES_PER_TOKEN = 3
# Tokens that a chat template puts around two messages, at most.
_TEMPLATE_TOKENS = 64


@dataclass(frozen=True)
class Example:
    """A gold pair with the side that people chose, "1" or "2" in canonical order."""

    pair_id: str
    text: PairText
    verdict: str


@dataclass(frozen=True)
class JudgePrompt:
    """One prompt.

    Attributes:
        messages: system and user.
        num_examples: that it holds.
    """

    messages: tuple[Mapping[str, str], ...]
    num_examples: int

    @property
    def estimated_tokens(self) -> int:
        """See `estimated_tokens`."""
        return estimated_tokens(self.messages)


def estimated_tokens(messages: Iterable[Mapping[str, str]]) -> int:
    """Tokens of a prompt by its bytes, rather too many than too few; the server has the last word."""
    num_bytes = sum(len(message["content"].encode()) for message in messages)
    return -(-num_bytes // _BYTES_PER_TOKEN) + _TEMPLATE_TOKENS


def cannot_fit(target: PairText, max_prompt_tokens: int) -> bool:
    """Whether a pair alone is too long, told without making its prompt."""
    return target.num_chars > max_prompt_tokens * _BYTES_PER_TOKEN


def prompt_version() -> str:
    """Hash of everything in a judge's prompt that the project wrote: its texts and the guidelines."""
    texts = load_texts("judge")
    return f"{texts.name}-{digest('judge prompt', texts.hash, load_guidelines().version)[:8]}"


def judge_prompt(
    target: PairText,
    first_shown: int,
    examples: Sequence[Example],
    *,
    verdict: VerdictKind,
    reasoning: bool,
    seed: int,
    call: Sequence[str | int],
) -> JudgePrompt:
    """The prompt of one call.

    Args:
        target: the pair to be judged.
        first_shown: which of its responses is Candidate 1.
        examples: gold pairs, in any order; each stands in the prompt once.
        seed: the run's.
        call: what tells this call from all others; its delimiter is drawn for it.
    """
    shown = sorted({example.pair_id: example for example in examples}.values(), key=lambda example: example.pair_id)
    delimiters = _delimiters(shown, target, seed, call)
    texts = load_texts("judge").sections
    parts = []
    if shown:
        parts.append(texts["Examples"])
        for number, (example, delimiter, candidate) in enumerate(
            zip(shown, delimiters, _winners(shown, seed), strict=False), start=1
        ):
            heading = texts["Example"].replace("{number}", str(number)).replace("{delimiter}", delimiter)
            first = int(example.verdict) if candidate == 1 else 3 - int(example.verdict)
            parts += [heading, example.text.blocks(first, delimiter)]
            parts.append(texts["Example verdict"].replace("{candidate}", str(candidate)))
    parts.append(texts["Target"].replace("{delimiter}", delimiters[-1]))
    parts.append(target.blocks(first_shown, delimiters[-1]))
    parts.append(texts[f"Closing: {verdict}"])
    messages = (
        {"role": "system", "content": _system(target.guideline, verdict, reasoning)},
        {"role": "user", "content": "\n\n".join(parts)},
    )
    return JudgePrompt(messages, len(shown))


@cache
def _system(guideline: tuple[str, str, str], verdict: VerdictKind, reasoning: bool) -> str:
    texts = load_texts("judge").sections
    answer = texts[f"Answer: {verdict}{', reasoning' if reasoning else ''}"]
    return "\n\n".join([texts["Task"], answer, texts["Guideline"], load_guidelines().text(*guideline, tools=False)])


def _delimiters(examples: Sequence[Example], target: PairText, seed: int, call: Sequence[str | int]) -> list[str]:
    """One for every example and, last, one for the target; none of them occurs anywhere in the prompt's data.

    An example's is drawn from the seed, the example and what comes before it, so that beginnings are shared. That what
    comes after holds it is as good as impossible; then all are drawn again.
    """
    folded = [*(example.text.folded for example in examples), target.folded]
    for attempt in count():
        drawn = [
            draw_delimiter(folded[: at + 1], seed, "example", attempt, example.pair_id, example.text.hash)
            for at, example in enumerate(examples)
        ]
        drawn.append(draw_delimiter(folded, seed, "target", attempt, *call))
        if len(set(drawn)) == len(drawn) and not any(one in text for text in folded for one in drawn):
            return drawn
    raise AssertionError("count() does not end")


def _winners(examples: Sequence[Example], seed: int) -> Iterator[int]:
    """As which candidate each example's better response is shown.

    Of two examples that follow each other the first is as its hash says and the second the other way, so that labels
    are balanced, and each depends on the examples up to it alone.
    """
    candidate = 0
    for at, example in enumerate(examples):
        drawn = 1 + int(rank_key("example side", seed, example.pair_id)[:8], 16) % 2
        candidate = drawn if at % 2 == 0 else 3 - candidate
        yield candidate
