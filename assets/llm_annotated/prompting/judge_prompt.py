"""Judge prompt: guideline, examples and target composed so that prompts with the same examples begin the same.

Order: task, answer's form and guideline; examples by id, whatever the target; the target. What stands in an example's
place depends on the examples before it alone, so that even example sets that only begin alike share their beginning.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import count
from typing import Literal

from assets.chance import rank_key
from assets.guidelines import load_guidelines, without_tools
from assets.identity import digest
from assets.llm_annotated.prompting.data_blocks import block, draw_delimiter, showable
from assets.llm_annotated.prompting.pair_text import PairText
from assets.llm_annotated.prompting.texts import load_texts

VerdictKind = Literal["choice", "json_schema", "text"]

# Roles name their marks; any other is data and must not.
_ROLES = frozenset({"system", "user", "assistant", "tool"})
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
        """By its bytes, rather too many than too few; the server has the last word."""
        num_bytes = sum(len(message["content"].encode()) for message in self.messages)
        return -(-num_bytes // _BYTES_PER_TOKEN) + _TEMPLATE_TOKENS


def prompt_version() -> str:
    """Hash of everything in a judge's prompt that the project wrote: its texts and the guidelines."""
    texts = load_texts("judge")
    return f"{texts.name}-{digest('judge prompt', texts.hash, load_guidelines().version)[:8]}"


def canonical_order(examples: Sequence[Example]) -> list[Example]:
    """The order in which examples are shown: by id."""
    return sorted(examples, key=lambda example: example.pair_id)


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
    shown = canonical_order(list({example.pair_id: example for example in examples}.values()))
    # A delimiter may occur nowhere in the prompt's data. Drawn in order, an example's depends on those before it, so
    # that beginnings are shared; that later data hold an earlier one is as good as impossible, and draws all again.
    data = [list(_data_of(example.text)) for example in shown] + [list(_data_of(target))]
    for attempt in count():
        drawn: list[str] = []
        for at, example in enumerate(shown):
            so_far = [text for texts in data[: at + 1] for text in texts]
            drawn.append(draw_delimiter([*so_far, *drawn], seed, "example", attempt, example.pair_id, *data[at]))
        everything = [text for texts in data for text in texts]
        drawn.append(draw_delimiter([*everything, *drawn], seed, "target", attempt, *call))
        if not any(one in text.lower() for text in everything for one in drawn):
            break
    texts = load_texts("judge").sections
    parts = []
    if shown:
        parts.append(texts["Examples"])
        for number, (example, delimiter, candidate) in enumerate(
            zip(shown, drawn, _winners(shown, seed), strict=False), start=1
        ):
            heading = texts["Example"].replace("{number}", str(number)).replace("{delimiter}", delimiter)
            first = int(example.verdict) if candidate == 1 else 3 - int(example.verdict)
            parts += [heading, _pair_blocks(example.text, first, delimiter)]
            parts.append(texts["Example verdict"].replace("{candidate}", str(candidate)))
    parts.append(texts["Target"].replace("{delimiter}", drawn[-1]))
    parts.append(_pair_blocks(target, first_shown, drawn[-1]))
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


def _pair_blocks(pair: PairText, first_shown: int, delimiter: str) -> str:
    first, second = pair.shown(first_shown)
    blocks = [("attributes", _attributes(pair))]
    blocks += [(role if role in _ROLES else "turn", content) for role, content in pair.turns]
    blocks += [("candidate_1", first), ("candidate_2", second)]
    return "\n".join(block(name, delimiter, showable(text)) for name, text in blocks)


def _attributes(pair: PairText) -> str:
    found = pair.attributes
    lines = [
        f"{name.replace('_', ' ')}: {found[name]}" for name in ("task_category", "objectivity", "controversiality")
    ]
    if desired := found.get("desired_attributes"):
        lines.append(f"a good answer: {desired}")
    if guideline := without_tools(found.get("annotation_guideline") or ""):
        lines.append(f"how to decide this pair: {guideline}")
    return "\n".join(lines)


def _data_of(pair: PairText) -> Iterator[str]:
    """Every text of a pair as it stands in the prompt, in an order that does not depend on the display."""
    yield showable(_attributes(pair))
    yield from (showable(content) for _, content in pair.turns)
    yield showable(pair.response_1)
    yield showable(pair.response_2)
