"""Opening: judges of a configuration for as long as they are needed; no model is opened where none is named."""

import sys

import pytest
import yaml

from assets.contracts import from_rows
from assets.errors import ConfigError
from assets.llm_annotated.judges import make_judges
from assets.llm_annotated.opening import judge_inputs, judges_can_answer, open_judges
from assets.llm_annotated.settings import JudgeSettings
from assets.settings import REPOSITORY
from assets.workspace import Workspace

RECORDED = [{"name": "a", "provider": "recorded", "labellers": ["gpt"]}, {"name": "b", "provider": "recorded"}]
SIMULATED = [{"name": "s", "provider": "simulated", "accuracy": 0.8}]
LLM = {"name": "reader", "provider": "llm", "llm": {"model": "m", "base_url": "http://127.0.0.1:9/v1"}}


def workspace_of(folder, judges):
    value = yaml.safe_load((REPOSITORY / "configs" / "sample.yaml").read_text("utf-8"))
    value |= {"catalogue": str(REPOSITORY / "configs" / "sources" / "sample.yaml"), "judges": judges}
    (folder / "run.yaml").write_text(yaml.safe_dump(value), "utf-8")
    return Workspace(folder / "run.yaml", folder / "home")


def test_recorded_judges_answer_for_their_records_alone(tmp_path, recorded_of):
    workspace = workspace_of(tmp_path, RECORDED)
    table = recorded_of(("p", "gpt", 1, 0, "1"), ("q", "other", 1, 0, "2"), ("r", "worker", 1, 0, "2", "person"))
    workspace.lake.publish("recorded_verdicts", table, {"source": "reviews"})
    assert judges_can_answer(workspace) == {"p", "q"}
    with open_judges(workspace, "round_0") as judges:
        assert [judge.name for judge in judges] == ["a", "b"]
    assert judge_inputs(workspace, "round_0") == ()


@pytest.mark.parametrize("judges", [SIMULATED, [*RECORDED, *SIMULATED], [LLM], [*RECORDED, LLM]])
def test_others_can_answer_for_all(tmp_path, judges):
    assert judges_can_answer(workspace_of(tmp_path, judges)) is None


def test_no_client_is_loaded_for_judges_that_call_nobody(tmp_path):
    workspace = workspace_of(tmp_path, SIMULATED)
    truth = [{"pair_id": "p", "verdict": "1"}]
    workspace.lake.publish("sample_truth", from_rows(truth, "sample_truth"), {"source": "sample"})
    loaded = {name for name in sys.modules if name.startswith("assets.llm_annotated.calling")}
    with open_judges(workspace, "round_0") as (judge,):
        assert judge.name == "simulated s"
    assert {name for name in sys.modules if name.startswith("assets.llm_annotated.calling")} == loaded


def test_what_language_models_are_shown_makes_their_partitions_stale(tmp_path):
    workspace = workspace_of(tmp_path, [LLM])
    (prompt,) = judge_inputs(workspace, "round_0")
    assert prompt.startswith("judge prompt 1-")
    row = {"pair_id": "p", "writer": "x", "writer_version": "1", "task_category": "math"}
    workspace.lake.publish("attributes", from_rows([row], "attributes"), {"source": "s"})
    before = judge_inputs(workspace, "round_0")
    workspace.lake.publish("attributes", from_rows([row | {"task_category": "other"}], "attributes"), {"source": "s"})
    after = judge_inputs(workspace, "round_0")
    assert len(before) == len(after) == 2
    assert before != after


def test_a_language_model_needs_somebody_who_makes_it(recorded_of):
    settings = [JudgeSettings(**LLM), JudgeSettings(**RECORDED[0])]
    with pytest.raises(ConfigError, match="'reader' is a language model, and none is open"):
        make_judges(settings, truth={}, recorded=recorded_of(), seed=1)
    made = make_judges(settings, truth={}, recorded=recorded_of(), seed=1, llm=lambda one: one.name)
    assert made[0] == "reader"
    assert made[1].name == "a"
