"""The pool layer on small lakes: one case per reason, conflicts, clusters, hits on benchmarks, row accounting."""

import json

import pyarrow.parquet as pq
import pytest

from assets.contracts import conform
from assets.errors import SynprefError
from assets.identity import identify_pair
from tests.dbt.small_lakes import event


def tables_of(result) -> dict:
    return {name: pq.read_table(model.path) for name, model in result.models.items()}


def test_every_row_is_in_the_pool_or_excluded_under_its_first_reason(lake, run_layer):
    first = lake.add_source(
        "b_llm",
        [
            {"prompt": "plain", "label": "a"},
            {"prompt": "", "problem": "empty_prompt"},
            {"prompt": "no answer", "b": "", "problem": "empty_response", "label": "a"},
            {"prompt": "no choice", "b": "yes", "problem": "equal_responses"},
            {"prompt": "twice", "label": "a"},
            {"prompt": "twice", "label": "a"},
            {"prompt": "twice", "a": "no", "b": "yes", "label": "a"},
            {"prompt": "shared", "label": "a"},
            {"prompt": "on a benchmark", "label": "a"},
            {"prompt": "on a benchmark", "label": "a"},
            {"prompt": "undecided", "label": "undecided"},
            {"prompt": "no label at all"},
            {"prompt": "nearly the same", "label": "b"},
            {"prompt": "nearly the same!", "label": "a"},
            {"prompt": "nearly the same?", "label": "a", "agreement": 0.9},
            {"prompt": "near a benchmark", "label": "a"},
            {"prompt": "near a benchmark!", "label": "a"},
        ],
    )
    # The same pair from people represents it, though its source comes later in the alphabet.
    people = lake.add_source("z_people", [{"prompt": "shared", "label": "a", "origin": "human"}])
    prompts = {r["pair_id"]: r["prompt_id"] for r in lake.read("pairs", ["pair_id", "prompt_id"]).to_pylist()}
    clusters = [first[12:15], first[15:17]]
    for table, of in (("pair_clusters", lambda pair: pair), ("prompt_clusters", prompts.__getitem__)):
        name = table.removesuffix("_clusters")
        members = [(of(pair), min(map(of, cluster))) for cluster in clusters for pair in cluster]
        rows = [{f"{name}_id": m, f"{name}_cluster_id": c, "similarity": 0.9} for m, c in members]
        lake.publish_rows(table, rows)
    lake.add_hits(
        "b_llm",
        "bench",
        [
            {"pair_id": first[8], "source_row": 8},
            {"pair_id": first[8], "source_row": 8, "text": "response_2", "kind": "exact", "item_id": "worst"},
            {"pair_id": first[9], "source_row": 9},
            {"pair_id": first[15], "source_row": 15},
            {"pair_id": first[1], "source_row": 1},
        ],
    )

    result = run_layer("tag:pool")

    tables = tables_of(result)
    for name in ("exclusions", "conflicts", "candidate_pool"):
        conform(tables[name], name)
    reasons = {(r["source"], r["source_row"]): r["reason"] for r in tables["exclusions"].to_pylist()}
    assert reasons == {
        ("b_llm", 1): "empty_prompt",
        ("b_llm", 2): "empty_response",
        ("b_llm", 3): "equal_responses",
        ("b_llm", 5): "duplicate",
        ("b_llm", 6): "duplicate_role_swapped",
        ("b_llm", 7): "duplicate",
        ("b_llm", 8): "contaminated",
        ("b_llm", 9): "duplicate",
        ("b_llm", 12): "near_duplicate",
        ("b_llm", 13): "near_duplicate",
        ("b_llm", 15): "contaminated",
    }
    details = {r["source_row"]: json.loads(r["detail"]) for r in tables["exclusions"].to_pylist() if r["detail"]}
    assert details[8] == {
        "benchmark": "bench",
        "item": "worst",
        "text": "response_2",
        "benchmark_text": "prompt",
        "kind": "exact",
        "span": "thirteen words",
    }
    assert details[7]["duplicate_of"] == {"pair_id": people[0], "source": "z_people", "source_row": 0}
    kept = {"pair_id": first[14], "source": "b_llm", "source_row": 14}
    assert details[12] == details[13] == {"duplicate_of": kept, "similarity": 0.9}

    rows = tables["candidate_pool"].to_pylist()
    pool = {r["pair_id"]: r for r in rows}
    places = [(r["source"], r["pair_id"]) for r in rows]
    assert places == sorted(places)
    assert {(r["source"], r["source_row"]) for r in rows} == {
        *(("b_llm", n) for n in (0, 4, 10, 11, 14, 16)),
        ("z_people", 0),
    }
    shared = pool[people[0]]
    assert (shared["source"], shared["stage"], shared["num_sources"], shared["label_origin"]) == (
        ("z_people", 1, 2, "human")
    )
    twice = pool[first[4]]
    assert (twice["conflict"], twice["source_verdict"], twice["stage"]) == (True, None, 2)
    assert pool[first[10]]["source_verdict"] is None, "undecided is no label"
    assert pool[first[11]]["source_verdict"] is None
    assert pool[first[0]]["prompt_cluster_id"] == pool[first[0]]["prompt_id"]
    assert pool[first[14]]["prompt_cluster_id"] == min(prompts[p] for p in first[12:15])

    (conflict,) = tables["conflicts"].to_pylist()
    assert (conflict["pair_id"], sorted((conflict["num_labels_1"], conflict["num_labels_2"]))) == (first[4], [1, 2])
    assert [e["source_row"] for e in json.loads(conflict["evidence"])] == [4, 5, 6]

    counts = result.counts["candidate_pool"]
    assert (counts.rows_in, counts.rows_out) == (18, 7)
    assert counts.dropped == {
        "empty_prompt": 1,
        "empty_response": 1,
        "equal_responses": 1,
        "duplicate": 3,
        "duplicate_role_swapped": 1,
        "contaminated": 2,
        "near_duplicate": 2,
    }
    assert [t.name for t in result.tests if not t.passed] == []
    assert {t.model for t in result.tests} == {*result.models}


def test_only_the_label_in_force_counts_and_sources_in_any_order_give_the_same_pool(lake, run_layer):
    pair = identify_pair([("user", "What is it?")], "yes", "no").pair_id

    def label(verdict, delivery, **more):
        return event(
            pair,
            verdict,
            kind="source",
            labeller="a",
            round_name="source",
            delivery=delivery,
            source_row=0,
            **more,
        )

    wrong = label("1", "first")
    right = label("2", "second", supersedes=wrong["event_id"])
    lake.add_source("a", [{}], labels=[wrong, right])
    lake.add_source("b", [{"a": "no", "b": "yes", "label": "tie"}])

    forwards = lake.files_for_dbt()
    result = run_layer("tag:pool")
    (row,) = pq.read_table(result.models["candidate_pool"].path).to_pylist()
    assert (row["source"], row["source_verdict"], row["conflict"]) == ("a", "2", False)

    backwards = {name: list(reversed(files)) for name, files in forwards.items()}
    lake.files_for_dbt = lambda: backwards  # type: ignore[method-assign]
    again = run_layer("tag:pool", paraphrase_excludes=True)
    assert pq.read_table(again.models["candidate_pool"].path).to_pylist() == [row]


@pytest.mark.parametrize(
    ("setting", "dropped"),
    [
        ({}, 3),
        ({"contamination_excludes": ["prompt:prompt"]}, 2),
        ({"contamination_excludes": ["response:prompt"], "paraphrase_excludes": False}, 1),
        ({"contamination_excludes": ["prompt:prompt"], "paraphrase_excludes": False}, 1),
        ({"contamination_excludes": []}, 0),
    ],
)
def test_which_hits_exclude_is_a_setting(lake, run_layer, setting, dropped):
    pairs = lake.add_source("s", [{"prompt": text, "label": "a"} for text in ("one", "two", "three")])
    hits = [{}, {"text": "response_1"}, {"kind": "paraphrase"}]
    rows = [{"pair_id": p, "source_row": n, **hit} for n, (p, hit) in enumerate(zip(pairs, hits, strict=True))]
    lake.add_hits("s", "bench", rows)
    result = run_layer("tag:pool", **setting)
    assert result.counts["candidate_pool"].dropped == ({"contaminated": dropped} if dropped else {})


def test_an_unknown_class_of_hits_is_named(lake, run_layer):
    lake.add_source("s", [{"label": "a"}])
    with pytest.raises(SynprefError, match="prompt:title"):
        run_layer("tag:pool", contamination_excludes=["prompt:title"])


def test_a_label_without_a_row_fails_its_test_and_stops_nothing(lake, run_layer):
    stray = event("0" * 32, "1", kind="source", labeller="s", round_name="source", delivery="9", source_row=9)
    lake.add_source("s", [{"label": "a"}], labels=[stray])
    result = run_layer("tag:pool")
    failed = [t for t in result.tests if not t.passed]
    assert [(t.name, t.model, t.failures) for t in failed] == [
        ("every_source_label_belongs_to_a_row", "candidate_pool", 1)
    ]
    assert failed[0].severity == "error"
    assert failed[0].message
    assert result.models["candidate_pool"].num_rows == 1
