"""Template tokeniser: a model's own tokenizer and chat template, without transformers, so that a worker starts fast."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer
from tokenizers import __version__ as tokenizers_version

from assets.errors import ConfigError
from assets.identity import Turn
from training.chat_templates import FROZEN_DATE, ChatTemplate, freeze_date
from training.tokenising import PROBE_REPLY, PROBE_TURNS, Splitter

RULES_VERSION = "1"
"""Of rendering, cutting and tokenising together; whatever changes a token changes it."""
# Marks of added tokens that no text holds, best first; a padding token is taken from them where there is none.
_UNUSED_MARKS = ("pad", "reserved", "unused")
# What decides the ids of a text to which no token is added. The rest (padding, post-processing) differs between a
# base model's tokenizer and the same one saved with a trained model, which shall share their tokens.
_DECIDING = ("added_tokens", "normalizer", "pre_tokenizer", "model")


@dataclass(frozen=True)
class TokeniserSource:
    """All that tokenising needs, as text.

    Attributes:
        tokenizer: the tokenizers library's JSON.
        template: Jinja source.
        special_tokens: those that the template names.
    """

    tokenizer: str
    template: str
    special_tokens: tuple[tuple[str, str], ...]

    @cached_property
    def fingerprint(self) -> str:
        """16 hex digits; the same for all sizes of a family and for the models trained from them."""
        tokenizer = json.loads(self.tokenizer)
        parts = [RULES_VERSION, tokenizers_version, self.template, self.special_tokens]
        parts += [tokenizer.get(name) for name in _DECIDING]
        return hashlib.blake2b(json.dumps(parts, sort_keys=True).encode(), digest_size=8).hexdigest()


class TemplateTokeniser:
    """Implements `training.tokenising.ChatTokeniser`.

    The chat template writes BOS where the model wants one, and no token is added to rendered text, so BOS is never
    doubled. The text of a special token inside a turn becomes that token, as it does wherever the same template and
    tokenizer are used: a score would otherwise differ between us, transformers and vLLM. Such texts are counted.
    """

    def __init__(self, source: TokeniserSource) -> None:
        self.source = source
        self._tokenizer = Tokenizer.from_str(source.tokenizer)
        self._tokenizer.no_truncation()
        self._tokenizer.no_padding()
        self._template = ChatTemplate(source.template, dict(source.special_tokens))
        added = self._tokenizer.get_added_tokens_decoder()
        self.added_tokens = tuple(token.content for token in added.values() if token.content)
        self.vocabulary_size = 1 + max([*self._tokenizer.get_vocab().values(), *added])
        self.is_special: NDArray[np.bool_] = np.zeros(self.vocabulary_size, dtype=bool)
        self.is_special[[number for number, token in added.items() if token.special]] = True

    def render(self, turns: Sequence[Turn], *, open_reply: bool) -> str:
        """See `ChatTokeniser`.

        Raises:
            TemplateRefusedError: the template cannot render this conversation.
        """
        return self._template.render(turns, open_reply=open_reply)

    def token_ids(self, texts: Sequence[str]) -> list[list[int]]:
        """See `ChatTokeniser`."""
        return [found.ids for found in self._tokenizer.encode_batch_fast(list(texts), add_special_tokens=False)]

    def score_token(self) -> int | None:
        """Id of the token that carries every score: the last that the template writes after a reply. None where it
        writes nothing and the reply's own last token carries it."""
        splitter = Splitter(self)
        texts = [splitter.whole(PROBE_TURNS, reply) for reply in (PROBE_REPLY, "7")]
        lasts = {ids[-1] for ids in self.token_ids(texts)}
        return lasts.pop() if len(lasts) == 1 else None

    def describe(self) -> dict[str, Any]:
        """What decides the tokens, for the cache's manifest and the model's `scorer.json`.

        `reply_opening` and `reply_closing` are what stands between the shared prompt and a reply, an empty think
        block included, and after it.
        """
        splitter = Splitter(self)
        prompt, (reply,) = splitter.split(splitter.prompt(PROBE_TURNS), PROBE_TURNS, PROBE_REPLY)
        opening, _, closing = reply.rpartition(PROBE_REPLY)
        token = self.score_token()
        return {
            "rules_version": RULES_VERSION,
            "tokeniser_fingerprint": self.source.fingerprint,
            "template_sha256": hashlib.sha256(self.source.template.encode()).hexdigest(),
            "date": FROZEN_DATE if "strftime_now" in self.source.template else None,
            "prompt_example": prompt,
            "reply_opening": opening,
            "reply_closing": closing,
            "score_token": None if token is None else self._tokenizer.id_to_token(token),
            "score_token_id": token,
            "parts_are_exact": splitter.exact,
            "special_text": "read as the token, counted",
        }


def template_tokeniser(tokenizer: Any) -> TemplateTokeniser:
    """A tokenizer of transformers as ours; its template is frozen in date and its padding token is set where needed.

    Raises:
        ConfigError: it has no chat template, is no fast tokenizer, or has no token to pad with.
    """
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if not isinstance(backend, Tokenizer):
        raise ConfigError(
            f"{type(tokenizer).__name__} is no tokenizer of the tokenizers library.",
            where=tokenizer.name_or_path,
            todo="use a model that ships tokenizer.json",
        )
    if not tokenizer.chat_template:
        raise ConfigError(
            "The model's tokenizer has no chat template.", where=tokenizer.name_or_path, todo="use a chat model"
        )
    template = freeze_date(tokenizer.get_chat_template())
    named = {name: str(text) for name, text in tokenizer.special_tokens_map.items() if isinstance(text, str)}
    used = tuple(sorted((name, text) for name, text in named.items() if name in template))
    made = TemplateTokeniser(TokeniserSource(backend.to_str(), template, used))
    tokenizer.chat_template = template
    _set_padding(tokenizer, made)
    return made


def _set_padding(tokenizer: Any, made: TemplateTokeniser) -> None:
    """Pad with a token that carries no score.

    Transformers finds a sequence's end by comparing with the padding id: padded with the token that carries the
    score, as is usual for models without one, it would read the score one token too early. Taken is the tokenizer's
    own padding token, else one that no text holds (Llama's reserved tokens), else EOS, else UNK.
    """
    score = made.score_token()
    by_text = tokenizer.get_vocab()
    unused = [token for mark in _UNUSED_MARKS for token in made.added_tokens if mark in token.lower()]
    for token in (tokenizer.pad_token, *unused, tokenizer.eos_token, tokenizer.unk_token):
        if token is not None and by_text.get(token) not in (None, score):
            tokenizer.pad_token = token
            return
    raise ConfigError(
        "The tokenizer has no token to pad with but the one that carries the score.",
        where=tokenizer.name_or_path,
        todo="give the tokenizer a padding token of its own",
    )


def run_on_one_thread() -> None:
    """Keep the tokenizers library from starting threads, in a process that is one of many; call it before all else."""
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
