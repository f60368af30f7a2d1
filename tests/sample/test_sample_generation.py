"""The sample as a whole: deterministic, truly labelled, with exactly what the plans say planted in it."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from assets.identity import Turn, identify_pair, prompt_cluster_key, response_hash
from assets.raw_pairs.overlap.words import words_of
from assets.raw_pairs.sample.drawing import CATEGORIES, HARD, LEARNABLE
from assets.raw_pairs.sample.generate import NUM_BENCHMARK_ITEMS, SampleSummary, generate_sample
from assets.raw_pairs.sample.overlap import all_ngrams, ngrams
from assets.raw_pairs.sample.sources import HANDWRITTEN, SOURCES

LABEL_ERRORS = {"sample_people": 0.20, "sample_uniform": 0.25, "sample_clean_synthetic": 0.03}


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("sample")


@pytest.fixture(scope="module")
def summary(out: Path) -> SampleSummary:
    return generate_sample(7, out)


@pytest.fixture(scope="module")
def truth(summary: SampleSummary, out: Path) -> dict[tuple[str, int], dict]:
    rows = pq.read_table(out / "truth.parquet").to_pylist()
    by_place = {(row["source"], row["source_row"]): row for row in rows}
    assert len(by_place) == len(rows), "a row has two truths"
    return by_place


def read_pair(source: str, row: dict) -> tuple[list[Turn], str, str, str]:
    """Turns, responses as given and the label, read without the project's readers."""
    match source:
        case "sample_people":
            return [("user", row["prompt"])], row["response_a"], row["response_b"], row["preference"]
        case "sample_clean_synthetic":
            return [("user", row["prompt"])], row["chosen"], row["rejected"], "a"
        case "sample_uniform":
            turns = [(m["role"], m["content"]) for m in row["chosen"]]
            assert row["chosen"][:-1] == row["rejected"][:-1]
            return turns[:-1], turns[-1][1], row["rejected"][-1]["content"], "a"
        case "sample_systematic":
            first, second = row["completions"]
            label = "tie" if first["score"] == second["score"] else "a" if first["score"] > second["score"] else "b"
            return [("user", row["instruction"])], first["text"], second["text"], label
        case "handwritten":
            turns = [(m["role"], m["content"]) for m in row["prompt"]]
            return turns, row["response_a"], row["response_b"], row["preferred"]
    raise AssertionError(source)


@pytest.fixture(scope="module")
def pairs(truth: dict[tuple[str, int], dict], out: Path) -> list[dict]:
    """Every readable row with its truth."""
    found = []
    for source in [*(plan.name for plan in SOURCES), HANDWRITTEN]:
        for number, line in enumerate((out / f"{source}.jsonl").read_bytes().splitlines()):
            known = truth[source, number]
            if known["planted"] == "unreadable":
                continue
            row = json.loads(line)
            turns, first, second, label = read_pair(source, row)
            ids = identify_pair(turns, first, second)
            found.append(
                known
                | {"turns": turns, "first": first, "second": second, "label": label, "ids": ids}
                | {"category": row["category"]}
            )
    return found


@pytest.fixture(scope="module")
def benchmark(summary: SampleSummary, out: Path) -> list[dict]:
    return pq.read_table(out / "sample_bench.parquet").to_pylist()


def last_turn(pair: dict) -> str:
    return pair["turns"][-1][1]


def test_the_same_seed_gives_the_same_bytes_and_another_seed_other_pairs(out: Path, summary, tmp_path: Path) -> None:
    again = generate_sample(7, tmp_path / "again")
    generate_sample(8, tmp_path / "other")
    names = sorted(path.name for path in out.iterdir())
    assert names == sorted(
        [f"{plan.name}.jsonl" for plan in SOURCES] + ["handwritten.jsonl", "sample_bench.parquet", "truth.parquet"]
    )
    assert again == summary
    for name in names:
        data = (out / name).read_bytes()
        assert (tmp_path / "again" / name).read_bytes() == data
        assert name == "handwritten.jsonl" or (tmp_path / "other" / name).read_bytes() != data


def test_about_five_thousand_pairs_and_every_line_has_a_truth(summary, truth, out: Path) -> None:
    assert 4_800 <= sum(summary.lines.values()) <= 5_300
    lines = {name: len((out / f"{name}.jsonl").read_bytes().splitlines()) for name in summary.lines}
    assert lines == dict(summary.lines)
    assert Counter(source for source, _ in truth) == lines


@pytest.mark.parametrize("plan", SOURCES, ids=lambda plan: plan.name)
def test_what_is_planned_is_planted(summary: SampleSummary, plan) -> None:
    planted = {kind: n for kind, n in summary.planted[plan.name].items() if not kind.endswith("_error")}
    del planted["none"]
    assert planted == dict(plan.planted)


@pytest.mark.parametrize(("source", "rate"), LABEL_ERRORS.items())
def test_random_label_errors_have_their_stated_share(pairs: list[dict], source: str, rate: float) -> None:
    own = [p for p in pairs if p["source"] == source and (p["planted"] == "none" or p["planted"].endswith("_error"))]
    wrong = sum(p["label"] != p["verdict"] for p in own)
    assert wrong == round(rate * len(own))
    assert len({p["category"] for p in own if p["label"] != p["verdict"]}) >= 4


def test_systematic_errors_are_a_quarter_and_follow_two_habits(pairs: list[dict]) -> None:
    own = [p for p in pairs if p["source"] == "sample_systematic" and p["planted"] in ("none", "systematic_error")]
    wrong = [p for p in own if p["label"] != p["verdict"]]
    assert 0.21 <= len(wrong) / len(own) <= 0.29
    assert all((p["label"] != p["verdict"]) == (p["category"] == "tone") for p in own if p["category"] == "tone")
    for pair in wrong:
        if pair["category"] != "tone":
            chosen, other = (pair["first"], pair["second"]) if pair["label"] == "a" else (pair["second"], pair["first"])
            assert len(chosen) > 1.5 * len(other)


def test_labels_are_right_unless_an_error_is_planted(pairs: list[dict]) -> None:
    for pair in pairs:
        kind = pair["planted"]
        if kind in ("none", "duplicate", "near_duplicate", "tie", "contamination"):
            assert pair["label"] == pair["verdict"], pair
        elif kind in ("role_swap", "contradiction") or kind.endswith("_error"):
            assert {pair["label"], pair["verdict"]} == {"a", "b"}, pair
        else:
            assert pair["verdict"] is None, pair


def test_repeated_pairs_are_the_pairs_they_repeat(pairs: list[dict]) -> None:
    places = {f"{p['source']} row {p['source_row']}": p for p in pairs}
    repeated = [p for p in pairs if p["planted"] in ("duplicate", "role_swap", "contradiction")]
    assert {p["planted"] for p in repeated} == {"duplicate", "role_swap", "contradiction"}
    for pair in repeated:
        original = places[pair["detail"].removeprefix("of ").split(",")[0]]
        assert pair["ids"].pair_id == original["ids"].pair_id
        side = {True: pair["ids"].swapped, False: not pair["ids"].swapped}
        other = {True: original["ids"].swapped, False: not original["ids"].swapped}
        same_label = side[pair["label"] == "a"] == other[original["label"] == "a"]
        assert same_label == (pair["planted"] == "duplicate")
        assert side[pair["verdict"] == "a"] == other[original["verdict"] == "a"]
        if pair["planted"] != "duplicate":
            assert (pair["source"] == original["source"]) == (pair["planted"] == "role_swap")


def test_no_pair_repeats_unless_planted(pairs: list[dict]) -> None:
    again = ("duplicate", "near_duplicate", "role_swap", "contradiction", "empty_text")
    plain = [p for p in pairs if p["planted"] not in again]
    ids = Counter(p["ids"].pair_id for p in plain if not p["ids"].equal)
    assert not [pair for pair, n in ids.items() if n > 1]


def test_empty_and_equal_texts_are_what_they_say(pairs: list[dict]) -> None:
    nothing = response_hash("")
    for pair in pairs:
        empty = [response_hash(t) == nothing for t in (last_turn(pair), pair["first"], pair["second"])]
        assert any(empty) == (pair["planted"] == "empty_text")
        assert pair["ids"].equal == (pair["planted"] == "equal_responses")


def test_the_pool_meets_the_benchmark_only_where_planted(pairs: list[dict], benchmark: list[dict]) -> None:
    prompts = {item["item_id"]: json.loads(item["prompt"])[-1]["content"] for item in benchmark}
    folded = {" ".join(text.lower().split()) for text in prompts.values()}
    grams = all_ngrams(prompts.values())
    kinds = Counter()
    for pair in pairs:
        text = last_turn(pair)
        hit = bool(ngrams(text) & grams) or " ".join(text.lower().split()) in folded
        assert hit == (pair["planted"] == "contamination"), pair
        if hit:
            item, kind = pair["detail"].split()
            assert ngrams(text) & ngrams(prompts[item])
            assert (" ".join(text.lower().split()) == " ".join(prompts[item].lower().split())) == (kind == "exact")
            kinds[kind] += 1
    assert min(kinds["exact"], kinds["13gram"]) > 20


def test_the_benchmark_is_truly_labelled_and_of_the_stated_size(benchmark: list[dict]) -> None:
    assert len(benchmark) == NUM_BENCHMARK_ITEMS == len({item["item_id"] for item in benchmark})
    assert {item["subset"] for item in benchmark} == set(CATEGORIES)
    sides = Counter(item["preferred"] for item in benchmark)
    assert set(sides) == {"a", "b"}
    assert 0.4 <= sides["a"] / len(benchmark) <= 0.6
    keys = {prompt_cluster_key([(m["role"], m["content"]) for m in json.loads(item["prompt"])]) for item in benchmark}
    assert len(keys) == len(benchmark)


def test_a_near_duplicate_is_another_pair_of_nearly_the_same_words(pairs: list[dict]) -> None:
    by_place = {f"{p['source']} row {p['source_row']}": p for p in pairs}
    near = [p for p in pairs if p["planted"] == "near_duplicate"]
    assert {p["detail"].split(", ")[1] for p in near} == {"case and punctuation", "and a word more"}
    for pair in near:
        original = by_place[pair["detail"].split(", ")[0].removeprefix("of ")]
        assert pair["ids"].pair_id != original["ids"].pair_id
        assert words_of(last_turn(pair)) == words_of(last_turn(original))


def test_different_prompts_stay_different_when_folded(pairs: list[dict]) -> None:
    prompts = defaultdict(set)
    for pair in pairs:
        if pair["planted"] not in ("empty_text", "duplicate", "near_duplicate"):
            prompts[prompt_cluster_key(pair["turns"])].add(last_turn(pair))
    assert all(len(texts) == 1 for texts in prompts.values())
    assert len(prompts) > 2_500
    on_a_prompt = Counter(p["ids"].prompt_id for p in pairs if p["planted"] == "none")
    assert sum(n > 1 for n in on_a_prompt.values()) > 400


def test_length_does_not_tell_the_better_response(pairs: list[dict]) -> None:
    def longer_wins(rows: list[dict]) -> float:
        points = []
        for pair in rows:
            better, worse = (
                (pair["first"], pair["second"]) if pair["verdict"] == "a" else (pair["second"], pair["first"])
            )
            points.append(0.5 if len(better) == len(worse) else float(len(better) > len(worse)))
        return sum(points) / len(points)

    known = [p for p in pairs if p["verdict"] in ("a", "b")]
    assert 0.45 <= longer_wins(known) <= 0.58
    for category in LEARNABLE:
        assert 0.42 <= longer_wins([p for p in known if p["category"] == category]) <= 0.58, category


def test_position_carries_no_signal_where_the_layout_has_a_position(pairs: list[dict]) -> None:
    for source in ("sample_people", "sample_systematic", HANDWRITTEN):
        own = [p["verdict"] for p in pairs if p["source"] == source and p["verdict"] in ("a", "b")]
        assert 0.44 <= own.count("a") / len(own) <= 0.56, source


def test_learnable_and_hard_categories_are_both_there(summary: SampleSummary) -> None:
    total = sum(summary.categories.values())
    assert sum(summary.categories[c] for c in LEARNABLE) / total > 0.7
    assert sum(summary.categories[c] for c in HARD) / total > 0.07
