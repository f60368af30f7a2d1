"""Questions by category: good answers do what was asked, bad ones do not, and alone they look alike."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import replace
from datetime import datetime, timedelta
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assets.errors import SynprefError
from assets.raw_pairs.sample import constraints, drawing, hard, matching
from assets.raw_pairs.sample.drawing import CATEGORIES, PromptRegister, draw_question
from assets.raw_pairs.sample.question import Question, vocabulary

SEEDS = range(150)


def asked(question: Question) -> str:
    return question.turns[-1][1]


@pytest.mark.parametrize("category", CATEGORIES)
def test_every_category_makes_answers_on_both_sides(category: str) -> None:
    for seed in SEEDS:
        question = CATEGORIES[category][0](Random(seed))
        assert question.category == category
        assert question.good
        assert question.bad
        assert question == CATEGORIES[category][0](Random(seed))
        assert len(asked(question)) < 400
        assert not re.search(r"[{}]|  ", asked(question))
        assert all(text.strip() and not re.search(r"[{}]", text) for text in question.good + question.bad)


def test_the_shares_of_the_categories_add_up() -> None:
    assert sum(share for _, share in CATEGORIES.values()) == pytest.approx(1)
    assert set(drawing.LEARNABLE) | set(drawing.HARD) < set(CATEGORIES)


FORM_CHECKS = {
    "capitals": lambda text: text.upper() == text and not text.startswith(('"', "-")),
    "bullets": lambda text: all(line.startswith("- ") for line in text.split("\n")),
    "question": lambda text: text.endswith("?"),
    "quotation": lambda text: text[0] == text[-1] == '"',
}


def test_the_form_asked_for_is_the_form_of_good_answers_only() -> None:
    assert set(FORM_CHECKS) == set(vocabulary()["forms"])
    for seed in SEEDS:
        question = constraints.constraint_form(Random(seed))
        form = next(f for f, texts in vocabulary()["forms"].items() if any(t in asked(question) for t in texts))
        assert all(FORM_CHECKS[form](text) for text in question.good), question
        assert not any(FORM_CHECKS[form](text) for text in question.bad), question


def test_words_are_used_or_left_out_as_asked() -> None:
    rules = Counter()
    for seed in SEEDS:
        question = constraints.constraint_word(Random(seed))
        word = re.search(r"word (\w+)\.", asked(question))[1]
        avoid = any(w.split(" the word")[0] in asked(question) for w in vocabulary()["word_avoid"])
        rules[avoid] += 1
        assert all((word in text) != avoid for text in question.good), question
        assert all((word in text) == avoid for text in question.bad), question
    assert min(rules.values()) > 10


def test_lists_have_the_number_asked_for() -> None:
    sizes = {name: number for number, name in vocabulary()["numbers"].items()}
    for seed in SEEDS:
        question = constraints.count_items(Random(seed))
        wanted = next(size for name, size in sizes.items() if f" {name} " in asked(question))
        assert all(len(re.split(r", |\n", text)) == wanted for text in question.good)
        assert all(len(re.split(r", |\n", text)) != wanted for text in question.bad)


def test_passages_state_what_good_answers_say() -> None:
    facts = vocabulary()["facts"]
    for seed in SEEDS:
        question = matching.passage_fact(Random(seed))
        kind = next(k for k, fact in facts.items() if any(asked(question).endswith(a) for a in fact["asks"]))
        stated = [v for v, fact in facts[kind]["values"].items() if any(s in asked(question) for s in fact["says"])]
        assert len(stated) == 1
        right = facts[kind]["values"][stated[0]]["answers"]
        assert all(any(text.startswith(a) for a in right) for text in question.good)
        assert not any(any(text.startswith(a) for a in right) for text in question.bad)


def test_languages_tones_and_topics_match_the_prompt() -> None:
    words = vocabulary()
    for seed in SEEDS:
        question = matching.language_request(Random(seed))
        language = next(name for name in words["language_closings"] if name in asked(question))
        message = next(text for text in words["messages"] if text in asked(question))
        said = words["messages"][message][language]
        assert all(text.startswith(said) for text in question.good)
        assert not any(text.startswith(said) for text in question.bad)

        question = matching.tone(Random(seed))
        wanted = next(t for t in words["tones"].values() if any(name in asked(question) for name in t["names"]))
        starts = tuple(line.split("{")[0] for line in wanted["lines"])
        assert all(text.startswith(starts) for text in question.good)
        assert not any(text.startswith(starts) for text in question.bad)

        question = matching.topic_advice(Random(seed))
        topic = next(t for t in words["topics"].values() if any(p in asked(question) for p in t["problems"]))
        assert all(text.startswith(tuple(topic["tips"])) for text in question.good)
        assert not any(text.startswith(tuple(topic["tips"])) for text in question.bad)


def value_of(text: str) -> str:
    return re.sub(r"^(The answer is|That makes|It is|I get) |\.$", "", text)


def test_sums_are_right_in_good_answers_only() -> None:
    signs = {"+": lambda a, b: a + b, "-": lambda a, b: a - b}
    checked = 0
    for seed in range(400):
        question = hard.arithmetic(Random(seed))
        parts = re.fullmatch(r"What is (\d+) ([+-]) (\d+)\?", asked(question))
        if parts:
            truth = str(signs[parts[2]](int(parts[1]), int(parts[3])))
            assert {value_of(text) for text in question.good} == {truth}
            assert truth not in {value_of(text) for text in question.bad}
            checked += 1
    assert checked > 50


def test_code_prints_what_good_answers_say() -> None:
    for seed in range(400):
        question = hard.code_output(Random(seed))
        expression = re.search(r"print\((.*)\) show|gives? for (.*)\?|Evaluate (.*) in Python", asked(question))
        code = next(group for group in expression.groups() if group)
        truth = str(
            eval(
                code,
                {"__builtins__": {"len": len, "sum": sum, "max": max, "min": min, "sorted": sorted, "range": range}},
            )
        )
        assert {value_of(text) for text in question.good} == {truth}, code
        assert truth not in {value_of(text) for text in question.bad}


def test_dates_and_units_are_right_in_good_answers_only() -> None:
    kinds = Counter()
    for seed in range(400):
        question = hard.units_and_dates(Random(seed))
        values = {value_of(text) for text in question.good}
        assert len(values) == 1
        assert not values & {value_of(text) for text in question.bad}
        days = re.search(r"(\d+) days (?:after|forward from) (\d+ \w+ \d{4})", asked(question))
        hours = re.search(r"(\d+) hours (?:and|plus) (\d+) (?:minutes)", asked(question))
        if days:
            shown = datetime.strptime(values.pop(), "%d %B %Y")  # noqa: DTZ007
            assert shown - datetime.strptime(days[2], "%d %B %Y") == timedelta(int(days[1]))  # noqa: DTZ007
            kinds["date"] += 1
        elif hours:
            assert values == {f"{60 * int(hours[1]) + int(hours[2])} minutes"}
            kinds["hours"] += 1
    assert min(kinds["date"], kinds["hours"]) > 20


def test_harmful_requests_are_declined_and_harmless_ones_answered() -> None:
    words = vocabulary()
    for seed in SEEDS:
        question = hard.refusal(Random(seed))
        harmful = any(act in asked(question) for act in words["harmful_requests"])
        assert harmful != any(act in asked(question) for act in words["harmless_requests"])
        right = words["refusals"] if harmful else words["compliances"]
        assert all(text.startswith(tuple(right)) for text in question.good)
        assert not any(text.startswith(tuple(right)) for text in question.bad)


@pytest.mark.parametrize("category", drawing.LEARNABLE)
def test_an_answer_alone_does_not_tell_its_worth(category: str) -> None:
    """A table of how answers begin, learnt from half of the questions, is of little use on the other half."""
    surplus: Counter[str] = Counter()
    right = []
    for seed in range(2_000):
        question = CATEGORIES[category][0](Random(seed))
        good, bad = question.good[0][:12], question.bad[0][:12]
        if seed < 1_000:
            surplus[good] += 1
            surplus[bad] -= 1
        else:
            right.append(0.5 if surplus[good] == surplus[bad] else float(surplus[good] > surplus[bad]))
    assert 0.44 <= sum(right) / len(right) <= 0.57


def without_opener(text: str) -> str:
    opener = next((o for o in vocabulary()["openers"] if text.startswith(f"{o} ")), "")
    return text.removeprefix(opener).lstrip()


@given(st.integers(0, 10**6))
def test_a_register_admits_a_prompt_once(seed: int) -> None:
    register = PromptRegister()
    question = draw_question(Random(seed), register, small_talk_rate=0.5)
    plain = replace(question, turns=(("user", without_opener(asked(question))),))
    assert not register.admit(plain, question)
    assert register.num_redrawn == 1
    assert [role for role, _ in question.turns] == ["user", "assistant", "user"][-len(question.turns) :]


def test_a_category_that_runs_out_says_which_list_to_extend(monkeypatch: pytest.MonkeyPatch) -> None:
    only = Question("tone", (("user", "Be kind."),), ("I will.",), ("No.",))
    monkeypatch.setattr(drawing, "CATEGORIES", {"tone": (lambda rng: only, 1.0)})
    monkeypatch.setattr(drawing, "OPENER_RATE", 0.0)
    register = PromptRegister()
    draw_question(Random(1), register)
    with pytest.raises(SynprefError, match=r"category tone.*vocabulary\.yaml"):
        draw_question(Random(2), register)
