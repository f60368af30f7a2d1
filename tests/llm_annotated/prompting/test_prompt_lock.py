"""Prompt texts: versioned, locked, complete."""

import shutil

import pytest

from assets.errors import SynprefError
from assets.guidelines.lock import read_lock
from assets.llm_annotated.prompting import attributes_prompt, judge_prompt
from assets.llm_annotated.prompting.lock import lock_of, renew
from assets.llm_annotated.prompting.texts import FOLDER, load_texts, read_texts


def test_the_texts_are_as_they_were_locked():
    assert read_lock(FOLDER) == lock_of()


def test_a_text_that_changes_under_its_version_is_refused(tmp_path):
    for name in ("judge.md", "attributes.md", "lock.yaml"):
        shutil.copy(FOLDER / name, tmp_path / name)
    path = tmp_path / "judge.md"
    path.write_text(path.read_text("utf-8").replace("impartial", "partial"), "utf-8")
    with pytest.raises(SynprefError, match=r"judge\.md changed under its version.*prompting\.lock"):
        renew(tmp_path)
    path.write_text(path.read_text("utf-8").replace("version: 1", "version: 2"), "utf-8")
    assert renew(tmp_path)["judge.md"]["version"] == 2


@pytest.mark.parametrize(
    "text", ["no front matter", "---\nversion: x\n---\n## A\nb", "---\nversion: true\n---\n## A\nb"]
)
def test_a_prompt_without_a_version_is_refused(tmp_path, text):
    (tmp_path / "judge.md").write_text(text, "utf-8")
    with pytest.raises(SynprefError, match="no version"):
        read_texts(tmp_path / "judge.md")


def test_a_heading_stands_once(tmp_path):
    (tmp_path / "judge.md").write_text("---\nversion: 1\n---\n## A\nb\n## A\nc", "utf-8")
    with pytest.raises(SynprefError, match="repeats a heading"):
        read_texts(tmp_path / "judge.md")


def test_the_versions_name_the_texts():
    assert load_texts("judge").name in judge_prompt.prompt_version()
    assert attributes_prompt.prompt_version() == load_texts("attributes").name
