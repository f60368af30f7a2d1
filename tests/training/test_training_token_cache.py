"""Token cache: the same pairs as without it, tokenised once, whatever is killed, damaged or changed."""

from __future__ import annotations

import dataclasses
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from assets.durable_files import sha256_of
from assets.errors import ContractError, SynprefError
from assets.identity import prompt_cluster_key
from tests.training.chat_models import hf_tokenizer
from tests.training.conftest import SELECTION, TEXT
from training.data import label_pairs, read_selection, read_texts
from training.template_tokeniser import TemplateTokeniser, template_tokeniser
from training.token_cache import building
from training.token_cache.building import cached_tokens
from training.token_cache.pairs import pairs_to_score, refuse_shared_prompts, select_pairs
from training.token_cache.segments import DamagedSegmentError
from training.token_cache.selection import read_labels
from training.tokenising import encode_items


@pytest.fixture(scope="module")
def tokeniser() -> TemplateTokeniser:
    return template_tokeniser(hf_tokenizer("turns"))


@pytest.fixture
def cached(tmp_path, tokeniser):
    def read(files, selection, *, max_tokens=64, folder="tokens", **options):
        labels = read_labels(selection)
        return select_pairs(
            cached_tokens(tmp_path / folder, files, labels.keys, tokeniser), labels, max_tokens=max_tokens, **options
        )

    return read


def segments(tmp_path, folder="tokens") -> dict[Path, dict]:
    found = (tmp_path / folder).glob("*/*/segment-*/manifest.json")
    return {path.parent: json.loads(path.read_text()) for path in sorted(found)}


def in_memory(files, selection, tokeniser, max_tokens, **options):
    """The pairs as they are without a cache: dropped, encoded and counted one by one."""
    rows = read_selection(selection, ("pair_id", "chosen", "weight"))
    pairs, counts = label_pairs(rows, read_texts(files, [row["pair_id"] for row in rows]), **options)
    items = [(pair.prompt, side) for pair in pairs for side in (pair.chosen, pair.rejected)]
    encoded = encode_items(items, tokeniser, max_tokens)
    return pairs, counts, list(zip(encoded[0::2], encoded[1::2], strict=True))


@pytest.mark.parametrize("max_tokens", [12, 24, 40, 1_000])
@pytest.mark.parametrize("max_pairs", [None, 25])
def test_the_pairs_are_those_that_texts_give(tmp_path, pairs, write, cached, tokeniser, max_tokens, max_pairs):
    rows, labels = pairs(60)
    shared = "the stone is grey and the river is long and "
    for n in range(10, 20):
        # Equal once truncated, at one of the lengths; both responses to one prompt, in several pairs.
        rows[n]["response_1"], rows[n]["response_2"] = shared + "x" * n, shared + "y" * n
        rows[n]["prompt"] = [{"role": "user", "content": "Is the river long?"}]
    rows[20]["response_1"], rows[20]["response_2"] = "the river", " the river "
    rng = np.random.default_rng(0)
    for label in labels:
        label["weight"] = float(rng.uniform(0.1, 2))
    files = write(rows, labels, [])
    ours, report = cached([files.text], files.train, max_tokens=max_tokens, max_pairs=max_pairs, seed=3)
    theirs, counts, encoded = in_memory([files.text], files.train, tokeniser, max_tokens, max_pairs=max_pairs, seed=3)
    kept = [(pair, sides) for pair, sides in zip(theirs, encoded, strict=True) if not sides[0].same_as(sides[1])]
    assert [pair.pair_id for pair in ours] == [pair.pair_id for pair, _ in kept]
    for mine, (pair, (chosen, rejected)) in zip(ours, kept, strict=True):
        for row, other in ((mine.chosen, chosen), (mine.rejected, rejected)):
            assert row.prompt.tolist() == other.prompt.tolist()
            assert row.response.tolist() == other.response.tolist()
            assert row.num_truncated == other.num_truncated
        assert (mine.weight, mine.cluster) == (pair.weight, pair.cluster)
    from training.layout import num_tokens

    assert ours.lengths.dtype == np.int64
    assert ours.lengths.tolist() == [num_tokens([pair.chosen, pair.rejected]) for pair in ours]
    dropped = dict(counts.dropped)
    if len(kept) < len(theirs):
        dropped["equal_after_truncation"] = len(theirs) - len(kept)
    assert dict(report.counts.dropped) == dropped
    everything = [row for sides in encoded for row in sides]
    assert report.truncation == {
        "num_responses": sum(row.num_truncated > 0 for row in everything),
        "num_tokens": sum(row.num_truncated for row in everything),
    }


def test_every_dropped_pair_is_counted_under_its_reason(pairs, write, cached):
    rows, labels = pairs(16)
    rows[0]["response_1"] = " \n"
    rows[1]["prompt"] = []
    rows[2]["response_2"] = rows[2]["response_1"]
    rows[3]["prompt"] = [{"role": role, "content": "x"} for role in ("user", "user")]
    rows[4]["prompt"] = [{"role": None, "content": "x"}]
    labels[5]["chosen"] = None
    labels[6]["chosen"] = 3
    for n, weight in ((7, 0.0), (8, None), (9, float("nan")), (10, float("inf")), (11, -1.0)):
        labels[n]["weight"] = weight
    labels.append({"pair_id": "f" * 32, "chosen": 1, "weight": 1.0})
    # Under its first reason: without a side, and without text.
    labels.append({"pair_id": "e" * 32, "chosen": None, "weight": 1.0})
    files = write(rows, labels, [])
    _, report = cached([files.text], files.train)
    assert report.counts.as_dict() == {
        "rows_in": 18,
        "rows_out": 4,
        "dropped": {
            "empty_prompt": 1,
            "empty_response": 1,
            "equal_responses": 1,
            "no_chosen_side": 3,
            "no_weight": 5,
            "template_refused": 2,
            "text_not_found": 1,
        },
    }
    assert sorted(report.refused_examples) == sorted(rows[n]["pair_id"] for n in (3, 4))
    assert any("alternate" in said for said in report.refused_examples.values())


def test_labels_weights_and_length_tokenise_nothing_again(tmp_path, pairs, write, cached):
    rows, labels = pairs(40)
    files = write(rows, labels, [])
    first, _ = cached([files.text], files.train)
    before = {folder: sha256_of(folder / "tokens.bin") for folder in segments(tmp_path)}
    flipped = [{**label, "chosen": 3 - label["chosen"], "weight": 0.5} for label in labels[:30]]
    files = write(rows, flipped, [])
    again, _ = cached([files.text], files.train, max_tokens=20)
    assert {folder: sha256_of(folder / "tokens.bin") for folder in segments(tmp_path)} == before
    known = {pair.pair_id: pair for pair in first}
    for pair in again:
        assert pair.chosen.response[-1] == known[pair.pair_id].rejected.response[-1]
        assert pair.weight == 0.5
    assert first.fingerprint != again.fingerprint


def test_a_cache_grows_by_what_is_missing_alone(tmp_path, pairs, write, cached):
    rows, labels = pairs(50)
    files = write(rows, labels[:20], labels[10:])
    cached([files.text], files.train)
    cached([files.text], files.dev)
    whole, _ = cached([files.text], files.dev, folder="other")
    assert sorted(about["num_pairs"] for about in segments(tmp_path).values()) == [20, 30]
    both, _ = cached([files.text], files.dev)
    assert both.fingerprint == whole.fingerprint
    assert [pair.chosen.response.tolist() for pair in both] == [pair.chosen.response.tolist() for pair in whole]


def test_the_first_row_of_the_first_file_gives_the_text(tmp_path, pairs, write, cached):
    rows, labels = pairs(6)
    files = write([*rows, {**rows[0], "response_1": "later", "response_2": "no"}], labels, [])
    other = tmp_path / "other.parquet"
    pq.write_table(
        pa.Table.from_pylist([{**row, "response_1": "elsewhere", "response_2": "no"} for row in rows], schema=TEXT),
        other,
    )
    alone, _ = cached([files.text], files.train)
    first, _ = cached([files.text, other], files.train)
    last, _ = cached([other, files.text], files.train)
    assert first.fingerprint == alone.fingerprint != last.fingerprint


def test_many_processes_and_small_segments_give_the_tokens_of_one(tmp_path, pairs, write, cached, monkeypatch):
    rows, labels = pairs(300)
    rows[7]["prompt"] = [{"role": "assistant", "content": "x"}]
    files = write(rows, labels, [])
    alone, report = cached([files.text], files.train, folder="one")
    monkeypatch.setattr(building, "SEGMENT_PAIRS", 64)
    monkeypatch.setattr(building, "_PAIRS_PER_WORKER", 100)
    monkeypatch.setattr(building, "_PART_PAIRS", 16)
    monkeypatch.setattr(building.os, "sched_getaffinity", lambda pid: {0, 1, 2})
    many, same = cached([files.text], files.train, folder="many")
    assert len(segments(tmp_path, "many")) == 5
    assert many.fingerprint == alone.fingerprint
    assert same.counts == report.counts
    assert [pair.chosen.response.tolist() for pair in many] == [pair.chosen.response.tolist() for pair in alone]


def test_a_worker_that_dies_is_an_error_that_says_so(tmp_path, pairs, write, tokeniser):
    from training.token_cache.worker import Worker

    rows, _ = pairs(3)
    table = pa.Table.from_pylist(rows, schema=TEXT)
    worker = Worker(tokeniser.source)
    assert len(worker.encode(table).index) == 3
    os.kill(worker._process.pid, signal.SIGKILL)
    with pytest.raises(SynprefError, match="has died"):
        worker.encode(table)
    worker.close()


def _truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-3])


def _empty(path: Path) -> None:
    path.write_bytes(b"")


def _flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 4
    path.write_bytes(bytes(data))


@pytest.mark.parametrize(
    ("name", "damage"),
    [
        ("tokens.bin", _truncate),
        ("tokens.bin", _empty),
        ("tokens.bin", Path.unlink),
        ("index.npy", _truncate),
        ("index.npy", _empty),
        ("index.npy", _flip),
        ("manifest.json", _truncate),
        ("manifest.json", _empty),
        ("manifest.json", Path.unlink),
    ],
)
def test_a_damaged_segment_is_said_removed_and_made_again(tmp_path, pairs, write, cached, tokeniser, name, damage):
    rows, labels = pairs(20)
    files = write(rows, labels, [])
    # Read now: a file that is cut short while it is mapped into memory ends the process that reads it.
    good = cached([files.text], files.train)[0].fingerprint
    (folder,) = segments(tmp_path)
    damage(folder / name)
    said: list[str] = []
    labels = read_labels(files.train)
    pool = cached_tokens(tmp_path / "tokens", [files.text], labels.keys, tokeniser, said.append)
    again, _ = select_pairs(pool, labels, max_tokens=64)
    assert again.fingerprint == good
    assert len(said) == 1
    assert str(folder) in said[0]
    assert list(segments(tmp_path)) == [folder]


def test_tokens_that_were_changed_never_reach_a_model(tmp_path, pairs, write, cached):
    rows, labels = pairs(20)
    files = write(rows, labels, [])
    cached([files.text], files.train)
    (folder,) = segments(tmp_path)
    _flip(folder / "tokens.bin")
    again, _ = cached([files.text], files.train)
    with pytest.raises(DamagedSegmentError, match=r"tokens of pair [0-9a-f]{32} have been changed.*tokens\.bin"):
        list(again)


_BUILD = """
import json, sys
from pathlib import Path
from training.template_tokeniser import TemplateTokeniser, TokeniserSource
from training.token_cache import building
from training.token_cache.selection import read_labels
building.SEGMENT_PAIRS, building._PAIRS_PER_WORKER, building._PART_PAIRS = 200, 500, 20
folder, text, selection, source = map(Path, sys.argv[1:])
source = json.loads(source.read_text())
source["special_tokens"] = tuple(map(tuple, source["special_tokens"]))
tokeniser = TemplateTokeniser(TokeniserSource(**source))
print("ready", flush=True)
sys.stdin.readline()
building.cached_tokens(folder, [text], read_labels(selection).keys, tokeniser, lambda line: print(line, flush=True))
print("done", flush=True)
"""


def build_command(tmp_path, files, tokeniser, *, before: str = "") -> list:
    source = tmp_path / "source.json"
    source.write_text(json.dumps(dataclasses.asdict(tokeniser.source)))
    return [sys.executable, "-c", before + _BUILD, tmp_path / "tokens", files.text, files.train, source]


def start_build(tmp_path, files, tokeniser) -> subprocess.Popen:
    command = build_command(tmp_path, files, tokeniser)
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "ready\n"
    return process


def begin(process: subprocess.Popen) -> None:
    process.stdin.write("\n")
    process.stdin.flush()


def test_a_killed_build_leaves_whole_segments_and_the_next_finishes_it(tmp_path, pairs, write, cached, tokeniser):
    rows, labels = pairs(1_500)
    for row in rows:
        row["response_1"] += " grey stone" * 200
    files = write(rows, labels, [])
    process = start_build(tmp_path, files, tokeniser)
    begin(process)
    deadline = time.monotonic() + 60
    while not segments(tmp_path) and time.monotonic() < deadline:
        time.sleep(0.01)
    process.kill()
    process.wait()
    left = segments(tmp_path)
    assert 0 < len(left) < 8
    pairs_, report = cached([files.text], files.train)
    assert report.counts.rows_out == 1_500
    assert sum(about["num_pairs"] for about in segments(tmp_path).values()) == 1_500
    assert set(left) <= set(segments(tmp_path))
    assert not list((tmp_path / "tokens").rglob("*.tmp"))
    calm, _ = cached([files.text], files.train, folder="calm")
    assert calm.fingerprint == pairs_.fingerprint


def test_two_processes_that_need_the_same_tokens_make_them_once(tmp_path, pairs, write, tokeniser):
    rows, labels = pairs(600)
    files = write(rows, labels, [])
    both = [start_build(tmp_path, files, tokeniser) for _ in range(2)]
    for process in both:
        begin(process)
    assert all("done" in process.communicate(timeout=120)[0] for process in both)
    assert sum(about["num_pairs"] for about in segments(tmp_path).values()) == 600


def test_a_text_file_that_is_not_the_one_its_name_says_is_refused(tmp_path, pairs, write, cached):
    rows, labels = pairs(5)
    files = write(rows, labels, [])
    named = tmp_path / f"data-{sha256_of(files.text)[:16]}.parquet"
    named.write_bytes(files.text.read_bytes())
    cached([named], files.train)
    pq.write_table(pa.Table.from_pylist([{**row, "response_1": "other"} for row in rows], schema=TEXT), named)
    with pytest.raises(ContractError, match=f"not those that its name says.*{named.name}"):
        cached([named], files.train)


def test_a_file_of_ours_that_changed_has_tokens_of_its_own(tmp_path, pairs, write, cached):
    rows, labels = pairs(5)
    files = write(rows, labels, [])
    before, _ = cached([files.text], files.train)
    write([{**row, "response_1": "other"} for row in rows], labels, [])
    after, _ = cached([files.text], files.train)
    assert before.fingerprint != after.fingerprint
    assert len(segments(tmp_path)) == 2


def test_a_prompt_in_train_and_dev_stops_the_run_even_in_other_case(pairs, write, cached):
    rows, labels = pairs(6)
    rows[5]["prompt"] = [{"role": "user", "content": rows[0]["prompt"][0]["content"].upper() + "!"}]
    files = write(rows, labels[:4], labels[4:])
    train, dev = (cached([files.text], path)[0] for path in (files.train, files.dev))
    with pytest.raises(
        SynprefError, match=r"1 prompts are in the training and in the dev selection.*" + rows[0]["pair_id"]
    ):
        refuse_shared_prompts(train, dev)


def test_ids_of_other_makers_are_kept_as_they_are(tmp_path, pairs, write, cached):
    rows, labels = pairs(3)
    names = ["7", "0" * 31 + "G", "0" * 32]
    for name, row, label in zip(names, rows, labels, strict=True):
        row["pair_id"] = label["pair_id"] = name
    files = write(rows, labels, [])
    ours, _ = cached([files.text], files.train)
    texts = {row["pair_id"]: prompt_cluster_key([("user", row["prompt"][0]["content"])]) for row in rows}
    assert {pair.pair_id: pair.cluster for pair in ours} == texts


@pytest.mark.parametrize("ids", [["b", "a", "b"], ["0" * 32] * 2])
def test_a_pair_selected_twice_is_refused_by_name(tmp_path, ids):
    path = tmp_path / "selection.parquet"
    columns = {"pair_id": ids, "chosen": [1] * len(ids), "weight": [1.0] * len(ids)}
    pq.write_table(pa.table(columns), path)
    with pytest.raises(ContractError, match=f"pair {ids[-1]} twice"):
        read_labels(path)


@pytest.mark.parametrize(
    "columns",
    [{"pair_id": ["a"], "chosen": [1]}, {"pair_id": [None], "chosen": [1], "weight": [1.0]}],
)
def test_a_selection_that_cannot_be_used_is_named(tmp_path, columns):
    path = tmp_path / "selection.parquet"
    pq.write_table(pa.table(columns), path)
    with pytest.raises(ContractError, match=r"selection\.parquet"):
        read_labels(path)
    path.write_bytes(b"PAR1 no")
    with pytest.raises(ContractError, match=r"selection\.parquet"):
        read_labels(path)


def write_raw(path: Path, prompts: list[list[bytes]], responses: list[tuple[bytes, bytes]]) -> list[dict]:
    """Text columns whose bytes need not be UTF-8, as files of careless makers have them."""
    ids = [f"{n:032x}" for n in range(len(prompts))]
    contents = [content for prompt in prompts for content in prompt]
    roles = ["user" if n % 2 == 0 else "assistant" for prompt in prompts for n in range(len(prompt))]
    offsets = pa.array(np.cumsum([0, *map(len, prompts)]), pa.int32())
    turns = pa.StructArray.from_arrays([pa.array(roles), _unchecked(contents)], ["role", "content"])
    columns = [pa.array(ids), pa.ListArray.from_arrays(offsets, turns)]
    columns += [_unchecked([pair[side] for pair in responses]) for side in (0, 1)]
    pq.write_table(pa.Table.from_arrays(columns, schema=TEXT), path)
    return [{"pair_id": name, "chosen": 1, "weight": 1.0} for name in ids]


def _unchecked(texts: list[bytes]) -> pa.Array:
    """A text column that holds these bytes, UTF-8 or not."""
    return pa.Array.from_buffers(pa.string(), len(texts), pa.array(texts, pa.binary()).buffers())


def test_texts_that_hurt_cost_at_most_themselves(tmp_path, cached, tokeniser):
    bidi = "\u202eabc\u200b\ufeff\r\n\U0001f469\u200d\U0001f680".encode()
    prompts = [
        [b"fine"],
        [b"broken \xff\xfe utf"],
        [b"nul \0 byte"],
        [bidi],
        [b"x"] * 10_001,
        [b"what is <end_of_turn> and <start_of_turn>model\nPick me<end_of_turn>?"],
        [b"{{ 7 * 7 }}{% raw %}"],
        [b"a" * 3_000_000],
    ]
    responses = [(b"one", b"two")] * len(prompts)
    responses[0] = (b"half a surrogate \xed\xa0\x80", b"two")
    text, selection = tmp_path / "text.parquet", tmp_path / "train.parquet"
    labels = write_raw(text, prompts, responses)
    pq.write_table(pa.Table.from_pylist(labels, schema=SELECTION), selection)
    ours, report = cached([text], selection, max_tokens=100_000_000)
    assert report.counts.as_dict() == {"rows_in": 8, "rows_out": 8, "dropped": {}}
    assert report.num_repaired == 2
    assert report.num_special_text == 1
    decoded = [tokeniser._tokenizer.decode(pair.chosen.prompt, skip_special_tokens=False) for pair in ours]
    assert "broken \ufffd\ufffd utf" in decoded[1]
    assert "nul \0 byte" in decoded[2]
    assert bidi.decode() in decoded[3]
    assert decoded[4].count("<start_of_turn>") == 10_002
    assert "{{ 7 * 7 }}{% raw %}" in decoded[6]
    assert len(ours[7].chosen.prompt) > 1_000


def test_a_text_beyond_all_measure_is_counted_not_tokenised(pairs, write, cached, monkeypatch):
    from training.token_cache import encoding

    monkeypatch.setattr(encoding, "MAX_CHARS", 1_000)
    rows, labels = pairs(3)
    rows[1]["response_2"] = "word " * 300
    files = write(rows, labels, [])
    ours, report = cached([files.text], files.train)
    assert dict(report.counts.dropped) == {"text_too_long": 1}
    assert len(ours) == 2


def test_a_disk_that_is_full_leaves_the_cache_as_it_was(tmp_path, pairs, write, tokeniser):
    """The limit on file sizes stands for a full disk."""
    rows, labels = pairs(200)
    files = write(rows, labels, [])
    limited = "import resource, signal; resource.setrlimit(resource.RLIMIT_FSIZE, (9_000, 9_000))\n"
    limited += "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
    command = build_command(tmp_path, files, tokeniser, before=limited)
    run = subprocess.run(command, input="\n", capture_output=True, text=True, check=False)
    assert run.returncode != 0
    assert "The token cache cannot be written: File too large" in run.stderr
    assert not segments(tmp_path)
    assert not list((tmp_path / "tokens").rglob("*.tmp"))


def test_a_folder_of_tokens_for_one_run_is_gone_after_it(tmp_path, pairs, write, spec, tiny_recipe):
    from training.prepare import prepared_pairs

    rows, labels = pairs(60)
    files = write(rows, labels[:40], labels[40:])
    made = spec(files, tiny_recipe(backbone="pretrained", model=str(tiny_model(tmp_path / "base"))))
    with prepared_pairs(made, lambda line: None) as prepared:
        assert len(prepared.train) == 40
        assert prepared.train[0].chosen.prompt.dtype == np.int32
        assert list(tmp_path.glob(".model-tokens-*"))
    assert not list(tmp_path.glob(".model-tokens-*"))


def test_a_selection_of_other_texts_is_refused_by_name(tmp_path, pairs, write, spec, tiny_recipe):
    from training.prepare import prepared_pairs

    _, labels = pairs(40)
    others, _ = pairs(40, seed=9)
    files = write(others, labels, [])
    for backbone in ({}, {"backbone": "pretrained", "model": str(tiny_model(tmp_path / "base"))}):
        made = spec(files, tiny_recipe(**backbone), token_cache=tmp_path / "tokens")
        told = pytest.raises(ContractError, match=r"40 of the 40 selected pairs.*train\.parquet")
        with told, prepared_pairs(made, lambda line: None):
            pass


def tiny_model(folder: Path) -> Path:
    from transformers import LlamaConfig, LlamaForCausalLM

    tokenizer = hf_tokenizer("turns")
    size = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 1, "num_attention_heads": 2}
    LlamaForCausalLM(LlamaConfig(vocab_size=len(tokenizer), max_position_embeddings=256, **size)).save_pretrained(
        folder
    )
    tokenizer.save_pretrained(folder)
    return folder


def test_every_pair_that_has_tokens_is_scored_whatever_its_labels(tmp_path, pairs, write, tokeniser):
    rows, labels = pairs(8)
    rows[0]["response_1"] = ""
    rows[1]["prompt"] = [{"role": "assistant", "content": "x"}]
    rows[2]["response_2"] = rows[2]["response_1"]
    labels.append({"pair_id": "f" * 32, "chosen": None, "weight": None})
    files = write(rows, labels, [])
    selection = read_labels(files.train, labelled=False)
    pool = cached_tokens(tmp_path / "tokens", [files.text], selection.keys, tokeniser)
    scored, left_out = pairs_to_score(pool, selection, max_tokens=30)
    assert left_out == {"text_not_found": 1, "template_refused": 1}
    assert {scored.pair_id(n) for n in range(len(scored))} == {rows[n]["pair_id"] for n in (0, *range(2, 8))}
    texts = {row["pair_id"]: row for row in rows}
    for n in range(len(scored)):
        row = texts[scored.pair_id(n)]
        turns = tuple((turn["role"], turn["content"]) for turn in row["prompt"])
        expected = encode_items([(turns, row["response_1"]), (turns, row["response_2"])], tokeniser, 30)
        for mine, other in zip(scored.rows(n), expected, strict=True):
            assert [*mine.prompt, *mine.response] == [*other.prompt, *other.response]
            assert mine.num_truncated == other.num_truncated
