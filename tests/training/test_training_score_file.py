"""`synpref score`: every row has its scores or a line that says why not, and a killed one goes on where it was."""

from __future__ import annotations

import gzip
import json
import os
import subprocess
import sys
import time

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from assets.errors import SynprefError
from assets.reward_models.response_rows import BadRow, ResponseRow, read_row
from assets.settings import REPOSITORY
from orchestration.cli import app
from training.score import shards_beside
from training.score_output import METADATA_KEY, letters_file
from training.scorer_facts import read_facts
from training.scoring import load_scorer

USER, BOT = {"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello!"}
HI = (("user", "Hi"),)


@pytest.mark.parametrize(
    ("row", "turns", "responses"),
    [
        ({"prompt": "Hi", "response": "a"}, HI, ("a",)),
        ({"prompt": [USER], "responses": ["a", "b"]}, HI, ("a", "b")),
        ({"messages": [USER], "response": "a"}, HI, ("a",)),
        ({"messages": [USER, BOT]}, HI, ("Hello!",)),
        ({"prompt": "Hi", "chosen": "a", "rejected": "b"}, HI, ("a", "b")),
        ({"chosen": [USER, BOT], "rejected": [USER, BOT | {"content": "b"}]}, HI, ("Hello!", "b")),
        ({"prompt": [USER], "chosen": [BOT], "rejected": [USER, BOT]}, HI, ("Hello!", "Hello!")),
        ({"prompt": "Hi", "response": "a", "responses": None, "score": float("nan")}, HI, ("a",)),
        (
            {"prompt": [{"role": "system", "content": "Be brief."}, {"from": "human", "value": "Hi"}], "response": "a"},
            (("system", "Be brief."), *HI),
            ("a",),
        ),
        ({"prompt": "Hi", "response": "\ud83d! \x00 \u202e\u200b\r\n \U0001f600"}, HI, ("�! \x00 ‮​\r\n 😀",)),
    ],
)
def test_what_a_row_asks_for(row, turns, responses):
    assert read_row(row) == ResponseRow(turns, responses, None)


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ({}, "missing_field"),
        ({"prompt": "Hi"}, "missing_field"),
        ({"response": "a"}, "missing_field"),
        ({"prompt": "Hi", "chosen": "a"}, "missing_field"),
        ({"prompt": "Hi", "responses": []}, "missing_field"),
        ({"prompt": None, "messages": None, "response": "a"}, "missing_field"),
        ({"prompt": "Hi", "response": "a", "chosen": "b", "rejected": "c"}, "ambiguous_fields"),
        ({"prompt": "Hi", "messages": [USER], "response": "a"}, "ambiguous_fields"),
        ({"prompt": "Hi", "response": 7}, "wrong_type"),
        ({"prompt": 7, "response": "a"}, "wrong_type"),
        ({"prompt": float("nan"), "response": "a"}, "wrong_type"),
        ({"prompt": "Hi", "responses": "a"}, "wrong_type"),
        ({"prompt": "Hi", "responses": ["a", None]}, "wrong_type"),
        ({"messages": "Hi", "response": "a"}, "wrong_type"),
        ({"prompt": ["Hi"], "response": "a"}, "wrong_type"),
        ({"prompt": [{"role": "user"}], "response": "a"}, "bad_conversation"),
        ({"prompt": [{"content": "Hi"}], "response": "a"}, "bad_conversation"),
        ({"prompt": [{"role": "wizard", "content": "Hi"}], "response": "a"}, "bad_conversation"),
        ({"prompt": [USER, BOT], "response": "a"}, "bad_conversation"),
        ({"messages": [USER]}, "bad_conversation"),
        ({"chosen": [USER, BOT], "rejected": [USER]}, "bad_conversation"),
        ({"chosen": [USER, BOT], "rejected": [USER | {"content": "Bye"}, BOT]}, "prompts_differ"),
        ({"prompt": "Hey", "chosen": [USER, BOT], "rejected": [USER, BOT]}, "prompts_differ"),
        ({"prompt": " \n", "response": "a"}, "empty_prompt"),
        ({"prompt": [], "response": "a"}, "empty_prompt"),
        ({"prompt": "Hi", "response": ""}, "empty_response"),
        ({"prompt": "Hi", "responses": ["a", " "]}, "empty_response"),
    ],
)
def test_why_a_row_cannot_be_scored(row, reason):
    read = read_row(row)
    assert isinstance(read, BadRow)
    assert read.reason == reason
    assert read.detail


@pytest.mark.parametrize(
    ("row", "column", "expected"),
    [
        ({"id": 7}, None, "7"),
        ({"item_id": "x", "prompt_id": "y"}, None, "x"),
        ({"id": 7, "key": "k"}, "key", "k"),
        ({"id": {"a": 1}, "uid": "u"}, None, "u"),
        ({}, None, None),
        ({"id": 7}, "key", BadRow("missing_field", "no key")),
        ({"key": 1.5}, "key", BadRow("wrong_type", "key is float, neither text nor a whole number")),
    ],
)
def test_ids_are_kept(row, column, expected):
    read = read_row({"prompt": "Hi", "response": "a", **row}, column)
    assert (read if isinstance(read, BadRow) else read.id) == expected


# --- whole files ---


def score(model, source, output, *more, expect=0):
    result = CliRunner().invoke(
        app, ["score", "--model", str(model), "--input", str(source), "--output", str(output), *more]
    )
    if isinstance(result.exception, SynprefError):
        assert expect == 1
        return str(result.exception)
    assert result.exit_code == expect, result.output
    return result.output


def rows_of(output):
    if output.suffix == ".parquet":
        return pq.read_table(output).to_pylist()
    return [json.loads(line) for line in output.read_text("utf-8").splitlines()]


def letters_of(output):
    return [json.loads(line) for line in letters_file(output).read_text().splitlines()]


def many(num, seed=0):
    rng = np.random.default_rng(seed)
    words = ["river", "stone", "lamp", "garden", "winter", "copper"]
    rows = []
    for at in range(num):
        rows.append({
            "id": f"r{at}", "prompt": f"describe the {words[at % 6]} number {at}",
            "responses": [" ".join(rng.choice(words, rng.integers(1, 20))) for _ in range(1 + at % 3)],
        })  # fmt: skip
    return rows


def write_lines(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    return path


@pytest.mark.parametrize("kind", ["jsonl", "gz", "parquet"])
@pytest.mark.parametrize("suffix", [".parquet", ".jsonl"])
def test_every_response_has_its_score(model, tmp_path, kind, suffix):
    rows = many(40)
    source = tmp_path / f"in.{'jsonl.gz' if kind == 'gz' else kind}"
    if kind == "parquet":
        pq.write_table(pa.Table.from_pylist(rows), source)
    else:
        write_lines(tmp_path / "in.jsonl", rows)
        if kind == "gz":
            source.write_bytes(gzip.compress((tmp_path / "in.jsonl").read_bytes()))
    output = tmp_path / f"out{suffix}"
    said = score(model, source, output)
    assert "40 of 40 rows scored, 79 responses" in said
    found = rows_of(output)
    expected = [(at, row["id"], n, r) for at, row in enumerate(rows) for n, r in enumerate(row["responses"])]
    assert [(r["row"], r["id"], r["response_index"]) for r in found] == [e[:3] for e in expected]
    items = [((("user", rows[at]["prompt"]),), response) for at, _, _, response in expected]
    np.testing.assert_allclose([r["score"] for r in found], load_scorer(model).score(items).scores, atol=1e-5)
    said = (
        json.loads(pq.read_schema(output).metadata[METADATA_KEY])
        if suffix == ".parquet"
        else json.loads((tmp_path / "out.jsonl.about.json").read_text())
    )
    assert said["about"]["scorer"] == read_facts(model).as_dict()
    assert not letters_file(output).exists()
    assert not shards_beside(output).exists()


def test_bad_rows_cost_themselves_and_are_written_apart(model, tmp_path):
    good = json.dumps({"prompt": "Hi", "response": "Hello!"})
    deep = '{"prompt": "Hi", "response": "a", "x": ' + "[" * 10_000 + "]" * 10_000 + "}"
    lines = [
        ("﻿" + good).encode(),
        b"not JSON",
        b"",
        b'{"prompt": "Hi", "response": "\xff"}',
        deep.encode(),
        b'{"prompt": "Hi", "prompt": "Ho", "response": "a"}',
        b'{"prompt": "Hi", "response": NaN}',
        b'{"prompt": "Hi", "response": "a", "seen": NaN}',
        b'{"prompt": "Hi", "response": "\\ud800 \\u0000 \\u202e"}\r',
        b"[1, 2]",
        json.dumps({"prompt": [{"role": "user", "content": "x"}] * 10_000, "response": "a"}).encode(),
        b'{"prompt": "Hi", "response": "' + b"x" * 32_000_001 + b'"}',
        json.dumps({"prompt": "long " * 3000, "response": "a"}).encode(),
        json.dumps({"prompt": "Hi", "response": ""}).encode(),
        good.encode(),
    ]
    source, output = tmp_path / "in.jsonl", tmp_path / "out.parquet"
    source.write_bytes(b"\n".join(lines))
    said = score(model, source, output, expect=1)
    letters = letters_of(output)
    reasons = {letter["row"]: letter["reason"] for letter in letters}
    assert reasons == {
        1: "unreadable_row", 3: "unreadable_row", 4: "unreadable_row", 5: "unreadable_row", 6: "wrong_type",
        9: "unreadable_row", 11: "unreadable_row", 13: "empty_response",
    }  # fmt: skip
    assert all(letter["line"] == letter["row"] + 1 and len(letter["hash"]) == 32 for letter in letters)
    found = {row["row"]: row for row in rows_of(output)}
    assert sorted(found) == [0, 7, 8, 10, 12, 14]
    assert found[0]["score"] == pytest.approx(found[14]["score"], abs=1e-5)
    assert found[12]["num_truncated_tokens"] > 100
    assert "6 of 14 rows scored" in said
    assert "8 rows have no score (1 empty_response, 6 unreadable_row, 1 wrong_type)" in said
    assert "responses were truncated" in said
    # Done is done, and bad rows stay bad: nothing is computed again, and the exit code is the same.
    before = output.stat().st_mtime_ns
    assert "these scores are there already" in score(model, source, output, expect=1)
    assert output.stat().st_mtime_ns == before
    assert letters_of(output) == letters
    score(model, source, output, "--allow-bad-rows")


def test_what_the_models_template_refuses_is_a_bad_row(model, tmp_path):
    import shutil

    strict = tmp_path / "strict"
    shutil.copytree(model, strict)
    (strict / "scorer.json").unlink()
    config = json.loads((strict / "tokenizer_config.json").read_text())
    check = "{% for m in messages %}{% if loop.index0 and m.role == messages[loop.index0 - 1].role %}"
    check += "{{ raise_exception('roles must alternate') }}{% endif %}{% endfor %}"
    template = strict / "chat_template.jinja"
    if template.exists():
        template.write_text(check + template.read_text())
    else:
        config["chat_template"] = check + config["chat_template"]
        (strict / "tokenizer_config.json").write_text(json.dumps(config))
    rows = many(9)
    rows[4] = {"prompt": [USER, USER], "responses": ["a", "b"]}
    rows[6] = {"prompt": ""}
    source = write_lines(tmp_path / "in.jsonl", rows)
    output = tmp_path / "out.jsonl"
    said = score(strict, source, output, expect=1)
    assert "2 rows have no score (1 missing_field, 1 refused_by_template)" in said
    assert [(x["row"], x["reason"]) for x in letters_of(output)] == [
        (4, "refused_by_template"),
        (6, "missing_field"),
    ]
    assert "roles must alternate" in letters_of(output)[0]["detail"]
    assert {row["row"] for row in rows_of(output)} == {0, 1, 2, 3, 5, 7, 8}


@pytest.mark.parametrize(
    ("name", "content", "what"),
    [
        ("in.jsonl", b"", "None of 0 rows can be scored"),
        ("in.jsonl", b"{}\n{}\n", "None of 2 rows can be scored: 2 missing_field"),
        ("in.parquet", b"PAR1 cut", "damaged"),
        ("in.parquet", b"not Parquet", "is not Parquet"),
        ("in.gz", b"plain", "is not compressed"),
        ("in.csv", b"prompt,response\n", "cannot be read"),
        ("in.json", b"[{}]", "one list"),
        ("in.jsonl", gzip.compress(b"0" * 300_000_000), "grow"),
        ("in.jsonl", None, "no such input file"),
    ],
)
def test_a_file_that_cannot_be_used_is_refused_before_anything_is_computed(model, tmp_path, name, content, what):
    if content is not None:
        (tmp_path / name).write_bytes(content)
    output = tmp_path / "out.parquet"
    assert what in score(model, tmp_path / name, output, expect=1)
    assert not output.exists()
    assert not list(tmp_path.glob("*.shards/shard-*"))


@pytest.mark.parametrize(
    ("more", "what"),
    [
        (["--output", "x.csv"], "does not end in"),
        (["--output", "in.jsonl"], "would replace the input"),
        (["--server", "http://127.0.0.1:1"], "goes with --backend vllm"),
        (["--processes", "0"], "processes"),
        (["--nonsense"], "No such option"),
    ],
)
def test_a_command_that_is_wrong_exits_with_2(model, tmp_path, monkeypatch, more, what):
    monkeypatch.chdir(tmp_path)
    write_lines(tmp_path / "in.jsonl", many(2))
    arguments = ["score", "--model", str(model), "--input", "in.jsonl", "--output", "out.jsonl", *more]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 2
    assert what in result.output


@pytest.mark.parametrize(
    ("name", "what"),
    [
        ("./nowhere", "no such model folder"),
        ("nobody/nothing", "comes without a revision"),
        ("synpref-rm-tiny@champion", r"registry has no synpref-rm-tiny@champion"),
        ("synpref-rm-tiny@7", r"registry has no synpref-rm-tiny@7"),
    ],
)
def test_a_model_that_is_not_there_is_named(tmp_path, monkeypatch, name, what):
    monkeypatch.setenv("SYNPREF_HOME", str(tmp_path / "home"))
    source = write_lines(tmp_path / "in.jsonl", many(2))
    assert what in score(name, source, tmp_path / "out.jsonl", expect=1)


def test_a_model_of_the_registry_goes_by_its_alias(model, tmp_path, monkeypatch):
    from assets.reward_models.registry import Registry
    from assets.workspace import Workspace
    from orchestration.options import SAMPLE_CONFIG

    monkeypatch.setenv("SYNPREF_HOME", str(tmp_path / "home"))
    workspace = Workspace(SAMPLE_CONFIG)
    workspace.make_home()
    registry = Registry(workspace)
    trained = {"model_version": "abc", "folder": str(model), "mlflow_run_id": None}
    registry.point("tiny", "champion", registry.register("tiny", trained, tags={}))
    source, output = write_lines(tmp_path / "in.jsonl", many(3)), tmp_path / "out.jsonl"
    score("synpref-rm-tiny@champion", source, output)
    about = json.loads((tmp_path / "out.jsonl.about.json").read_text())["about"]
    assert about["scorer"]["revision"] == "synpref-rm-tiny version 1"


def run(model, source, output):
    command = [sys.executable, "-m", "orchestration.cli", "score", "--model", str(model), "--input", str(source)]
    return subprocess.Popen([*command, "--output", str(output)], stderr=subprocess.PIPE, text=True, cwd=REPOSITORY)


@pytest.mark.faults
def test_a_killed_command_goes_on_where_it_was(model, tmp_path):
    rows = many(6000)
    rows[3000] = {"prompt": "Hi"}
    source = write_lines(tmp_path / "in.jsonl", rows)
    calm, killed = tmp_path / "calm.parquet", tmp_path / "killed.parquet"
    score(model, source, calm, expect=1)
    process = run(model, source, killed)
    deadline = time.monotonic() + 120
    while len(list(shards_beside(killed).glob("shard-*"))) < 2 and time.monotonic() < deadline:
        time.sleep(0.005)
    process.kill()
    process.communicate()
    assert not killed.exists()
    num_done = len(list(shards_beside(killed).glob("shard-*.parquet")))
    # With another length it is another scoring, and what lies here is not thrown away unasked.
    assert "scorer.max_tokens was 64 and is 32" in score(model, source, killed, "--max-tokens", "32", expect=1)
    assert f"{num_done} of 12 shards are scored already" in score(model, source, killed, expect=1)
    assert killed.read_bytes() == calm.read_bytes()
    assert letters_file(killed).read_bytes() == letters_file(calm).read_bytes()


def test_help_is_there_at_once_without_torch():
    code = "import sys; from orchestration.score_command import score_command; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=REPOSITORY, env=os.environ)
    assert done.stdout.strip() == "False"
