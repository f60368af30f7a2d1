"""Ablating: arms share what was made for all and never change each other's files."""

import sqlite3

import pytest
import yaml

from assets.ablations import ARMS
from assets.contracts import from_rows
from assets.errors import ConfigError
from assets.workspace import Workspace
from orchestration.ablating import ablate
from orchestration.arm_homes import share_home
from tests.orchestration.running import small_config


def event(pair: str, kind: str) -> dict:
    return {"event_id": f"{kind} {pair}", "pair_id": pair, "labeller_kind": kind, "verdict": "1"}


@pytest.fixture
def base(tmp_path) -> Workspace:
    workspace = Workspace(small_config(tmp_path), tmp_path / "base")
    lake = workspace.lake
    for kind in ("person", "judge"):
        table = from_rows([event("a", kind)], "label_events")
        lake.append_events("label_events", table, {"kind": kind, "batch": "round_0"})
    lake.publish("gold", from_rows([{"pair_id": "a", "split": "train"}], "gold"), {"as_of_round": "round_0"})
    lake.publish("silver", from_rows([{"pair_id": "b", "verdict": "1"}], "silver"), {"as_of_round": "round_0"})
    (workspace.home / "sample").mkdir()
    (workspace.home / "sample" / "truth.parquet").write_bytes(b"x")
    (workspace.home / "annotation").mkdir()
    with sqlite3.connect(workspace.home / "annotation" / "sample.sqlite") as desk:
        desk.execute("create table answers (pair)")
    return workspace


def arm_of(base: Workspace, name: str) -> Workspace:
    workspace = Workspace(base.config_path, base.home.parent / name)
    workspace.home.mkdir()
    return workspace


def test_an_arm_s_files_are_its_own_from_the_first_change_on(base):
    one, other = arm_of(base, "one"), arm_of(base, "other")
    for workspace in (one, other):
        share_home(base, workspace, verdicts=True)
    shared = base.lake.manifests("gold")[0]
    assert one.lake.file_of(shared).samefile(base.lake.file_of(shared))

    partition = {"kind": "person", "batch": "round_0"}
    one.lake.append_events("label_events", from_rows([event("b", "person")], "label_events"), partition)
    one.lake.publish("gold", from_rows([{"pair_id": "z"}], "gold"), {"as_of_round": "round_0"})
    for untouched in (base, other):
        assert untouched.lake.read("gold")["pair_id"].to_pylist() == ["a"]
        assert untouched.lake.read("label_events", **partition)["pair_id"].to_pylist() == ["a"]
        untouched.lake.verify(untouched.lake.manifests("gold")[0])
    with sqlite3.connect(one.home / "annotation" / "sample.sqlite") as desk:
        desk.execute("insert into answers values ('a')")
    with sqlite3.connect(base.home / "annotation" / "sample.sqlite") as desk:
        assert desk.execute("select count(*) from answers").fetchone() == (0,)


def test_both_may_write_at_once(base):
    one = arm_of(base, "one")
    share_home(base, one, verdicts=True)
    partition = {"as_of_round": "round_0"}
    with base.lake.lock("gold", partition):
        one.lake.publish("gold", from_rows([], "gold"), partition)


def test_an_arm_that_asks_judges_otherwise_inherits_none_of_their_verdicts(base):
    one = arm_of(base, "one")
    share_home(base, one, verdicts=False)
    assert [m.partition["kind"] for m in one.lake.manifests("label_events")] == ["person"]
    assert not one.lake.manifests("silver")
    assert one.lake.manifests("gold")


def test_sharing_again_brings_what_changed_and_keeps_the_desk(base):
    one = arm_of(base, "one")
    share_home(base, one, verdicts=True)
    base.lake.publish("gold", from_rows([{"pair_id": "new"}], "gold"), {"as_of_round": "round_0"})
    with sqlite3.connect(one.home / "annotation" / "sample.sqlite") as desk:
        desk.execute("insert into answers values ('a')")
    share_home(base, one, verdicts=True)
    assert one.lake.read("gold")["pair_id"].to_pylist() == ["new"]
    with sqlite3.connect(one.home / "annotation" / "sample.sqlite") as desk:
        assert desk.execute("select count(*) from answers").fetchone() == (1,)
    for name in ("models", "embeddings"):
        assert (one.home / name).resolve() == base.home / name


def test_real_people_are_not_asked_once_for_every_arm(tmp_path):
    value = yaml.safe_load(small_config(tmp_path).read_text("utf-8"))
    value["people"] = {"provider": "page"}
    path = tmp_path / "page.yaml"
    path.write_text(yaml.safe_dump(value), "utf-8")
    with pytest.raises(ConfigError, match="Real people"):
        ablate(path, [ARMS["full"]], 1, tmp_path / "out", lambda *_: None)
    assert not (tmp_path / "out").exists()
