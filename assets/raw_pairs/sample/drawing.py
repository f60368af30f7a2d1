"""Drawing questions: the mix of categories, and prompts that are all different and apart from the benchmark's."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from random import Random

from assets.errors import SynprefError
from assets.identity import Turn, prompt_cluster_key
from assets.raw_pairs.sample import constraints, hard, matching
from assets.raw_pairs.sample.overlap import ngrams
from assets.raw_pairs.sample.question import Question, joined, vocabulary

CATEGORIES: dict[str, tuple[Callable[[Random], Question], float]] = {
    # Learnable by a small model from some hundred pairs each: prompt and answer are both needed.
    "constraint_form": (constraints.constraint_form, 0.21),
    "passage_fact": (matching.passage_fact, 0.17),
    "topic_advice": (matching.topic_advice, 0.15),
    "language_request": (matching.language_request, 0.15),
    "tone": (matching.tone, 0.14),
    # Learnable with more pairs than the sample has.
    "constraint_word": (constraints.constraint_word, 0.03),
    "count_items": (constraints.count_items, 0.02),
    # Hard on purpose: nothing on the surface tells right from wrong.
    "arithmetic": (hard.arithmetic, 0.04),
    "units_and_dates": (hard.units_and_dates, 0.04),
    "code_output": (hard.code_output, 0.03),
    "refusal": (hard.refusal, 0.02),
}
"""Category to its generator and its share of the prompts."""

LEARNABLE = ("constraint_form", "passage_fact", "topic_advice", "language_request", "tone")
HARD = ("arithmetic", "units_and_dates", "code_output", "refusal")

OPENER_RATE = 0.2
_MAX_REDRAWS = 200


@dataclass
class PromptRegister:
    """The prompts drawn so far, so that no two count as one.

    Attributes:
        forbidden: n-grams that no further prompt may hold.
        num_redrawn: prompts thrown away because they were taken or held a forbidden n-gram.
    """

    forbidden: frozenset[tuple[str, ...]] = frozenset()
    num_redrawn: int = 0
    _taken: set[str] = field(default_factory=set)

    def admit(self, plain: Question, dressed: Question) -> bool:
        """Enter a question's prompt; False when it is taken or overlaps with what is forbidden.

        Args:
            plain: the question without opener and earlier turns, neither of which makes it another one.
            dressed: the question as it is asked.
        """
        key = prompt_cluster_key(plain.turns)
        if key in self._taken or ngrams(dressed.turns[-1][1]) & self.forbidden:
            self.num_redrawn += 1
            return False
        self._taken.add(key)
        return True


def draw_question(rng: Random, register: PromptRegister, *, small_talk_rate: float = 0.0) -> Question:
    """A question of a random category whose prompt is new to the register.

    Args:
        small_talk_rate: share of prompts that begin with an exchange before the question.

    Raises:
        SynprefError: a category has run out of prompts.
    """
    category = rng.choices(list(CATEGORIES), [share for _, share in CATEGORIES.values()])[0]
    for _ in range(_MAX_REDRAWS):
        plain = CATEGORIES[category][0](rng)
        dressed = _dressed(rng, plain, small_talk_rate)
        if register.admit(plain, dressed):
            return dressed
    raise SynprefError(
        f"The sample has run out of prompts of category {category}.",
        where="assets/raw_pairs/sample/vocabulary.yaml",
        todo="add words to the category's lists, or ask for fewer pairs",
    )


def _dressed(rng: Random, question: Question, small_talk_rate: float) -> Question:
    """The question with an opener, and an exchange before it, now and then."""
    words = vocabulary()
    text = question.turns[-1][1]
    if rng.random() < OPENER_RATE:
        text = joined(rng.choice(words["openers"]), text)
    turns: tuple[Turn, ...] = (("user", text),)
    if rng.random() < small_talk_rate:
        said, replied = rng.choice(words["small_talk"])
        turns = (("user", said), ("assistant", replied), *turns)
    return replace(question, turns=turns)


def can_contaminate(question: Question) -> bool:
    """Whether a prompt is long enough to hold an n-gram, and answers are left over for a row of the pool."""
    return bool(ngrams(question.turns[-1][1])) and min(len(question.good), len(question.bad)) > 1
