"""Near duplicates against exact Jaccard similarities computed in Python."""

import itertools
import random

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from assets.contracts import from_rows
from assets.identity import identify_pair
from assets.lake import Lake
from assets.raw_pairs.overlap.minhash import NUM_BANDS, SHINGLE_WORDS, bands_of, jaccard, min_hashes, shingles
from assets.raw_pairs.overlap.near_duplicates import PAIRS, PROMPTS, find_clusters
from assets.raw_pairs.overlap.sketches import sketch_source
from assets.raw_pairs.overlap.words import words_of

VOCABULARY = [f"w{number}" for number in range(500)]


def a_text(seed, num_words=60):
    return " ".join(random.Random(seed).choices(VOCABULARY, k=num_words))


def edited(text, seed, num_words):
    """The text with that many of its words replaced."""
    draw, some = random.Random(seed), text.split()
    for place in draw.sample(range(len(some)), num_words):
        some[place] = f"new{draw.randrange(10**6)}"
    return " ".join(some)


def shingle_set(text):
    some = words_of(text)
    size = min(SHINGLE_WORDS, len(some))
    return {tuple(some[i : i + size]) for i in range(len(some) - size + 1)} if some else {text}


def similarity(one, other):
    first, second = shingle_set(one), shingle_set(other)
    return len(first & second) / len(first | second)


def sketch(*texts):
    return bands_of(min_hashes(*texts))


class Pool:
    """A lake with pairs, and what near-duplicate search finds in it."""

    def __init__(self, folder):
        self.folder, self.lake = folder, Lake(folder / "lake")

    def add(self, source, *rows):
        """Rows are (prompt, one response, the other); returns their pair ids."""
        made = []
        for number, (prompt, a, b) in enumerate(rows):
            ids = identify_pair([("user", prompt)], a, b)
            first, second = (b, a) if ids.swapped else (a, b)
            made.append(
                {
                    "pair_id": ids.pair_id,
                    "prompt_id": ids.prompt_id,
                    "source": source,
                    "source_row": number,
                    "prompt": [{"role": "user", "content": prompt}],
                    "response_1": first,
                    "response_2": second,
                    "problem": "equal_responses" if ids.equal else None,
                }
            )
        manifest = self.lake.publish("pairs", from_rows(made, "pairs"), {"source": source})
        sketch_source(self.lake, manifest, "inputs")
        return [row["pair_id"] for row in made]

    def clusters(self, kind=PAIRS, threshold=0.8):
        """Sets of ids, and the similarity of each id."""
        pairs, sketches = self.lake.manifests("pairs"), self.lake.manifests(kind.sketches)
        found = find_clusters(self.lake, kind, pairs, sketches, threshold, self.folder)
        rows = [tuple(row.values()) for row in found.table.to_pylist()]
        by_cluster = {}
        for one, cluster, _ in rows:
            by_cluster.setdefault(cluster, set()).add(one)
        assert all(min(ids) == cluster for cluster, ids in by_cluster.items())
        return [by_cluster[c] for c in sorted(by_cluster)], {one: value for one, _, value in rows}


@pytest.fixture
def pool(tmp_path):
    return Pool(tmp_path)


def test_a_pair_with_nearly_equal_texts_is_a_near_duplicate_in_either_order(pool):
    prompt, a, b = a_text(1), a_text(2), a_text(3)
    one, swapped = pool.add("s", (prompt, a, b), (f"{prompt}!", edited(b, 4, 1), a))
    (other,) = pool.add("t", (prompt.upper(), a, edited(b, 5, 1)))
    clusters, similarities = pool.clusters()
    assert clusters == [{one, swapped, other}]
    assert similarities[one] == pytest.approx(max(similarity(b, edited(b, seed, 1)) for seed in (4, 5)))


def test_one_other_response_makes_another_pair_however_long_the_prompt_is(pool):
    prompt = a_text(1, 2000)
    pool.add("s", (prompt, "The answer is A.", "The answer is B."), (prompt, "The answer is A.", "The answer is C."))
    assert pool.clusters() == ([], {})
    assert pool.clusters(PROMPTS)[0] == []


def test_another_prompt_makes_another_pair_however_equal_the_responses_are(pool):
    a, b = a_text(1, 500), a_text(2, 500)
    pool.add("s", ("Write about cats.", a, b), ("Write about dogs, please.", a, b))
    assert pool.clusters()[0] == []


def test_the_same_pair_twice_is_no_near_duplicate_of_itself(pool):
    row = (a_text(1), a_text(2), a_text(3))
    pool.add("s", row, row)
    pool.add("t", (row[0], row[2], row[1]))
    assert pool.clusters()[0] == []


def test_prompts_are_clustered_on_their_own(pool):
    prompt = a_text(1)
    pool.add("s", (prompt, a_text(2), a_text(3)), (edited(prompt, 9, 1), a_text(4), a_text(5)), (a_text(6), "a", "b"))
    clusters, _ = pool.clusters(PROMPTS)
    assert [len(c) for c in clusters] == [2]
    assert pool.clusters()[0] == []


def test_texts_of_few_or_no_words_are_told_apart(pool):
    pool.add("s", ("?", "yes", "no"), ("!", "yes", "no"), ("Hi", "yes", "no"), ("", "", "x"))
    assert pool.clusters()[0] == []
    same = pool.add("t", ("Hi!", "Yes.", "No."))
    assert same[0] in set().union(*pool.clusters()[0])


def test_rows_that_make_no_pair_are_counted_and_left_out(pool):
    pool.add("s", ("Hi", "same", "same"), ("Hi", "one", "other"))
    counts = pool.lake.manifest("pair_sketches", {"source": "s"}).info["counts"]
    assert counts == {"rows_in": 2, "rows_out": 1, "dropped": {"equal_responses": 1}}


def test_no_source_and_an_empty_source_have_no_clusters(pool):
    assert pool.clusters() == ([], {})
    pool.add("s")
    assert pool.clusters() == ([], {})


def test_a_chain_is_one_cluster(pool):
    a, b = a_text(2), a_text(3)
    chain = [a_text(1, 100)]
    for step in range(4):
        chain.append(edited(chain[-1], step, 1))
    ids = pool.add("s", *((prompt, a, b) for prompt in chain))
    assert similarity(chain[0], chain[-1]) < 0.8
    assert pool.clusters()[0] == [set(ids)]


def test_pairs_on_one_long_prompt_are_found_by_their_responses(pool):
    """As where a document is asked about: the prompt fills every band of a sketch that does not part the texts."""
    prompt = a_text(1, 1500)
    rows = [(prompt, a_text((2, n).__hash__(), 12), a_text((3, n).__hash__(), 12)) for n in range(40)]
    ids = pool.add("s", *rows)
    again = pool.add("t", *((prompt, a, f"{b} indeed") for _, a, b in rows))
    assert pool.clusters()[0] == sorted(({one, other} for one, other in zip(ids, again, strict=True)), key=min)


def test_prompts_that_share_half_their_words_do_not_hide_each_other(pool):
    template = a_text(1, 160)
    prompts = [f"{template} {a_text((2, n).__hash__(), 40)}" for n in range(60)]
    pool.add("s", *((prompt, "yes", "no") for prompt in prompts), *((f"{p} thanks", "yes", "no") for p in prompts))
    assert similarity(prompts[0], prompts[1]) < 0.75
    assert len(pool.clusters(PROMPTS)[0]) == 60


def test_recall_and_precision_against_exact_similarities(pool):
    """Two hundred families of four at all distances: everything confirmed is right, nearly everything is found."""
    rows = []
    for family in range(200):
        prompt, a, b = (a_text((family, part).__hash__(), 120) for part in range(3))
        rows += [(prompt, a, edited(b, family * 10 + n, n)) for n in range(4)]
    ids = pool.add("s", *rows)
    texts = dict(zip(ids, rows, strict=True))
    clusters, _ = pool.clusters()
    together = {frozenset(two) for cluster in clusters for two in itertools.combinations(sorted(cluster), 2)}
    near = set()
    for start in range(0, len(ids), 4):
        for two in itertools.combinations(ids[start : start + 4], 2):
            if similarity(texts[two[0]][2], texts[two[1]][2]) >= 0.8:
                near.add(frozenset(two))
    assert len(near) > 300
    assert len(near & together) / len(near) >= 0.95
    # What is together beyond that is joined by a third of its family, never across families.
    number = {one: place // 4 for place, one in enumerate(ids)}
    assert all(len({number[one] for one in two}) == 1 for two in together)


@given(st.lists(st.text(alphabet="ab c.é", max_size=30), min_size=2, max_size=5))
def test_sets_of_shingles_are_those_of_the_definition(texts):
    values, offsets = shingles(pa.array(texts))
    sets = [values[low:high] for low, high in itertools.pairwise(offsets)]
    for (one, mine), (other, theirs) in itertools.combinations(zip(texts, sets, strict=True), 2):
        assert jaccard(mine, theirs) == pytest.approx(similarity(one.lower(), other.lower()))


def test_bands_agree_as_often_as_the_similarity_says():
    """At 0.8 nearly all pairs of texts meet in a band, at 0.3 hardly any."""
    one = [a_text(seed, 300) for seed in range(300)]
    for num_words, low, high in ((6, 0.95, 1.0), (45, 0.0, 0.1)):
        other = [edited(text, seed, num_words) for seed, text in enumerate(one)]
        met = (sketch((pa.array(one), 1)) == sketch((pa.array(other), 1))).any(axis=1)
        assert low <= met.mean() <= high


def test_the_same_words_of_a_prompt_and_of_a_response_are_different_shingles():
    text = pa.array([a_text(1)])
    assert not (sketch((text, 1)) == sketch((text, 2))).any()
    assert sketch((text, 1)).shape == (1, NUM_BANDS)
    assert np.array_equal(sketch((text, 1), (text, 1)), sketch((text, 1)))
