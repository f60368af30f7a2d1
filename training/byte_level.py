"""A byte-level BPE tokenizer made from the training text, with a chat template of its own.

It is saved in the layout that transformers' AutoTokenizer reads, but needs only `tokenizers` and jinja2.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path

from jinja2.sandbox import ImmutableSandboxedEnvironment
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

from assets.identity import Turn

PAD, OPEN, CLOSE = "<|pad|>", "<|im_start|>", "<|im_end|>"
CHAT_TEMPLATE = (
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
)
"""ChatML's marks without the line break after a turn, so that a response's last token is its end mark."""


class ByteLevelTokeniser:
    """Implements `training.tokenising.ChatTokeniser`."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer
        environment = ImmutableSandboxedEnvironment(autoescape=False)
        self._template = environment.from_string(CHAT_TEMPLATE)

    @classmethod
    def train(cls, texts: Iterable[str], vocabulary_size: int) -> ByteLevelTokeniser:
        """Learn merges from texts; the same texts in the same order give the same tokenizer."""
        tokenizer = Tokenizer(models.BPE())
        # Digits one by one: a number is then the same tokens wherever it stands.
        tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
            [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
        )
        tokenizer.decoder = decoders.ByteLevel()
        trainer = trainers.BpeTrainer(
            vocab_size=vocabulary_size,
            min_frequency=2,
            special_tokens=[PAD, OPEN, CLOSE],
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
            show_progress=False,
        )
        tokenizer.train_from_iterator(texts, trainer)
        return cls(tokenizer)

    @classmethod
    def load(cls, folder: Path) -> ByteLevelTokeniser:
        """Inverse of `save`."""
        return cls(Tokenizer.from_file(str(folder / "tokenizer.json")))

    def save(self, folder: Path, max_tokens: int) -> None:
        """Write `tokenizer.json`, `tokenizer_config.json` and `chat_template.jinja`."""
        self._tokenizer.save(str(folder / "tokenizer.json"))
        config = {
            "tokenizer_class": "PreTrainedTokenizerFast",
            "pad_token": PAD,
            "eos_token": CLOSE,
            "model_max_length": max_tokens,
            "clean_up_tokenization_spaces": False,
        }
        (folder / "tokenizer_config.json").write_text(json.dumps(config, indent=1), "utf-8")
        (folder / "chat_template.jinja").write_text(CHAT_TEMPLATE, "utf-8")

    @property
    def vocabulary_size(self) -> int:
        """Ids in use; small texts give fewer than were asked for."""
        return self._tokenizer.get_vocab_size()

    @property
    def pad_id(self) -> int:
        """Id of the padding token."""
        return self._tokenizer.get_vocab()[PAD]

    @property
    def added_tokens(self) -> tuple[str, ...]:
        """See `ChatTokeniser`."""
        return PAD, OPEN, CLOSE

    def render(self, turns: Sequence[Turn], *, open_reply: bool) -> str:
        """See `ChatTokeniser`."""
        messages = [{"role": role, "content": content} for role, content in turns]
        return self._template.render(messages=messages, add_generation_prompt=open_reply)

    def token_ids(self, texts: Sequence[str]) -> list[list[int]]:
        """See `ChatTokeniser`."""
        return [e.ids for e in self._tokenizer.encode_batch_fast(list(texts), add_special_tokens=False)]
