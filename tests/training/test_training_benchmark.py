"""Benchmark: every contender is given the same tokens in the same order, and what is measured is kept and summed up."""

from __future__ import annotations

import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from assets.errors import ConfigError, SynprefError
from training.benchmark import Bench, OutOfTimeError, main
from training.benchmarking.contender import Task, measure, step_order
from training.benchmarking.pair_files import draw, encode, read_pairs
from training.benchmarking.rows import SUITES, Row
from training.benchmarking.shapes import NAMES, REAL_WEIGHTS, UNKNOWN, shape_config, write_model
from training.benchmarking.table import fastest_micro_batch, render, summarise
from training.benchmarking.workload import Workload, lognormal_workload
from training.flops import decoder_shape
from training.recipe import TrainingRecipe
from training.tokenising import EncodedRow

BATCH, STEPS = 4, 4


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    """A model folder and a file of pairs."""
    folder = tmp_path_factory.mktemp("tiny")
    write_model("tiny", folder / "model", seed=3, half=False)
    lognormal_workload(BATCH * STEPS, 256, 512, 3).save(folder / "pairs.npz")
    return folder


def _task(folder, contender, **changes) -> Task:
    recipe = TrainingRecipe(
        backbone="pretrained",
        model=str(folder / "model"),
        max_tokens=256,
        batch_pairs=BATCH,
        micro_batch_tokens=1_024,
        max_epochs=1,
        max_steps=1_000,
        learning_rate=1e-3,
        warmup_share=0.5,
    )
    values = {
        "contender": contender,
        "work": "training",
        "workload": folder / "pairs.npz",
        "recipe": recipe,
        "micro_batch_pairs": 2,
        "warmup": 1,
        "steps": STEPS - 1,
        "scratch": folder / "scratch",
    }
    return Task(**{**values, **changes})


def test_a_workload_survives_its_file(tmp_path):
    made = lognormal_workload(5, 300, 512, 0)
    made.save(tmp_path / "w.npz")
    read = Workload.load(tmp_path / "w.npz")
    assert read.pair_ids == made.pair_ids
    for ours, theirs in zip(read.parts(), made.parts(), strict=True):
        assert [ids.tolist() for ids in ours] == [ids.tolist() for ids in theirs]


def test_random_ids_hold_no_special_token_and_rows_fit():
    made = lognormal_workload(400, 500, 60, 0)
    ids = np.concatenate([np.concatenate(part) for part in made.parts()])
    assert (ids.min(), ids.max()) == (UNKNOWN + 1, 59)
    lengths = made.lengths()
    assert (lengths[:, 0] + lengths[:, 1:].max(1)).max() <= 500
    assert lengths.min() >= 1


def test_lengths_have_the_medians_of_the_design():
    lengths = lognormal_workload(4_000, 100_000, 60, 0).lengths()
    np.testing.assert_allclose(np.median(lengths, axis=0), [180, 280, 280], rtol=0.06)


def test_trl_is_given_the_rows_that_our_loop_reads(tiny):
    task = _task(tiny, "ours")
    pairs = Workload.load(task.workload)
    order = step_order(task, pairs)
    given = pairs.take(order)
    columns, rows = given.trl_columns(), given.rows()
    for chosen, rejected, (one, two) in zip(columns["chosen_ids"], columns["rejected_ids"], rows, strict=True):
        assert chosen == [*one.prompt, *one.response]
        assert rejected == [*two.prompt, *two.response]
        assert one.shares_prompt(two)
    # Whole steps of pairs of like length, each pair once.
    assert sorted(order.tolist()) == list(range(len(pairs)))
    lengths = np.array(given.shared_lengths()).reshape(STEPS, BATCH)
    spread = (lengths.max(1) - lengths.min(1)).sum()
    assert spread < (np.array(pairs.shared_lengths()).reshape(STEPS, BATCH).max(1) - lengths.min()).sum()


def test_both_trainers_have_the_same_losses_and_count_the_same_work(tiny):
    pytest.importorskip("trl")
    ours, trl = (measure(_task(tiny, name)) for name in ("ours", "trl_tuned"))
    # Equal to rounding in every step: same weights, pairs, order, accumulation, rates, clipping and decay.
    np.testing.assert_allclose(ours["losses"], trl["losses"], atol=2e-5)
    assert len(ours["losses"]) == STEPS
    for name in ("num_pairs", "tokens", "shared_tokens", "flops", "shared_flops", "step_pairs"):
        assert ours[name] == trl[name]
    assert ours["num_pairs"] == BATCH * (STEPS - 1)
    # Ours computes prompts once and pads little; TRL pads and repeats.
    assert ours["shared_tokens"] <= ours["computed_positions"] < ours["tokens"] < trl["computed_positions"]
    for result in (ours, trl):
        assert len(result["step_s"]) == STEPS - 1
        assert min(result["step_s"]) > 0
        assert result["matrix_peak_flops"] > 0
        assert result["peak_memory_bytes"] > 1e6


@pytest.mark.parametrize("contender", ["ours", "trl_tuned"])
def test_scoring_is_measured_after_a_warm_up(tiny, contender):
    pytest.importorskip("trl")
    found = measure(_task(tiny, contender, work="scoring"))
    assert len(found["step_s"]) == 1
    assert found["num_pairs"] == BATCH * (STEPS - 1)
    assert found["computed_positions"] >= found["shared_tokens"]


def test_too_few_pairs_are_said(tiny):
    with pytest.raises(SynprefError, match="100 steps of 4 pairs need 400 pairs of 16"):
        measure(_task(tiny, "ours", steps=99))


@pytest.mark.faults
def test_a_suite_goes_on_where_it_was_stopped(tmp_path, capsys):
    command = ["--suite", "tiny", "--contenders", "ours", "--out", str(tmp_path)]
    assert main([*command, "--minutes", "0"]) == 1
    assert "run the same command again" in capsys.readouterr().err
    assert main(command) == 0
    table = capsys.readouterr().out
    assert "| tiny | ours |" in table
    runs = (tmp_path / "runs.jsonl").read_text()
    # A line that was cut by a kill is measured again, a whole one is not.
    (tmp_path / "runs.jsonl").write_text(runs + '{"row": "cut')
    assert main([*command, "--minutes", "0.5"]) == 0
    assert capsys.readouterr().out == table
    (found,) = json.loads((tmp_path / "results.json").read_text())
    assert found["contenders"]["ours"]["repeats"] == 1
    assert len(found["contenders"]["ours"]["losses"]) == 3


def test_a_row_that_was_given_other_settings_is_measured_again():
    row = SUITES["tiny"][0]
    assert row.key == row.model_copy(update={"repeats": 9, "contenders": ("ours",)}).key
    assert row.key != row.model_copy(update={"steps": 9}).key


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--suite", "tiny", "--row", "huge"], "has no row 'huge'"),
        (["--shape", "tiny", "--lengths", "pool"], "real text needs a real tokenizer"),
        (["--shape", "tiny", "--batch-pairs", "12"], "multiple of each"),
    ],
)
def test_rows_that_cannot_be_are_refused(tmp_path, capsys, arguments, said):
    assert main([*arguments, "--out", str(tmp_path)]) == 1
    assert said in capsys.readouterr().err


def test_every_shape_is_a_decoder_whose_flops_are_known():
    for name in set(NAMES) - set(REAL_WEIGHTS):
        assert decoder_shape(shape_config(name)).linear_per_token > 0
    # Qwen3-0.6B has 440.4 million weights in its layers, two FLOPs each and token.
    assert decoder_shape(shape_config("qwen3-0.6b")).linear_per_token == 2 * 28 * 15_728_640
    with pytest.raises(ConfigError, match="no shape 'gpt'"):
        shape_config("gpt")


def _run(row: Row, contender: str, seconds: float, **changes) -> dict:
    values = {
        "row": row.key,
        "contender": contender,
        "micro_batch": 1,
        "repeat": 0,
        "tuning": False,
        "num_pairs": 12,
        "step_s": [seconds / 2, seconds / 2],
        "cpu_s": seconds,
        "startup_s": 3.0,
        "flops": 6e12,
        "tokens": 1_200,
        "shared_tokens": 900,
        "computed_positions": 960,
        "matrix_peak_flops": 1e12,
        "peak_memory_bytes": 2e9,
        "step_pairs": 6,
        "losses": [0.7, 0.6],
        "load_before": 0.1,
        "device": "CPU, 2 threads",
    }
    return {**values, **changes}


def test_a_row_is_summed_up_as_medians_with_their_range():
    row = Row(name="a", shape="tiny", contenders=("ours", "trl_tuned"), trl_micro_batches=(1, 2, 4))
    runs = [_run(row, "ours", seconds) for seconds in (6.0, 12.0, 8.0)]
    runs += [_run(row, "trl_tuned", seconds, micro_batch=2) for seconds in (24.0,)]
    runs += [
        _run(row, "trl_tuned", 30.0, micro_batch=1, tuning=True),
        _run(row, "trl_tuned", 20.0, micro_batch=2, tuning=True),
        {"row": row.key, "contender": "trl_tuned", "micro_batch": 4, "repeat": 0, "tuning": True, "error": "memory"},
        {**_run(row, "ours", 0.001), "row": "another"},
    ]
    assert fastest_micro_batch(runs, row.key) == 2
    found = summarise(row, runs)
    ours = found["contenders"]["ours"]
    assert (ours["pairs_per_s"], ours["pairs_per_s_range"]) == (1.5, [1.0, 2.0])
    assert ours["tokens_per_s"] == 150
    assert ours["share_of_peak"] == 0.75
    assert ours["positions_per_token"] == 0.8
    assert found["tuning"] == {1: 0.4, 2: 0.6, 4: None}
    text = render([found])
    assert "| a | ours | 1.50 (1.00 to 2.00) | 150 | 0.750 | 0.80 | 2.0 | 3 |" in text
    assert "ours has 3.00 times the pairs/s of trl_tuned" in text
    assert "4: failed" in text


def test_trl_that_fails_with_every_batch_is_said():
    row = Row(name="a", shape="tiny")
    with pytest.raises(SynprefError, match="no batch size"):
        fastest_micro_batch([{"row": row.key, "tuning": True, "error": "memory"}], row.key)


def test_a_contender_that_dies_is_an_error_with_its_log(tmp_path):
    bench = Bench(tmp_path, 1.0, 1)
    assert "exit code" in bench._process(["training.benchmarking.no_such_module"], 0.0)["error"]
    assert "no_such_module" in (tmp_path / "log.txt").read_text()
    with pytest.raises(OutOfTimeError):
        bench._process(["training.benchmarking.no_such_module"], 3_600.0)


_PROMPT = json.dumps([{"role": "user", "content": "Say it."}])


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"preferred": "tie"}, "no_chosen_side"),
        ({"preferred": None}, "no_chosen_side"),
        ({"prompt": "[{"}, "unreadable_prompt"),
        ({"prompt": '[{"role": "user"}]'}, "unreadable_prompt"),
        ({"prompt": None}, "empty_prompt"),
        ({"response_a": " "}, "empty_response"),
        ({"response_b": None}, "empty_response"),
        ({"response_b": "one "}, "equal_responses"),
        ({}, "duplicate"),
    ],
)
def test_a_row_that_makes_no_pair_is_counted(tmp_path, changes, reason):
    row = {"prompt": _PROMPT, "response_a": "one", "response_b": "two", "preferred": "a", "label_origin": "human"}
    pq.write_table(pa.Table.from_pylist([row, {**row, **changes}]), tmp_path / "some.parquet")
    pairs, counts = read_pairs([tmp_path / "some.parquet"])
    assert (counts.rows_in, counts.rows_out, counts.dropped) == (2, 1, {reason: 1})
    assert [(one.pair.chosen, one.source, one.origin) for one in pairs] == [("one", "some", "human")]


def test_a_pair_with_contradicting_labels_is_left_out(tmp_path):
    row = {"prompt": _PROMPT, "response_a": "one", "response_b": "two", "preferred": "a", "label_origin": "llm"}
    pq.write_table(pa.Table.from_pylist([row, {**row, "preferred": "b"}]), tmp_path / "some.parquet")
    pairs, counts = read_pairs([tmp_path / "some.parquet"])
    assert not pairs
    assert counts.dropped == {"duplicate": 1, "contradicting_labels": 1}


class _Words:
    """A backbone that reads words, at most four a prompt."""

    def encode(self, items):
        rows = []
        for turns, response in items:
            prompt = np.array([hash(word) % 97 for word in turns[0][1].split()], np.int32)
            answer = np.array([len(word) for word in response.split()], np.int32)
            kept = prompt[-4:] if len(answer) < 3 else prompt[-2:]
            rows.append(EncodedRow(kept, answer, len(prompt) - len(kept)))
        return rows


def test_both_sides_of_a_cut_pair_get_the_same_prompt(tmp_path):
    row = {"prompt": _PROMPT.replace("Say it.", "a b c d e"), "preferred": "a", "label_origin": "llm"}
    rows = [{**row, "response_a": "x", "response_b": "x yy zzz"}, {**row, "response_a": "no", "response_b": "ab"}]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "some.parquet")
    pairs = draw([one.pair for one in read_pairs([tmp_path / "some.parquet"])[0]], 9, 0)
    workload, kept, truncated = encode(pairs, _Words())
    # Two responses of one two-letter word each are the same to this backbone.
    assert [(pair.chosen, pair.rejected) for pair in kept] == [("x", "x yy zzz")]
    assert truncated == 1
    assert [part[0].size for part in workload.parts()] == [2, 1, 3]
