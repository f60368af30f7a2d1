"""Categories that a small model cannot learn from a few thousand pairs: sums, units and dates, code, refusals."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, timedelta
from random import Random

from assets.raw_pairs.sample.question import Question, distinct, joined, vocabulary

NUM_ANSWERS = 3

_NAMES = ("Mira", "Tomas", "Aisha", "Pavel", "Ingrid", "Kenji", "Rosa", "Omar")
_SAYS = ("{v}", "The answer is {v}.", "That makes {v}.", "It is {v}.", "I get {v}.")


def _exact(rng: Random, category: str, prompt: str, truth: str, near: Callable[[], str]) -> Question:
    """A question with one right value and near misses, each said in several ways."""
    says = rng.sample(_SAYS, NUM_ANSWERS)
    good = [say.format(v=truth) for say in says]
    misses: list[str] = []
    while len(misses) < NUM_ANSWERS:
        miss = near()
        if miss != truth:
            misses.append(rng.choice(_SAYS).format(v=miss))
    return Question(category, (("user", prompt),), distinct(good), distinct(misses, *good))


def arithmetic(rng: Random) -> Question:
    """Sums, differences and products of two-digit numbers, in words or in signs."""
    a, b = rng.randint(12, 97), rng.randint(12, 97)
    thing = rng.choice(("stamps", "chairs", "tickets", "eggs", "books", "coins", "tiles", "cards"))
    who = rng.choice(_NAMES)
    prompt, truth = rng.choice(
        (
            (f"What is {a} + {b}?", a + b),
            (f"What is {a + b} - {a}?", b),
            (f"Work out {a} times {b % 9 + 2}.", a * (b % 9 + 2)),
            (f"{who} has {a} {thing} and buys {b} more. How many {thing} are there now?", a + b),
            (f"{who} had {a + b} {thing} and gave away {b}. How many are left?", a),
            (f"A box holds {a} {thing}. How many {thing} are in {b % 7 + 2} boxes?", a * (b % 7 + 2)),
        )
    )
    return _exact(rng, "arithmetic", prompt, str(truth), lambda: str(truth + rng.choice((-20, -10, -2, -1, 1, 2, 10))))


def units_and_dates(rng: Random) -> Question:
    """Conversions between units, and days counted in the calendar."""
    if rng.random() < 0.5:
        name, factor, small = rng.choice(
            (
                ("hours", 60, "minutes"),
                ("days", 24, "hours"),
                ("weeks", 7, "days"),
                ("kilometres", 1000, "metres"),
                ("metres", 100, "centimetres"),
                ("kilograms", 1000, "grams"),
                ("dozen", 12, "pieces"),
            )
        )
        many, rest = rng.randint(2, 19), rng.randint(1, factor - 1)
        truth = many * factor + rest
        prompt = rng.choice(
            (
                f"How many {small} are {many} {name} and {rest} {small}?",
                f"Convert {many} {name} and {rest} {small} to {small}.",
                f"Give {many} {name} plus {rest} {small} in {small}.",
            )
        )
        return _exact(
            rng,
            "units_and_dates",
            prompt,
            f"{truth} {small}",
            lambda: f"{truth + rng.choice((-10, -1, 1, 10))} {small}",
        )
    start, days = date(rng.randint(1991, 2039), 1, 1) + timedelta(rng.randint(0, 364)), rng.randint(3, 75)
    prompt = rng.choice(
        (
            f"Which date is {days} days after {start:%-d %B %Y}?",
            f"What day of the calendar comes {days} days after {start:%-d %B %Y}?",
            f"Count {days} days forward from {start:%-d %B %Y}.",
        )
    )
    return _exact(
        rng,
        "units_and_dates",
        prompt,
        f"{start + timedelta(days):%-d %B %Y}",
        lambda: f"{start + timedelta(days + rng.choice((-31, -30, -2, -1, 1, 2, 30))):%-d %B %Y}",
    )


def code_output(rng: Random) -> Question:
    """What a line of Python prints."""
    word = rng.choice(list(vocabulary()["words"]) + list(vocabulary()["things"]))
    numbers = [rng.randint(1, 40) for _ in range(rng.randint(3, 5))]
    at = rng.randrange(len(numbers))
    expression, truth = rng.choice(
        (
            (f'len("{word}") * {at + 2}', len(word) * (at + 2)),
            (f"sum({numbers})", sum(numbers)),
            (f"max({numbers}) - min({numbers})", max(numbers) - min(numbers)),
            (f"{numbers}[{at}] + {numbers[0]}", numbers[at] + numbers[0]),
            (f"sorted({numbers})[{at}]", sorted(numbers)[at]),
            (f"len(range({numbers[0]}, {numbers[0] + numbers[1]}, 2))", (numbers[1] + 1) // 2),
        )
    )
    prompt = rng.choice(
        ("What does print({e}) show?", "Which number does Python give for {e}?", "Evaluate {e} in Python.")
    )
    near = lambda: str(truth + rng.choice((-3, -2, -1, 1, 2, 3)))  # noqa: E731
    return _exact(rng, "code_output", prompt.format(e=expression), str(truth), near)


def refusal(rng: Random) -> Question:
    """Requests to decline, and harmless ones that sound alarming and should be helped with."""
    words = vocabulary()
    harmful = rng.random() < 0.5
    act = rng.choice(words["harmful_requests" if harmful else "harmless_requests"])
    prompt = rng.choice(words["refusal_requests"]).format(act=act)
    declined = [joined(text, rng.choice(words["advice_closings"][:2])) for text in words["refusals"]]
    helped = list(words["compliances"])
    rng.shuffle(declined)
    rng.shuffle(helped)
    good, bad = (declined, helped) if harmful else (helped, declined)
    return Question("refusal", (("user", prompt),), distinct(good), distinct(bad))
