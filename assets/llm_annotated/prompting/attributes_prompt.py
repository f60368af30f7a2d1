"""Attributes prompt: one conversation in, the 5-tuple asked for as JSON, and what makes an answer usable."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from assets.contracts import CONTROVERSIALITY, OBJECTIVITY, TASK_CATEGORIES
from assets.llm_annotated.prompting.data_blocks import block, draw_delimiter, showable
from assets.llm_annotated.prompting.injection import signs_in
from assets.llm_annotated.prompting.reading import ReplyProblem, read_object
from assets.llm_annotated.prompting.texts import load_texts

_CHOICES = {"task_category": TASK_CATEGORIES, "objectivity": OBJECTIVITY, "controversiality": CONTROVERSIALITY}
_FREE = ("desired_attributes", "annotation_guideline")
FIELDS = (*_CHOICES, *_FREE)
MAX_CHARS = 4_000
"""Of a free text; a longer one is not usable."""

_OF_SIDES = frozenset({"names_a_winner", "states_a_verdict", "fakes_a_boundary", "opens_a_turn"})
_ROLES = frozenset({"system", "user", "assistant", "tool"})

SCHEMA: Mapping = {
    "type": "object",
    "properties": {name: {"type": "string", "enum": list(values)} for name, values in _CHOICES.items()}
    | {name: {"type": "string"} for name in _FREE},
    "required": list(FIELDS),
    "additionalProperties": False,
}
"""What the answer must conform to. Lengths are left out: servers that keep to a schema strictly know none."""


def prompt_version() -> str:
    """Version and hash of the prompt's texts."""
    return load_texts("attributes").name


def attributes_prompt(prompt_id: str, turns: Sequence[tuple[str, str]], *, seed: int) -> tuple[dict[str, str], ...]:
    """The messages that ask for the attributes of one conversation."""
    texts = load_texts("attributes").sections
    data = [(role if role in _ROLES else "turn", showable(content)) for role, content in turns]
    delimiter = draw_delimiter([text.lower() for _, text in data], seed, "attributes", prompt_id)
    blocks = [block(role, delimiter, text) for role, text in data]
    user = [texts["Conversation"].replace("{delimiter}", delimiter), "\n".join(blocks), texts["Closing"]]
    return (
        {"role": "system", "content": "\n\n".join([texts["Task"], texts["Fields"]])},
        {"role": "user", "content": "\n\n".join(user)},
    )


def repair_prompt(
    messages: Sequence[Mapping[str, str]], reply: str, problem: ReplyProblem
) -> tuple[Mapping[str, str], ...]:
    """The messages that show a model its unusable answer and what is wrong with it."""
    asked = load_texts("attributes").sections["Repair"].replace("{problem}", problem.what)
    return (*messages, {"role": "assistant", "content": showable(reply)}, {"role": "user", "content": asked})


def read_attributes(reply: str) -> dict[str, str]:
    """The five fields of an answer.

    Raises:
        ReplyProblem: it cannot be used; the message is for the model, the reason for the count.
    """
    found = read_object(reply)
    if missing := [name for name in FIELDS if name not in found]:
        raise ReplyProblem("missing_field", f"it lacks the field {missing[0]}.")
    if len(found) > len(FIELDS):
        raise ReplyProblem("unknown_field", f"it has fields other than {', '.join(FIELDS)}.")
    for name, values in _CHOICES.items():
        if found[name] not in values:
            raise ReplyProblem("unknown_value", f"{name} must be one of: {', '.join(values)}.")
    texts = {}
    for name in _FREE:
        value = found[name]
        if not isinstance(value, str) or not value.strip():
            raise ReplyProblem("empty_field", f"{name} must be a text that says something.")
        if len(value) > MAX_CHARS:
            raise ReplyProblem("long_field", f"{name} has more than {MAX_CHARS} characters.")
        texts[name] = showable_text(value)
    # The writer saw no responses. What a request says of sides comes from it, and must not reach judges as a rule.
    if any(_OF_SIDES.intersection(signs) for signs in signs_in(texts.values())):
        raise ReplyProblem("names_a_side", "it must not name a response or state a verdict: you were shown none.")
    return {name: found[name] for name in _CHOICES} | texts


def showable_text(value: str) -> str:
    """A free text as it is stored: what neither a file nor a database can hold is replaced, outer white space goes."""
    return showable(value).strip()
