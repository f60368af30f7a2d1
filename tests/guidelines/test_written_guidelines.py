"""The written guidelines: complete, all different, without tools for judges, and never changed under a version."""

import re
import shutil
from dataclasses import replace

import pytest

from assets.contracts import CONTROVERSIALITY, OBJECTIVITY, TASK_CATEGORIES
from assets.errors import SynprefError
from assets.guidelines import Guidelines, load_guidelines, lock, without_tools
from assets.guidelines.composing import combinations
from assets.guidelines.files import (
    CATEGORY_SECTIONS,
    FOLDER,
    GENERAL_SECTIONS,
    IN_SHORT,
    PEOPLE_ONLY,
    file_name,
    read_all,
    read_file,
    short_items,
)

COMBINATIONS = list(combinations())
# What only people can do, in any wording that the files use.
TOOL_WORDS = re.compile(
    r"\b(?:search\w*|look\w* \w* ?\w* ?up|look up|calculator|spreadsheet|interpreter|sandbox|dictionary|solver|"
    r"comparison tool|run (?:both|the|it|each|code)|run code|recompute|language models?|tools?)\b",
    re.IGNORECASE,
)


def headings(text):
    return re.findall(r"^## (.*)$", text, re.MULTILINE)


def prose_words(body):
    lines = (line for line in body.splitlines() if not line.startswith("#"))
    return sum(len(re.findall(r"[^\W\d_][\w'’-]*", line)) for line in lines)


def test_there_are_72_and_all_differ():
    guides = load_guidelines()
    for tools in (True, False):
        assert len({guides.text(*c, tools=tools) for c in COMBINATIONS}) == 72
        assert len({guides.short(*c, tools=tools) for c in COMBINATIONS}) == 72
    assert len({guides.desired(*c) for c in COMBINATIONS}) == 72
    assert len({guides.version_of(*c) for c in COMBINATIONS}) == 72


@pytest.mark.parametrize("tools", [True, False])
def test_every_combination_has_its_sections_and_no_other_case(tools):
    for category, objectivity, controversiality in COMBINATIONS:
        cases = {f"When it is {objectivity}", f"When controversiality is {controversiality}"}
        every = {*CATEGORY_SECTIONS, *GENERAL_SECTIONS}
        expected = {name for name in every if not name.startswith("When ")} | cases
        expected -= frozenset() if tools else PEOPLE_ONLY
        found = headings(load_guidelines().text(category, objectivity, controversiality, tools=tools))
        assert len(found) == len(set(found))
        assert set(found) == expected
        # The case stands before the mistakes and examples, whether the category's file has it or the general one.
        assert found.index(f"When controversiality is {controversiality}") < found.index("Common mistakes")


def test_no_word_of_tools_is_left_for_judges():
    guides = load_guidelines()
    for which in COMBINATIONS:
        assert TOOL_WORDS.findall(guides.text(*which, tools=False)) == []
        assert TOOL_WORDS.findall(guides.short(*which, tools=False)) == []
        assert len(TOOL_WORDS.findall(guides.text(*which))) > 5


def test_every_category_has_two_examples_and_enough_to_say():
    for category in TASK_CATEGORIES:
        file = load_guidelines().files[category]
        examples = file.sections["Examples"]
        assert [examples.count(f"**{name}:**") for name in ("Prompt", "A", "B", "Verdict")] == [2, 2, 2, 2]
        assert re.findall(r"\*\*Verdict:\*\* (\w+, \w+)", examples) == re.findall(
            r"([AB], (?:clearly|slightly))\.", examples
        )
        assert 250 <= prose_words("\n".join(file.sections.values())) <= 500, category
        for name, text in file.sections.items():
            assert prose_words(text) >= 10, (category, name)


def test_short_texts_are_sentences_on_one_line():
    for which in COMBINATIONS:
        guideline, tools = load_guidelines().short(*which).split("\n")
        assert tools.startswith("With tools: ")
        for text in (guideline, tools, load_guidelines().desired(*which, ["length"])):
            assert text.endswith(".")
            assert "  " not in text
        assert "Keeps what the request fixes: length." in load_guidelines().desired(*which, ["length"])


@pytest.mark.parametrize("bad", [("cooking", "objective", "low"), ("math", "both", "low"), ("math", "objective", "no")])
def test_an_unknown_combination_is_an_error(bad):
    for method in ("text", "short", "desired", "version_of"):
        with pytest.raises(KeyError):
            getattr(load_guidelines(), method)(*bad)


@pytest.mark.parametrize("which", COMBINATIONS)
def test_a_judge_gets_the_pairs_own_guideline_without_the_tools(which):
    guides = load_guidelines()
    assert without_tools(guides.short(*which)) == guides.short(*which, tools=False)


@pytest.mark.parametrize(
    ("edited", "for_judges"),
    [
        ("Mind the dates.\nPrefer what works.\nWith tools: run both.", "Mind the dates.\nPrefer what works."),
        # Edited by somebody who wrote another sentence on tools, or put it elsewhere.
        ("With tools: try v1.2, e.g. online. Twice!\nPrefer what works.", "Prefer what works."),
        ("- **With tools:** run both.\n- Prefer what works.", "- Prefer what works."),
        ("Prefer what works. WITH TOOLS: run both. Mind the dates.", "Prefer what works. Mind the dates."),
        ("Prefer what works. With tools: run both", "Prefer what works."),
        ("Prefer what works.\r\nwith tools: run both.\r\n", "Prefer what works."),
        ("Prefer what is done with tools that exist.", "Prefer what is done with tools that exist."),
        ("", ""),
    ],
)
def test_guidelines_that_people_edited_lose_their_tools_too(edited, for_judges):
    assert without_tools(edited) == for_judges
    assert without_tools(for_judges) == for_judges


def test_the_version_of_a_guideline_tells_its_files_and_its_text():
    guides = load_guidelines()
    files = dict(guides.files)
    math = files["math"]
    files["math"] = replace(math, version=9, sections={**math.sections, "When it is subjective": "Other."})
    changed = Guidelines(files)
    assert re.fullmatch(r"9\.\d+-[0-9a-f]{8}", changed.version_of("math", "objective", "low"))
    hashes = {
        objectivity: [g.version_of("math", objectivity, "low").split("-")[1] for g in (guides, changed)]
        for objectivity in OBJECTIVITY
    }
    assert hashes["objective"][0] == hashes["objective"][1]
    assert hashes["subjective"][0] != hashes["subjective"][1]
    assert changed.version != guides.version
    assert changed.version_of("other", "objective", "low") == guides.version_of("other", "objective", "low")
    assert {c for _, _, c in COMBINATIONS} == set(CONTROVERSIALITY)


def test_no_text_changed_under_its_version():
    todo = lock.problems(lock.read_lock(), lock.lock_of(read_all()))
    assert not todo, "\n".join(todo)


@pytest.fixture
def folder(tmp_path):
    for path in FOLDER.glob("*.md"):
        shutil.copy(path, tmp_path)
    lock.renew(tmp_path)
    return tmp_path


def change(path, old, new):
    text = path.read_text("utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), "utf-8")


def test_a_text_changed_under_its_version_is_noticed_and_not_locked(folder):
    change(folder / "math.md", "Recompute every", "Recompute any")
    before = lock.read_lock(folder)
    (line,) = lock.problems(before, lock.lock_of(read_all(folder)))
    assert "math.md" in line
    assert "version: 2" in line
    assert lock.COMMAND in line
    with pytest.raises(SynprefError, match=r"math\.md changed under its version"):
        lock.renew(folder)
    assert lock.read_lock(folder) == before

    change(folder / "math.md", "version: 1", "version: 2")
    (line,) = lock.problems(before, lock.lock_of(read_all(folder)))
    assert f"run `{lock.COMMAND}`" in line
    assert lock.problems(lock.renew(folder), lock.lock_of(read_all(folder))) == []

    change(folder / "math.md", "version: 2", "version: 1")
    assert "versions only rise" in lock.problems(lock.read_lock(folder), lock.lock_of(read_all(folder)))[0]


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("---\ncategory: math", "category: math", "no front matter"),
        ("category: math", "category: other", "front matter is wrong"),
        ("version: 1", "version: new", "front matter is wrong"),
        ("## Common mistakes", "## Mistakes", "sections are"),
        ("## Examples", "## Common mistakes", "sections are"),
        ("- **Decide:**", "- **Judge:**", "items under 'In short'"),
    ],
)
def test_a_file_that_lacks_a_part_is_refused(folder, old, new, says):
    change(folder / "math.md", old, new)
    with pytest.raises(SynprefError, match=says) as caught:
        read_all(folder)
    assert "math.md" in caught.value.where
    assert caught.value.todo


def test_a_missing_or_empty_part_is_refused(folder):
    (folder / file_name("math")).unlink()
    with pytest.raises(SynprefError, match="no such guideline"):
        read_all(folder)
    other = folder / file_name("other")
    body = read_file(other, "other").sections["Common mistakes"]
    change(other, body, "")
    with pytest.raises(SynprefError, match="sections are"):
        read_file(other, "other")


def test_short_items_of_a_text_without_any():
    assert short_items("Nothing here.") == {}
    assert IN_SHORT in CATEGORY_SECTIONS
