"""Answers that must match what the prompt holds: a fact of a passage, a language, a tone, a topic."""

from __future__ import annotations

from random import Random

from assets.raw_pairs.sample.question import Question, distinct, joined, other, vocabulary

NUM_ANSWERS = 3
UNSTATED_RATE = 0.1
"""Share of passage questions whose answer the passage does not hold: saying so is then right, otherwise wrong."""


def passage_fact(rng: Random) -> Question:
    """A question about an invented thing; the wrong answers are of the right kind but not what the passage says."""
    words = vocabulary()
    facts = words["facts"]
    kinds = rng.sample(list(facts), rng.choice((2, 2, 3)))
    asked = rng.choice(kinds)
    stated = rng.random() >= UNSTATED_RATE
    truth = rng.choice(facts[asked]["values"])
    says = [
        rng.choice(facts[kind]["says"]).format(v=truth if kind == asked else rng.choice(facts[kind]["values"]))
        for kind in kinds
        if kind != asked or stated
    ]
    lead = rng.choice(words["passage_leads"]).format(
        name=rng.choice(words["thing_names"]), thing=rng.choice(words["things"])
    )
    prompt = joined(lead, *says, rng.choice(words["passage_tails"]), rng.choice(facts[asked]["asks"]))

    def answer(value: str) -> str:
        text = rng.choice(facts[asked]["answers"]).format(v=value, V=value[:1].upper() + value[1:])
        return joined(text, rng.choice(words["answer_tails"]))

    def silence() -> str:
        return joined(rng.choice(words["passage_not_stated"]), rng.choice(words["answer_tails"]))

    def wrong() -> str:
        return answer(other(rng, facts[asked]["values"], truth)) if rng.random() >= UNSTATED_RATE else silence()

    if stated:
        good, bad = [answer(truth) for _ in range(NUM_ANSWERS)], [wrong() for _ in range(NUM_ANSWERS)]
    else:
        good = [silence() for _ in range(NUM_ANSWERS)]
        bad = [answer(rng.choice(facts[asked]["values"])) for _ in range(NUM_ANSWERS)]
    return Question("passage_fact", (("user", prompt),), distinct(good), distinct(bad))


def language_request(rng: Random) -> Question:
    """A message in a given language; the wrong answers say it in another one, or say something else."""
    words = vocabulary()
    messages, closings = words["messages"], words["language_closings"]
    message, language = rng.choice(list(messages)), rng.choice(list(closings))
    prompt = rng.choice(words["language_requests"]).format(
        person=rng.choice(words["people"]), message=message, language=language
    )

    def answer(said: str, tongue: str) -> str:
        return joined(messages[said][tongue], rng.choice(closings[tongue]))

    def wrong() -> str:
        if rng.random() < 0.75:
            return answer(message, other(rng, list(closings), language))
        return answer(other(rng, list(messages), message), language)

    return Question(
        "language_request",
        (("user", prompt),),
        distinct([answer(message, language) for _ in range(NUM_ANSWERS)]),
        distinct([wrong() for _ in range(NUM_ANSWERS)]),
    )


def tone(rng: Random) -> Question:
    """A message in a given tone; the wrong answers have another tone."""
    words = vocabulary()
    tones = words["tones"]
    wanted, matter = rng.choice(list(tones)), rng.choice(words["matters"])
    prompt = rng.choice(words["tone_requests"]).format(
        person=rng.choice(words["people"]), matter=matter, tone=rng.choice(tones[wanted]["names"])
    )

    def answer(which: str) -> str:
        line = rng.choice(tones[which]["lines"]).format(matter=matter)
        return joined(line, rng.choice(tones[which]["closings"]))

    return Question(
        "tone",
        (("user", prompt),),
        distinct([answer(wanted) for _ in range(NUM_ANSWERS)]),
        distinct([answer(other(rng, list(tones), wanted)) for _ in range(NUM_ANSWERS)]),
    )


def topic_advice(rng: Random) -> Question:
    """Advice on a problem; the wrong answers are good advice on some other problem."""
    words = vocabulary()
    topics = words["topics"]
    topic = rng.choice(list(topics))
    prompt = rng.choice(words["advice_requests"]).format(
        problem=rng.choice(topics[topic]["problems"]),
        relative=rng.choice(words["relatives"]),
        day=rng.choice(words["days"]),
    )

    def answer(which: str) -> str:
        return joined(rng.choice(topics[which]["tips"]), rng.choice(words["advice_closings"]))

    return Question(
        "topic_advice",
        (("user", prompt),),
        distinct([answer(topic) for _ in range(NUM_ANSWERS)]),
        distinct([answer(other(rng, list(topics), topic)) for _ in range(NUM_ANSWERS)]),
    )
