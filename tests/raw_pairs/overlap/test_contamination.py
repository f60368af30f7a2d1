"""Planted overlaps are found with item and span; what is not one is not."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assets.contracts import from_rows
from assets.raw_pairs.overlap.benchmark_index import build_index
from assets.raw_pairs.overlap.contamination import COLUMNS, ContaminationScan
from assets.settings import DecontaminationSettings

THIRTEEN = "one two three four five six seven eight nine ten eleven twelve thirteen"
TWELVE = THIRTEEN.rsplit(" ", 1)[0]
OTHER = "Tell me about the weather in the mountains, please, and what to wear there in spring and in autumn."


def items(*rows):
    """Rows are (benchmark, item, prompt turns or text, responses)."""
    made = [
        {"benchmark": b, "item_id": i, "prompt": turns(p), "prompt_id": "x", "responses": list(r), "correct": [0]}
        for b, i, p, *r in ((row[0], row[1], row[2], *(row[3] if len(row) > 3 else ())) for row in rows)
    ]
    return from_rows(made, "benchmark_items")


def turns(prompt):
    prompt = [("user", prompt)] if isinstance(prompt, str) else prompt
    return [{"role": role, "content": content} for role, content in prompt]


def pairs(*rows):
    """Rows are (prompt turns or text, response 1, response 2)."""
    made = [
        {
            "pair_id": f"{n:032x}",
            "prompt_id": f"{n:032x}",
            "source": "s",
            "source_row": n,
            "prompt": turns(p),
            "response_1": a,
            "response_2": b,
            "problem": None,
        }
        for n, (p, a, b) in enumerate(rows)
    ]
    return from_rows(made, "pairs").select(COLUMNS)


def hits_of(benchmark, *rows, **settings):
    chosen = DecontaminationSettings(**settings)
    return ContaminationScan(build_index(benchmark, chosen), chosen).hits(pairs(*rows)).to_pylist()


@pytest.mark.parametrize(
    ("text", "place"),
    [
        (THIRTEEN, "alone"),
        (f"{THIRTEEN} then more words", "at the start"),
        (f"before it some words {THIRTEEN}", "at the end"),
        (f"before {THIRTEEN.upper()} after", "in capitals"),
        (f"before {THIRTEEN.replace(' ', chr(10) + chr(9))} after", "across white space"),
        (f"before {THIRTEEN.replace(' ', ', ')}. after", "across punctuation"),
        (f"before **{THIRTEEN.replace(' ', '** - ')}** after", "across markup"),
    ],
)
def test_a_planted_ngram_is_found_wherever_it_stands(text, place):
    (hit,) = hits_of(items(("bench", "i1", f"Please count: {THIRTEEN} and stop.")), (text, "yes", "no"))
    assert (hit["kind"], hit["text"], hit["benchmark_text"], hit["item_id"]) == ("13gram", "prompt", "prompt", "i1")
    assert hit["span"] == THIRTEEN
    assert hit["num_shared_ngrams"] == 1


def test_twelve_words_are_no_hit():
    assert hits_of(items(("bench", "i1", f"count {TWELVE} stop")), (f"say {TWELVE} now", TWELVE, f"x {TWELVE} y")) == []


def test_which_texts_meet_is_told_apart():
    benchmark = items(("bench", "i1", f"Count: {THIRTEEN}", [OTHER, "short"]))
    found = hits_of(benchmark, (OTHER, f"so {THIRTEEN}", OTHER), ("unrelated", f"the {THIRTEEN}", "no"))
    met = {(h["source_row"], h["text"], h["benchmark_text"]) for h in found}
    assert met == {
        (0, "prompt", "response"),
        (0, "response_1", "prompt"),
        (0, "response_2", "response"),
        (1, "response_1", "prompt"),
    }


def test_last_turns_alone_are_compared_in_that_mode():
    benchmark = items(("bench", "i1", [("user", THIRTEEN), ("assistant", "ok"), ("user", OTHER)], [THIRTEEN]))
    conversation = [("user", OTHER), ("assistant", "ok"), ("user", f"now {THIRTEEN}")]
    rows = ((conversation, OTHER, THIRTEEN), (f"{OTHER} Thanks.", "a", "b"))
    (hit,) = hits_of(benchmark, *rows, compare="last_turns")
    assert (hit["source_row"], hit["text"], hit["benchmark_text"]) == (1, "prompt", "prompt")
    assert {h["source_row"] for h in hits_of(benchmark, *rows)} == {0, 1}


def test_a_short_prompt_is_an_exact_hit_up_to_case_and_white_space():
    benchmark = items(("bench", "i1", "What is 2 + 2?"), ("bench", "i2", "what is\u00a02 + 2?"), ("bench", "i3", "!?"))
    found = hits_of(benchmark, (" WHAT is 2  +\n2? ", "4", "5"), ("What is 2 - 2?", "0", "1"), ("!?", "a", "b"))
    assert [(h["source_row"], h["kind"], h["item_id"], h["num_items"]) for h in found] == [
        (0, "exact", "i1", 2),
        (2, "exact", "i3", 1),
    ]
    assert found[0]["num_shared_ngrams"] == 0


def test_an_exact_prompt_of_a_later_turn_is_found():
    benchmark = items(("bench", "i1", "Sort a list."))
    (hit,) = hits_of(benchmark, ([("user", "Hi"), ("assistant", "Hello"), ("user", "sort a list.")], "a", "b"))
    assert hit["kind"] == "exact"


def test_boilerplate_is_listed_and_counts_for_nothing():
    benchmark = items(*(("bench", f"i{n}", f"{THIRTEEN} number {n}") for n in range(5)))
    settings = DecontaminationSettings(max_benchmark_prompts=4)
    index = build_index(benchmark, settings)
    assert index.boilerplate == ((THIRTEEN, 5), (f"{THIRTEEN} number".split(" ", 1)[1], 5))
    found = ContaminationScan(index, settings).hits(
        pairs((f"{THIRTEEN} number 77", "a", "b"), (f"{THIRTEEN} number 3", "a", "b"))
    )
    # The item itself is still found, by being the same prompt.
    assert [(h["source_row"], h["kind"]) for h in found.to_pylist()] == [(1, "exact")]
    assert build_index(benchmark, DecontaminationSettings(max_benchmark_prompts=5)).boilerplate == ()


def test_many_responses_of_one_prompt_are_no_boilerplate():
    benchmark = items(("bench", "i1", "Say it.", [f"{n} {THIRTEEN}" for n in range(50)]))
    assert {h["text"] for h in hits_of(benchmark, ("x", f"I say {THIRTEEN}", "no"))} == {"response_1"}


def test_equal_texts_of_several_pairs_give_each_its_hits():
    benchmark = items(("a", "i1", THIRTEEN), ("b", "j1", f"{THIRTEEN} fourteen"))
    found = hits_of(benchmark, (THIRTEEN, "x", "y"), ("clean", "x", "y"), (THIRTEEN, "x", "z"))
    assert [(h["source_row"], h["benchmark"], h["kind"]) for h in found] == [
        (0, "a", "exact"),
        (0, "b", "13gram"),
        (2, "a", "exact"),
        (2, "b", "13gram"),
    ]


def test_a_benchmark_without_texts_and_a_source_without_rows_have_no_hits():
    assert hits_of(items(), ("anything", "a", "b")) == []
    assert hits_of(items(("bench", "i1", "  "))) == []
    assert hits_of(items(("bench", "i1", "")), ("", "", "")) == []


def test_another_benchmark_leaves_an_indexs_fingerprint_alone_unless_it_makes_boilerplate():
    settings = DecontaminationSettings(max_benchmark_prompts=1)
    one = ("one", "i1", f"{THIRTEEN} x")
    alone = build_index(items(one), settings).fingerprint("one")
    assert build_index(items(("before", "j", OTHER), one), settings).fingerprint("one") == alone
    assert build_index(items(one, ("two", "j", f"{THIRTEEN} y")), settings).fingerprint("one") != alone
    assert build_index(items(("one", "i2", one[2])), settings).fingerprint("one") != alone
    everything = build_index(items(("before", "j", OTHER), one), settings)
    assert everything.only(["one"]).fingerprint("one") == alone


WORDS = st.lists(st.sampled_from(["a", "b", "c", "d", "e"]), min_size=0, max_size=12).map(" ".join)


@given(st.lists(WORDS, min_size=1, max_size=6), st.lists(WORDS, min_size=1, max_size=6))
def test_hits_are_those_of_the_definition(prompts, texts):
    """Against sets of n-grams in Python, with n of 3 and no boilerplate."""

    def ngrams(text):
        found = re.findall(r"[a-z0-9]+|[^\x00-\x7f]", text.lower())
        return {tuple(found[i : i + 3]) for i in range(len(found) - 2)}

    benchmark = items(*(("bench", f"i{n}", p) for n, p in enumerate(prompts)))
    found = {
        (h["source_row"], h["item_id"]): h["num_shared_ngrams"]
        for h in hits_of(benchmark, *((t, "", "") for t in texts), ngram=3)
    }
    expected = {}
    for row, text in enumerate(texts):
        for prompt in set(prompts):
            first = f"i{prompts.index(prompt)}"
            shared = len(ngrams(text) & ngrams(prompt))
            if shared or (prompt and text == prompt):
                expected[row, first] = shared
    assert found == expected
