"""The catalogue: what an entry may say, and how a wrong one is refused."""

import pytest
import yaml

from assets.errors import ConfigError
from assets.raw_pairs.catalogue import add_source, load_catalogue, require_files
from assets.settings import REPOSITORY
from assets.workspace import Workspace

GOOD = {"name": "s", "paths": ["s.jsonl"], "licence": "MIT"}


@pytest.fixture
def catalogue(tmp_path):
    def write(value):
        path = tmp_path / "sources.yaml"
        path.write_text(value if isinstance(value, str) else yaml.safe_dump(value))
        return path

    return write


def test_paths_lie_beside_the_catalogue(catalogue, tmp_path):
    (entry,) = load_catalogue(catalogue({"sources": [GOOD]}))
    assert entry.paths == (str(tmp_path / "s.jsonl"),)
    assert (entry.layout, entry.max_rows, entry.label_origin) == ("auto", None, None)


def test_a_pattern_stands_for_its_files_in_order_of_name(catalogue, tmp_path):
    for name in ("b-1.jsonl", "b-0.jsonl", "other.txt"):
        (tmp_path / name).write_text("{}")
    (entry,) = load_catalogue(catalogue({"sources": [GOOD | {"paths": ["b-*.jsonl"]}]}))
    assert entry.paths == (str(tmp_path / "b-0.jsonl"), str(tmp_path / "b-1.jsonl"))
    (empty,) = load_catalogue(catalogue({"sources": [GOOD | {"paths": ["c-*.jsonl"]}]}))
    with pytest.raises(ConfigError, match=r"c-\*\.jsonl"):
        require_files([empty])


def test_a_copy_of_a_hub_data_set_lies_beside_the_catalogue(catalogue, tmp_path):
    hub = {"id": "a/b", "revision": "1", "copy_at": "copies/b"}
    (entry,) = load_catalogue(catalogue({"sources": [{"name": "s", "hub": hub, "licence": "MIT"}]}))
    assert (entry.paths, entry.hub.copy_at) == ((), str(tmp_path / "copies" / "b"))


@pytest.mark.parametrize(
    ("value", "says"),
    [
        ("sources: [", "not valid YAML"),
        ("- a", "one mapping"),
        ("sources: !!python/object:os.system {}", "not valid YAML"),
        ({"sources": {}}, "one list named"),
        ({"sources": [], "more": 1}, "one list named"),
        ({"sources": ["s"]}, "must be a mapping"),
        ({"sources": [{1: 2}]}, "must have text as names"),
        ({"sources": [GOOD, GOOD]}, "'s' is named twice"),
        ({"sources": [GOOD | {"name": "../../x"}]}, "cannot name a source"),
        ({"sources": [GOOD | {"name": "x'; drop table pairs"}]}, "cannot name a source"),
        ({"sources": [GOOD | {"licence": ""}]}, "licence"),
        ({"sources": [GOOD | {"label_origin": "guess"}]}, "label_origin"),
        ({"sources": [GOOD | {"layout": "sideways"}]}, "layout"),
        ({"sources": [GOOD | {"colour": "red"}]}, "colour: Extra inputs"),
        ({"sources": [GOOD | {"max_rows": 0}]}, "max_rows"),
        ({"sources": [GOOD | {"paths": []}]}, "either `paths` or `hub`"),
        ({"sources": [GOOD | {"hub": {"id": "a/b", "revision": "1"}}]}, "either `paths` or `hub`"),
        ({"sources": [GOOD | {"paths": [], "hub": {"id": "a/b", "revision": ""}}]}, "hub.revision"),
        ({"sources": [GOOD | {"max_pairs_per_prompt": 0}]}, "max_pairs_per_prompt"),
        ({"sources": [GOOD | {"columns": {"score": "x"}, "score_weights": {"y": 1}}]}, "either `score_weights` or"),
        ({"sources": [GOOD | {"plant_errors": {"share": 1.5, "seed": 1}}]}, "plant_errors.share"),
        ({"sources": [GOOD | {"votes": {"use": "crowd", "values": {"1": "first"}}}]}, "need a column"),
        ({"sources": [GOOD | {"votes": {"use": "crowd", "column": "v"}}]}, "`values` or a `midpoint`"),
        ({"sources": [GOOD | {"votes": {"use": "other_judges", "column": "v", "midpoint": 1.5}}]}, "`label_maker`"),
    ],
)
def test_a_wrong_catalogue_is_refused(catalogue, value, says):
    path = catalogue(value)
    with pytest.raises(ConfigError) as caught:
        load_catalogue(path)
    assert says in str(caught.value)
    assert str(path) in str(caught.value)


def test_a_missing_catalogue_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="no such configuration file"):
        load_catalogue(tmp_path / "none.yaml")


@pytest.mark.parametrize(
    ("path", "todo"),
    [("{data}/pool/x.parquet", "set SYNPREF_DATA"), ("{home}/x.jsonl", "set SYNPREF_HOME"), ("x.jsonl", "correct the")],
)
def test_a_missing_file_is_named_with_what_to_set(catalogue, tmp_path, monkeypatch, path, todo):
    monkeypatch.setenv("SYNPREF_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("SYNPREF_HOME", str(tmp_path / "home"))
    workspace = Workspace(REPOSITORY / "configs" / "sample.yaml")
    entries = load_catalogue(catalogue({"sources": [GOOD | {"paths": [path]}]}), workspace)
    with pytest.raises(ConfigError) as caught:
        require_files(entries)
    assert todo in str(caught.value)
    assert entries[0].paths[0] in str(caught.value)


def test_a_placeholder_needs_a_workspace(catalogue):
    with pytest.raises(ConfigError, match="needs a run's configuration"):
        load_catalogue(catalogue({"sources": [GOOD | {"paths": ["{data}/x"]}]}))


def test_the_real_catalogue_is_complete():
    entries = load_catalogue(
        REPOSITORY / "configs/sources/real.yaml", Workspace(REPOSITORY / "configs" / "sample.yaml")
    )
    assert len(entries) == 12
    assert {e.name for e in entries if e.plant_errors} == {"mmlu_pro_outputs", "gsm8k_solutions"}
    assert all(e.plant_errors.share == 0.25 for e in entries if e.plant_errors)
    assert {e.name: e.label_origin for e in entries if e.label_origin != "llm"} == {
        "ukpconvarg1": "human",
        "simpeval": "human",
        "hh_rlhf_test": "human",
        "webgpt_test": "human",
        "llmeval2": None,
        "mmlu_pro_outputs": "verifiable",
        "gsm8k_solutions": "verifiable",
        "alpaca_eval_strength": "model_strength",
    }


@pytest.mark.parametrize(
    "before",
    [
        None,
        "sources:\n",
        "# mine\nsources:\n  - {name: old, paths: [o], licence: MIT}  # first\n",
        "sources: []\n",
        "# mine\nsources:\n- name: old\n  paths: [o]\n  licence: MIT\n",
    ],
)
def test_a_source_is_added(tmp_path, before):
    path, file = tmp_path / "sources.yaml", tmp_path / "new.jsonl"
    file.write_text("{}\n")
    if before is not None:
        path.write_text(before)
    add_source(path, str(file), name="new", licence="Apache-2.0", label_origin="llm", max_rows=5)
    *old, new = load_catalogue(path)
    assert [e.name for e in old] == (["old"] if before and "old" in before else [])
    assert (new.name, new.paths, new.licence, new.label_origin, new.max_rows) == (
        "new",
        (str(file),),
        "Apache-2.0",
        "llm",
        5,
    )
    if before and "  - {" in before:
        assert path.read_text().startswith(before)


def test_a_hub_data_set_is_added(tmp_path):
    entry = add_source(tmp_path / "sources.yaml", "owner/name@abc123", name="new", licence="MIT")
    assert (entry.hub.id, entry.hub.revision) == ("owner/name", "abc123")


@pytest.mark.parametrize(
    ("location", "name", "says"),
    [
        ("no/such/file.jsonl", "new", "neither a file nor a URL"),
        ("owner/name", "new", "neither a file nor a URL"),
        ("owner/name@1", "old", "named 'old' already"),
        ("owner/name@1", "../x", "cannot name a source"),
    ],
)
def test_a_source_that_cannot_be_added_leaves_the_catalogue_alone(catalogue, location, name, says):
    path = catalogue({"sources": [GOOD | {"name": "old"}]})
    before = path.read_bytes()
    with pytest.raises(ConfigError, match=says):
        add_source(path, location, name=name, licence="MIT")
    assert path.read_bytes() == before
