"""Scoring: the same numbers however it is cut, and a killed one that goes on where it was."""

from __future__ import annotations

import itertools
import json
import os
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from assets.errors import ContractError, PartitionBusyError, SynprefError
from tests.training.conftest import TEXT, make_pairs
from training.bulk_scoring import Shard, score_shard
from training.checkpoint import MANIFEST
from training.data import read_texts
from training.score import METADATA_KEY, score_pairs, shards_beside
from training.score_shards import shard_folder
from training.scorer_facts import read_facts
from training.scoring import Scorer, blocks_by_length, by_prompt, load_scorer
from training.specs import ScoreSpec
from training.stored_texts import locate, read_ids
from training.tokenising import EncodedRow


def silent(line):
    """Nobody listens."""


@pytest.fixture
def selected(tmp_path, model):
    """Files of `num` pairs in two text files of small row groups, and the spec that scores them."""

    def make(num: int = 90, **changes) -> ScoreSpec:
        rows, _ = make_pairs(num, seed=3)
        for number, row in enumerate(rows):
            row["response_1"] += " and so on" * (number % 13)
        files = []
        for name, part in (("one", rows[: num // 2]), ("two", rows[num // 2 - 5 :])):
            files.append(tmp_path / f"{name}.parquet")
            pq.write_table(pa.Table.from_pylist(part, schema=TEXT), files[-1], row_group_size=8)
        pq.write_table(pa.table({"pair_id": [row["pair_id"] for row in rows]}), tmp_path / "pairs.parquet")
        values = {
            "model_dir": model,
            "text_files": tuple(files),
            "selection": tmp_path / "pairs.parquet",
            "shard_pairs": 16,
        }
        return ScoreSpec(**{**values, "output": tmp_path / "scores.parquet", **changes})

    return make


def conversations(num: int = 24) -> list:
    """Prompts with one to five responses, not all of a prompt next to each other."""
    rng = np.random.default_rng(0)
    words = [*"abcdefg", "river", "stone"]
    items = []
    for at in range(num):
        turns = (("user", f"prompt {at % 9} " + "long " * (at % 9)),)
        items += [(turns, " ".join(rng.choice(words, rng.integers(1, 30)))) for _ in range(1 + at % 5)]
    return [items[at] for at in rng.permutation(len(items))]


# --- one scorer ---


@pytest.mark.parametrize("packed", [False, True])
def test_a_score_depends_on_nothing_but_its_item(model, tmp_path, packed):
    items = conversations()
    if packed:
        # Without our manifest, the same folder is any decoder of transformers: computed packed.
        shutil.copytree(model, tmp_path / "packed")
        (tmp_path / "packed" / MANIFEST).unlink()
    scorer = load_scorer(tmp_path / "packed" if packed else model)
    alone = np.array([scorer.score([item]).scores[0] for item in items])
    assert np.ptp(alone) > 1e-2
    order = np.random.default_rng(1).permutation(len(items))
    for batch_tokens in (1, 50, 400, 16_384):
        scorer.batch_tokens = batch_tokens
        np.testing.assert_allclose(scorer.score(items).scores, alone, atol=1e-5)
        np.testing.assert_allclose(scorer.score([items[at] for at in order]).scores, alone[order], atol=1e-5)
    half = len(items) // 2
    scorer.batch_tokens = 16_384
    parts = [scorer.score(items[:half]).scores, scorer.score(items[half:]).scores]
    np.testing.assert_allclose(np.concatenate(parts), alone, atol=1e-5)


def test_a_shard_of_tokens_is_scored_as_one_of_texts(model):
    items = conversations(6)
    scorer, names = load_scorer(model), [str(at) for at in range(len(conversations(6)))]
    rows = scorer._backbone.encode(items)
    shards = [Shard(0, items, pa.table({"name": names}), names), Shard(0, (), pa.table({"name": names}), names, rows)]
    tables = [score_shard(scorer, shard, skip_refused=False, progress=silent) for shard in shards]
    assert tables[0].equals(tables[1])
    assert tables[0]["problem"].null_count == len(items)


def test_truncated_tokens_are_counted(model):
    items = [((("user", "word " * 200),), "short"), ((("user", "word"),), "short")]
    lost = load_scorer(model).score(items).num_truncated_tokens
    assert lost[0] > 100
    assert lost[1] == 0


def test_rows_of_one_prompt_stand_together():
    prompts = [np.array([n]) for n in (1, 2, 1, 3, 2, 1)]
    rows = [EncodedRow(prompt, np.array([9])) for prompt in prompts]
    assert by_prompt(rows) == [0, 2, 5, 1, 4, 3]


def test_blocks_hold_every_group_once_those_of_like_length_together_in_drawn_order():
    lengths = np.random.default_rng(0).integers(1, 500, 1000)
    blocks = list(blocks_by_length(lengths.tolist(), 4_000))
    assert sorted(np.concatenate(blocks).tolist()) == list(range(1000))
    assert max(lengths[block].sum() for block in blocks) <= 4_500
    ranges = sorted((lengths[block].min(), lengths[block].max()) for block in blocks)
    assert all(before[1] <= after[0] for before, after in itertools.pairwise(ranges))
    means = [lengths[block].mean() for block in blocks]
    assert means != sorted(means)
    assert list(blocks_by_length([], 10)) == []


class SmallMemory:
    """A backbone that holds so many tokens at a time; a row's score is its tokens' sum."""

    def __init__(self, room: int) -> None:
        import torch

        self.room, self.module = room, torch.nn.Identity()
        self.asked: list[int] = []

    def encode(self, items):
        prompts = {}
        return [EncodedRow(prompts.setdefault(t, np.full(4, ord(t[0][1]))), np.arange(len(r)) + 1) for t, r in items]

    def groups(self, rows, max_tokens):
        from training.layout import group_rows

        return group_rows(rows, None)

    def num_tokens(self, rows):
        from training.layout import num_tokens

        return num_tokens(rows, None)

    def micro_batches(self, lengths, max_tokens):
        from training.batching import within_budget

        return within_budget(lengths, max_tokens)

    def scores(self, rows):
        import torch

        self.asked.append(self.num_tokens(rows))
        if self.asked[-1] > self.room:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB")
        return torch.tensor([float(row.response.sum()) for row in rows])


def test_what_does_not_fit_in_memory_is_repeated_in_smaller_parts(model):
    items = [((("user", "abc"[at % 3]),), "r" * (1 + at)) for at in range(14)]
    small = SmallMemory(room=20)
    scorer = Scorer(small, None, read_facts(model), batch_tokens=1_000)
    seen: list[int] = []
    scores = scorer.score(items, progress=seen.append).scores
    assert scores.tolist() == [(at + 1) * (at + 2) / 2 for at in range(14)]
    assert sum(seen) == 14
    assert max(small.asked) > 20
    assert scorer.batch_tokens <= 40
    with pytest.raises(SynprefError, match="One response of 25 tokens with its prompt does not fit"):
        scorer.score([((("user", "a"),), "r" * 21)])


def test_another_error_of_the_model_is_no_lack_of_memory(model):
    small = SmallMemory(room=20)
    small.scores = lambda rows: (_ for _ in ()).throw(RuntimeError("shapes do not match"))
    with pytest.raises(RuntimeError, match="shapes do not match"):
        Scorer(small, None, read_facts(model)).score([((("user", "a"),), "r")])


# --- texts ---


def test_texts_are_found_where_they_lie_first(selected):
    spec = selected(60)
    ids = read_ids(spec.selection)
    texts = locate(spec.text_files, ids)
    expected = read_texts(spec.text_files, [i.decode() for i in ids])
    for size in (1, 7, 100):
        found = {}
        for some, their in texts.slices(range(0, 60, size), size):
            assert len(some) == len(their) <= size
            found |= dict(zip(some, their, strict=True))
        assert found == expected
    # In the order in which they lie, each row group is read once.
    places = list(zip(texts.file.tolist(), texts.group.tolist(), strict=True))
    assert places == sorted(places)


@pytest.mark.parametrize(
    ("selection", "what"),
    [
        ({"pair_id": ["ab", "ab"]}, "names pair ab twice"),
        ({"other": ["ab"]}, "lacks the column pair_id"),
        ({"pair_id": ["ab", None]}, "has nulls"),
        ({"pair_id": [1, 2]}, "is no text"),
        ({"pair_id": ["ä"]}, "no hex digits"),
    ],
)
def test_a_selection_that_cannot_be_used_is_refused(tmp_path, selection, what):
    pq.write_table(pa.table(selection), tmp_path / "pairs.parquet")
    with pytest.raises(ContractError, match=what):
        read_ids(tmp_path / "pairs.parquet")


def test_pairs_without_text_and_files_of_another_kind_are_refused(selected, tmp_path, model):
    spec = selected(20)
    with pytest.raises(SynprefError, match=r"\d+ selected pairs have no text"):
        locate(spec.text_files[:1], read_ids(spec.selection))
    with pytest.raises(ContractError, match="lacks the columns"):
        locate([spec.selection], read_ids(spec.selection))
    spec.text_files[0].write_bytes(b"PAR1 and nothing more")
    with pytest.raises(ContractError, match="cannot be read"):
        score_pairs(spec)


# --- pairs of the lake ---


def test_pairs_are_scored_in_order_of_their_ids_and_the_file_says_by_what(selected, model):
    spec = selected(40)
    report = score_pairs(spec)
    table = pq.read_table(spec.output)
    ids = table["pair_id"].to_pylist()
    assert ids == sorted(ids)
    assert (report["num_pairs"], len(set(ids))) == (40, 40)
    texts = read_texts(spec.text_files, ids)
    scorer = load_scorer(model)
    for side, column in (("response_1", "score_1"), ("response_2", "score_2")):
        items = [(texts[i].prompt, getattr(texts[i], side)) for i in ids]
        np.testing.assert_allclose(table[column].to_numpy(), scorer.score(items).scores, atol=1e-5)
    assert report["num_truncated_pairs"] == sum(n > 0 for n in table["num_truncated_tokens"].to_pylist()) > 0
    about = json.loads(table.schema.metadata[METADATA_KEY])
    assert about["scorer"] == read_facts(model).as_dict()
    assert not shards_beside(spec.output).exists()
    # Asked again, nothing is computed: the model may be gone, as far as its weights are concerned.
    before = spec.output.stat().st_mtime_ns
    score_pairs(spec)
    assert spec.output.stat().st_mtime_ns == before
    # Another length is another scoring.
    score_pairs(spec.model_copy(update={"max_tokens": 20}))
    assert pq.read_table(spec.output)["score_1"].to_pylist() != table["score_1"].to_pylist()


@pytest.mark.slow
def test_two_processes_give_the_bytes_of_one(selected, model, tmp_path):
    spec = selected()
    score_pairs(spec)
    both = spec.model_copy(update={"output": tmp_path / "both.parquet", "num_processes": 2})
    score_pairs(both)
    assert both.output.read_bytes() == spec.output.read_bytes()


def run_score(spec: ScoreSpec, folder) -> subprocess.Popen:
    path = folder / "spec.json"
    path.write_text(spec.model_dump_json())
    return subprocess.Popen([sys.executable, "-m", "training.score", str(path)], stderr=subprocess.PIPE, text=True)


@pytest.mark.slow
@pytest.mark.parametrize("num_processes", [1, pytest.param(2, marks=pytest.mark.faults)])
def test_a_killed_scoring_goes_on_where_it_was(selected, model, tmp_path, num_processes):
    calm = selected(400, shard_pairs=4)
    score_pairs(calm)
    killed = calm.model_copy(update={"output": tmp_path / "killed.parquet", "num_processes": num_processes})
    folder = shards_beside(killed.output)
    process = run_score(killed, tmp_path)
    deadline = time.monotonic() + 120
    while len(list(folder.glob("shard-*.parquet"))) < 3 and time.monotonic() < deadline:
        time.sleep(0.002)
    process.kill()
    process.communicate()
    assert not killed.output.exists()
    # The processes of a killed one end with their parent.
    time.sleep(1.0)
    there = {path.name: path.stat().st_mtime_ns for path in folder.glob("shard-*.parquet")}
    assert 3 <= len(there) < 100
    damaged = sorted(there)[0]
    (folder / damaged).write_bytes((folder / damaged).read_bytes()[:-9])
    kept = tmp_path / "kept"
    kept.mkdir()
    for name in sorted(there)[1:]:
        os.link(folder / name, kept / name)
    process = run_score(killed, tmp_path)
    said = process.communicate(timeout=120)[1]
    assert process.returncode == 0, said
    assert "is damaged and is scored again" in said
    assert f"{len(there) - 1} of 100 shards are scored already" in said
    assert {name: (kept / name).stat().st_mtime_ns for name in sorted(there)[1:]} == {
        name: there[name] for name in sorted(there)[1:]
    }
    assert killed.output.read_bytes() == calm.output.read_bytes()
    assert not folder.exists()


def test_shards_of_another_scoring_are_never_mixed_in(tmp_path):
    table = pa.table({"score": [1.0]})
    said: list[str] = []
    with shard_folder(tmp_path / "s", {"scorer": {"model_version": "a"}}, redo=False, say=said.append) as shards:
        shards.write(0, table)
        shards.write(1, table)
        with (
            pytest.raises(PartitionBusyError, match="Another process is scoring"),
            shard_folder(tmp_path / "s", {"scorer": {"model_version": "a"}}, redo=True, say=silent),
        ):
            pass
    other = {"scorer": {"model_version": "b"}}
    with (
        pytest.raises(SynprefError, match=r"2 shards .* scorer\.model_version was a and is b"),
        shard_folder(tmp_path / "s", other, redo=False, say=said.append),
    ):
        pass
    with shard_folder(tmp_path / "s", {"scorer": {"model_version": "a"}}, redo=False, say=said.append) as shards:
        assert sorted(shards.done(silent)) == [0, 1]
        late = shards
    assert said == []
    with shard_folder(tmp_path / "s", other, redo=True, say=said.append) as shards:
        assert "2 shards of another scoring are removed" in said[0]
        # A process of the former scoring that has outlived it still writes, and is not believed.
        late.write(0, table)
        assert shards.done(silent) == {}
        with pytest.raises(SynprefError, match="Shard 0 of 2 is not there"):
            list(shards.tables(2, silent))


@pytest.mark.slow
@pytest.mark.parametrize("num_processes", [1, 2])
def test_scores_that_are_not_finite_stop_with_the_pairs_ids(selected, model, tmp_path, num_processes):
    import torch
    from safetensors.torch import load_file, save_file

    folder = tmp_path / "broken"
    shutil.copytree(model, folder)
    weights = load_file(folder / "model.safetensors")
    weights["score.weight"] = torch.full_like(weights["score.weight"], 3e38)
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    (folder / MANIFEST).unlink()
    spec = selected(40, model_dir=folder, num_processes=num_processes)
    with pytest.raises(SynprefError, match="32 scores are not finite: of") as caught:
        score_pairs(spec)
    ids = {i.decode() for i in read_ids(spec.selection)}
    assert sum(i in str(caught.value) for i in ids) >= 5
    assert not spec.output.exists()


@pytest.mark.slow
def test_a_process_that_dies_is_an_error_and_what_is_done_is_kept(selected, model, tmp_path):
    spec = selected(400, shard_pairs=4, num_processes=2)
    process = run_score(spec, tmp_path)
    folder = shards_beside(spec.output)
    deadline = time.monotonic() + 120
    while not list(folder.glob("shard-*.parquet")) and time.monotonic() < deadline:
        time.sleep(0.002)
    import psutil

    children = [c for c in psutil.Process(process.pid).children() if "spawn_main" in " ".join(c.cmdline())]
    children[0].send_signal(signal.SIGKILL)
    said = process.communicate(timeout=120)[1]
    assert process.returncode == 1
    assert "ended with code -9" in said
    assert list(folder.glob("shard-*.parquet"))


def test_no_pair_selected_gives_no_score(selected, model, tmp_path):
    spec = selected(20)
    pq.write_table(pa.table({"pair_id": pa.array([], pa.string())}), spec.selection)
    assert score_pairs(spec)["num_pairs"] == 0
    assert len(pq.read_table(spec.output)) == 0


def test_a_scoring_of_the_lake_started_again_finds_its_own_shards(model, tmp_path, monkeypatch):
    from assets.reward_models.runs import prepare_scoring
    from assets.workspace import Workspace
    from orchestration.options import SAMPLE_CONFIG

    monkeypatch.setenv("SYNPREF_HOME", str(tmp_path / "home"))
    workspace, trained = Workspace(SAMPLE_CONFIG), {"folder": str(model)}
    ids = pa.array(["a" * 32, "b" * 32])

    def prepare(inputs: str, pair_ids=ids):
        return prepare_scoring(workspace, name="best-s", trained=trained, pair_ids=pair_ids, inputs=inputs, source="s")

    first, again, other = prepare("1" * 32), prepare("1" * 32), prepare("2" * 32, ids.slice(0, 1))
    assert first == again
    assert shards_beside(first.output) != shards_beside(other.output)
    assert [len(read_ids(run.spec.with_name("pairs.parquet"))) for run in (first, other)] == [2, 1]
