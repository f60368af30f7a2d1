"""Guidelines: what a good answer has and how to decide a pair, by category, objectivity and controversiality.

The texts are versioned with the repository; their hash goes into every row of attributes.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import chain

from assets.contracts import CONTROVERSIALITY, OBJECTIVITY, TASK_CATEGORIES
from assets.identity import digest

# Per category: desired attributes, how to decide, and the sentence that only people with tools can follow.
CATEGORIES: dict[str, tuple[str, str, str]] = {
    "information seeking": (
        "Answers the question that was asked, with true statements and enough context to be understood.",
        "Compare the claims that answer the question: a response with a false central claim loses to one without. "
        "Where a text is given, only what the text says counts as true.",
        "Check each claim that decides the pair with a search engine before judging.",
    ),
    "coding & debugging": (
        "Code that runs, does what was asked, handles the stated edge cases and is explained where it is not obvious.",
        "Trace both programs on the request's own example and on one edge case: code that fails loses to code that "
        "works. Between two that work, prefer the one that keeps to the request and is easier to maintain.",
        "Run both programs before judging.",
    ),
    "advice seeking": (
        "Advice that fits the person's situation, can be acted upon and names risks and limits.",
        "Ask which response the person could act on safely. Generic advice loses to advice that uses the details "
        "given; advice that could harm the person loses to any that does not.",
        "Look up the facts and rules that the advice relies on.",
    ),
    "math": (
        "The right final result, reached by steps that follow from each other, with the right units.",
        "Solve the problem yourself first. A wrong final result loses to a right one however well it is presented. "
        "When both results are right or both wrong, the response with fewer false steps wins.",
        "Use a calculator or a computer algebra system for every number that matters.",
    ),
    "creative writing": (
        "An original text of the form, length, voice and subject asked for, with vivid and coherent language.",
        "First check the form, length and subject that were asked for: a text that misses them loses. Then prefer "
        "the more original and coherent text over the more ornate one.",
        "Search for a striking passage when it seems to be taken from elsewhere.",
    ),
    "reasoning": (
        "A conclusion that follows from what is given, with the steps that lead to it.",
        "Work out the conclusion yourself first. A conclusion that does not follow loses; between two right ones, "
        "the response whose steps all hold wins.",
        "Write the premises down and check each step against them with a tool of your choice.",
    ),
    "planning": (
        "A complete plan that respects every stated constraint, in an order that can be carried out.",
        "List the constraints of the request (time, money, people, order) and count those that each plan breaks. "
        "The plan that breaks fewer wins; then the one that leaves fewer steps open.",
        "Look up opening times, distances and prices that the plan relies on.",
    ),
    "data analysis": (
        "Statements about the data that are right, say what was computed, and do not claim more than the data show.",
        "Recompute the figure that matters most from the data given. A wrong figure or a conclusion the data do not "
        "support loses.",
        "Recompute the figures with a spreadsheet or a script.",
    ),
    "editing": (
        "The given text changed as asked and no further, with its meaning kept.",
        "Compare each response with the original: a changed meaning, a lost fact or an edit nobody asked for counts "
        "against it. Then prefer the one that does more of what was asked.",
        "Use a comparison tool to see every change.",
    ),
    "role playing": (
        "The character's voice and knowledge kept throughout, with a reply that carries the scene on.",
        "A response that leaves the role, or knows what the character cannot know, loses. Then prefer the one that "
        "gives the other side more to answer.",
        "Look the character up when it is a known one.",
    ),
    "brainstorming": (
        "Several ideas that differ from each other, fit the request and can be used.",
        "Count the distinct ideas that fit the request; rephrased ones count once. More usable ideas win, and "
        "originality decides between equal numbers.",
        "Search for an idea when it is claimed to be new.",
    ),
    "other": (
        "Does what the person asks for, clearly and completely.",
        "Say in one sentence what the person wants, and prefer the response that comes closer to it.",
        "Look up whatever you cannot judge from the text alone.",
    ),
}

OBJECTIVITY_TEXT: dict[str, tuple[str, str]] = {
    "objective": (
        "Correctness comes before style.",
        "There is a right answer here: decide by correctness first and let style, tone and length decide nothing "
        "unless both are equally right.",
    ),
    "subjective": (
        "Fits the taste and needs that the request lets one see.",
        "There is no single right answer here: decide by how well each response serves this person's request, "
        "not by whether you share its opinion.",
    ),
}

CONTROVERSIALITY_TEXT: dict[str, tuple[str, str]] = {
    "low": ("", ""),
    "medium": (
        "Says where opinions or circumstances differ.",
        "People may differ on this subject: a response that hides a serious limit or another common view is worse "
        "for it.",
    ),
    "high": (
        "Fair to those who think otherwise, and of no help to anyone who means harm.",
        "This subject divides people or can do harm: prefer the response that is fair and safe without preaching, "
        "and judge neither by your own convictions. Real help towards serious harm loses to a refusal; refusing "
        "a harmless request loses to answering it.",
    ),
}

CLOSING = (
    "Length is no merit in itself, and neither is formatting.",
    "Choose a tie only when both serve equally well, and say undecided when you cannot tell.",
)

CONSTRAINT_TEXT = "Keeps what the request fixes: {constraints}."


def desired_attributes(category: str, objectivity: str, controversiality: str, constraints: Iterable[str] = ()) -> str:
    """What the user would want of a good answer, as one paragraph.

    Args:
        category, objectivity, controversiality: values of `assets.contracts`.
        constraints: what the request fixes, such as "length" or "format".
    """
    fixed = ", ".join(constraints)
    parts = (
        CATEGORIES[category][0],
        CONSTRAINT_TEXT.format(constraints=fixed) if fixed else "",
        OBJECTIVITY_TEXT[objectivity][0],
        CONTROVERSIALITY_TEXT[controversiality][0],
    )
    return " ".join(filter(None, parts))


def annotation_guideline(category: str, objectivity: str, controversiality: str, *, tools: bool = True) -> str:
    """How to decide a pair, as one paragraph.

    Args:
        category, objectivity, controversiality: values of `assets.contracts`.
        tools: with the sentence on tools, which people get and judges do not (paper, human-guided annotation).
    """
    _, decide, with_tools = CATEGORIES[category]
    parts = (
        decide,
        with_tools if tools else "",
        OBJECTIVITY_TEXT[objectivity][1],
        CONTROVERSIALITY_TEXT[controversiality][1],
        *CLOSING,
    )
    return " ".join(filter(None, parts))


def without_tools(guideline: str) -> str:
    """A guideline, edited by people or not, without the sentences on tools: as a judge gets it.

    >>> without_tools("Run both programs before judging. Prefer what works.")
    'Prefer what works.'
    """
    for _, _, sentence in CATEGORIES.values():
        guideline = guideline.replace(sentence, "")
    return " ".join(guideline.split())


def guideline_version() -> str:
    """Hash of every text above, eight hex digits."""
    texts = chain.from_iterable([name, *map(str, values)] for name, values in _all_texts())
    return digest("guidelines", *texts)[:8]


def _all_texts() -> Iterable[tuple[str, Iterable[str]]]:
    yield from ((name, CATEGORIES[name]) for name in TASK_CATEGORIES)
    yield from ((name, OBJECTIVITY_TEXT[name]) for name in OBJECTIVITY)
    yield from ((name, CONTROVERSIALITY_TEXT[name]) for name in CONTROVERSIALITY)
    yield "closing", (*CLOSING, CONSTRAINT_TEXT)
