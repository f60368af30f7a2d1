"""The pool layer on small lakes: one case per reason, conflicts, contamination word by word, row accounting."""

import json

import pyarrow.parquet as pq
import pytest

from assets.contracts import conform
from assets.identity import identify_pair
from tests.dbt.small_lakes import event

# Thirteen words, then twelve of them.
LONG = "count how many red boats left the old harbour before the storm came"
SHORT = "count how many red boats left the old harbour before the storm"
# In as many benchmark prompts as the setting allows, and in one more.
COMMON = "write the story of a town by the sea where nobody owns a clock"
BOILERPLATE = "you are given a text and shall answer the question about it below"


def tables_of(result) -> dict:
    return {name: pq.read_table(model.path) for name, model in result.models.items()}


def test_every_row_is_in_the_pool_or_excluded_under_its_first_reason(lake, run_layer):
    lake.add_benchmark("bench", [LONG, "  Short\u00a0 prompt ", *(f"{BOILERPLATE} number {n}" for n in range(4))])
    # The same prompts in another benchmark are no further prompts.
    for name in ("common", "same_again"):
        lake.add_benchmark(name, [f"{COMMON} {n}" for n in range(3)])
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
            {"prompt": f"Please {LONG.upper()}!", "label": "a"},
            {"prompt": f"Please {LONG.upper()}!", "label": "a"},
            {"prompt": f"Please {SHORT}", "label": "a"},
            {"prompt": "short PROMPT", "label": "tie"},
            {"prompt": f"{BOILERPLATE} number 77", "label": "undecided"},
            {"prompt": [("user", LONG), ("assistant", "no"), ("user", "and now?")], "label": "b"},
            {"prompt": "no label at all"},
            {"prompt": f"{COMMON} or two", "label": "b"},
        ],
    )
    # The same pair from people represents it, though its source comes later in the alphabet.
    people = lake.add_source("z_people", [{"prompt": "shared", "label": "a", "origin": "human"}])

    result = run_layer("tag:pool", max_benchmark_prompts=3)

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
        ("b_llm", 11): "contaminated",
        ("b_llm", 15): "contaminated",
    }
    details = {r["source_row"]: json.loads(r["detail"]) for r in tables["exclusions"].to_pylist() if r["detail"]}
    assert details[8] == {"benchmark": "bench", "item": "bench-0", "kind": "13gram", "span": LONG}
    assert details[11] == {"benchmark": "bench", "item": "bench-1", "kind": "exact", "span": "short prompt"}
    assert (details[15]["benchmark"], details[15]["span"]) == ("common", " ".join(COMMON.split()[:13]))
    assert details[7]["duplicate_of"] == {"pair_id": people[0], "source": "z_people", "source_row": 0}

    pool = {r["pair_id"]: r for r in tables["candidate_pool"].to_pylist()}
    assert list(pool) == sorted(pool)
    assert {(r["source"], r["source_row"]) for r in pool.values()} == {
        *(("b_llm", n) for n in (0, 4, 10, 12, 13, 14)),
        ("z_people", 0),
    }
    shared = pool[people[0]]
    assert (shared["source"], shared["stage"], shared["num_sources"], shared["label_origin"]) == (
        ("z_people", 1, 2, "human")
    )
    twice = pool[first[4]]
    assert (twice["conflict"], twice["source_verdict"], twice["stage"]) == (True, None, 2)
    assert pool[first[12]]["source_verdict"] is None, "undecided is no label"
    assert pool[first[14]]["source_verdict"] is None

    (conflict,) = tables["conflicts"].to_pylist()
    assert (conflict["pair_id"], sorted((conflict["num_labels_1"], conflict["num_labels_2"]))) == (first[4], [1, 2])
    assert [e["source_row"] for e in json.loads(conflict["evidence"])] == [4, 5, 6]

    counts = result.counts["candidate_pool"]
    assert (counts.rows_in, counts.rows_out) == (17, 7)
    assert counts.dropped == {
        "empty_prompt": 1,
        "empty_response": 1,
        "equal_responses": 1,
        "duplicate": 3,
        "duplicate_role_swapped": 1,
        "contaminated": 3,
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
            evidence={"source_row": 0},
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
    again = run_layer("tag:pool", ngram=13)
    assert pq.read_table(again.models["candidate_pool"].path).to_pylist() == [row]


@pytest.mark.parametrize("ngram", [1, 12])
def test_the_length_of_the_ngram_is_a_setting(lake, run_layer, ngram):
    lake.add_benchmark("bench", [LONG])
    lake.add_source("s", [{"prompt": f"Now {SHORT}, please", "label": "a"}, {"prompt": "Nothing shared", "label": "a"}])
    result = run_layer("tag:pool", ngram=ngram)
    assert result.counts["candidate_pool"].dropped == {"contaminated": 1}


def test_a_label_without_a_row_fails_its_test_and_stops_nothing(lake, run_layer):
    stray = event(
        "0" * 32, "1", kind="source", labeller="s", round_name="source", delivery="9", evidence={"source_row": 9}
    )
    lake.add_source("s", [{"label": "a"}], labels=[stray])
    result = run_layer("tag:pool")
    failed = [t for t in result.tests if not t.passed]
    assert [(t.name, t.model, t.failures) for t in failed] == [
        ("every_source_label_belongs_to_a_row", "candidate_pool", 1)
    ]
    assert failed[0].severity == "error"
    assert failed[0].message
    assert result.models["candidate_pool"].num_rows == 1
