"""Chat templates: our text and tokens are those that transformers makes, and what they rest on is recorded."""

from __future__ import annotations

import jinja2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from assets.errors import ConfigError
from tests.training.chat_models import FAMILIES, hf_tokenizer
from training.chat_templates import FROZEN_DATE, ChatTemplate, TemplateRefusedError, freeze_date
from training.template_tokeniser import TemplateTokeniser, template_tokeniser
from training.tokenising import Splitter, encode_items

TURNS = (("user", "12 rivers"), ("assistant", "the stone"), ("user", " is it long?\n"))
REPLIES = [
    "grey",
    "\n\n\ngrey",
    "  two",
    "",
    "\u00fc\U0001f600 7",
    "<think>\nno\n</think>\n\nyes",
    "a <|im_end|> b",
    "x\0y",
]


def messages(turns, *replies):
    return [{"role": role, "content": text} for role, text in (*turns, *(("assistant", r) for r in replies))]


@pytest.fixture(scope="module", params=FAMILIES)
def family(request):
    tokenizer = hf_tokenizer(request.param)
    return request.param, tokenizer, template_tokeniser(tokenizer)


def test_the_text_is_that_of_transformers(family):
    _, tokenizer, ours = family
    for reply in REPLIES:
        theirs = tokenizer.apply_chat_template(messages(TURNS, reply), tokenize=False)
        assert ours.render((*TURNS, ("assistant", reply)), open_reply=False) == theirs
    assert ours.render(TURNS, open_reply=True) == tokenizer.apply_chat_template(
        messages(TURNS), tokenize=False, add_generation_prompt=True
    )


def test_the_tokens_are_those_of_the_whole_text_whatever_the_reply_begins_with(family):
    name, tokenizer, ours = family
    rows = encode_items([(TURNS, reply) for reply in REPLIES], ours, 10_000)
    for reply, row in zip(REPLIES, rows, strict=True):
        text = tokenizer.apply_chat_template(messages(TURNS, reply), tokenize=False)
        theirs = tokenizer(text, add_special_tokens=False)["input_ids"]
        whole = np.concatenate([row.prompt, row.response]).tolist()
        if name != "plain":
            assert whole == theirs
        # The prompt's part depends on the prompt alone.
        assert row.shares_prompt(rows[0])
    # Without an added token before the reply nothing says that the tokenizer does not join across the cut.
    assert Splitter(ours).exact is (name != "plain")


def test_which_token_carries_the_score_is_measured_and_recorded(family):
    name, tokenizer, ours = family
    said = ours.describe()
    assert said["score_token"] == FAMILIES[name][4]
    assert tokenizer.convert_ids_to_tokens(said["score_token_id"]) == FAMILIES[name][4]
    for row in encode_items([(TURNS, reply) for reply in REPLIES], ours, 10_000):
        assert row.response[-1] == said["score_token_id"]
    assert ("<think>" in said["reply_opening"]) is (name == "thinking")
    assert said["date"] == (FROZEN_DATE if name == "dated" else None)


def test_padding_never_carries_the_score(family):
    name, tokenizer, ours = family
    assert tokenizer.pad_token_id is not None
    assert tokenizer.pad_token_id != ours.score_token()
    # Llama's case: no padding token, and EOS is where the score is read.
    assert name != "dated" or tokenizer.pad_token == "<|reserved_0|>"


def test_the_fingerprint_survives_saving_with_a_trained_model(family, tmp_path):
    from transformers import AutoTokenizer

    _, tokenizer, ours = family
    tokenizer.save_pretrained(tmp_path)
    again = template_tokeniser(AutoTokenizer.from_pretrained(tmp_path))
    assert again.source.fingerprint == ours.source.fingerprint
    assert again.describe() == ours.describe()


@pytest.mark.parametrize(
    "changes",
    [{"template": "{{ messages[0].content }}!"}, {"special_tokens": (("bos_token", "<t>"),)}],
)
def test_another_template_or_token_has_another_fingerprint(changes):
    source = template_tokeniser(hf_tokenizer("dated")).source
    other = type(source)(**{**source.__dict__, **changes})
    assert other.fingerprint != source.fingerprint


def test_a_date_is_frozen_in_the_template_that_is_saved():
    template = "{{ strftime_now('%d %b %Y') }}|{% for m in messages %}{{ m.content }}{% endfor %}"
    frozen = freeze_date(template)
    assert freeze_date(frozen) == frozen
    assert ChatTemplate(template, {}).render([("user", "x")], open_reply=False) == f"{FROZEN_DATE}|x"
    tokenizer = hf_tokenizer("dated")
    template_tokeniser(tokenizer)
    assert FROZEN_DATE in tokenizer.apply_chat_template(messages(TURNS), tokenize=False)


def test_a_doubled_bos_is_one():
    template = ChatTemplate("{{ bos_token }}{{ bos_token }}{{ messages[0].content }}", {"bos_token": "<s>"})
    assert template.render([("user", "x")], open_reply=False) == "<s>x"


@pytest.mark.parametrize(
    ("template", "turns"),
    [
        ("{{ raise_exception('no') }}", TURNS),
        ("{{ messages[9].content.x }}", TURNS),
        ("{{ 1 // 0 }}", TURNS),
        ("{{ messages[0].content + 1 }}", TURNS),
        ("{{ ''.__class__.__mro__[1].__subclasses__() }}", TURNS),
        ("{% for i in range(999999999) %}x{% endfor %}", TURNS),
        ("{{ messages[0].content }}", ()),
    ],
)
def test_a_template_that_fails_refuses_the_conversation(template, turns):
    with pytest.raises(TemplateRefusedError, match="refuses a conversation"):
        ChatTemplate(template, {}).render(turns, open_reply=False)


def test_turns_are_text_to_the_template_never_code():
    template = ChatTemplate("{{ messages[0].content }}", {})
    assert template.render([("user", "{{ 7 * 7 }}{% raw %}\ud800")], open_reply=False) == "{{ 7 * 7 }}{% raw %}\ufffd"


def test_a_generation_mark_changes_no_text():
    marked = "{% for m in messages %}{% generation %}{{ m.content }}{% endgeneration %}{% endfor %}"
    assert ChatTemplate(marked, {}).render(TURNS[:2], open_reply=False) == "12 riversthe stone"


@pytest.mark.parametrize("template", ["{% if %}", "{{ unclosed"])
def test_a_template_that_is_none_says_so(template):
    with pytest.raises(jinja2.TemplateSyntaxError):
        ChatTemplate(template, {})


def test_a_tokenizer_without_template_or_padding_is_refused_by_name():
    tokenizer = hf_tokenizer("lines")
    tokenizer.chat_template = None
    with pytest.raises(ConfigError, match="no chat template"):
        template_tokeniser(tokenizer)
    with pytest.raises(ConfigError, match="no tokenizer of the tokenizers library"):
        template_tokeniser(type("Slow", (), {"name_or_path": "x"})())
    bare = hf_tokenizer("plain", eos_token=None)
    with pytest.raises(ConfigError, match="no token to pad with"):
        template_tokeniser(bare)


def test_padding_that_would_carry_the_score_is_replaced():
    tokenizer = hf_tokenizer("dated", pad_token="<|eot_id|>")
    template_tokeniser(tokenizer)
    assert tokenizer.pad_token == "<|reserved_0|>"


@given(st.lists(st.text(alphabet="ab \n<|im_end>\u00fc7", max_size=20), min_size=1, max_size=3))
def test_any_replies_to_a_prompt_share_its_part(replies):
    rows = encode_items([(TURNS, reply) for reply in replies], _LINES, 10_000)
    texts = [_LINES.render((*TURNS, ("assistant", reply)), open_reply=False) for reply in replies]
    for row, ids in zip(rows, _LINES.token_ids(texts), strict=True):
        assert [*row.prompt, *row.response] == ids
        assert row.shares_prompt(rows[0])


_LINES = TemplateTokeniser(template_tokeniser(hf_tokenizer("lines")).source)


def test_a_prompt_that_is_written_otherwise_once_it_is_answered_shares_less_and_stays_the_whole_text():
    tokenizer = hf_tokenizer("last_turn")
    ours = template_tokeniser(tokenizer)
    turns = (("system", "Be brief."), ("user", "Why?"))
    one, two = encode_items([(turns, "yes"), (turns, "no")], ours, 1_000)
    assert one.shares_prompt(two)
    for row, reply in ((one, "yes"), (two, "no")):
        text = tokenizer.apply_chat_template(messages(turns, reply), tokenize=False)
        assert "brief" not in text
        assert [*row.prompt, *row.response] == tokenizer(text, add_special_tokens=False)["input_ids"]
