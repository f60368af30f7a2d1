"""The quality signals as an asset: resumed like the others, flagged anew, shown where a person looks."""

import json

import dagster as dg
import pytest
import yaml

from assets.settings import REPOSITORY
from assets.workspace import Workspace
from orchestration.definitions import build_definitions

pytestmark = pytest.mark.slow


class Shop:
    """A configuration with one source of three rows, one of them unreadable, and an instance to run it in."""

    def __init__(self, folder):
        self.folder = folder
        prompt = "What is the best way to travel from the city to the coast in summer?"
        refusal = "I'm sorry, but I can't help with that request, since it would not be right."
        german = "Am besten fährt man mit dem Zug, weil die Straßen im Sommer sehr voll sind."
        rows = [
            {"prompt": prompt, "response_a": german, "response_b": refusal, "preferred": "a"},
            {"prompt": prompt, "response_a": "<script>alert(1)</script>" * 40, "response_b": "Go.", "preferred": "a"},
            {"prompt": 5, "response_a": "a", "response_b": "b", "preferred": "a"},
        ]
        source = folder / "shop.jsonl"
        source.write_text("".join(json.dumps(row) + "\n" for row in rows))
        entry = {"name": "shop", "paths": [str(source)], "licence": "MIT", "label_origin": "human"}
        (folder / "sources.yaml").write_text(yaml.safe_dump({"sources": [entry]}))
        self.instance = dg.DagsterInstance.ephemeral()
        self.instance.add_dynamic_partitions("sources", ["shop"])

    def run(self, asset, **quality):
        settings = yaml.safe_load((REPOSITORY / "configs" / "sample.yaml").read_text())
        settings |= {"make_sample": False, "catalogue": str(self.folder / "sources.yaml"), "quality": quality}
        config = self.folder / "config.yaml"
        config.write_text(yaml.safe_dump(settings))
        self.workspace = Workspace(config, self.folder)
        job = build_definitions(self.workspace).resolve_implicit_global_asset_job_def()
        result = job.execute_in_process(
            instance=self.instance, asset_selection=[dg.AssetKey(asset)], partition_key="shop", raise_on_error=False
        )
        if not result.success:
            return next(e for e in result.all_events if e.is_step_failure).step_failure_data.user_failure_data
        (event,) = result.get_asset_materialization_events()
        return {name: value.value for name, value in event.materialization.metadata.items()}


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    return Shop(tmp_path_factory.mktemp("shop"))


def test_signals_before_pairs_say_what_to_materialise_first(shop):
    assert "materialise raw_pairs" in shop.run("quality_signals").description


def test_raw_pairs_show_counts_plots_pairs_and_data_docs(shop):
    shown = shop.run("raw_pairs")
    assert "| wrong\\_type | 1 |" in shown["dropped"]
    assert shown["lengths"].startswith("![")
    assert "2 of 2 rows" in shown["prompt_languages"]
    assert shown["sample_pairs"].count("&lt;script>") >= 1
    assert "<script" not in shown["sample_pairs"]
    assert "…" in shown["sample_pairs"]
    assert "21 of 21" in (shop.workspace.data_docs / "raw_pairs" / "shop.html").read_text("utf-8")
    assert shown["data_docs_index"] == str(shop.workspace.data_docs / "index.html")


def test_signals_are_measured_once_and_flagged_when_a_threshold_is_set(shop):
    first = shop.run("quality_signals")
    assert (first["unchanged"], first["rows_in"], first["rows_out"]) == (False, 2, 2)
    assert first["flagged"] == "*no rows*"
    assert "| one response refuses | 1 | 0.5 |" in first["pairs_with"]
    assert first["responses_in_two_languages"] == 1
    assert shop.run("quality_signals")["unchanged"] is True
    flagged = shop.run("quality_signals", thresholds={"refusals": "either", "min_words_response": 2})
    assert flagged["unchanged"] is False
    assert "| refusal | 1 |" in flagged["flagged"]
    assert "few\\_words" in flagged["flagged"]
