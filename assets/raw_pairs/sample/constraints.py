"""Instruction constraints that can be checked: the form of an answer, a word to use or avoid, a number of items."""

from __future__ import annotations

from random import Random

from assets.raw_pairs.sample.question import Question, distinct, joined, other, some, vocabulary

NUM_ANSWERS = 3
USE_RATE = 0.75
"""Share of word constraints that ask for a word; the rest forbids one, which is harder to learn."""


def in_form(rng: Random, form: str, lines: list[str]) -> str:
    r"""The lines (without final punctuation) put into one of the forms of vocabulary.yaml.

    >>> in_form(Random(0), "bullets", ["Goats own the beach", "Nobody locks a door"])
    '- Goats own the beach\n- Nobody locks a door'
    """
    words = vocabulary()
    plain = ". ".join(lines) + "."
    match form:
        case "capitals":
            return plain.upper()
        case "bullets":
            return "\n".join(f"- {line}" for line in lines)
        case "question":
            return joined(plain, rng.choice(words["form_questions"]))
        case "quotation":
            return f'"{plain}"'
    raise AssertionError(f"vocabulary.yaml names a form that nobody can write: {form}")


def constraint_form(rng: Random) -> Question:
    """A text about a subject in a given form; the wrong answers are in other forms."""
    words = vocabulary()
    subject, forms = rng.choice(list(words["subjects"])), list(words["forms"])
    form = rng.choice(forms)
    request = rng.choice(words["form_requests"]).format(subject=subject)
    parts = [request, *some(rng, words["forms"][form])]
    if rng.random() < 0.25:
        parts.reverse()

    def answer(in_which: str) -> str:
        return in_form(rng, in_which, rng.sample(words["subjects"][subject], rng.choice((1, 2, 2, 3))))

    return Question(
        "constraint_form",
        (("user", joined(*parts)),),
        distinct([answer(form) for _ in range(NUM_ANSWERS)]),
        distinct([answer(other(rng, forms, form)) for _ in range(NUM_ANSWERS)]),
    )


def constraint_word(rng: Random) -> Question:
    """A scene in which one word must, or must not, appear."""
    words = vocabulary()
    word, use = rng.choice(words["words"]), rng.random() < USE_RATE
    request = rng.choice(words["word_requests"]).format(place=rng.choice(words["word_places"]))
    rule = rng.choice(words["word_use" if use else "word_avoid"]).format(word=word)

    def answer(with_word: bool) -> str:
        held = word if with_word else other(rng, words["words"], word)
        frame = rng.choice(words["word_frames"]).format(word=held)
        tails = [f"{tail}." for tail in rng.sample(words["word_tails"], rng.choice((0, 0, 1)))]
        return joined(frame, *tails)

    return Question(
        "constraint_word",
        (("user", joined(request, rule)),),
        distinct([answer(use) for _ in range(NUM_ANSWERS)]),
        distinct([answer(not use) for _ in range(NUM_ANSWERS)]),
    )


def count_items(rng: Random) -> Question:
    """A list with an exact number of entries; the wrong answers have another number of them."""
    words = vocabulary()
    numbers = words["numbers"]
    number, group = rng.choice(list(numbers)), rng.choice(list(words["groups"]))
    request = rng.choice(words["count_requests"]).format(
        number=numbers[number], group=group, purpose=rng.choice(words["purposes"])
    )
    as_lines = rng.random() < 0.5

    def answer(length: int) -> str:
        items = rng.sample(words["groups"][group], length)
        if as_lines:
            return "\n".join(f"{place}. {item}" for place, item in enumerate(items, 1))
        return ", ".join(items)

    return Question(
        "count_items",
        (("user", request),),
        distinct([answer(number) for _ in range(NUM_ANSWERS)]),
        distinct([answer(other(rng, list(numbers), number)) for _ in range(NUM_ANSWERS)]),
    )
