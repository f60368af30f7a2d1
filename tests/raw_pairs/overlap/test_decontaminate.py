"""A source's hits by benchmark: only what changed is looked for again."""

import pytest

from assets.contracts import from_rows
from assets.lake import Lake
from assets.raw_pairs.overlap.decontaminate import decontaminate, hits_by_class
from assets.settings import REPOSITORY, load_settings

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
