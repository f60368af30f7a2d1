"""Quality signals: each signal finds what it is for and nothing else, and the table adds up with the pairs."""

import json
import sys

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assets.contracts import conform
from assets.errors import ConfigError
from assets.raw_pairs import optional_signals, quality_signals, quality_summary
from assets.raw_pairs.languages import detect_languages
from assets.raw_pairs.quality_signals import measure_signals, measure_source, prompt_texts
from assets.raw_pairs.quality_summary import summarise
from assets.raw_pairs.repetition import measure_repetition
from assets.raw_pairs.secrets_and_pii import KINDS, count_kind, count_secrets_and_pii, is_card_number
from assets.raw_pairs.text_patterns import markdown_density, num_encoding_faults, refusals
from assets.settings import QualitySettings, QualityThresholds
from assets.tables.contract import TURNS

CODE = """def add(numbers):
    total = 0
    for n in numbers:
        if n["kind"] == "int":
            total += n["value"];
    return {"total": total, "ok": [total > 0]}
"""


def strings(*texts):
    return pa.array(texts, pa.string())


def languages(*texts):
    return detect_languages(strings(*texts), 500)[0].to_pylist()


@pytest.mark.parametrize(
    ("language", "text"),
    [
        ("en", "The train to the coast leaves twenty minutes late today because of work on the line."),
        ("de", "Der Zug an die Küste fährt heute zwanzig Minuten später ab, weil die Strecke gesperrt ist."),
        ("fr", "Le train pour la côte partira avec vingt minutes de retard à cause de travaux."),
        ("pt", "O trem para o litoral vai sair com vinte minutos de atraso por causa das obras na linha."),
        ("ru", "Поезд на побережье сегодня отправится на двадцать минут позже из-за ремонта путей."),
        ("zh", "由于线路施工，今天开往海边的火车将晚点二十分钟出发。"),
        ("ja", "線路工事のため、今日の海岸行きの電車は二十分遅れて出発します。"),
        ("unknown", "42"),
        ("unknown", "B)"),
        ("unknown", ""),
        ("unknown", "Oh, that is easy!"),
        ("unknown", CODE),
        ("unknown", "```\nthe words in here are part of a program and are not looked at\n```"),
        ("unknown", "https://a.org/the/words/of/an/address ann.of.the.house@uni.edu"),
    ],
)
def test_languages(language, text):
    assert languages(text) == [language]


def test_only_the_beginning_of_a_text_tells_its_language():
    text = "The words at the beginning are in English, and there are enough of them. " + "Das Ende ist deutsch. " * 40
    assert detect_languages(strings(text), 70)[0].to_pylist() == ["en"]
    assert detect_languages(strings(text), 1_000)[0].to_pylist() == ["de"]


def test_characters_that_the_detector_refuses_cost_the_text_nothing():
    text = "The train \x00\x01 to the coast \ufffe leaves late \U0001f682 today because of work on the line."
    assert languages(text) == ["en"]


@settings(max_examples=50, deadline=None)
@given(st.lists(st.text(st.characters(exclude_categories=["Cs"])), max_size=8))
def test_any_text_can_be_measured(texts):
    signals = measure_signals(rows(*[(t, t, t[::-1]) for t in texts]), QualitySettings())
    assert len(conform(signals, "quality_signals")) == len(texts)
    for name in ("duplicate_line_rate_1", "top_3gram_rate_1", "duplicate_5gram_rate_1", "language_confidence_1"):
        assert all(0 <= value <= 1 for value in signals[name].to_pylist())


@pytest.mark.parametrize(
    ("text", "num_words", "lines", "top", "repeated"),
    [
        ("", 0, 0, 0, 0),
        (" \n\t ", 0, 0, 0, 0),
        ("each word stands here once", 5, 0, 0, 0),
        ("same line\nother\nsame line", 5, 8 / 21, 0, 0),
        # Lines are compared without white space, and an empty one repeats nothing.
        ("ab\n\n\n ab ", 2, 2 / 4, 0, 0),
        ("a b c x a b c", 7, 0, 6 / 7, 0),
        # 5-grams: the second "a b c d e" repeats, its first occurrence does not.
        ("a b c d e x a b c d e", 11, 0, 6 / 11, 5 / 11),
        # Overlapping occurrences count their words once.
        ("ha " * 10, 10, 0, 1, 9 / 10),
        ("今天今天", 4, 0, 0, 0),
    ],
)
def test_repetition(text, num_words, lines, top, repeated):
    found = measure_repetition(strings("before", text))
    assert found.num_words[1] == num_words
    measures = (found.duplicate_line_rate, found.top_3gram_rate, found.duplicate_5gram_rate)
    assert [m[1] for m in measures] == pytest.approx([lines, top, repeated])


@given(st.lists(st.text("ab \n", max_size=60), min_size=1, max_size=5))
@settings(max_examples=100, deadline=None)
def test_repetition_agrees_with_the_plain_definition(texts):
    found = measure_repetition(pa.array(texts, pa.string()))
    for at, text in enumerate(texts):
        words = text.split()
        size = sum(map(len, words))
        grams = [tuple(words[n : n + 5]) for n in range(len(words) - 4)]
        covered = {n + k for n, gram in enumerate(grams) if gram in grams[:n] for k in range(5)}
        lines = ["".join(line.split()) for line in text.split("\n")]
        again = sum(len(line) for n, line in enumerate(lines) if line in lines[:n])
        assert found.num_words[at] == len(words)
        assert found.duplicate_5gram_rate[at] == pytest.approx(sum(len(words[n]) for n in covered) / max(1, size))
        assert found.duplicate_line_rate[at] == pytest.approx(again / max(1, size))


def test_repetition_reads_a_slice_of_a_longer_array():
    whole = strings("x x x x x x", "a b c", "d e")
    assert measure_repetition(whole.slice(1)).num_words.tolist() == [3, 2]


@pytest.mark.parametrize(
    ("text", "num_elements"),
    [
        ("# One\ntext\n### Two", 2),
        ("#hashtag and a # b", 0),
        ("- a\n* b\n  + c\n1. d\n2) e", 5),
        ("-5 degrees, 3.14 and a - b", 0),
        ("**bold** and __bold__, 2 ** 3", 2),
        ("```python\nx = 1\n```", 2),
        ("- **x**", 2),
    ],
)
def test_markdown(text, num_elements):
    assert markdown_density(strings(text))[0] * len(text) / 1_000 == pytest.approx(num_elements)


@pytest.mark.parametrize(
    ("text", "num_faults"),
    [
        ("cafÃ© naÃ¯ve", 2),
        ("donâ€™t", 1),
        ("ï»¿begin", 1),
        ("ðŸ˜€", 1),
        ("lost \ufffd\ufffd", 2),
        ("bell \x07 and \x85", 2),
        ("tab\tnew\r\nline, café, NÃO, São, Ângela, naïve, €5 – “quoted”, 😀", 0),
    ],
)
def test_encoding_damage(text, num_faults):
    assert num_encoding_faults(strings(text)).tolist() == [num_faults]


@pytest.mark.parametrize(
    ("text", "refuses"),
    [
        ("I'm sorry, but I can't assist with that request.", True),
        ("I’m sorry, but as an AI language model I do not have opinions.", True),
        ("I cannot help with making weapons.", True),
        ("I am unable to open links.", True),
        ("As an AI language model, I don't have feelings.", True),
        ("Unfortunately I must decline.", True),
        ("I can help you with that!", False),
        ("He said he could not help it.", False),
        ("The store is sorry for the delay.", False),
        ("A long answer. " * 40 + "I'm sorry, but I can't help with more.", False),
    ],
)
def test_refusals(text, refuses):
    assert refusals(strings(text)).tolist() == [refuses]


FOUND = [
    ("num_secrets", "key AKIA" + "Q7RS2TU4VW6XY8ZA" + " in the log", 1),
    ("num_secrets", "AKIAIOSFODNN7EXAMPLE", 0),
    ("num_secrets", "token ghp_" + "a1B2" * 9, 1),
    ("num_secrets", "-----BEGIN RSA " + "PRIVATE KEY-----\nMIIE", 1),
    ("num_secrets", "-----BEGIN PUBLIC KEY-----", 0),
    ("num_secrets", "a risk-free sk-ill", 0),
    ("num_emails", "write to ann.lee@uni.edu, bob@firm.co.uk", 2),
    ("num_emails", "me@example.com or you@mail.example.org, @handle, a@b", 0),
    ("num_phones", "call +49 89 1234 5678 or (212) 555-0187", 2),
    ("num_phones", "555-010-2030", 1),
    ("num_phones", "born 12-03-1999, pages 100-200, 2+2=4", 0),
    ("num_ibans", "pay to DE89 3704 0044 0532 0130 00 now", 1),
    ("num_ibans", "DE88370400440532013000", 0),
    ("num_cards", "4111 1111 1111 1111 and 5500-0000-0000-0004", 2),
    ("num_cards", "1234567890123456, 4111111111111112", 0),
    ("num_cards", "4111111111111111", 1),
    ("num_cards", "0.4111111111111111 and x4111111111111111", 0),
    ("num_ips", "host 8.8.8.8 answers", 1),
    ("num_ips", "127.0.0.1, 192.168.1.1, 300.1.1.1, version 1.2.3", 0),
]


@pytest.mark.parametrize(("column", "text", "expected"), FOUND)
def test_secrets_and_pii(column, text, expected):
    (kind,) = [k for k in KINDS if k.column == column]
    assert count_kind(strings("nothing", text, ""), kind).tolist() == [0, expected, 0]


@given(st.text("0123456789", min_size=12, max_size=18))
def test_one_last_digit_of_ten_makes_a_card_number(digits):
    assert sum(is_card_number(f"4{digits}{last}"[:19]) for last in range(10)) in (1, 10, 0)
    if len(digits) < 18:
        assert sum(is_card_number(f"4{digits}{last}") for last in range(10)) == 1


def test_a_hostile_text_takes_no_longer_than_a_long_one():
    """Repetitions are bounded and RE2 is linear; with backtracking this would not come back."""
    texts = strings("a." * 200_000 + "@", "1 " * 200_000, "A1" * 200_000, "eyJ" * 100_000)
    assert all(counts.tolist() == [0, 0, 0, 0] for counts in count_secrets_and_pii(texts).values())


def rows(*triples):
    """Rows of `pairs` as far as the signals read them: (last turn, response 1, response 2)."""
    return pa.table(
        {
            "pair_id": strings(*(f"{n:032x}" for n in range(len(triples)))),
            "source": strings(*("s" for _ in triples)),
            "source_row": pa.array(range(len(triples)), pa.int64()),
            "prompt": pa.array([[{"role": "user", "content": t[0]}] for t in triples], TURNS),
            "response_1": strings(*(t[1] for t in triples)),
            "response_2": strings(*(t[2] for t in triples)),
        }
    )


def test_signals_stand_by_the_text_they_are_of():
    prompt = "What is the best way to travel from the city to the coast in summer?"
    german = "Am besten fährt man mit dem Zug, weil die Straßen im Sommer sehr voll sind."
    refusal = "I'm sorry, but I can't help with that. Please write to ann@uni.edu if it is urgent."
    (row,) = measure_signals(rows((prompt, german, refusal)), QualitySettings()).to_pylist()
    assert (row["language_prompt"], row["language_1"], row["language_2"]) == ("en", "de", "en")
    assert (row["num_words_prompt"], row["num_words_1"], row["num_words_2"]) == (15, 15, 16)
    assert (row["refusal_1"], row["refusal_2"]) == (False, True)
    assert row["num_emails"] == 1
    assert row["flags"] == []
    assert row["toxicity_1"] is None
    assert row["num_presidio_entities"] is None


def test_swapped_responses_swap_their_signals():
    first, second = "# Title\n- a\n- b\n\ufffd", "I cannot help with that, that, that, that, that."
    straight, swapped = (
        measure_signals(rows(("Hi", *sides)), QualitySettings()).to_pylist()[0]
        for sides in ((first, second), (second, first))
    )
    sides = {"1": "2", "2": "1"}
    for name, value in straight.items():
        stem, _, side = name.rpartition("_")
        assert swapped[f"{stem}_{sides[side]}" if side in sides else name] == value, name


def test_the_last_turn_gives_the_prompts_language_and_all_turns_its_words():
    turns = [
        {"role": "system", "content": "You are a careful assistant that answers in the language of the user."},
        {"role": "user", "content": "Wie komme ich im Sommer am besten von der Stadt an die Küste?"},
    ]
    table = rows(("", "a", "b")).set_column(3, "prompt", pa.array([turns], TURNS))
    (row,) = measure_signals(table, QualitySettings()).to_pylist()
    assert row["language_prompt"] == "de"
    assert row["num_words_prompt"] == 26


def test_prompt_texts_of_a_slice():
    turns = pa.array([[{"role": "user", "content": t} for t in ts] for ts in (["x", "y"], [], ["z"])], TURNS)
    joined, last = prompt_texts(turns.slice(1))
    assert (joined.to_pylist(), last.to_pylist()) == (["", "z"], ["", "z"])


def test_no_matched_text_is_in_the_table_or_its_summary():
    secret, mail = "ghp_" + "Zq9X" * 9, "ann.lee@uni.edu"
    signals = measure_signals(rows((f"My key is {secret}", mail, "no")), QualitySettings())
    assert (signals["num_secrets"][0].as_py(), signals["num_emails"][0].as_py()) == (1, 1)
    text = json.dumps(signals.to_pylist()) + repr(summarise([signals], len(signals)))
    assert "Zq9X" not in text
    assert "ann.lee" not in text


def test_summary_counts_pairs_and_ranks_languages():
    english = "The train to the coast leaves twenty minutes late today because of work."
    german = "Der Zug an die Küste fährt heute zwanzig Minuten später ab, weil gebaut wird."
    refusal = "I'm sorry, but I can't help with that request, since it would not be right."
    signals = measure_signals(
        rows((english, english, german), (english, refusal, english), ("42", "# A\n", "# B\n")), QualitySettings()
    )
    summary = summarise([signals], len(signals))
    assert list(summary.languages.items()) == [("en", 5), ("unknown", 3), ("de", 1)]
    found = {row["pairs with"]: row["pairs"] for row in summary.found}
    assert found["one response refuses"] == 1
    assert found["both responses have Markdown"] == 1
    assert found["emails"] == 0
    assert "presidio entities" not in found
    assert summary.num_mixed_languages == 1
    assert summary.flagged == {}


def test_summary_of_no_rows():
    assert summarise([measure_signals(rows(), QualitySettings())], 0).languages == {}


def test_a_summary_does_not_depend_on_how_the_rows_are_cut(monkeypatch):
    texts = [(f"{'What is the way to the coast? ' * 2}{n}", "yes " * n, f"# {n}\n- a@uni.edu") for n in range(20)]
    signals = measure_signals(rows(*texts), QualitySettings())
    for limit in (200_000, 7):
        monkeypatch.setattr(quality_summary, "MAX_QUANTILE_ROWS", limit)
        whole = summarise([signals], len(signals))
        assert summarise([signals.slice(n, 3) for n in range(0, 20, 3)], len(signals)) == whole
        assert whole.measured[0]["largest"] == 19


# --- a source's partition ---


@pytest.fixture
def pairs(bench, two_responses):
    bench.ingest([two_responses(n) for n in range(6)])
    return bench.lake.manifests("pairs")[0]


def test_a_source_has_one_row_a_pair_in_the_order_of_pairs(bench, pairs):
    moved = []
    manifest = measure_source(
        bench.lake,
        pairs,
        QualitySettings(),
        inputs="a",
        signals_inputs="b",
        progress=lambda rows_done, share: moved.append((rows_done, share)),
    )
    signals, texts = bench.lake.read("quality_signals"), bench.lake.read("pairs")
    assert signals.select(["pair_id", "source_row"]).equals(texts.select(["pair_id", "source_row"]))
    assert manifest.info["counts"] == {"rows_in": 6, "rows_out": 6, "dropped": {}}
    assert moved == [(6, 1.0)]


def test_a_changed_threshold_flags_anew_without_reading_a_text(bench, pairs, monkeypatch):
    measure_source(bench.lake, pairs, QualitySettings(), inputs="a", signals_inputs="same")
    before = bench.lake.read("quality_signals")

    def never(*_):
        raise AssertionError("texts were measured again")

    monkeypatch.setattr(quality_signals, "measure_row_group", never)
    strict = QualitySettings(thresholds=QualityThresholds(min_words_response=10_000))
    measure_source(bench.lake, pairs, strict, inputs="b", signals_inputs="same")
    after = bench.lake.read("quality_signals")
    assert after["flags"].to_pylist() == [["few_words"]] * 6
    assert after.drop_columns("flags").equals(before.drop_columns("flags"))


def test_processes_give_the_same_bytes(bench, pairs, monkeypatch):
    alone = measure_source(bench.lake, pairs, QualitySettings(), inputs="a", signals_inputs="a")
    monkeypatch.setattr(quality_signals, "_PARALLEL_ROWS", 1)
    monkeypatch.setenv("SYNPREF_WORKERS", "2")
    together = measure_source(bench.lake, pairs, QualitySettings(), inputs="b", signals_inputs="b")
    assert together.content_hash == alone.content_hash


# --- optional signals ---


def test_presidio_that_is_not_installed_names_its_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "presidio_analyzer", None)
    with pytest.raises(ConfigError) as caught:
        measure_signals(rows(("a", "b", "c")), QualitySettings(presidio_model="en_core_web_none"))
    assert "synpref[pii]" in str(caught.value)
    assert "quality.presidio_model" in str(caught.value)


def test_a_toxicity_model_that_is_not_there_is_a_clear_error(tmp_path, monkeypatch):
    # The library reads the variable once, when it is imported: setting it here would outlast this test.
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(ConfigError, match="cannot be loaded"):
        optional_signals.ToxicityModel(str(tmp_path), "", "toxic")


@pytest.fixture(scope="module")
def tiny_classifier(tmp_path_factory):
    """A classifier made from nothing, in the layout of the hub."""
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import BertConfig, BertForSequenceClassification, PreTrainedTokenizerFast

    words = Tokenizer(models.WordLevel({"[PAD]": 0, "[UNK]": 1, "rude": 2}, unk_token="[UNK]"))
    words.pre_tokenizer = pre_tokenizers.Whitespace()
    shape = BertConfig(
        vocab_size=3,
        hidden_size=8,
        num_hidden_layers=1,
        num_attention_heads=1,
        intermediate_size=8,
        id2label={0: "clean", 1: "toxic"},
        label2id={"clean": 0, "toxic": 1},
    )
    folder = tmp_path_factory.mktemp("classifier")
    BertForSequenceClassification(shape).save_pretrained(folder)
    PreTrainedTokenizerFast(tokenizer_object=words, pad_token="[PAD]", unk_token="[UNK]").save_pretrained(folder)
    return folder


@pytest.mark.slow
def test_toxicity_is_a_probability_in_the_order_of_the_texts(tiny_classifier):
    model = optional_signals.ToxicityModel(str(tiny_classifier), "", "toxic")
    texts = ["rude rude rude", "nice", "rude"]
    scores = model.score(strings(*texts))
    assert ((scores >= 0) & (scores <= 1)).all()
    assert model.score(strings(*texts[::-1])) == pytest.approx(scores[::-1], abs=1e-6)
    assert len(np.unique(scores.round(9))) == 3


@pytest.mark.slow
def test_a_label_that_the_model_lacks_is_a_clear_error(tiny_classifier):
    with pytest.raises(ConfigError, match="use one of clean, toxic"):
        optional_signals.ToxicityModel(str(tiny_classifier), "", "severe")
