"""Checkpoint: whole or not at all, and refused when it is not what was written."""

from __future__ import annotations

import json

import pytest

from assets.errors import SynprefError
from training.checkpoint import MANIFEST, output_folder, read_manifest, write_manifest


def read(folder) -> str | None:
    return (folder / "file").read_text() if folder.exists() else None


def write_half(target):
    with output_folder(target) as folder:
        (folder / "file").write_text("half")
        raise KeyboardInterrupt


@pytest.mark.parametrize("before", [None, "old"])
def test_a_folder_appears_whole_or_stays_as_it_was(tmp_path, before):
    target = tmp_path / "model"
    if before:
        target.mkdir()
        (target / "file").write_text(before)
    with pytest.raises(KeyboardInterrupt):
        write_half(target)
    assert read(target) == before
    with output_folder(target) as folder:
        (folder / "file").write_text("new")
        assert read(target) == before
    assert read(target) == "new"
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


def test_a_replacement_killed_between_its_renames_is_undone_by_the_next_call(tmp_path):
    former = tmp_path / ".model.former"
    former.mkdir()
    (former / "file").write_text("old")
    leftover = tmp_path / ".model.0123.tmp"
    leftover.mkdir()
    with pytest.raises(KeyboardInterrupt), output_folder(tmp_path / "model"):
        raise KeyboardInterrupt
    assert read(tmp_path / "model") == "old"
    assert not leftover.exists()


def saved(folder):
    (folder / "model.safetensors").write_bytes(b"weights")
    write_manifest(folder, {"backbone": "scratch", "max_tokens": 8}, "model.safetensors", 1.5)
    return folder


def test_a_manifest_says_how_to_load(tmp_path):
    manifest = read_manifest(saved(tmp_path))
    assert (manifest["backbone"], manifest["max_tokens"], manifest["temperature"]) == ("scratch", 8, 1.5)


def flip_a_bit(folder):
    (folder / "model.safetensors").write_bytes(b"weightt")


def remove_weights(folder):
    (folder / "model.safetensors").unlink()


def cut_manifest(folder):
    (folder / MANIFEST).write_text('{"backbone": ')


def ask_for_code(folder):
    (folder / "config.json").write_text(json.dumps({"auto_map": {"AutoModel": "evil.Model"}}))


def remove_all(folder):
    for path in folder.iterdir():
        path.unlink()


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (flip_a_bit, "not the ones that were written"),
        (remove_weights, "missing"),
        (cut_manifest, "damaged"),
        (ask_for_code, "auto_map"),
        (remove_all, "no model in this folder"),
    ],
)
def test_a_damaged_or_untrusted_model_is_refused(tmp_path, damage, said):
    damage(saved(tmp_path))
    with pytest.raises(SynprefError, match=said):
        read_manifest(tmp_path)


def test_a_foreign_model_is_taken_as_pretrained(tmp_path):
    (tmp_path / "config.json").write_text("{}")
    assert read_manifest(tmp_path)["backbone"] == "pretrained"
