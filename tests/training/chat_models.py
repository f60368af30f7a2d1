"""Small tokenizers and chat templates with the structures that families of models have, written for these tests."""

from __future__ import annotations

from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

TEXTS = [
    "the river is long and the stone is grey",
    "assistant user model system",
    "yes\n\nno\n\n\nnever",
    "  two  spaces 12 and 345",
] * 4

LINES = (
    "{% for m in messages %}{{ '<|im_start|>' + m.role + '\\n' + m.content + '<|im_end|>\\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
)
DATED = (
    "{{- bos_token }}{{- '<|start_header_id|>system<|end_header_id|>\\n\\nToday is ' + strftime_now('%d %b %Y')"
    " + '<|eot_id|>' }}{% for m in messages %}{{ '<|start_header_id|>' + m.role + '<|end_header_id|>\\n\\n'"
    " + m.content | trim + '<|eot_id|>' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|start_header_id|>assistant<|end_header_id|>\\n\\n' }}{% endif %}"
)
THINKING = (
    "{% for m in messages %}{{ '<|im_start|>' + m.role + '\\n' }}"
    "{% if m.role == 'assistant' and loop.last and '</think>' not in m.content %}{{ '<think>\\n\\n</think>\\n\\n' }}"
    "{% endif %}{{ m.content + '<|im_end|>\\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
)
TURNS = (
    "{{ bos_token }}{% for m in messages %}{% if (m.role == 'user') != (loop.index0 % 2 == 0) %}"
    "{{ raise_exception('roles must alternate') }}{% endif %}"
    "{{ '<start_of_turn>' + ('model' if m.role == 'assistant' else m.role) + '\\n' + m.content | trim"
    " + '<end_of_turn>\\n' }}{% endfor %}{% if add_generation_prompt %}{{ '<start_of_turn>model\\n' }}{% endif %}"
)
# Writes the system turn into the last turn where that is the user's: answered, the prompt looks different.
LAST_TURN = (
    "{{ bos_token }}{% for m in messages %}{% if m.role == 'user' %}{{ '[INST]' }}"
    "{% if loop.last and messages[0].role == 'system' %}{{ messages[0].content + '\\n' }}{% endif %}"
    "{{ m.content + '[/INST]' }}{% elif m.role == 'assistant' %}{{ m.content + eos_token }}{% endif %}{% endfor %}"
)
PLAIN = (
    "{% for m in messages %}{{ m.role + ': ' + m.content + '\\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ 'assistant: ' }}{% endif %}"
)
# name: template, special tokens, other added tokens, named tokens, text of the token that carries the score.
FAMILIES = {
    "lines": (LINES, ["<|pad|>", "<|im_start|>", "<|im_end|>"], [], {"pad_token": "<|pad|>"}, "\u010a"),
    "dated": (
        DATED,
        ["<s>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>", "<|reserved_0|>"],
        [],
        {"bos_token": "<s>", "eos_token": "<|eot_id|>"},
        "<|eot_id|>",
    ),
    "thinking": (
        THINKING,
        ["<|endoftext|>", "<|im_start|>", "<|im_end|>"],
        ["<think>", "</think>"],
        {"pad_token": "<|endoftext|>", "eos_token": "<|im_end|>"},
        "\u010a",
    ),
    "turns": (
        TURNS,
        ["<pad>", "<bos>", "<start_of_turn>", "<end_of_turn>"],
        [],
        {"bos_token": "<bos>", "pad_token": "<pad>", "eos_token": "<end_of_turn>"},
        "\u010a",
    ),
    "last_turn": (
        LAST_TURN,
        ["<unk>", "<s>", "</s>", "[INST]", "[/INST]"],
        [],
        {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>"},
        "</s>",
    ),
    "plain": (PLAIN, ["<|end|>"], [], {"eos_token": "<|end|>"}, "\u010a"),
}


def hf_tokenizer(family: str, **changes) -> PreTrainedTokenizerFast:
    template, special, added, named, _ = FAMILIES[family]
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=340,
        special_tokens=special,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(TEXTS, trainer)
    tokenizer.add_tokens([AddedToken(text, special=False, normalized=False) for text in added])
    made = PreTrainedTokenizerFast(tokenizer_object=tokenizer, **{**named, **changes})
    made.chat_template = template
    return made
