"""A source's hits by benchmark: only what changed is looked for again."""

import numpy as np
import pytest

from assets.contracts import from_rows
from assets.lake import Lake
from assets.raw_pairs.overlap.decontaminate import decontaminate, hits_by_class, share_called_false
from assets.settings import REPOSITORY, ParaphraseSettings, load_settings

THIRTEEN = "one two three four five six seven eight nine ten eleven twelve thirteen"


@pytest.fixture
def settings():
    return load_settings(REPOSITORY / "configs" / "sample.yaml")


@pytest.fixture
def lake(tmp_path):
    lake = Lake(tmp_path)
    publish_pairs(lake, "s", [THIRTEEN, "clean"])
    publish_benchmark(lake, "one", [f"{THIRTEEN} fourteen"])
    return lake


def publish_pairs(lake, source, prompts):
    rows = [
        {
            "pair_id": f"{n:032x}",
            "prompt_id": f"{n:032x}",
            "source": source,
            "source_row": n,
            "prompt": [{"role": "user", "content": prompt}],
            "response_1": "a",
            "response_2": "b",
        }
        for n, prompt in enumerate(prompts)
    ]
    return lake.publish("pairs", from_rows(rows, "pairs"), {"source": source})


def publish_benchmark(lake, name, prompts):
    rows = [
        {
            "benchmark": name,
            "item_id": str(n),
            "prompt": [{"role": "user", "content": p}],
            "responses": [],
            "correct": [],
        }
        for n, p in enumerate(prompts)
    ]
    return lake.publish("benchmark_items", from_rows(rows, "benchmark_items"), {"benchmark": name})


def run(lake, settings):
    return decontaminate(lake, lake.manifests("pairs")[0], lake.manifests("benchmark_items"), settings)


def test_a_second_run_looks_for_nothing(lake, settings):
    first = run(lake, settings)
    assert (first.scanned, first.manifests["one"].num_rows) == (("one",), 1)
    second = run(lake, settings)
    assert second.scanned == ()
    assert second.manifests["one"].content_hash == first.manifests["one"].content_hash


def test_a_new_benchmark_is_the_only_one_looked_for(lake, settings):
    before = run(lake, settings).manifests["one"].content_hash
    publish_benchmark(lake, "two", ["clean"])
    result = run(lake, settings)
    assert result.scanned == ("two",)
    assert result.manifests["one"].content_hash == before
    assert {h["benchmark"]: h["kind"] for h in lake.read("contamination_hits").to_pylist()} == {
        "one": "13gram",
        "two": "exact",
    }
    assert run(lake, settings).scanned == ()


def test_boilerplate_that_a_new_benchmark_makes_is_taken_back_from_the_others(lake, settings):
    run(lake, settings)
    publish_benchmark(lake, "two", [f"{THIRTEEN} number {n}" for n in range(50)])
    result = run(lake, settings)
    assert result.scanned == ("one", "two")
    assert len(lake.read("contamination_hits", benchmark="one")) == 0
    assert result.boilerplate[0] == (THIRTEEN, 51)


def test_changed_pairs_are_looked_at_again(lake, settings):
    run(lake, settings)
    publish_pairs(lake, "s", ["clean", "other"])
    assert run(lake, settings).scanned == ("one",)
    assert len(lake.read("contamination_hits")) == 0


def test_a_benchmark_without_prompts_has_an_empty_partition(lake, settings):
    publish_benchmark(lake, "none", [])
    result = run(lake, settings)
    assert result.manifests["none"].num_rows == 0


def test_hits_are_counted_by_the_texts_that_meet(lake, settings):
    run(lake, settings)
    assert hits_by_class(lake.read("contamination_hits")) == [
        {"benchmark": "one", "texts that meet": "prompt with benchmark prompt", "kind": "13gram", "pairs": 1}
    ]


MEANINGS = {"buy milk": (1.0, 0.0), "get some milk": (0.8, 0.6), "prove a theorem": (0.0, 1.0)}


def by_meaning(texts, part):
    """Unit vectors of the first meaning that a text contains."""
    found = [next((v for words, v in MEANINGS.items() if words in text.lower()), (-1.0, 0.0)) for text in texts]
    return np.array(found, np.float32).reshape(-1, 2)


@pytest.fixture
def with_paraphrases(settings):
    chosen = settings.decontamination.model_copy(update={"paraphrases": ParaphraseSettings(threshold=0.7)})
    return settings.model_copy(update={"decontamination": chosen})


def test_what_only_meaning_tells_is_a_hit_of_its_own(lake, with_paraphrases):
    publish_benchmark(lake, "two", ["Please buy milk", f"prove a theorem {THIRTEEN} now"])
    publish_pairs(lake, "s", ["please  buy MILK", "get some milk", f"dance {THIRTEEN}", "prove a theorem"])
    decontaminate(
        lake, lake.manifests("pairs")[0], lake.manifests("benchmark_items"), with_paraphrases, embed=by_meaning
    )
    hits = lake.read("contamination_hits", benchmark="two")
    rows = [(h["source_row"], h["item_id"], h["kind"], round(h["similarity"], 3)) for h in hits.to_pylist()]
    assert sorted(rows) == [
        (0, "0", "exact", 1.0),
        (1, "0", "paraphrase", 0.8),
        (2, "1", "13gram", 0.0),
        (3, "1", "paraphrase", 1.0),
    ]
    assert share_called_false(hits, 0.45) == (1, 1)
    assert share_called_false(hits, 0.0) == (1, 0)


def test_another_threshold_looks_again_and_a_rule_of_exclusion_does_not(lake, settings, with_paraphrases):
    def scanned(chosen):
        items = lake.manifests("benchmark_items")
        return decontaminate(lake, lake.manifests("pairs")[0], items, chosen, embed=by_meaning).scanned

    def changed(**values):
        decontamination = with_paraphrases.decontamination.model_copy(update=values)
        return with_paraphrases.model_copy(update={"decontamination": decontamination})

    assert scanned(with_paraphrases) == ("one",)
    assert scanned(changed(paraphrase_excludes=False, min_shared_ngrams_of_responses=1)) == ()
    assert scanned(changed(paraphrases=ParaphraseSettings(threshold=0.9))) == ("one",)
    assert scanned(settings) == ("one",)
