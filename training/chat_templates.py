"""Chat templates: a conversation as the text that a model's own template makes of it, in a sandbox, the same every day.

The template is taken as it is: no system prompt is added to it or taken away, Qwen3's empty think block stays, and the
score is read at the last token it writes. Anybody who applies the same template then scores the same tokens.
What each family's template does, and where its score is read:

| family | begins with | before the reply | after the reply | the score is read at |
|---|---|---|---|---|
| Llama-3.1, Llama-3.2 | BOS, a system turn with a date | role header, blank line | `<|eot_id|>` | `<|eot_id|>` |
| Qwen3 | | role line, empty think block | `<|im_end|>`, line break | the line break |
| SmolLM2, other ChatML | a system turn of its own (SmolLM2) | role line | `<|im_end|>`, line break | the line break |
| Gemma-3 | BOS | role line | `<end_of_turn>`, line break | the line break |
| ours (`training.byte_level`) | | role line | `<|im_end|>` | `<|im_end|>` |
| a template that closes no turn | | | | the reply's own last token |

`TemplateTokeniser.describe` measures this on the tokenizer at hand; the table is for people.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import jinja2
from jinja2 import nodes
from jinja2.ext import Extension, loopcontrols
from jinja2.parser import Parser
from jinja2.sandbox import ImmutableSandboxedEnvironment

from assets.errors import SynprefError
from assets.identity import Turn, storable

FROZEN_DATE = "26 Jul 2024"
"""What a template that asks for today's date is told: Llama-3.1's own default. Tokens must not depend on the day."""
_FREEZE = "{%- macro strftime_now(format) -%}" + FROZEN_DATE + "{%- endmacro -%}"


class TemplateRefusedError(SynprefError):
    """A chat template cannot render a conversation, e.g. two user turns in a row."""


class _GenerationTag(Extension):
    """`{% generation %}` marks replies for those who mask prompts; it changes no text."""

    # As jinja declares it.
    tags = {"generation"}  # noqa: RUF012

    def parse(self, parser: Parser) -> nodes.Node | list[nodes.Node]:
        """Keep what stands between the marks."""
        next(parser.stream)
        return parser.parse_statements(("name:endgeneration",), drop_needle=True)


def freeze_date(template: str) -> str:
    """The template with today's date replaced by a fixed one; freezing twice changes nothing.

    A macro in front hides the function of that name, so that the frozen template renders the same everywhere.
    """
    return template if "strftime_now" not in template or template.startswith(_FREEZE) else _FREEZE + template


class ChatTemplate:
    """A compiled template.

    Args:
        template: Jinja source; its date is frozen.
        special_tokens: names that templates use (`bos_token`, `eos_token` ...) to their text.

    Raises:
        jinja2.TemplateSyntaxError: the source is no template.
    """

    def __init__(self, template: str, special_tokens: Mapping[str, str]) -> None:
        # The options and functions are those that transformers gives to chat templates.
        environment = ImmutableSandboxedEnvironment(
            trim_blocks=True, lstrip_blocks=True, extensions=[_GenerationTag, loopcontrols]
        )
        environment.filters["tojson"] = _to_json
        environment.globals["raise_exception"] = _refuse
        self.source = freeze_date(template)
        self._special_tokens = dict(special_tokens)
        self._template = environment.from_string(self.source)

    def render(self, turns: Sequence[Turn], *, open_reply: bool) -> str:
        """The conversation as text; `open_reply` ends it where the assistant's reply would begin.

        Lone surrogates, which no tokenizer takes, become U+FFFD.

        Raises:
            TemplateRefusedError: the template cannot render this conversation.
        """
        messages = [{"role": role, "content": storable(content)} for role, content in turns]
        try:
            text = self._template.render(
                messages=messages, tools=None, documents=None, add_generation_prompt=open_reply, **self._special_tokens
            )
        except (jinja2.TemplateError, ArithmeticError, LookupError, TypeError, ValueError, RecursionError) as error:
            beginning = turns[0][1][:80] if turns else ""
            raise TemplateRefusedError(
                f"The model's chat template refuses a conversation: {error}.",
                where=f"roles {[role for role, _ in turns[:8]]}, beginning {beginning!r}",
                todo="leave such pairs out of the selection",
            ) from error
        return without_doubled_bos(text, self._special_tokens.get("bos_token", ""))


def without_doubled_bos(text: str, bos: str) -> str:
    """The text with one BOS at its beginning where there were several.

    >>> without_doubled_bos("<s><s>Hi", "<s>"), without_doubled_bos("Hi", "<s>")
    ('<s>Hi', 'Hi')
    """
    while bos and text.startswith(bos + bos):
        text = text[len(bos) :]
    return text


def _to_json(value: Any, ensure_ascii: bool = False, indent: int | None = None, **options: Any) -> str:
    """Jinja's own filter escapes HTML characters."""
    return json.dumps(value, ensure_ascii=ensure_ascii, indent=indent, **options)


def _refuse(message: str) -> None:
    raise jinja2.TemplateError(message)
