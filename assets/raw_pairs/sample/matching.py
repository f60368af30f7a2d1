"""Answers that must match what the prompt holds: a fact of a passage, a language, a tone, a topic."""

from __future__ import annotations

from random import Random

from assets.raw_pairs.sample.question import Question, distinct, joined, other, some, vocabulary

NUM_ANSWERS = 3
BOTH_FACTS_RATE = 0.6
"""Share of passages that hold a second fact, which the question does not ask for."""


def passage_fact(rng: Random) -> Question:
    """A question about an invented thing; the wrong answers are of the right kind but not what the passage says."""
    words = vocabulary()
    facts = words["facts"]
    stated = {kind: rng.choice(list(fact["values"])) for kind, fact in facts.items()}
    asked = rng.choice(list(facts))
    kinds = list(facts) if rng.random() < BOTH_FACTS_RATE else [asked]
    rng.shuffle(kinds)
    lead = rng.choice(words["passage_leads"]).format(
        name=rng.choice(words["thing_names"]), thing=rng.choice(words["things"])
    )
    says = [sentence for kind in kinds for sentence in some(rng, facts[kind]["values"][stated[kind]]["says"])]
    prompt = joined(lead, *says, rng.choice(words["passage_tails"]), rng.choice(facts[asked]["asks"]))

    def answer(value: str) -> str:
        return joined(*some(rng, facts[asked]["values"][value]["answers"]))

    return Question(
        "passage_fact",
        (("user", prompt),),
        distinct([answer(stated[asked]) for _ in range(NUM_ANSWERS)]),
        distinct([answer(other(rng, list(facts[asked]["values"]), stated[asked])) for _ in range(NUM_ANSWERS)]),
    )


def language_request(rng: Random) -> Question:
    """A message in a given language; the wrong answers say it in another one, or say something else."""
    words = vocabulary()
    messages, closings = words["messages"], words["language_closings"]
    message, language = rng.choice(list(messages)), rng.choice(list(closings))
    prompt = rng.choice(words["language_requests"]).format(
        person=rng.choice(words["people"]), message=message, language=language
    )

    def answer(said: str, tongue: str) -> str:
        return joined(messages[said][tongue], *rng.sample(closings[tongue], rng.choice((0, 1, 1, 2))))

    def wrong() -> str:
        if rng.random() < 0.9:
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
    name, also = rng.sample(tones[wanted]["names"], 2)
    prompt = rng.choice(words["tone_requests"]).format(
        person=rng.choice(words["people"]), matter=matter, tone=name, also=also
    )

    def answer(which: str) -> str:
        lines = [line.format(matter=matter) for line in some(rng, tones[which]["lines"])]
        return joined(*lines, *rng.sample(tones[which]["closings"], rng.choice((0, 1, 1))))

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
        problem=joined(*some(rng, topics[topic]["problems"])),
        relative=rng.choice(words["relatives"]),
        day=rng.choice(words["days"]),
    )

    def answer(which: str) -> str:
        return joined(*some(rng, topics[which]["tips"]), rng.choice(words["advice_closings"]))

    return Question(
        "topic_advice",
        (("user", prompt),),
        distinct([answer(topic) for _ in range(NUM_ANSWERS)]),
        distinct([answer(other(rng, list(topics), topic)) for _ in range(NUM_ANSWERS)]),
    )
